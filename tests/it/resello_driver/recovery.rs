//! Each exchange of an order goes wrong once in each way: what is paid stays one order.

use renewd::clock::Clock as _;
use simulators::ca::{Fault, On, RetryAfter};
use simulators::resello::{ReferenceMatch, Variants};

use super::fixture::{DAY, Fixture};

fn faults() -> Vec<Fault> {
    vec![
        Fault::Reset,
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::ServerError,
        Fault::ServerErrorAfter,
        Fault::Unavailable(RetryAfter::Seconds(7)),
        Fault::TooManyRequests(RetryAfter::Silent),
        Fault::Truncated,
        Fault::Garbage,
        Fault::LoginPage,
        Fault::LoginRedirect,
        Fault::Unauthorized,
    ]
}

/// How many exchanges there are of a purchase in which nothing goes wrong.
async fn exchanges_of_a_purchase(change: impl FnOnce(&mut Variants)) -> u32 {
    let fixture = Fixture::looking(change).await;
    fixture.buy().await;
    u32::try_from(fixture.shop.requests().len()).unwrap()
}

async fn every_exchange_fails_once(change: fn(&mut Variants)) {
    let exchanges = exchanges_of_a_purchase(change).await;
    assert!(exchanges > 7, "{exchanges}");
    for fault in faults() {
        for nth in 1..=exchanges {
            let fixture = Fixture::looking(change).await;
            fixture.shop.fault(On::any(nth), fault.clone());
            fixture.buy().await;
            assert_eq!(fixture.shop.faults_used(), 1);
            fixture.assert_paid(1, &format!("{fault:?} at {nth}"));
        }
    }
}

#[tokio::test]
async fn one_order_is_paid_whichever_exchange_fails() {
    every_exchange_fails_once(|_| {}).await;
}

#[tokio::test]
async fn so_it_is_in_a_shop_that_shows_late_and_little() {
    // A list that hides an order for longer than the driver asks the engine to wait costs money in any case.
    every_exchange_fails_once(|variants| {
        *variants = Variants {
            hidden_lists: 1,
            details_hidden: 1,
            reads_before_active: 1,
            ..Variants::unkind()
        };
    })
    .await;
}

#[tokio::test]
async fn one_renewal_is_paid_whichever_of_its_exchanges_fails() {
    let shops: [fn(&mut Variants); 3] = [
        |variants| variants.stale_active_answers = 2,
        |variants| variants.renew_keeps_reference = true,
        |variants| variants.renew_gives_new_id = true,
    ];
    for change in shops {
        let mut exchanges = 1;
        let mut nth = 0;
        // The first round, without a fault, shows how many there are.
        while nth <= exchanges {
            for fault in [Fault::LostBefore, Fault::LostAfter, Fault::Truncated] {
                let fixture = Fixture::looking(change).await;
                let first = fixture.buy().await;
                fixture.clock.advance(DAY * 61);
                let before = u32::try_from(fixture.shop.requests().len()).unwrap();
                if nth > 0 {
                    fixture.shop.fault(On::any(nth), fault.clone());
                }
                let request = fixture.request("second", Some(&first));
                let second = fixture.obtain(&request).await;
                assert_eq!(second.leaf.public_key, request.csr.public_key);
                fixture.assert_paid(2, &format!("{fault:?} at {nth}"));
                if nth == 0 {
                    exchanges = u32::try_from(fixture.shop.requests().len()).unwrap() - before;
                }
            }
            nth += 1;
        }
    }
}

#[tokio::test]
async fn a_renewal_whose_answer_was_lost_is_not_repeated_before_a_day_has_passed() {
    let fixture = Fixture::granting(|_| {}).await;
    let first = fixture.buy().await;
    fixture.clock.advance(DAY * 61);
    let began = fixture.clock.now();
    fixture
        .shop
        .fault(On::next("POST", "/renew"), Fault::LostBefore);
    fixture
        .order(&fixture.request("second", Some(&first)))
        .await;
    assert!(began.duration_until(fixture.clock.now()) >= DAY);
    fixture.assert_paid(2, "bought and renewed");
}

#[tokio::test]
async fn an_order_is_found_among_those_of_others_on_many_pages() {
    let fixture = Fixture::granting(|variants| {
        variants.reference_match = ReferenceMatch::Ignored;
        variants.largest_page = 2;
    })
    .await;
    for n in 0..7 {
        fixture
            .order(&fixture.request(&format!("other {n}"), None))
            .await;
    }
    fixture
        .shop
        .fault(On::next("POST", "/ssl-certificate"), Fault::LostAfter);
    fixture.obtain(&fixture.request("ours", None)).await;
    fixture.assert_paid(8, "eight orders");
}

#[tokio::test]
async fn two_orders_with_our_reference_stop_everything() {
    use renewd::ca::Issuer;
    let fixture = Fixture::granting(|_| {}).await;
    let request = fixture.request("first", None);
    for _ in 0..2 {
        fixture.driver().submit(&request).await.unwrap();
    }
    let failure = fixture.driver().find(&request).await.unwrap_err();
    assert_eq!(failure.kind, renewd::failure::FailureKind::Unexpected);
    assert!(failure.detail.contains("each costs money"), "{failure}");
}
