//! Renewals, their steps and their intents.

use super::*;
use crate::event::{Event, EventKind};
use crate::store::{Ending, Next, Reached, StepRecord};

#[tokio::test]
async fn a_planned_renewal_is_read_back_as_it_was_and_answers_look_and_request() {
    let (store, _folder) = store_with_portal().await;
    store.request_renewal("portal", at(1), &[]).await.unwrap();
    let planned = renewal("r1", "portal", "hq");
    let event = Event {
        certificate: Some(Arc::from("portal")),
        ..Event::new(EventKind::RenewalPlanned)
    };
    assert!(store.plan(&planned, &[event]).await.unwrap());

    let read = store.renewal(&planned.id).await.unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{planned:?}"));
    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(certificate.due_check_at, None);
    assert_eq!(certificate.requested_at, None);
    assert_eq!(certificate.open_renewal, Some(planned.id));
    assert_eq!(past(&store).await, ["renewal_planned", "certificate_added"]);
}

#[tokio::test]
async fn a_certificate_has_at_most_one_open_renewal() {
    let (store, _folder) = store_with_portal().await;
    assert!(
        store
            .plan(&renewal("r1", "portal", "hq"), &[])
            .await
            .unwrap()
    );
    let reported = [Event::new(EventKind::RenewalPlanned)];
    assert!(
        !store
            .plan(&renewal("r2", "portal", "hq"), &reported)
            .await
            .unwrap()
    );
    let open = store.open_renewals().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].id.0, "r1");
}

#[tokio::test]
async fn what_left_the_configuration_is_not_renewed() {
    let (store, _folder) = store_with_portal().await;
    store.sync_inventory(&[], at(1)).await.unwrap();
    assert!(
        !store
            .plan(&renewal("r1", "portal", "hq"), &[])
            .await
            .unwrap()
    );
    assert!(
        !store
            .plan(&renewal("r2", "unheard-of", "hq"), &[])
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_step_stores_state_and_what_was_obtained_and_forgets_its_failures() {
    let (store, mut lease, _folder) = store_with_lease().await;
    store
        .postpone(
            &lease,
            3,
            Some(at(5)),
            "unreachable",
            "no route",
            &[],
            at(1),
        )
        .await
        .unwrap();
    let failed = store.renewal(&lease.renewal.id).await.unwrap().unwrap();
    assert_eq!(failed.attempts, 3);
    assert_eq!(failed.next_attempt_at, Some(at(5)));
    assert_eq!(failed.last_error_kind.as_deref(), Some("unreachable"));
    assert_eq!(failed.last_error.as_deref(), Some("no route"));

    let obtained = everything();
    lease.renewal = store
        .advance(
            &lease,
            State::CsrGenerated,
            &obtained,
            at(7),
            None,
            &[],
            at(6),
        )
        .await
        .unwrap();
    let now = &lease.renewal;
    assert_eq!(now.state, State::CsrGenerated);
    assert_eq!(now.state_since, at(6));
    assert_eq!(now.next_attempt_at, Some(at(7)));
    assert_eq!(
        (now.attempts, &now.last_error_kind, &now.last_error),
        (0, &None, &None)
    );
    assert_eq!(now.obtained, obtained);
}

#[tokio::test]
async fn what_was_obtained_once_is_never_forgotten() {
    let (store, lease, _folder) = store_with_lease().await;
    store.keep(&lease, &everything()).await.unwrap();
    store.keep(&lease, &Obtained::default()).await.unwrap();
    let kept = store.renewal(&lease.renewal.id).await.unwrap().unwrap();
    assert_eq!(kept.obtained, everything());
    assert_eq!(kept.state, State::Planned);
}

#[tokio::test]
async fn an_end_gives_the_certificate_its_alias_and_its_next_look() {
    let (store, lease, _folder) = store_with_lease().await;
    let ending = Ending {
        due_check_at: at(900),
        alias: Some("portal-r1"),
        failure: None,
        rest: None,
    };
    store
        .advance(
            &lease,
            State::Completed,
            &Obtained::default(),
            at(1),
            Some(ending),
            &[],
            at(1),
        )
        .await
        .unwrap();
    store.release(lease).await.unwrap();

    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(certificate.alias.as_deref(), Some("portal-r1"));
    assert_eq!(certificate.due_check_at, Some(at(900)));
    assert_eq!(certificate.open_renewal, None);
    assert!(store.open_renewals().await.unwrap().is_empty());
    assert!(claim(&store, "us", 2).await.is_none());

    let mut second = renewal("r2", "portal", "hq");
    second.planned_at = at(10);
    assert!(store.plan(&second, &[]).await.unwrap());
    let past = store.renewals_of("portal", 10).await.unwrap();
    let ids: Vec<&str> = past.iter().map(|renewal| renewal.id.0.as_str()).collect();
    assert_eq!(ids, ["r2", "r1"]);
    assert_eq!(store.renewals_of("portal", 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_end_without_an_alias_keeps_the_one_before() {
    let (store, lease, _folder) = store_with_lease().await;
    meddle(&store, "UPDATE certificate SET alias = 'old'").await;
    let ending = Ending {
        due_check_at: at(900),
        alias: None,
        failure: None,
        rest: None,
    };
    store
        .advance(
            &lease,
            State::Failed,
            &Obtained::default(),
            at(1),
            Some(ending),
            &[],
            at(1),
        )
        .await
        .unwrap();
    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(certificate.alias.as_deref(), Some("old"));
}

#[tokio::test]
async fn an_end_without_an_ending_is_refused_and_so_is_the_reverse() {
    let (store, lease, _folder) = store_with_lease().await;
    let ending = Ending {
        due_check_at: at(9),
        alias: None,
        failure: None,
        rest: None,
    };
    for (to, ended) in [
        (State::Completed, None),
        (State::CsrGenerated, Some(ending)),
    ] {
        let refused = store
            .advance(&lease, to, &Obtained::default(), at(1), ended, &[], at(1))
            .await;
        assert!(
            matches!(refused, Err(StoreError::Broken { .. })),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_step_cannot_be_stored_twice() {
    let (store, lease, _folder) = store_with_lease().await;
    let nothing = Obtained::default();
    let reported = [Event {
        certificate: Some(Arc::from("portal")),
        ..Event::new(EventKind::StateReached)
    }];
    let step = async || {
        store
            .advance(
                &lease,
                State::CsrGenerated,
                &nothing,
                at(1),
                None,
                &reported,
                at(1),
            )
            .await
    };
    step().await.unwrap();
    assert!(is_lost(&step().await));
    assert_eq!(past(&store).await, ["state_reached", "certificate_added"]);
}

#[tokio::test]
async fn an_intent_counts_its_tries_keeps_its_first_reference_and_ends_with_the_step() {
    let (store, mut lease, _folder) = store_with_lease().await;
    let id = lease.renewal.id.clone();
    assert_eq!(store.intent(&id, "submit").await.unwrap(), None);

    let first = store
        .intend(&lease, "submit", "ref-1", at(1))
        .await
        .unwrap();
    assert_eq!((first.tries, first.opened_at), (1, at(1)));
    let second = store
        .intend(&lease, "submit", "ref-2", at(2))
        .await
        .unwrap();
    assert_eq!((second.tries, second.opened_at), (2, at(1)));
    assert_eq!(second.reference, "ref-1");
    assert_eq!(store.intent(&id, "submit").await.unwrap(), Some(second));
    assert_eq!(store.intent(&id, "bind").await.unwrap(), None);

    let nothing = Obtained::default();
    lease.renewal = store
        .advance(
            &lease,
            State::CsrGenerated,
            &nothing,
            at(3),
            None,
            &[],
            at(3),
        )
        .await
        .unwrap();
    assert_eq!(store.intent(&id, "submit").await.unwrap(), None);
    let again = store
        .intend(&lease, "submit", "ref-3", at(4))
        .await
        .unwrap();
    assert_eq!((again.tries, again.reference.as_str()), (1, "ref-3"));
}

#[tokio::test]
async fn a_request_releases_a_held_renewal_instead_of_asking_for_a_second_one() {
    let (store, lease, _folder) = store_with_lease().await;
    store
        .postpone(&lease, 2, None, "unauthorized", "refused", &[], at(1))
        .await
        .unwrap();
    store.count_refused_login("hq", at(1)).await.unwrap();
    store.count_refused_login("hq", at(1)).await.unwrap();
    store.release(lease).await.unwrap();
    let held = &store.open_renewals().await.unwrap()[0];
    assert_eq!((held.next_attempt_at, held.refused_logins), (None, 2));
    assert!(claim(&store, "us", 100).await.is_none());

    store.request_renewal("portal", at(200), &[]).await.unwrap();
    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(
        (certificate.requested_at, certificate.due_check_at),
        (None, None)
    );
    let lease = claim(&store, "us", 200).await.unwrap();
    assert_eq!(
        (lease.renewal.attempts, lease.renewal.refused_logins),
        (0, 0)
    );
}

#[tokio::test]
async fn whatever_a_peer_says_can_be_stored() {
    let (store, lease, _folder) = store_with_lease().await;
    let said = "a\0b \u{1f512} \r\n \u{7f}";
    let reported = [Event {
        detail: Some(said.to_owned()),
        ..Event::of_certificate(EventKind::StepFailed, &Arc::from("portal"))
    }];
    let postponed = store.postpone(&lease, 1, Some(at(9)), "refused", said, &reported, at(1));
    postponed.await.unwrap();
    let renewal = store.renewal(&lease.renewal.id).await.unwrap().unwrap();
    assert_eq!(renewal.last_error.unwrap(), said.replace('\0', "\u{fffd}"));
    let past = store.history("portal", 1).await.unwrap();
    assert_eq!(past[0].fields["detail"], "ab \u{1f512}");
}

#[tokio::test]
async fn a_row_that_is_not_valid_is_reported_with_what_is_wrong() {
    let (store, lease, _folder) = store_with_lease().await;
    for (meddling, named) in [
        ("UPDATE renewal SET state = 'lost'", "no state \"lost\""),
        (
            "UPDATE renewal SET state = 'planned', attempts = -1",
            "attempts = -1",
        ),
        (
            "UPDATE renewal SET attempts = 0, planned_at = 9223372036854775807",
            "planned_at",
        ),
        (
            "UPDATE renewal SET planned_at = 0, fingerprint = 'abc'",
            "fingerprint",
        ),
        (
            "UPDATE renewal SET fingerprint = NULL, attempts = 'many'",
            "attempts",
        ),
    ] {
        if store.is_shared() && named == "attempts" {
            // A column of numbers takes nothing else there.
            continue;
        }
        meddle(&store, meddling).await;
        match store.renewal(&lease.renewal.id).await {
            Err(StoreError::Broken { what }) => {
                assert!(what.starts_with("renewal \"r1\": "), "{what}");
                assert!(what.contains(named), "{what}");
            }
            other => panic!("{meddling}: {other:?}"),
        }
    }
}

fn everything() -> Obtained {
    Obtained {
        csr_pem: Some("csr".to_owned()),
        ca_reference: Some("order-7".to_owned()),
        leaf_pem: Some("leaf".to_owned()),
        chain_pem: Some("chain".to_owned()),
        fingerprint: Some(Fingerprint::of(b"new")),
        previous_bindings: Some("{\"ssl-vpn\":null}".to_owned()),
        previous_fingerprint: Some(Fingerprint::of(b"old")),
        previous_served: Some("[]".to_owned()),
        verification_failure: Some("vpn.example.com:443 shows none".to_owned()),
        previous_bound_at: Some(at(7)),
        sealed_key: Some(SealedKey::new(SEALED.to_owned())),
    }
}

const SEALED: &str = "sealed-1:bm90IGEga2V5LCBhbmQgbm90IHNlYWxlZCBlaXRoZXI=";

/// Whether the sealed key is anywhere in the files of a database, its write-ahead log included; a server's files are its
/// own, so there: in a row.
fn is_there(home: &Home) -> bool {
    let folder = match home {
        Home::Folder(folder) => folder.path(),
        Home::Server(url) => {
            let server = postgres::cluster().unwrap();
            return server.psql(url, "SELECT sealed_key FROM renewal") == SEALED;
        }
    };
    let mut bytes = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| std::fs::read(file.unwrap().path()).unwrap());
    bytes.any(|bytes| {
        let mut windows = bytes.windows(SEALED.len());
        windows.any(|window| window == SEALED.as_bytes())
    })
}

#[tokio::test]
async fn a_key_is_destroyed_with_the_proof_and_with_every_end_and_lies_on_nowhere() {
    for to in [
        State::Verified,
        State::Completed,
        State::RolledBack,
        State::Failed,
        State::Superseded,
    ] {
        let (store, mut lease, folder) = store_with_lease().await;
        let advance = async |lease: &Lease, to: State| {
            let ending = Ending {
                due_check_at: at(9),
                alias: None,
                failure: None,
                rest: None,
            };
            let ended = to.is_end().then_some(ending);
            let obtained = everything();
            let done = store.advance(lease, to, &obtained, at(9), ended, &[], at(2));
            done.await.unwrap()
        };
        lease.renewal = advance(&lease, State::Bound).await;
        assert_eq!(lease.renewal.obtained, everything());
        assert!(is_there(&folder));
        let after = advance(&lease, to).await;
        assert_eq!(after.obtained.sealed_key, None, "{to}");
        assert_eq!(after.obtained.fingerprint, everything().fingerprint, "{to}");
        assert!(!is_there(&folder), "{to}");
    }
}

/// The events of the certificate, newest first.
async fn past(store: &Store) -> Vec<String> {
    let past = store.history("portal", 10).await.unwrap();
    past.into_iter().map(|event| event.name).collect()
}

#[tokio::test]
async fn a_wait_is_reported_once_in_a_state_also_when_two_take_turns() {
    let (store, mut lease, _folder) = store_with_lease().await;
    let reported = [Event {
        reason: Some("approval".to_owned()),
        ..Event::of_renewal(EventKind::ApprovalNeeded, &lease.renewal)
    }];
    let was_reported =
        async |renewal: &Renewal, reason| store.is_wait_reported(renewal, reason).await.unwrap();
    assert!(!was_reported(&lease.renewal, "approval").await);
    let postponed = store.postpone(&lease, 1, Some(at(5)), "approval", "", &reported, at(1));
    postponed.await.unwrap();
    let other = store.postpone(&lease, 2, Some(at(6)), "issuance", "", &[], at(2));
    other.await.unwrap();
    assert!(was_reported(&lease.renewal, "approval").await);
    assert!(!was_reported(&lease.renewal, "issuance").await);
    let to = State::CsrGenerated;
    let nothing = Obtained::default();
    let advanced = store.advance(&lease, to, &nothing, at(9), None, &[], at(9));
    lease.renewal = advanced.await.unwrap();
    assert!(
        !was_reported(&lease.renewal, "approval").await,
        "a new state"
    );
}

#[tokio::test]
async fn an_order_is_forgotten_only_where_its_renewal_ended_before_its_outcome_was_known() {
    let (store, lease, _folder) = store_with_lease().await;
    let forgotten = || async { store.forgotten_order("portal", "submit").await.unwrap() };
    store
        .intend(&lease, "submit", "renewd-r1", at(1))
        .await
        .unwrap();
    assert_eq!(forgotten().await, None, "it is still looked for");
    end_in(&store, lease, State::Failed, 2).await;
    let order = forgotten().await.unwrap();
    assert_eq!((&*order.renewal.0, &*order.reference), ("r1", "renewd-r1"));
    assert_eq!((&*order.ca, order.tried_at), ("office", at(1)));

    // One that was surely not placed, and one that was.
    for (id, is_withdrawn) in [("r2", true), ("r3", false)] {
        let mut next = renewal(id, "portal", "hq");
        next.planned_at = at(10);
        assert!(store.plan(&next, &[]).await.unwrap());
        let lease = claim(&store, "us", 10).await.unwrap();
        store.intend(&lease, "submit", id, at(11)).await.unwrap();
        if is_withdrawn {
            store
                .withdraw_order(&lease, "submit", at(12))
                .await
                .unwrap();
            end_in(&store, lease, State::Failed, 13).await;
            assert_eq!(forgotten().await.unwrap().renewal.0, "r1");
        } else {
            end_in(&store, lease, State::Completed, 13).await;
            assert_eq!(forgotten().await, None, "an operator has decided");
        }
    }
}

async fn end_in(store: &Store, lease: Lease, state: State, now: i64) {
    let ending = Ending {
        due_check_at: at(now),
        alias: None,
        failure: None,
        rest: None,
    };
    let next = Next::Reached(Reached {
        state,
        obtained: &lease.renewal.obtained.clone(),
        next_attempt_at: at(now),
        ending: Some(ending),
    });
    let record = StepRecord::new(next, &[]);
    store.record_step(&lease, &record, at(now)).await.unwrap();
    store.release(lease).await.unwrap();
}
