//! The certificate after the first: renewed, bought or reissued.

use jiff::SignedDuration;
use renewd::ca::resello::RenewalMode;
use renewd::ca::{Issuance, Issuer};
use renewd::failure::FailureKind;

use super::fixture::{DAY, Fixture};

#[tokio::test]
async fn an_order_of_ours_is_renewed_under_its_id_and_the_old_certificate_stays_valid() {
    let fixture = Fixture::granting(|variants| variants.stale_active_answers = 3).await;
    let first = fixture.buy().await;
    fixture.clock.advance(DAY * 61);
    let request = fixture.request("second", Some(&first));
    let order = fixture.order(&request).await;
    assert_eq!(order, first.order);
    // "active" is still the status of the old one.
    let issuance = fixture.driver().poll(&order, &request).await.unwrap();
    let Issuance::Pending {
        needs_person,
        waiting_for,
        ..
    } = issuance
    else {
        panic!("{issuance:?}");
    };
    assert!(
        !needs_person && waiting_for.contains("still shows"),
        "{waiting_for}"
    );
    let second = fixture.obtain(&request).await;
    assert_ne!(second.leaf, first.leaf);
    assert_eq!(fixture.shop.invalidated(), Vec::<Vec<u8>>::new());
    let ledger = fixture.shop.ledger();
    assert_eq!((ledger.bought, ledger.renewed, ledger.reissued), (1, 1, 0));
    fixture.assert_paid(2, "bought and renewed");
}

#[tokio::test]
async fn a_renewal_before_its_time_waits_for_it_and_is_not_counted_as_an_order() {
    let fixture = Fixture::granting(|_| {}).await;
    let first = fixture.buy().await;
    fixture.clock.advance(DAY * 50);
    let request = fixture.request("second", Some(&first));
    let failure = fixture.driver().find(&request).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    assert!(
        failure.detail.contains("`renewal_mode = \"buy\"`"),
        "{failure}"
    );
    let wait = failure.retry_after.unwrap();
    assert!(wait > DAY * 9 && wait <= DAY * 10, "{wait:#}");
    fixture.clock.advance(wait + SignedDuration::from_secs(1));
    fixture.obtain(&request).await;
    fixture.assert_paid(2, "bought and renewed");
}

#[tokio::test]
async fn a_certificate_is_bought_as_new_where_that_is_configured_or_the_old_order_is_gone() {
    for gone in [false, true] {
        let mut fixture = Fixture::granting(|_| {}).await;
        let first = fixture.buy().await;
        if gone {
            fixture.driver().cancel(&first.order).await.unwrap();
        } else {
            fixture.settings.renewal_mode = RenewalMode::Buy;
        }
        let second = fixture
            .obtain(&fixture.request("second", Some(&first)))
            .await;
        assert_ne!(second.order, first.order);
        let ledger = fixture.shop.ledger();
        assert_eq!((ledger.bought, ledger.renewed), (2, 0));
    }
}

#[tokio::test]
async fn a_reissue_is_free_and_kills_the_certificate_in_use() {
    let mut fixture = Fixture::granting(|_| {}).await;
    fixture.settings.renewal_mode = RenewalMode::Reissue;
    let first = fixture.buy().await;
    fixture.clock.advance(DAY * 30);
    let second = fixture
        .obtain(&fixture.request("second", Some(&first)))
        .await;
    assert_eq!(
        fixture.shop.invalidated(),
        std::slice::from_ref(&first.leaf.der)
    );
    assert_eq!(second.order, first.order);
    let ledger = fixture.shop.ledger();
    assert_eq!((ledger.reissued, ledger.charged_cents), (1, 900));
    // At the end of the term there is nothing left to reissue for.
    fixture.clock.advance(DAY * 40);
    fixture
        .obtain(&fixture.request("third", Some(&second)))
        .await;
    assert_eq!(fixture.shop.ledger().renewed, 1);
}

#[tokio::test]
async fn nothing_is_ordered_while_another_program_renews_the_order() {
    let mut fixture = Fixture::granting(|variants| variants.reads_before_active = 9).await;
    fixture
        .shop
        .set(|variants| variants.reads_before_active = 0);
    let first = fixture.buy().await;
    fixture.clock.advance(DAY * 61);
    fixture
        .shop
        .set(|variants| variants.reads_before_active = 9);
    fixture
        .driver()
        .submit(&fixture.request("another", Some(&first)))
        .await
        .unwrap();
    for renewals in [RenewalMode::Renew, RenewalMode::Buy] {
        fixture.settings.renewal_mode = renewals;
        let request = fixture.request("second", Some(&first));
        let failure = fixture.driver().find(&request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy);
        assert!(failure.detail.contains("is \"pending\""), "{failure}");
    }
    fixture.assert_paid(2, "bought, and renewed by another program");
}
