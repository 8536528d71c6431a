//! Wrong passwords and wrong pins.

use renewd::inventory::State;
use renewd::store::{Next, Postponed, StepRecord};
use simulators::sonicos::Profile;

use crate::lab::{CERTIFICATE, Lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_twice_and_then_held_for_a_person() {
    let lab = Lab::new(Profile::V8).await;
    lab.write_password("wrong");
    lab.run_once().await;
    assert_eq!(lab.simulator.counters().failed_logins, 1);
    // As if the wait were over, again and again.
    for _ in 0..5 {
        hurry(&lab).await;
        lab.run_once().await;
    }
    assert_eq!(lab.simulator.counters().failed_logins, 2);
    assert_eq!(lab.simulator.counters().locked_out, 0);
    let renewal = &lab.renewals().await[0];
    assert_eq!(
        (renewal.state, renewal.next_attempt_at),
        (State::Planned, None)
    );
    assert!(lab.has_event("renewal_held").await);

    lab.write_password(crate::lab::PASSWORD);
    let store = lab.store().await;
    store
        .request_renewal(CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
}

/// Lets the open renewal's next attempt be now, unless it is held.
async fn hurry(lab: &Lab) {
    let store = lab.store().await;
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
    let lab = Lab::new(Profile::V8).await;
    lab.configure(&"ab".repeat(32), "");
    let report = lab.run_once().await;
    assert!(report.has_failed());
    assert_eq!(lab.simulator.counters().requests, 0);
    let renewal = &lab.renewals().await[0];
    assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
    let words = renewal.last_error.as_deref().unwrap();
    assert!(words.contains(&lab.simulator.fingerprint()), "{words}");
    assert!(lab.has_event("person_needed").await);
}
