//! When to wake up: never too late, and never in the past for something that cannot be done.

use super::*;
use crate::store::{Counts, Ending};

#[tokio::test]
async fn an_empty_store_has_nothing_to_wake_for() {
    let (store, _folder) = store().await;
    assert_eq!(store.next_due(2).await.unwrap().first(), None);
    assert_eq!(store.counts().await.unwrap(), Counts::default());
}

#[tokio::test]
async fn the_nearest_look_or_probe_wakes() {
    let (store, _folder) = store_with_portal().await;
    record_probe(
        &store,
        "portal",
        None,
        None,
        at(300),
        Some(at(200)),
        &[],
        at(0),
    )
    .await
    .unwrap();
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(200)));
    decide(&store, "portal", at(400), "not_due").await.unwrap();
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(300)));
}

#[tokio::test]
async fn a_renewal_wakes_at_its_next_attempt_unless_it_is_held() {
    let (store, lease, _folder) = store_with_only_a_lease().await;
    let postpone = async |next| {
        store
            .postpone(&lease, 1, next, "busy", "", &[], at(1))
            .await
            .unwrap();
    };
    postpone(Some(at(30))).await;
    assert_eq!(
        store.next_due(2).await.unwrap().first(),
        Some(at(60)),
        "the lease first"
    );
    postpone(Some(at(90))).await;
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(90)));
    postpone(None).await;
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(900)));
    postpone(Some(at(30))).await;
    store.release(lease).await.unwrap();
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(30)));
}

#[tokio::test]
async fn a_dead_worker_is_noticed_when_its_lease_ends() {
    let (store, _dead, _folder) = store_with_only_a_lease().await;
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(60)));
    assert!(claim(&store, "them", 60).await.is_some());
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(120)));
}

#[tokio::test]
async fn a_renewal_behind_another_of_its_firewall_waits_for_that_lease() {
    let (store, _lease, _folder) = store_with_only_a_lease().await;
    let also = [
        configured("portal", "hq", "1"),
        configured("vpn", "hq", "1"),
    ];
    store.sync_inventory(&also, at(0)).await.unwrap();
    assert!(store.plan(&renewal("r2", "vpn", "hq"), &[]).await.unwrap());
    record_probe(&store, "vpn", None, None, at(900), None, &[], at(0))
        .await
        .unwrap();
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(60)));
}

#[tokio::test]
async fn a_firewall_that_refuses_logins_causes_no_wake_up() {
    let (store, lease, _folder) = store_with_only_a_lease().await;
    store.count_refused_login("hq", at(0)).await.unwrap();
    store.count_refused_login("hq", at(0)).await.unwrap();
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(900)));
    store.release(lease).await.unwrap();
    assert_eq!(store.next_due(2).await.unwrap().first(), Some(at(900)));
    assert_eq!(store.next_due(3).await.unwrap().first(), Some(at(0)));
}

#[tokio::test]
async fn whenever_it_wakes_for_a_renewal_one_can_be_claimed() {
    let (store, lease, _folder) = store_with_only_a_lease().await;
    store
        .postpone(&lease, 1, Some(at(700)), "busy", "", &[], at(1))
        .await
        .unwrap();
    drop(lease);
    let wake = store.next_due(2).await.unwrap().first().unwrap();
    assert_eq!(
        wake,
        at(700),
        "not at the end of the lease, when nothing could be done"
    );
    assert!(store.claim("us", wake, at(800), 2).await.unwrap().is_some());
}

#[tokio::test]
async fn counts_tell_open_and_held_by_state() {
    let (store, first, _folder) = store_with_lease().await;
    let all = ["portal", "vpn", "mail"].map(|name| configured(name, name, "1"));
    store.sync_inventory(&all, at(0)).await.unwrap();
    let nothing = Obtained::default();
    let ending = Ending {
        due_check_at: at(9),
        alias: None,
        failure: None,
        rest: None,
    };
    store
        .advance(
            &first,
            State::Superseded,
            &nothing,
            at(1),
            Some(ending),
            &[],
            at(1),
        )
        .await
        .unwrap();
    for (id, name) in [("r2", "vpn"), ("r3", "mail")] {
        assert!(store.plan(&renewal(id, name, name), &[]).await.unwrap());
    }
    let held = claim(&store, "us", 1).await.unwrap();
    store
        .postpone(&held, 1, None, "refused", "", &[], at(1))
        .await
        .unwrap();
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.certificates, counts.open, counts.held), (3, 2, 1));
    assert_eq!(
        counts.by_state.into_iter().collect::<Vec<_>>(),
        [(State::Planned, 2)]
    );
}

/// A store in which nothing but the leased renewal "r1" happens before second 900.
async fn store_with_only_a_lease() -> (Store, Lease, Home) {
    let (store, lease, folder) = store_with_lease().await;
    record_probe(&store, "portal", None, None, at(900), None, &[], at(0))
        .await
        .unwrap();
    (store, lease, folder)
}
