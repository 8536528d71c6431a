//! Restarts are no reason to knock again: what has a time waits for it, however often the daemon starts.

use jiff::SignedDuration;
use renewd::clock::Clock as _;
use simulators::sonicos::Profile;

use crate::test_bed::{CERTIFICATE, TestBed};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_does_not_become_a_storm_of_logins() {
    let bed = TestBed::new(Profile::V8).await;
    bed.write_password("wrong");
    bed.run_once().await;
    let before = bed.simulator.counters();
    let due = bed.renewals().await[0].next_attempt_at;
    for start in 0..20 {
        let report = bed.run_once().await;
        assert!(report.worked_on.is_empty(), "start {start}: {report:#?}");
    }
    let after = bed.simulator.counters();
    assert_eq!(
        after.requests, before.requests,
        "twenty starts asked the firewall again"
    );
    assert_eq!(bed.renewals().await[0].next_attempt_at, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_fleet_is_neither_probed_nor_polled_again_by_restarts() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    let requests = bed.simulator.counters().requests;
    let store = bed.store().await;
    let before = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    for _ in 0..20 {
        bed.run_once().await;
    }
    assert_eq!(bed.simulator.counters().requests, requests);
    let after = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    assert_eq!(after.probe_at, before.probe_at);
    assert_eq!(after.due_check_at, before.due_check_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_may_have_been_left_is_remembered_over_several_deaths() {
    let bed = TestBed::new(Profile::V8).await;
    bed.write_password("wrong");
    bed.run_once().await;
    let store = bed.store().await;
    let now = bed.clock.now() + SignedDuration::from_mins(5);
    let until = now + SignedDuration::from_mins(26);
    let claim = async |owner| store.claim(owner, now, until, 9).await.unwrap().unwrap();

    let _dead = claim("the first").await;
    for death in 1..4 {
        assert_eq!(store.take_over().await.unwrap(), ["hq"], "death {death}");
    }
    let lease = claim("the last").await;
    assert!(lease.follows_lost);
    store.release(lease).await.unwrap();
    assert_eq!(store.take_over().await.unwrap(), [""; 0]);
    assert!(!claim("another").await.follows_lost);
}
