//! Limits and budgets of CAs hold across renewals, restarts and repeated questions.

use super::*;
use crate::inventory::{Budget, RateLimit};
use crate::store::Permission;

const SUBMIT: &str = "submit";

fn hourly(bucket: &str, at_most: u32) -> RateLimit {
    RateLimit {
        bucket: bucket.to_owned(),
        at_most,
        within: SignedDuration::from_hours(1),
    }
}

fn budget(orders: u32) -> Budget {
    Budget {
        orders,
        within: SignedDuration::from_hours(1),
    }
}

/// A store with `count` planned renewals "r0", "r1", ..., each on a firewall of its own and claimed.
async fn store_with_leases(count: usize) -> (Store, Vec<Lease>, Home) {
    let (store, folder) = store().await;
    let fleet: Vec<_> = (0..count)
        .map(|n| configured(&format!("c{n}"), &format!("f{n}"), "1"))
        .collect();
    store.sync_inventory(&fleet, at(0)).await.unwrap();
    let mut leases = Vec::new();
    for n in 0..count {
        let renewal = renewal(&format!("r{n}"), &format!("c{n}"), &format!("f{n}"));
        assert!(store.plan(&renewal, &[]).await.unwrap());
        leases.push(claim(&store, "us", 0).await.unwrap());
    }
    (store, leases, folder)
}

#[tokio::test]
async fn each_renewal_gets_a_moment_of_its_own_and_keeps_it() {
    let (store, leases, _folder) = store_with_leases(4).await;
    let limits = [hourly("account", 2)];
    let mut moments = Vec::new();
    for lease in &leases {
        moments.push(store.reserve(lease, &limits, at(0)).await.unwrap());
    }
    assert_eq!(moments, [at(0), at(0), at(1800), at(3600)]);
    let again = store.reserve(&leases[3], &limits, at(60)).await.unwrap();
    assert_eq!(again, at(3600), "asked again, it is the same moment");
}

#[tokio::test]
async fn the_tightest_of_several_limits_decides_and_an_order_uses_the_moment_up() {
    let (store, leases, _folder) = store_with_leases(2).await;
    let limits = [hourly("account", 300), hourly("names a", 1)];
    assert_eq!(
        store.reserve(&leases[0], &limits, at(0)).await.unwrap(),
        at(0)
    );
    let granted = store
        .intend_order(&leases[0], SUBMIT, "r0", None, None, at(0))
        .await;
    assert!(matches!(granted.unwrap(), Permission::Granted(intent) if intent.tries == 1));
    assert_eq!(
        store.reserve(&leases[1], &limits, at(0)).await.unwrap(),
        at(3600)
    );
    assert_eq!(
        store.reserve(&leases[0], &limits, at(10)).await.unwrap(),
        at(7200),
        "another order of the same renewal needs another moment"
    );
}

#[tokio::test]
async fn a_turn_with_which_nothing_was_ordered_is_good_for_the_next_try() {
    let (store, leases, _folder) = store_with_leases(2).await;
    let limits = [hourly("account", 1)];
    assert_eq!(
        store.reserve(&leases[0], &limits, at(0)).await.unwrap(),
        at(0)
    );
    let granted = store
        .intend_order(&leases[0], SUBMIT, "r0", None, None, at(0))
        .await;
    assert!(matches!(granted.unwrap(), Permission::Granted(_)));
    store
        .withdraw_order(&leases[0], SUBMIT, at(1))
        .await
        .unwrap();
    assert_eq!(
        store.reserve(&leases[0], &limits, at(60)).await.unwrap(),
        at(1)
    );
    assert_eq!(
        store.reserve(&leases[1], &limits, at(60)).await.unwrap(),
        at(3600),
        "the limit was used once"
    );
    let exempt = store.reserve(&leases[0], &[], at(70)).await.unwrap();
    assert_eq!(exempt, at(70));
}

#[tokio::test]
async fn without_limits_nothing_waits_and_nothing_is_stored() {
    let (store, leases, _folder) = store_with_leases(1).await;
    assert_eq!(store.reserve(&leases[0], &[], at(5)).await.unwrap(), at(5));
}

#[tokio::test]
async fn a_budget_refuses_until_its_oldest_order_is_old_enough() {
    let (store, leases, folder) = store_with_leases(3).await;
    for (lease, seconds) in leases[..2].iter().zip([0, 600]) {
        let permission = store.intend_order(lease, SUBMIT, "r", None, Some(budget(2)), at(seconds));
        assert!(matches!(permission.await.unwrap(), Permission::Granted(_)));
    }
    store.close().await;
    let store = Store::open(&url(&folder)).await.unwrap();
    let refused = store.intend_order(&leases[2], SUBMIT, "r2", None, Some(budget(2)), at(700));
    let expected = Permission::Exhausted {
        until: at(3600),
        budget: budget(2),
    };
    assert_eq!(refused.await.unwrap(), expected);
    assert_eq!(
        store.intent(&leases[2].renewal.id, SUBMIT).await.unwrap(),
        None
    );
    assert_eq!(
        store.orders_since("office", SUBMIT, at(-1)).await.unwrap(),
        2
    );
    let later = store.intend_order(&leases[2], SUBMIT, "r2", None, Some(budget(2)), at(3601));
    assert!(matches!(later.await.unwrap(), Permission::Granted(_)));
    assert_eq!(
        store.orders_since("office", SUBMIT, at(100)).await.unwrap(),
        2
    );
}

#[tokio::test]
async fn every_try_that_may_have_been_taken_counts_also_those_of_the_same_renewal() {
    let (store, leases, _folder) = store_with_leases(2).await;
    for tries in 1..=2 {
        let permission =
            store.intend_order(&leases[0], SUBMIT, "r0", None, Some(budget(2)), at(tries));
        let Permission::Granted(intent) = permission.await.unwrap() else {
            panic!("try {tries} was refused");
        };
        assert_eq!(i64::from(intent.tries), tries);
        assert_eq!(intent.tried_at, at(tries));
        assert_eq!(intent.opened_at, at(1));
    }
    assert_eq!(store.tries(&leases[0].renewal.id, SUBMIT).await.unwrap(), 2);
    for lease in &leases {
        let refused = store.intend_order(lease, SUBMIT, "r", None, Some(budget(2)), at(3));
        assert!(matches!(
            refused.await.unwrap(),
            Permission::Exhausted { .. }
        ));
    }
    // The last try was surely not taken; the one before it may have been.
    store
        .withdraw_order(&leases[0], SUBMIT, at(4))
        .await
        .unwrap();
    assert_eq!(
        store.orders_since("office", SUBMIT, at(0)).await.unwrap(),
        1
    );
}

#[tokio::test]
async fn an_order_that_was_surely_not_placed_uses_up_nothing_of_the_budget() {
    let (store, leases, _folder) = store_with_leases(2).await;
    let first = store.intend_order(&leases[0], SUBMIT, "r0", None, Some(budget(1)), at(0));
    assert!(matches!(first.await.unwrap(), Permission::Granted(_)));
    store
        .withdraw_order(&leases[0], SUBMIT, at(1))
        .await
        .unwrap();
    assert_eq!(
        store.intent(&leases[0].renewal.id, SUBMIT).await.unwrap(),
        None
    );
    assert_eq!(
        store.orders_since("office", SUBMIT, at(-1)).await.unwrap(),
        0
    );
    let second = store.intend_order(&leases[1], SUBMIT, "r1", None, Some(budget(1)), at(2));
    assert!(matches!(second.await.unwrap(), Permission::Granted(_)));
}

#[tokio::test]
async fn turns_and_limits_move_back_with_the_clock() {
    const YEAR: i64 = 365 * 86_400;
    let (store, leases, _folder) = store_with_leases(4).await;
    let limits = [hourly("account", 1)];
    for lease in &leases[..3] {
        store.reserve(lease, &limits, at(YEAR)).await.unwrap();
    }
    let hour = SignedDuration::from_hours(1);
    store
        .clock_moved_back(at(YEAR), at(0), hour, hour)
        .await
        .unwrap();
    let mut moments = Vec::new();
    for lease in &leases {
        moments.push(store.reserve(lease, &limits, at(0)).await.unwrap());
    }
    assert_eq!(moments, [at(0), at(3600), at(7200), at(10_800)]);
}
