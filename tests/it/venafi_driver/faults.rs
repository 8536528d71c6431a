//! Every exchange of a good run fails once in every way: never is anything ordered twice.

use jiff::SignedDuration;
use renewd::ca::{Issuer, Previous, SigningRequest};
use renewd::clock::Clock;
use renewd::failure::FailureKind;
use simulators::ca::{Fault, On, RetryAfter};
use simulators::venafi::Faces;

use super::bench::{Bench, request};

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
async fn run(bench: &Bench) {
    let (first, _) = bench.obtain(&request("r1"), 20).await.unwrap();
    let mut renewal = request("r2");
    renewal.previous = Some(Previous {
        certificate: first,
        order: None,
    });
    bench.obtain(&renewal, 20).await.unwrap();
}

#[tokio::test]
async fn a_fault_at_any_exchange_costs_no_second_order() {
    let faces = || Faces {
        index_late_searches: 0,
        ..Faces::kind()
    };
    let bench = Bench::new(faces()).await;
    run(&bench).await;
    let exchanges = u32::try_from(bench.cloud.requests().len()).unwrap();
    assert!(exchanges >= 10, "{:?}", bench.cloud.requests());
    for nth in 1..=exchanges {
        for fault in faults() {
            let bench = Bench::new(faces()).await;
            let told = format!("{fault:?} at {nth}");
            bench.cloud.fault(On::any(nth), fault);
            run(&bench).await;
            let counters = bench.cloud.counters();
            assert_eq!(bench.cloud.faults_used(), 1, "{told}");
            assert_eq!(
                (counters.orders, counters.duplicates),
                (2, 0),
                "{told}: {:#?}",
                bench.cloud.journal()
            );
        }
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_open_and_the_order_is_adopted() {
    for fault in [Fault::LostAfter, Fault::ServerErrorAfter, Fault::Truncated] {
        let bench = Bench::new(Faces::kind()).await;
        let request = request("r1");
        let post = On::next("POST", "/certificaterequests").nth(1);
        assert_eq!(bench.driver.find(&request).await.unwrap(), None);
        bench.cloud.fault(post, fault);
        let failure = bench.driver.submit(&request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
        let order = bench.driver.find(&request).await.unwrap().unwrap();
        assert_eq!(order.0, bench.cloud.orders()[0].id);
    }
}

#[tokio::test]
async fn a_request_that_the_index_shows_late_is_found_within_the_settling_time() {
    let bench = Bench::new(Faces {
        index_late_searches: 2,
        ..Faces::kind()
    })
    .await;
    let request = request("r1");
    bench.driver.submit(&request).await.unwrap();
    assert_eq!(bench.driver.find(&request).await.unwrap(), None);
    assert!(bench.driver.settling_time(&request) >= SignedDuration::from_mins(1));
    assert_eq!(bench.driver.find(&request).await.unwrap(), None);
    assert!(bench.driver.find(&request).await.unwrap().is_some());
}

#[tokio::test]
async fn requests_of_others_and_more_than_a_page_of_them_are_told_from_ours() {
    let bench = Bench::new(Faces::kind()).await;
    let ours = request("ours");
    bench.driver.submit(&ours).await.unwrap();
    for n in 0..120 {
        bench
            .driver
            .submit(&request(&format!("other-{n}")))
            .await
            .unwrap();
    }
    let order = bench.driver.find(&ours).await.unwrap().unwrap();
    assert_eq!(order.0, bench.cloud.orders()[0].id);
    assert_eq!(bench.driver.find(&request("nobody's")).await.unwrap(), None);
    let before = bench.cloud.requests().len();
    assert_eq!(bench.driver.find(&request("nobody's")).await.unwrap(), None);
    let calls = bench.cloud.requests().len() - before;
    assert!(
        calls < 10,
        "{calls} calls: what was seen is not asked for again"
    );
}

#[tokio::test]
async fn the_services_own_wait_is_handed_on() {
    let bench = Bench::new(Faces::kind()).await;
    bench
        .cloud
        .fault(On::any(1), Fault::TooManyRequests(RetryAfter::Seconds(77)));
    let failure = bench.driver.find(&request("r1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Busy);
    assert_eq!(failure.retry_after, Some(SignedDuration::from_secs(77)));
}

#[tokio::test]
async fn a_login_page_in_front_of_the_service_is_told_as_such() {
    let bench = Bench::new(Faces::kind()).await;
    bench.cloud.fault(On::any(1), Fault::LoginPage);
    let failure = bench.driver.find(&request("r1")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unexpected);
    assert!(failure.detail.contains("Sign in"), "{failure}");
}

#[tokio::test]
async fn a_request_is_found_however_far_our_clock_is_ahead_of_that_of_the_service() {
    let bench = Bench::new(Faces::kind()).await;
    let planned_ahead = SigningRequest {
        planned_at: bench.clock.now() + SignedDuration::from_hours(365 * 24),
        ..request("r1")
    };
    let order = bench.driver.submit(&planned_ahead).await.unwrap();
    // Our clock was set right since.
    let found = bench.driver.find(&planned_ahead).await.unwrap();
    assert_eq!(found, Some(order.clone()));
    // It is still ahead.
    let ahead = bench.driver_ahead_by(SignedDuration::from_hours(365 * 24));
    assert_eq!(ahead.find(&planned_ahead).await.unwrap(), Some(order));
}
