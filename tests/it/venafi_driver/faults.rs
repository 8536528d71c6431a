//! Every exchange of a good run fails once in every way: never is anything ordered twice.

use jiff::SignedDuration;
use renewd::ca::{Issuer, Previous, SigningRequest};
use renewd::clock::Clock;
use renewd::failure::FailureKind;
use simulators::ca::{Fault, On, RetryAfter};
use simulators::venafi::Variants;

use super::fixture::{Fixture, request};

fn faults() -> Vec<Fault> {
    vec![
        Fault::Reset,
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::TooManyRequests(RetryAfter::Silent),
        Fault::TooManyRequests(RetryAfter::Seconds(7)),
        Fault::ServerError,
        Fault::ServerErrorAfter,
        Fault::Unavailable(RetryAfter::Silent),
        Fault::Truncated,
        Fault::Garbage,
        Fault::LoginPage,
        Fault::LoginRedirect,
    ]
}

/// A certificate, and its renewal.
async fn run(fixture: &Fixture) {
    let (first, _) = fixture.obtain(&request("r1"), 20).await.unwrap();
    let mut renewal = request("r2");
    renewal.previous = Some(Previous {
        certificate: first,
        order: None,
    });
    fixture.obtain(&renewal, 20).await.unwrap();
}

#[tokio::test]
async fn a_fault_at_any_exchange_costs_no_second_order() {
    let variants = || Variants {
        index_late_searches: 0,
        ..Variants::kind()
    };
    let fixture = Fixture::new(variants()).await;
    run(&fixture).await;
    let exchanges = u32::try_from(fixture.cloud.requests().len()).unwrap();
    assert!(exchanges >= 10, "{:?}", fixture.cloud.requests());
    for nth in 1..=exchanges {
        for fault in faults() {
            let fixture = Fixture::new(variants()).await;
            let reported = format!("{fault:?} at {nth}");
            fixture.cloud.fault(On::any(nth), fault);
            run(&fixture).await;
            let counters = fixture.cloud.counters();
            assert_eq!(fixture.cloud.faults_used(), 1, "{reported}");
            assert_eq!(
                (counters.orders, counters.duplicates),
                (2, 0),
                "{reported}: {:#?}",
                fixture.cloud.journal()
            );
        }
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_open_and_the_order_is_adopted() {
    for fault in [Fault::LostAfter, Fault::ServerErrorAfter, Fault::Truncated] {
        let fixture = Fixture::new(Variants::kind()).await;
        let request = request("r1");
        let post = On::next("POST", "/certificaterequests").nth(1);
        assert_eq!(fixture.driver.find(&request).await.unwrap(), None);
        fixture.cloud.fault(post, fault);
        let failure = fixture.driver.submit(&request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
        let order = fixture.driver.find(&request).await.unwrap().unwrap();
        assert_eq!(order.0, fixture.cloud.orders()[0].id);
    }
}

#[tokio::test]
async fn a_request_that_the_index_shows_late_is_found_within_the_visibility_delay() {
    let fixture = Fixture::new(Variants {
        index_late_searches: 2,
        ..Variants::kind()
    })
    .await;
    let request = request("r1");
    fixture.driver.submit(&request).await.unwrap();
    assert_eq!(fixture.driver.find(&request).await.unwrap(), None);
    assert!(fixture.driver.visibility_delay(&request) >= SignedDuration::from_mins(1));
    assert_eq!(fixture.driver.find(&request).await.unwrap(), None);
    assert!(fixture.driver.find(&request).await.unwrap().is_some());
}

#[tokio::test]
async fn our_request_is_found_among_more_than_a_page_of_requests_of_others() {
    let fixture = Fixture::new(Variants::kind()).await;
    let ours = request("ours");
    fixture.driver.submit(&ours).await.unwrap();
    for n in 0..120 {
        fixture
            .driver
            .submit(&request(&format!("other-{n}")))
            .await
            .unwrap();
    }
    let order = fixture.driver.find(&ours).await.unwrap().unwrap();
    assert_eq!(order.0, fixture.cloud.orders()[0].id);
    assert_eq!(
        fixture.driver.find(&request("unknown")).await.unwrap(),
        None
    );
    let before = fixture.cloud.requests().len();
    assert_eq!(
        fixture.driver.find(&request("unknown")).await.unwrap(),
        None
    );
    let calls = fixture.cloud.requests().len() - before;
    assert!(
        calls < 10,
        "{calls} calls: what was seen is not asked for again"
    );
}

#[tokio::test]
async fn the_services_own_wait_is_handed_on() {
    let fixture = Fixture::new(Variants::kind()).await;
    fixture
        .cloud
        .fault(On::any(1), Fault::TooManyRequests(RetryAfter::Seconds(77)));
    let failure = fixture.driver.find(&request("r1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    assert_eq!(failure.retry_after, Some(SignedDuration::from_secs(77)));
}

#[tokio::test]
async fn a_login_page_in_front_of_the_service_is_reported_as_such() {
    let fixture = Fixture::new(Variants::kind()).await;
    fixture.cloud.fault(On::any(1), Fault::LoginPage);
    let failure = fixture.driver.find(&request("r1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unexpected);
    assert!(failure.detail.contains("Sign in"), "{failure}");
}

#[tokio::test]
async fn a_request_is_found_however_far_our_clock_is_ahead_of_that_of_the_service() {
    let fixture = Fixture::new(Variants::kind()).await;
    let planned_ahead = SigningRequest {
        planned_at: fixture.clock.now() + SignedDuration::from_hours(365 * 24),
        ..request("r1")
    };
    let order = fixture.driver.submit(&planned_ahead).await.unwrap();
    // Our clock was set right since.
    let found = fixture.driver.find(&planned_ahead).await.unwrap();
    assert_eq!(found, Some(order.clone()));
    // It is still ahead.
    let ahead = fixture.driver_ahead_by(SignedDuration::from_hours(365 * 24));
    assert_eq!(ahead.find(&planned_ahead).await.unwrap(), Some(order));
}
