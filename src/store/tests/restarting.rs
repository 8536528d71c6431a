//! What one process stored, another finds.

use super::*;
use crate::event::{Event, EventKind};

#[tokio::test]
async fn a_restart_keeps_everything_even_after_a_kill() {
    let (store, lease, folder) = store_with_lease().await;
    let reported = [Event {
        certificate: Some(Arc::from("portal")),
        ..Event::new(EventKind::RenewalWaiting)
    }];
    store.intend(&lease, "submit", "ref", at(1)).await.unwrap();
    store
        .postpone(
            &lease,
            1,
            Some(at(9)),
            "busy",
            "another administrator is there",
            &reported,
            at(2),
        )
        .await
        .unwrap();
    let id = &lease.renewal.id;
    let before = format!("{:?}", store.renewal(id).await.unwrap());
    // Not closed: another process sees what a kill would leave.
    let after_kill = Store::open(&url(&folder)).await.unwrap();
    assert_eq!(
        format!("{:?}", after_kill.renewal(id).await.unwrap()),
        before
    );
    after_kill.close().await;
    store.close().await;

    let again = Store::open(&url(&folder)).await.unwrap();
    assert_eq!(format!("{:?}", again.renewal(id).await.unwrap()), before);
    assert_eq!(
        again.intent(id, "submit").await.unwrap().unwrap().reference,
        "ref"
    );
    let past = again.history("portal", 9).await.unwrap();
    assert_eq!(past[0].name, "renewal_waiting");
    assert!(
        claim(&again, "them", 59).await.is_none(),
        "the lease outlives the process"
    );
    assert!(claim(&again, "them", 60).await.is_some());
}

#[tokio::test]
async fn a_write_that_reaches_no_row_is_not_taken_for_done() {
    let (store, _folder) = store().await;
    meddle(
        &store,
        "UPDATE bookkeeping SET name = 'gone' WHERE name = 'write_probe'",
    )
    .await;
    let refused = store.write_probe(at(0)).await;
    assert!(
        matches!(refused, Err(StoreError::Broken { .. })),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_daemons_may_start_on_a_new_database_at_the_same_moment() {
    let home = home();
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let url = url(&home);
            tokio::spawn(async move { Store::open(&url).await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
}
