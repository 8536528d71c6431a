//! What each address serves: the newest observation counts, whatever comes in which order.

use super::*;
use crate::event::EventKind;
use crate::inventory::{Condition, TrackedCertificate, Unknown, Unreachable};
use crate::store::{KnownCertificate, Report};

const ONE: &str = "vpn.example.com:443";
const OTHER: &str = "vpn.example.com:4433";

fn served(address: &str, pem: &str, days: i64, probed_at: i64) -> Served {
    Served {
        probed_at: at(probed_at),
        ..Served::known(address.to_owned(), current(pem, days))
    }
}

fn unreachable(address: &str, probed_at: i64) -> Served {
    Served {
        known: None,
        unreachable: Some(Unreachable {
            since: at(probed_at),
            words: "no answer".to_owned(),
        }),
        ..served(address, "", 0, probed_at)
    }
}

/// Stores one observation; whether it counts, by the event that comes with it.
async fn observe(store: &Store, observation: Observation, now: i64) -> bool {
    let report = Report {
        kind: EventKind::EndpointUnreachable,
        words: "seen".to_owned(),
    };
    let probe_record = ProbeRecord {
        observations: &[(observation, vec![report])],
        reported_condition: Some(ReportedCondition::Expiring),
        next_probe_at: at(900),
        due_check_at: Some(at(now)),
        ..ProbeRecord::default()
    };
    let events = store
        .record_probe("portal", &probe_record, at(now))
        .await
        .unwrap();
    !events.is_empty()
}

async fn portal(store: &Store) -> TrackedCertificate {
    store.certificate("portal").await.unwrap().unwrap()
}

fn fingerprint(row: &TrackedCertificate) -> Fingerprint {
    row.current.as_ref().unwrap().fingerprint
}

#[tokio::test]
async fn an_older_probe_never_replaces_a_newer_one() {
    let (store, _folder) = store_with_portal().await;
    let new = served(ONE, "new", 90, 20);
    assert!(observe(&store, Observation::probed(new.clone()), 25).await);
    let slow = served(ONE, "old", 5, 10);
    assert!(!observe(&store, Observation::probed(slow), 30).await);
    let row = portal(&store).await;
    assert_eq!(row.served, [new]);
    assert_eq!(fingerprint(&row), current("new", 90).fingerprint);
    assert_eq!(
        row.due_check_at,
        Some(at(25)),
        "what was overtaken makes nothing due"
    );
    let newer = served(ONE, "newer", 91, 20);
    assert!(observe(&store, Observation::probed(newer), 31).await);
}

#[tokio::test]
async fn a_probe_that_began_before_a_verification_was_stored_never_replaces_it() {
    let (store, _folder) = store_with_portal().await;
    let old = served(ONE, "old", 5, 0);
    assert!(observe(&store, Observation::probed(old), 0).await);
    let proven = ServedCertificate {
        seen_at: at(20),
        ..current("new", 90)
    };
    let verified = Observation::verified(ONE.to_owned(), proven);
    assert!(observe(&store, verified.clone(), 20).await);
    for begun in [10, 20] {
        let slow = served(ONE, "old", 5, begun);
        assert!(!observe(&store, Observation::probed(slow), 30).await);
        assert!(!observe(&store, Observation::probed(unreachable(ONE, begun)), 30).await);
    }
    let row = portal(&store).await;
    assert_eq!(fingerprint(&row), current("new", 90).fingerprint);
    assert!(
        observe(&store, verified, 20).await,
        "a verification always counts"
    );
    let later = served(ONE, "third", 60, 21);
    assert!(observe(&store, Observation::probed(later), 31).await);
}

#[tokio::test]
async fn an_address_that_serves_nothing_counts_by_what_it_served_last() {
    let (store, _folder) = store_with_portal().await;
    for (address, pem, days) in [(ONE, "late", 90), (OTHER, "soon", 10)] {
        let one = served(address, pem, days, 0);
        assert!(observe(&store, Observation::probed(one), 0).await);
    }
    let soon = current("soon", 10).fingerprint;
    for probe in 1..6 {
        let seen = match probe % 2 {
            0 => served(OTHER, "soon", 10, probe),
            _ => unreachable(OTHER, probe),
        };
        assert!(observe(&store, Observation::probed(seen), probe).await);
        let row = portal(&store).await;
        assert_eq!(fingerprint(&row), soon, "probe {probe}");
        assert_eq!(row.served.len(), 2);
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_stored_beside_the_one_that_counts() {
    let (store, _folder) = store_with_portal().await;
    let good = served(ONE, "good", 10, 0);
    assert!(observe(&store, Observation::probed(good.clone()), 0).await);
    let stranger = Fingerprint::of(b"stranger");
    let seen = Served {
        known: None,
        unknown: Some(Unknown {
            fingerprint: stranger,
            since: at(5),
            words: "CN=x".to_owned(),
        }),
        reported: Some((Condition::Unknown(stranger), at(5))),
        ..served(ONE, "", 0, 5)
    };
    assert!(observe(&store, Observation::probed(seen.clone()), 5).await);
    let row = portal(&store).await;
    let stored = Served {
        known: good.known,
        ..seen
    };
    assert_eq!(row.served, [stored]);
    assert_eq!(fingerprint(&row), current("good", 10).fingerprint);
    assert_eq!(row.unknown().count(), 1);
}

#[tokio::test]
async fn what_an_operator_accepted_is_known_and_probed_at_once() {
    let (store, _folder) = store_with_portal().await;
    let print = Fingerprint::of(b"by hand");
    let known = |is_adopted, second| KnownCertificate {
        fingerprint: print,
        is_adopted,
        known_at: at(second),
        code: format!("code {second}"),
        is_reported: false,
    };
    let by_chain = [known(false, 1)];
    let adopted = known(true, 2);
    let probe_record = ProbeRecord {
        verified_by_chain: &by_chain,
        next_probe_at: at(900),
        ..ProbeRecord::default()
    };
    store
        .record_probe("portal", &probe_record, at(1))
        .await
        .unwrap();
    let known = store.known_certificates("portal").await.unwrap();
    assert_eq!(known, by_chain);
    store.adopt("portal", &adopted, &[], at(2)).await.unwrap();
    store
        .record_probe("portal", &probe_record, at(3))
        .await
        .unwrap();
    let known = store.known_certificates("portal").await.unwrap();
    assert_eq!(known, std::slice::from_ref(&adopted));
    store.adopt("portal", &adopted, &[], at(4)).await.unwrap();
    assert_eq!(portal(&store).await.probe_at, Some(at(4)));

    // What was reported as not authentic is replaced by what a chain verifies.
    let reported = store
        .record_forged_known("portal", &[print], &[], at(5))
        .await;
    reported.unwrap();
    assert!(store.known_certificates("portal").await.unwrap()[0].is_reported);
    store
        .record_probe("portal", &probe_record, at(6))
        .await
        .unwrap();
    assert_eq!(store.known_certificates("portal").await.unwrap(), by_chain);
    let gone = store.adopt("none", &adopted, &[], at(4)).await;
    assert!(matches!(gone, Err(StoreError::Broken { .. })), "{gone:?}");
}

#[tokio::test]
async fn a_certificate_that_moves_to_another_firewall_begins_anew() {
    let (store, _folder) = store_with_portal().await;
    let old = served(ONE, "old", 50, 0);
    assert!(observe(&store, Observation::probed(old), 0).await);
    meddle(&store, "UPDATE certificate SET alias = 'portal-1'").await;
    let moved = [configured("portal", "branch", "2")];
    store.sync_inventory(&moved, at(1)).await.unwrap();
    let row = portal(&store).await;
    assert!(row.served.is_empty() && row.current.is_none(), "{row:?}");
    assert_eq!(row.alias, None, "nothing was installed there");
}
