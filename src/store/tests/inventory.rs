//! Certificates and firewalls: configured, seen, due.

use super::*;
use crate::event::{Event, EventKind};
use crate::inventory::{RenewalWindow, TrackedCertificate};
use crate::store::{Changes, Decision};

#[tokio::test]
async fn a_new_configuration_changes_only_what_differs() {
    let (store, _folder) = store().await;
    let first = [
        configured("a", "hq", "1"),
        configured("b", "hq", "1"),
        configured("c", "hq", "1"),
    ];
    let changes = store.sync_inventory(&first, at(0)).await.unwrap();
    assert_eq!(changes, reported(&["a", "b", "c"], &[], &[]));
    for name in ["a", "b", "c"] {
        decide(&store, name, at(500), "not_due").await.unwrap();
    }
    assert_eq!(
        store.sync_inventory(&first, at(10)).await.unwrap(),
        Changes::default()
    );

    let second = [
        configured("a", "hq", "1"),
        configured("b", "branch", "2"),
        configured("d", "hq", "1"),
    ];
    let changes = store.sync_inventory(&second, at(20)).await.unwrap();
    assert_eq!(changes, reported(&["d"], &["b"], &["c"]));

    let all = store.certificates().await.unwrap();
    let looks: Vec<_> = all
        .iter()
        .map(|one| (&*one.name, &*one.firewall, one.due_check_at))
        .collect();
    assert_eq!(
        looks,
        [
            ("a", "hq", Some(at(500))),
            ("b", "branch", Some(at(20))),
            // Nothing was seen of it yet: there is nothing to ask the rules about.
            ("d", "hq", None)
        ]
    );
    let probes: Vec<_> = all.iter().map(|one| one.probe_at).collect();
    assert_eq!(probes, [Some(at(0)), Some(at(20)), Some(at(20))]);
}

#[tokio::test]
async fn what_left_the_configuration_is_never_due_and_comes_back_with_its_past() {
    let (store, _folder) = store_with_portal().await;
    let seen = current("pem", 30);
    record_probe(&store, "portal", Some(&seen), None, at(5), None, &[], at(1))
        .await
        .unwrap();
    let changes = store.sync_inventory(&[], at(2)).await.unwrap();
    assert_eq!(changes, reported(&[], &[], &["portal"]));
    assert_eq!(
        store.sync_inventory(&[], at(3)).await.unwrap(),
        Changes::default()
    );
    assert!(store.certificates().await.unwrap().is_empty());
    assert!(store.due_for_check(at(999), 10).await.unwrap().is_empty());
    assert!(
        store
            .due_for_probe(at(999), true, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.next_due(2).await.unwrap().first(), None);
    let asked = store.request_renewal("portal", at(4), &[]).await;
    assert!(matches!(asked, Err(StoreError::Broken { .. })), "{asked:?}");

    let back = [configured("portal", "hq", "1")];
    let changes = store.sync_inventory(&back, at(9)).await.unwrap();
    assert_eq!(changes, reported(&["portal"], &[], &[]));
    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(certificate.current, Some(seen));
    assert_eq!(certificate.due_check_at, Some(at(9)));
}

#[tokio::test]
async fn thousands_are_taken_over_in_several_statements() {
    let (store, _folder) = store().await;
    let many: Vec<_> = (0..1201)
        .map(|n| configured(&format!("c{n:04}"), "hq", "1"))
        .collect();
    let changes = store.sync_inventory(&many, at(0)).await.unwrap();
    assert_eq!(changes.added.len(), 1201);
    let all = store.certificates().await.unwrap();
    assert_eq!(all.len(), 1201);
    assert_eq!(&*all[1200].name, "c1200");
    assert_eq!(store.due_for_probe(at(0), true, 7).await.unwrap().len(), 7);
    let changes = store.sync_inventory(&many[..1], at(1)).await.unwrap();
    assert_eq!(changes.removed.len(), 1200);
    for (name, reported) in [
        ("c0000", &["certificate_added"][..]),
        ("c1200", &["certificate_removed", "certificate_added"]),
    ] {
        let past = store.history(name, 9).await.unwrap();
        let names: Vec<_> = past.iter().map(|event| &*event.name).collect();
        assert_eq!(names, reported, "{name}");
    }
}

#[tokio::test]
async fn a_fleet_is_decided_in_one_commit_or_not_at_all() {
    let (store, _folder) = store().await;
    let many: Vec<_> = (0..1201)
        .map(|n| configured(&format!("c{n:04}"), "hq", "1"))
        .collect();
    store.sync_inventory(&many, at(0)).await.unwrap();
    assert!(
        store
            .plan(&renewal("r1", "c0001", "hq"), &[])
            .await
            .unwrap()
    );
    let mut decisions: Vec<_> = (0..)
        .zip(&many)
        .map(|(n, one)| Decision {
            name: &one.name,
            due_check_at: at(1000 + n),
            decision: "not_due",
            was_due_at: None,
        })
        .collect();
    store.record_decisions(&decisions).await.unwrap();
    let all = store.certificates().await.unwrap();
    assert_eq!(all[0].due_check_at, Some(at(1000)));
    assert_eq!(all[1].due_check_at, None, "its renewal is open");
    assert_eq!(all[1200].due_check_at, Some(at(2200)));
    assert!(
        all.iter()
            .all(|one| one.decision.as_deref() == Some("not_due"))
    );

    for decision in &mut decisions {
        decision.decision = "lost";
    }
    store.record_decisions(&decisions).await.unwrap();
    let all = store.certificates().await.unwrap();
    let lost = all
        .iter()
        .filter(|one| one.decision.as_deref() == Some("lost"));
    let lost: Vec<_> = lost.map(|one| &*one.name).collect();
    assert_eq!(
        lost,
        ["c0001"],
        "the others are to be asked at another time by now"
    );
}

#[tokio::test]
async fn what_was_decided_before_something_new_was_seen_or_asked_for_is_not_stored() {
    let (store, _folder) = store().await;
    let name = "a";
    let all = [configured(name, "hq", "1")];
    store.sync_inventory(&all, at(0)).await.unwrap();
    decide(&store, name, at(10), "not_due").await.unwrap();
    let is_due_at = |at: Timestamp| {
        let store = &store;
        async move {
            let row = store.certificate(name).await.unwrap().unwrap();
            let due = store.due_for_check(at, 9).await.unwrap();
            (row.due_check_at, row.decision, due.len())
        }
    };
    // All of it happens at one moment by the clock.
    for new in 0..2 {
        let (was_due_at, ..) = is_due_at(at(10)).await;
        if new == 0 {
            let (pem, day) = (current("new", 90), at(20));
            record_probe(
                &store,
                name,
                Some(&pem),
                None,
                day,
                Some(at(10)),
                &[],
                at(10),
            )
            .await
            .unwrap();
        } else {
            store.request_renewal(name, at(10), &[]).await.unwrap();
        }
        let late = Decision {
            name,
            due_check_at: at(9999),
            decision: "late",
            was_due_at,
        };
        store.record_decisions(&[late]).await.unwrap();
        let (due_check_at, decision, due) = is_due_at(at(10)).await;
        assert_ne!(due_check_at, was_due_at);
        assert_eq!((decision.as_deref(), due), (Some("not_due"), 1));
    }
}

#[tokio::test]
async fn the_longest_waiting_is_due_first_and_only_when_its_time_has_come() {
    let (store, _folder) = store().await;
    let all = ["a", "b", "c"].map(|name| configured(name, "hq", "1"));
    store.sync_inventory(&all, at(0)).await.unwrap();
    for (name, look, probe) in [("a", 30, 10), ("b", 10, 30), ("c", 20, 20)] {
        decide(&store, name, at(look), "not_due").await.unwrap();
        record_probe(&store, name, None, None, at(probe), None, &[], at(0))
            .await
            .unwrap();
    }
    let names = |due: Vec<TrackedCertificate>| -> Vec<String> {
        due.iter().map(|one| one.name.to_string()).collect()
    };
    assert_eq!(
        names(store.due_for_check(at(20), 9).await.unwrap()),
        ["b", "c"]
    );
    assert_eq!(names(store.due_for_check(at(99), 1).await.unwrap()), ["b"]);
    assert_eq!(
        names(store.due_for_probe(at(20), true, 9).await.unwrap()),
        ["a", "c"]
    );
    assert!(store.due_for_check(at(9), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_probe_result_without_a_certificate_keeps_the_last_one() {
    let (store, _folder) = store_with_portal().await;
    let seen = current("pem", 30);
    let drift = [Event {
        certificate: Some(Arc::from("portal")),
        ..Event::new(EventKind::EndpointUnreachable)
    }];
    record_probe(
        &store,
        "portal",
        Some(&seen),
        None,
        at(60),
        Some(at(7)),
        &[],
        at(1),
    )
    .await
    .unwrap();
    record_probe(
        &store,
        "portal",
        None,
        Some(ReportedCondition::Unreachable),
        at(120),
        None,
        &drift,
        at(60),
    )
    .await
    .unwrap();
    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(certificate.current, Some(seen));
    assert_eq!(
        certificate.reported_condition,
        Some(ReportedCondition::Unreachable)
    );
    assert_eq!(certificate.probe_at, Some(at(120)));
    assert_eq!(certificate.due_check_at, Some(at(7)));
    assert_eq!(store.history("portal", 9).await.unwrap()[0].at, at(60));

    record_probe(&store, "portal", None, None, at(180), None, &[], at(120))
        .await
        .unwrap();
    assert_eq!(
        store
            .certificate("portal")
            .await
            .unwrap()
            .unwrap()
            .reported_condition,
        None
    );
}

#[tokio::test]
async fn nothing_gives_a_certificate_a_look_time_beside_an_open_renewal() {
    let (store, _lease, _folder) = store_with_lease().await;
    decide(&store, "portal", at(3), "not_due").await.unwrap();
    record_probe(
        &store,
        "portal",
        None,
        None,
        at(900),
        Some(at(3)),
        &[],
        at(1),
    )
    .await
    .unwrap();
    store.request_renewal("portal", at(3), &[]).await.unwrap();
    let moved = [configured("portal", "branch", "2")];
    store.sync_inventory(&moved, at(3)).await.unwrap();
    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(certificate.due_check_at, None);
    assert_eq!(certificate.decision.as_deref(), Some("not_due"));
    assert_eq!(&*certificate.firewall, "branch");
    assert!(store.due_for_check(at(999), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_request_is_kept_until_a_renewal_is_planned() {
    let (store, _folder) = store_with_portal().await;
    decide(&store, "portal", at(500), "not_due").await.unwrap();
    let asked = [Event {
        certificate: Some(Arc::from("portal")),
        ..Event::new(EventKind::RenewalRequested)
    }];
    store
        .request_renewal("portal", at(5), &asked)
        .await
        .unwrap();
    decide(&store, "portal", at(600), "waits").await.unwrap();
    let certificate = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(certificate.requested_at, Some(at(5)));
    assert_eq!(
        store.history("portal", 9).await.unwrap()[0].name,
        "renewal_requested"
    );
}

#[tokio::test]
async fn what_is_not_in_the_inventory_cannot_be_written() {
    let (store, _folder) = store().await;
    assert!(store.certificate("x").await.unwrap().is_none());
    let seen = record_probe(&store, "x", None, None, at(0), None, &[], at(0)).await;
    assert!(matches!(seen, Err(StoreError::Broken { .. })), "{seen:?}");
}

#[tokio::test]
async fn half_a_probe_result_in_the_database_is_reported() {
    let (store, _folder) = store_with_portal().await;
    let seen = current("pem", 30);
    record_probe(&store, "portal", Some(&seen), None, at(5), None, &[], at(1))
        .await
        .unwrap();
    meddle(&store, "UPDATE served SET not_after = NULL").await;
    let read = store.certificate("portal").await;
    assert!(matches!(read, Err(StoreError::Broken { .. })), "{read:?}");
}

#[tokio::test]
async fn a_firewall_is_remembered_with_what_it_said_and_what_is_trusted() {
    let (store, lease, _folder) = store_with_lease().await;
    let unknown = store.firewall("hq").await.unwrap();
    assert_eq!((unknown.name.as_str(), unknown.refused_logins), ("hq", 0));
    assert!(unknown.identity.is_none() && unknown.pins.is_empty());

    store
        .record_identity(&lease, "{\"model\":\"TZ\"}", at(1))
        .await
        .unwrap();
    store
        .record_identity(&lease, "{\"model\":\"NSa\"}", at(2))
        .await
        .unwrap();
    let learned = [Fingerprint::of(b"one"), Fingerprint::of(b"two")];
    store.learn_trust("hq", &learned, "pin-1").await.unwrap();
    let known = store.firewall("hq").await.unwrap();
    assert_eq!(known.identity.as_deref(), Some("{\"model\":\"NSa\"}"));
    assert_eq!(known.identified_at, Some(at(2)));
    assert_eq!(known.pins, learned);
    assert_eq!(known.pins_for.as_deref(), Some("pin-1"));

    store.learn_trust("hq", &[], "pin-2").await.unwrap();
    assert!(store.firewall("hq").await.unwrap().pins.is_empty());
    meddle(&store, "UPDATE firewall SET pins = 'nonsense'").await;
    let read = store.firewall("hq").await;
    assert!(matches!(read, Err(StoreError::Broken { .. })), "{read:?}");
}

#[tokio::test]
async fn refused_logins_are_counted_in_a_row() {
    let (store, _folder) = store().await;
    store.forget_refused_logins("hq").await.unwrap();
    assert_eq!(store.count_refused_login("hq", at(0)).await.unwrap(), 1);
    assert_eq!(store.count_refused_login("hq", at(1)).await.unwrap(), 2);
    assert_eq!(store.count_refused_login("branch", at(1)).await.unwrap(), 1);
    store.forget_refused_logins("hq").await.unwrap();
    assert_eq!(store.firewall("hq").await.unwrap().refused_logins, 0);
    assert_eq!(store.firewall("branch").await.unwrap().refused_logins, 1);
}

fn reported(added: &[&str], changed: &[&str], removed: &[&str]) -> Changes {
    let names = |names: &[&str]| names.iter().map(|&name| Arc::from(name)).collect();
    Changes {
        added: names(added),
        changed: names(changed),
        removed: names(removed),
    }
}

#[tokio::test]
async fn a_window_belongs_to_what_is_shown_and_wakes_the_rules() {
    let (store, _folder) = store_with_portal().await;
    let current = current("pem", 90);
    let see = async |current: &ServedCertificate, now| {
        let seen = record_probe(
            &store,
            "portal",
            Some(current),
            None,
            at(1000),
            None,
            &[],
            now,
        );
        seen.await.unwrap();
    };
    let window = RenewalWindow {
        start: at(100),
        end: at(200),
        chosen: at(150),
        explanation: Some("https://ca.example/why".to_owned()),
    };
    see(&current, at(1)).await;
    store.ask_for_window("portal", at(1)).await.unwrap();
    assert_eq!(store.due_for_window(at(1), 9).await.unwrap().len(), 1);
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(1)));
    store
        .record_window(
            "portal",
            current.fingerprint,
            Some(&window),
            Some(at(500)),
            Some(at(2)),
            &[],
            at(2),
        )
        .await
        .unwrap();
    let row = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(row.window_of_current(), Some(&window));
    assert_eq!(
        (row.due_check_at, row.window_poll_at),
        (Some(at(2)), Some(at(500)))
    );
    assert!(store.due_for_window(at(499), 9).await.unwrap().is_empty());
    let other = ServedCertificate {
        fingerprint: Fingerprint::of(b"other"),
        ..current
    };
    see(&other, at(3)).await;
    let row = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(
        row.window_of_current(),
        None,
        "it was the window of another certificate"
    );
}

#[tokio::test]
async fn where_nothing_was_seen_is_looked_at_apart_from_the_others() {
    let (store, _folder) = store().await;
    let names_of = |rows: Vec<TrackedCertificate>| -> Vec<String> {
        rows.iter().map(|row| row.name.to_string()).collect()
    };
    let fleet = ["new", "once", "seen", "reported"].map(|name| configured(name, "hq", "1"));
    store.sync_inventory(&fleet, at(0)).await.unwrap();
    for (name, reported) in [
        ("once", Some(ReportedCondition::UnreachableOnce)),
        ("seen", None),
        ("reported", Some(ReportedCondition::Unreachable)),
    ] {
        record_probe(&store, name, None, reported, at(1), None, &[], at(0))
            .await
            .unwrap();
    }
    let seen = store.due_for_probe(at(2), true, 9).await.unwrap();
    assert!(seen.iter().all(|row| !row.is_unseen()));
    assert_eq!(names_of(seen), ["new", "seen"]);
    let unseen = store.due_for_probe(at(2), false, 9).await.unwrap();
    assert!(unseen.iter().all(TrackedCertificate::is_unseen));
    assert_eq!(names_of(unseen), ["once", "reported"]);
}

#[tokio::test]
async fn a_changed_configuration_lets_what_waits_look_again_at_once() {
    let (store, lease, _folder) = store_with_lease().await;
    let waits = |kind: &'static str| {
        let until = Some(at(90_000));
        store.postpone(&lease, 1, until, kind, "", &[], at(10))
    };
    let next = async || {
        let renewal = store.renewal(&lease.renewal.id).await.unwrap().unwrap();
        renewal.next_attempt_at
    };
    let id = &lease.renewal.id;
    waits("maintenance_window").await.unwrap();
    let same = [configured("portal", "hq", "1")];
    store.sync_inventory(&same, at(20)).await.unwrap();
    assert_eq!(next().await, Some(at(90_000)), "nothing changed");
    let changed = [configured("portal", "hq", "2")];
    store.sync_inventory(&changed, at(30)).await.unwrap();
    assert_eq!(next().await, Some(at(30)));

    // A step that ran under the former configuration puts it off after that.
    for (kind, expected) in [
        ("maintenance_window", 40),
        ("order_budget", 40),
        ("unreachable", 90_000),
    ] {
        waits(kind).await.unwrap();
        store.reconsider_wait(id, at(40)).await.unwrap();
        assert_eq!(next().await, Some(at(expected)), "{kind}");
    }
    store
        .postpone(&lease, 1, None, "unauthorized", "", &[], at(50))
        .await
        .unwrap();
    store.sync_inventory(&same, at(60)).await.unwrap();
    assert_eq!(next().await, None, "what is held waits for an operator");
    waits("maintenance_window").await.unwrap();
    store.sync_inventory(&[], at(70)).await.unwrap();
    assert_eq!(next().await, Some(at(70)), "it left the configuration");
}

#[tokio::test]
async fn a_shorter_interval_brings_probes_forward_and_keeps_them_spread() {
    let (store, _folder) = store().await;
    let certificates = ["a", "b", "c"].map(|name| configured(name, "hq", "1"));
    store.sync_inventory(&certificates, at(0)).await.unwrap();
    for (name, probe_at) in [("a", 50), ("b", 7 * 3600 + 60), ("c", 9 * 3600 + 1800)] {
        record_probe(&store, name, None, None, at(probe_at), None, &[], at(0))
            .await
            .unwrap();
    }
    let probes = async || {
        let rows = store.certificates().await.unwrap();
        rows.iter()
            .map(|row| row.probe_at.unwrap())
            .collect::<Vec<_>>()
    };
    store
        .shorten_probes(SignedDuration::from_hours(10), at(0))
        .await
        .unwrap();
    assert_eq!(
        probes().await,
        [at(50), at(7 * 3600 + 60), at(9 * 3600 + 1800)]
    );
    store
        .shorten_probes(SignedDuration::from_hours(1), at(0))
        .await
        .unwrap();
    assert_eq!(probes().await, [at(50), at(60), at(1800)]);
}
