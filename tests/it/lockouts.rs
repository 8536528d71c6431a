//! Wrong passwords and wrong pins.

use renewd::clock::Clock as _;
use renewd::inventory::State;
use renewd::store::{Next, Postponed, StepRecord};
use simulators::sonicos::{Action, Profile, Rule};

use crate::test_bed::{CERTIFICATE, TestBed};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_twice_and_then_held_for_an_operator() {
    let bed = TestBed::new(Profile::V8).await;
    bed.write_password("wrong");
    bed.run_once().await;
    assert_eq!(bed.simulator.counters().failed_logins, 1);
    // As if the wait were over, again and again.
    for _ in 0..5 {
        hurry(&bed).await;
        bed.run_once().await;
    }
    assert_eq!(bed.simulator.counters().failed_logins, 2);
    assert_eq!(bed.simulator.counters().locked_out, 0);
    let renewal = &bed.renewals().await[0];
    assert_eq!(
        (renewal.state, renewal.next_attempt_at),
        (State::Planned, None)
    );
    assert!(bed.has_event("renewal_held").await);

    bed.write_password(crate::test_bed::PASSWORD);
    let store = bed.store().await;
    store
        .request_renewal(CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
}

/// Lets the open renewal's next attempt be now, unless it is held.
async fn hurry(bed: &TestBed) {
    let store = bed.store().await;
    let Some(renewal) = store.open_renewals().await.unwrap().pop() else {
        return;
    };
    if renewal.next_attempt_at.is_none() {
        return;
    }
    let far = jiff::Timestamp::MAX;
    let Some(lease) = store.claim("test", far, far, u32::MAX).await.unwrap() else {
        return;
    };
    let kind = renewal.last_error_kind.clone().unwrap();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let next = Next::Postponed(Postponed {
        attempts: renewal.attempts,
        next_attempt_at: Some(now),
        error_kind: &kind,
        error: "hurried",
    });
    let record = StepRecord::new(next, &[]);
    store.record_step(&lease, &record, now).await.unwrap();
    store.release(lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_refused_before_any_credential_is_sent() {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure(&"ab".repeat(32), "");
    let report = bed.run_once().await;
    assert!(report.has_failed());
    assert_eq!(bed.simulator.counters().requests, 0);
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
    let words = renewal.last_error.as_deref().unwrap();
    assert!(words.contains(&bed.simulator.fingerprint()), "{words}");
    assert!(bed.has_event("attention_needed").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_that_asks_for_a_weaker_login_than_before_gets_none_and_an_alert_is_raised() {
    let mut bed = TestBed::new(Profile::V7_0).await;
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.simulator.set(|variants| {
        (variants.digest_sha256, variants.digest_md5) = (false, Some(false));
        (variants.chap, variants.basic) = (Some(true), Some(true));
    });
    // The newest renewal is the one of the later time.
    bed.clock
        .set(bed.clock.now() + jiff::SignedDuration::from_hours(1));
    let epoch = jiff::Timestamp::UNIX_EPOCH;
    let store = bed.store().await;
    store
        .request_renewal(CERTIFICATE, epoch, &[])
        .await
        .unwrap();
    let before = bed.simulator.counters().credentials;
    let report = bed.run_once().await;
    assert!(report.has_failed());
    assert_eq!(bed.simulator.counters().credentials, before);
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.last_error_kind.as_deref(), Some("login_downgrade"));
    assert_eq!(renewal.next_attempt_at, None);
    assert!(bed.has_event("renewal_held").await);

    bed.set_keys("minimum_login = \"basic\"");
    store
        .request_renewal(CERTIFICATE, epoch, &[])
        .await
        .unwrap();
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    assert_eq!(bed.renewals().await[0].state, State::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_in_front_of_the_firewall_that_refuses_everything_holds_nothing() {
    let bed = TestBed::new(Profile::V7_X).await;
    let headers = vec![("Server".to_owned(), "Apache".to_owned())];
    let refuses = Action::Status(403, "Forbidden".to_owned(), headers);
    bed.simulator
        .rule(Rule::once("", "", refuses).repeated(0, 4));
    for _ in 0..4 {
        bed.run_once().await;
        let renewal = &bed.renewals().await[0];
        assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
        bed.clock.set(renewal.next_attempt_at.unwrap());
    }
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
}
