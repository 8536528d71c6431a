//! Who may work on what, also when several try at once.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::event::{Event, EventKind};
use crate::inventory::RateLimit;
use crate::store::{Access, Ending, Login, Next, Pins, Postponed, Reached, StepRecord};

#[tokio::test]
async fn a_firewall_is_worked_on_by_one_at_a_time() {
    let (store, lease, _folder) = store_with_lease().await;
    let also = [
        configured("portal", "hq", "1"),
        configured("vpn", "hq", "1"),
    ];
    store.sync_inventory(&also, at(0)).await.unwrap();
    assert!(store.plan(&renewal("r2", "vpn", "hq"), &[]).await.unwrap());
    assert!(claim(&store, "them", 1).await.is_none());

    store.release(lease).await.unwrap();
    let next = claim(&store, "them", 1).await.unwrap();
    assert_eq!(next.renewal.id.0, "r1");
    store
        .postpone(&next, 1, Some(at(50)), "unreachable", "", &[], at(1))
        .await
        .unwrap();
    store.release(next).await.unwrap();
    assert_eq!(claim(&store, "them", 1).await.unwrap().renewal.id.0, "r2");
}

#[tokio::test]
async fn what_expires_first_is_claimed_first_and_a_request_goes_before_it() {
    let (store, _folder) = store().await;
    let names = ["later", "sooner", "new", "asked"];
    let all: Vec<_> = names.map(|name| configured(name, name, "1")).into();
    store.sync_inventory(&all, at(0)).await.unwrap();
    for (name, days) in [("later", 30), ("sooner", 2), ("asked", 300)] {
        record_probe(
            &store,
            name,
            Some(&current(name, days)),
            None,
            at(9),
            None,
            &[],
            at(0),
        )
        .await
        .unwrap();
    }
    store.request_renewal("asked", at(0), &[]).await.unwrap();
    for (name, planned) in [("later", 0), ("sooner", 0), ("new", 1), ("asked", 2)] {
        let mut renewal = renewal(name, name, name);
        renewal.planned_at = at(planned);
        assert!(store.plan(&renewal, &[]).await.unwrap());
    }
    let mut order = Vec::new();
    while let Some(lease) = claim(&store, "us", 5).await {
        order.push(lease.renewal.id.0);
    }
    assert_eq!(order, ["new", "asked", "sooner", "later"]);
}

#[tokio::test]
async fn a_firewall_that_refuses_logins_is_left_alone() {
    let (store, _folder) = store_with_portal().await;
    assert!(
        store
            .plan(&renewal("r1", "portal", "hq"), &[])
            .await
            .unwrap()
    );
    assert_eq!(store.count_refused_login("hq", at(0)).await.unwrap(), 1);
    let lease = claim(&store, "us", 0).await.unwrap();
    store.release(lease).await.unwrap();
    assert_eq!(store.count_refused_login("hq", at(0)).await.unwrap(), 2);
    assert!(claim(&store, "us", 0).await.is_none());
    store.forget_refused_logins("hq").await.unwrap();
    assert!(claim(&store, "us", 0).await.is_some());
}

#[tokio::test]
async fn a_lost_lease_cannot_write() {
    let (store, mut lost, _folder) = store_with_lease().await;
    let taken = claim(&store, "them", 61).await.unwrap();
    assert!(taken.token > lost.token);
    assert_eq!(taken.renewal.id, lost.renewal.id);
    nothing_can_be_written_with(&store, &mut lost).await;
    assert!(is_lost(&store.release(lost).await));
    store.release(taken).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_was_lost_to_another_renewal_of_the_firewall_cannot_write() {
    let (store, mut lost, _folder) = store_with_lease().await;
    let also = [
        configured("portal", "hq", "1"),
        configured("vpn", "hq", "1"),
    ];
    store.sync_inventory(&also, at(0)).await.unwrap();
    meddle(&store, "UPDATE renewal SET deadline = deadline + 1").await;
    assert!(store.plan(&renewal("r2", "vpn", "hq"), &[]).await.unwrap());
    let taken = claim(&store, "them", 61).await.unwrap();
    assert_eq!(taken.renewal.id.0, "r2");
    nothing_can_be_written_with(&store, &mut lost).await;
    assert!(is_lost(&store.release(lost).await));
}

#[tokio::test]
async fn a_lease_that_was_given_back_cannot_write() {
    let (store, mut lease, _folder) = store_with_lease().await;
    let copy = Lease {
        renewal: lease.renewal.clone(),
        owner: lease.owner.clone(),
        token: lease.token,
        until: lease.until,
        follows_lost: false,
    };
    store.release(copy).await.unwrap();
    nothing_can_be_written_with(&store, &mut lease).await;
    assert!(is_lost(&store.release(lease).await));
}

#[tokio::test]
async fn an_extended_lease_is_not_taken() {
    let (store, mut lease, _folder) = store_with_lease().await;
    store.extend(&mut lease, at(120)).await.unwrap();
    assert_eq!(lease.until, at(120));
    assert!(claim(&store, "them", 119).await.is_none());
    assert!(claim(&store, "them", 120).await.is_some());
}

/// Every method that is given a lease writes only under it: a new one belongs into `nothing_can_be_written_with` too.
#[test]
fn every_write_of_a_step_is_tried_with_a_lost_lease() {
    let tried = include_str!("leases.rs");
    let tried = &tried[tried.find("async fn nothing_can_be_written_with").unwrap()..];
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/store")).unwrap();
    let mut methods = 0;
    for file in files
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file())
    {
        let text = std::fs::read_to_string(file).unwrap();
        for method in text.split("pub async fn ").skip(1) {
            let head = &method[..method.find('{').unwrap()];
            let name = &head[..head.find('(').unwrap()];
            // A lease that is given back is tried where each of these tests ends.
            if name != "release" && (head.contains(": &Lease") || head.contains(": &mut Lease")) {
                methods += 1;
                assert!(
                    tried.contains(&format!("store.{name}("))
                        || tried.contains(&format!(".{name}(lost")),
                    "{name}"
                );
            }
        }
    }
    assert!(methods >= 8, "{methods}");
}

#[tokio::test]
async fn a_lease_after_a_lost_worker_says_so() {
    let (store, first, _folder) = store_with_lease().await;
    assert!(!first.follows_lost);
    let second = claim(&store, "them", 60).await.unwrap();
    assert!(second.follows_lost);
    store.release(second).await.unwrap();
    assert!(!claim(&store, "us", 61).await.unwrap().follows_lost);
}

#[tokio::test]
async fn a_lease_that_expired_but_was_not_taken_still_writes() {
    let (store, lease, _folder) = store_with_lease().await;
    let nothing = Obtained::default();
    store
        .advance(
            &lease,
            State::CsrGenerated,
            &nothing,
            at(900),
            None,
            &[],
            at(900),
        )
        .await
        .unwrap();
}

/// Two daemons with their own connections race for four firewalls with three certificates each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_two_workers_ever_hold_the_same_firewall() {
    let folder = home();
    let (first, second) = (patient(&folder).await, patient(&folder).await);
    let all: Vec<_> = (0..12)
        .map(|n| configured(&format!("c{n}"), &format!("f{}", n % 4), "1"))
        .collect();
    first.sync_inventory(&all, at(0)).await.unwrap();
    for certificate in &all {
        let renewal = renewal(&certificate.name, &certificate.name, &certificate.firewall);
        assert!(first.plan(&renewal, &[]).await.unwrap());
    }
    let holders: Arc<Mutex<HashMap<Arc<str>, String>>> = Arc::default();
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let store = if worker % 2 == 0 {
                first.clone()
            } else {
                second.clone()
            };
            tokio::spawn(race(store, format!("w{worker}"), holders.clone()))
        })
        .collect();
    let mut claims = 0;
    for worker in workers {
        claims += worker.await.unwrap();
    }
    // Three steps and an end for each of the twelve.
    assert_eq!(claims, 12 * 4);
    assert!(first.open_renewals().await.unwrap().is_empty());
}

/// A store that waits for the other one as long as a busy machine needs: this is about exclusion, not about the limit.
async fn patient(folder: &Home) -> Store {
    let limit = Duration::from_mins(5);
    let url = url(folder);
    Store::open_waiting(&url, None, limit, Access::Write)
        .await
        .unwrap()
}

/// Takes one step of whatever can be had, until every renewal has ended.
async fn race(
    store: Store,
    owner: String,
    holders: Arc<Mutex<HashMap<Arc<str>, String>>>,
) -> usize {
    let mut claims = 0;
    while !store.open_renewals().await.unwrap().is_empty() {
        let Some(lease) = claim(&store, &owner, 0).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let firewall = lease.renewal.firewall.clone();
        let before = holders
            .lock()
            .unwrap()
            .insert(firewall.clone(), owner.clone());
        assert_eq!(before, None, "{owner} and another hold {firewall}");
        tokio::task::yield_now().await;
        let (to, ended) = match lease.renewal.state {
            State::Planned => (State::CsrGenerated, None),
            State::CsrGenerated => (State::CsrExported, None),
            State::CsrExported => (State::Submitted, None),
            _ => (
                State::Completed,
                Some(Ending {
                    due_check_at: at(99),
                    alias: None,
                    failure: None,
                    rest: None,
                }),
            ),
        };
        store
            .advance(&lease, to, &Obtained::default(), at(0), ended, &[], at(0))
            .await
            .unwrap();
        holders.lock().unwrap().remove(&firewall);
        store.release(lease).await.unwrap();
        claims += 1;
    }
    claims
}

async fn nothing_can_be_written_with(store: &Store, lost: &mut Lease) {
    let before = format!("{:?}", store.renewal(&lost.renewal.id).await.unwrap());
    let nothing = Obtained::default();
    let to = State::CsrGenerated;
    assert!(is_lost(
        &store
            .advance(lost, to, &nothing, at(70), None, &[], at(70))
            .await
    ));
    assert!(is_lost(
        &store.postpone(lost, 1, None, "busy", "", &[], at(70)).await
    ));
    everything_of_a_step_is_lost(store, lost).await;
    assert!(is_lost(&store.record_identity(lost, "{}", at(70)).await));
    let reported = [Event::new(EventKind::MaintenanceWindowOverridden)];
    assert!(is_lost(&store.record_under(lost, &reported, at(70)).await));
    let installed = [(Fingerprint::of(b"ca"), reported[0].clone())];
    let installed = store.record_installed(lost, &installed, at(70));
    assert!(is_lost(&installed.await));
    assert!(is_lost(&store.missed(lost, "submit").await));
    let distrust = store.record_distrust("hq", "rows", &reported, Some(lost), at(70));
    assert!(is_lost(&distrust.await));
    let pinned = store.intend_pinned(lost, "bind", "ref", ("trust", "code"), at(70));
    assert!(is_lost(&pinned.await));
    assert!(store.pending_pins("hq").await.unwrap().is_empty());
    assert!(is_lost(&store.keep(lost, &nothing).await));
    assert!(is_lost(&store.intend(lost, "submit", "ref", at(70)).await));
    assert!(is_lost(&store.extend(lost, at(500)).await));
    assert!(is_lost(&store.prolong(&lost.key(), at(500)).await));
    let limits = [RateLimit {
        bucket: "account".to_owned(),
        at_most: 1,
        within: SignedDuration::from_hours(1),
    }];
    assert!(is_lost(&store.reserve(lost, &limits, at(70)).await));
    let order = store.intend_order(lost, "submit", "ref", None, None, at(70));
    assert!(is_lost(&order.await));
    assert!(is_lost(&store.withdraw_order(lost, "submit", at(70)).await));
    assert!(is_lost(&store.withdraw(lost, "submit", at(70)).await));
    assert!(is_lost(&store.return_turn(lost, at(70)).await));
    let after = format!("{:?}", store.renewal(&lost.renewal.id).await.unwrap());
    assert_eq!(after, before);
}

/// Neither its findings nor its events are stored where the lease is lost.
async fn everything_of_a_step_is_lost(store: &Store, lost: &Lease) {
    let portal = &lost.renewal.certificate;
    let everything = async || {
        format!(
            "{:?} {:?} {:?} {:?}",
            store.firewall(&lost.renewal.firewall).await.unwrap(),
            store.certificate(portal).await.unwrap(),
            store.history(portal, 9).await.unwrap(),
            store.tries(&lost.renewal.id, "submit").await.unwrap()
        )
    };
    let before = everything().await;
    let nothing = Obtained::default();
    let forged = Observation::verified("vpn.example.com:443".to_owned(), current("forged", 9));
    let observations = [(forged, Vec::new())];
    let probe_record = ProbeRecord {
        observations: &observations,
        reported_condition: Some(ReportedCondition::Unreachable),
        next_probe_at: at(71),
        ..ProbeRecord::default()
    };
    let event = Event::of_renewal(EventKind::StateReached, &lost.renewal);
    for login in [Login::Accepted, Login::Refused] {
        for next in [
            Next::Reached(Reached {
                state: State::CsrGenerated,
                obtained: &nothing,
                next_attempt_at: at(70),
                ending: None,
            }),
            Next::Postponed(Postponed {
                attempts: 1,
                next_attempt_at: None,
                error_kind: "busy",
                error: "",
            }),
        ] {
            let record = StepRecord {
                served: Some(&probe_record),
                pins: Some(Pins {
                    fingerprints: &[Fingerprint::of(b"forged")],
                    trust: "pin",
                    code: "code",
                }),
                login: Some(login),
                withdrawn: Some("submit"),
                ..StepRecord::new(next, std::slice::from_ref(&event))
            };
            let recorded = store.record_step(lost, &record, at(70)).await;
            assert!(matches!(recorded, Err(StoreError::LeaseLost)));
            assert_eq!(everything().await, before);
        }
    }
}

#[tokio::test]
async fn what_was_not_reached_the_last_time_waits_for_those_that_may_be() {
    let (store, _folder) = store().await;
    let both = [
        configured("lost", "f1", "1"),
        configured("portal", "f2", "1"),
    ];
    store.sync_inventory(&both, at(0)).await.unwrap();
    store.plan(&renewal("r1", "lost", "f1"), &[]).await.unwrap();
    let lease = claim(&store, "us", 0).await.unwrap();
    store
        .postpone(&lease, 1, Some(at(1)), "unreachable", "", &[], at(0))
        .await
        .unwrap();
    store.release(lease).await.unwrap();
    store
        .plan(&renewal("r2", "portal", "f2"), &[])
        .await
        .unwrap();
    let mut claimed = Vec::new();
    while let Some(lease) = store.claim_reachable("us", at(1), at(61), 2).await.unwrap() {
        assert!(!lease.renewal.is_unreached());
        claimed.push(lease.renewal.id.0.clone());
    }
    assert_eq!(claimed, ["r2"]);
    let rest = claim(&store, "us", 1).await.unwrap();
    assert!(rest.renewal.is_unreached());
}

/// One daemon was reloaded, another was not.
#[tokio::test]
async fn what_another_daemon_has_configured_otherwise_is_left_to_it() {
    let (ours, home) = store_with_portal().await;
    let theirs = Store::open(&url(&home)).await.unwrap();
    let also = |hash| {
        [
            configured("portal", "hq", hash),
            configured("vpn", "branch", "1"),
        ]
    };
    ours.sync_inventory(&also("1"), at(0)).await.unwrap();
    theirs.sync_inventory(&also("2"), at(1)).await.unwrap();
    for (id, name, firewall) in [("r1", "portal", "hq"), ("r2", "vpn", "branch")] {
        let planned = theirs.plan(&renewal(id, name, firewall), &[]).await;
        assert!(planned.unwrap());
    }
    // What was changed is not ours, and takes no place from what is.
    let row = ours.certificate("portal").await.unwrap().unwrap();
    assert!(!row.is_configured_here);
    let probed = ours.due_for_probe(at(2), true, 1).await.unwrap();
    assert_eq!(&*probed[0].name, "vpn");
    let lease = claim(&ours, "us", 2).await.unwrap();
    assert_eq!(lease.renewal.id.0, "r2");
    // It is held, and not due again.
    ours.postpone(&lease, 1, None, "local", "", &[], at(2))
        .await
        .unwrap();
    ours.release(lease).await.unwrap();
    assert!(claim(&ours, "us", 2).await.is_none());
    assert!(ours.leaves("portal") && !ours.leaves("vpn"));
    let lease = claim(&theirs, "them", 2).await.unwrap();
    assert_eq!(lease.renewal.id.0, "r1");
    theirs.release(lease).await.unwrap();
    // It lasts.
    for minute in 1..40 {
        assert!(claim(&ours, "us", minute * 60).await.is_none());
        assert!(ours.tell_left(at(minute * 60)).await.unwrap());
    }
    let reported = ours.history("portal", 100).await.unwrap();
    let reported = reported
        .iter()
        .filter(|event| event.name == "configuration_differs");
    assert_eq!(reported.count(), 1);
    // The reload has come here too; what only they have is theirs.
    ours.sync_inventory(&also("2"), at(3000)).await.unwrap();
    assert_eq!(claim(&ours, "us", 3000).await.unwrap().renewal.id.0, "r1");
    theirs.sync_inventory(&[], at(3100)).await.unwrap();
    assert!(claim(&ours, "us", 3100).await.is_none());
}
