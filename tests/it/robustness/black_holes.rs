//! Firewalls that accept a connection and never respond do not delay responsive ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use renewd::clock::{Clock, SystemClock};
use renewd::daemon::Daemon;
use renewd::inventory::{
    Observation, Obtained, Renewal, RenewalId, ReportedCondition, Served, ServedCertificate, State,
    Unreachable,
};
use renewd::store::{Next, Postponed, ProbeRecord, StepRecord, Store};

use super::fleet::{Fleet, env, expiring};
use super::{Counting, Running, pause, wait_until};

const HEALTHY: usize = 10;
const LOST: usize = 1_000;

/// Lets a daemon renew everything that can be renewed; how long that took.
async fn renew_all(fleet: &Fleet) -> Duration {
    let store = fleet.store().await;
    let daemon = Running::start(&fleet.config_file(), Arc::new(SystemClock), || {}).await;
    let started = Instant::now();
    wait_until("every firewall that answers is renewed", async || {
        fleet.completed(&store).await == HEALTHY
    })
    .await;
    let took = started.elapsed();
    daemon.abandon();
    took
}

/// Every black hole has a renewal that is due now, more urgent than all others, whose last attempt got no
/// response. The last probe there failed too, and is to be repeated now.
async fn let_them_be_known(fleet: &Fleet) {
    let daemon = Daemon::start(&fleet.config_file(), fleet.config(), env()).await;
    drop(daemon.unwrap());
    let store = fleet.store().await;
    let now = SystemClock.now();
    let shown = ServedCertificate::of(&expiring(), now);
    let unreachable = Unreachable {
        since: now,
        words: "no answer".to_owned(),
    };
    let served = Served {
        unreachable: Some(unreachable),
        ..Served::known("192.0.2.1:443".to_owned(), shown)
    };
    let observations = [(Observation::probed(served), Vec::new())];
    let probe_record = ProbeRecord {
        observations: &observations,
        reported_condition: Some(ReportedCondition::Unreachable),
        next_probe_at: now,
        ..ProbeRecord::default()
    };
    for name in &fleet.lost {
        store.record_probe(name, &probe_record, now).await.unwrap();
        assert!(store.plan(&renewal(name), &[]).await.unwrap());
        fail_once(&store).await;
    }
    store.close().await;
}

fn renewal(name: &str) -> Renewal {
    let now = SystemClock.now();
    Renewal {
        id: RenewalId(format!("r-{name}")),
        certificate: Arc::from(name),
        firewall: Arc::from(name),
        ca: Arc::from("office"),
        alias: format!("alias-{name}"),
        reason: "emergency".to_owned(),
        state: State::Planned,
        planned_at: now,
        state_since: now,
        attempts: 0,
        polls: 0,
        cause: None,
        same_cause: 0,
        decided: None,
        planned_ahead: false,
        bind_now: false,
        refused_logins: 0,
        next_attempt_at: Some(now),
        last_error_kind: None,
        last_error: None,
        obtained: Obtained::default(),
    }
}

/// The renewal that is ready failed, and is to be tried again now.
async fn fail_once(store: &Store) {
    let now = SystemClock.now();
    let until = now + SignedDuration::from_mins(1);
    let lease = store.claim_reachable("test", now, until, 2).await.unwrap();
    let lease = lease.unwrap();
    let next = Next::Postponed(Postponed {
        attempts: 1,
        next_attempt_at: Some(now),
        error_kind: "unreachable",
        error: "no answer",
    });
    let record = StepRecord::new(next, &[]);
    store.record_step(&lease, &record, now).await.unwrap();
    store.release(lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_black_holes_delay_ten_healthy_firewalls_by_less_than_twice_their_time_alone() {
    let mut alone = Duration::MAX;
    let mut beside = Duration::MAX;
    // Twice, since other tests run meanwhile: what counts is the better of each.
    for _ in 0..2 {
        alone = alone.min(renew_all(&Fleet::new(HEALTHY, 0).await).await);
        let fleet = Fleet::new(HEALTHY, LOST).await;
        let_them_be_known(&fleet).await;
        beside = beside.min(renew_all(&fleet).await);
    }
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!(
        "black holes: {HEALTHY} firewalls renewed in {alone:.2?} alone, in {beside:.2?} beside {LOST} that never answer: {ratio:.2} times"
    );
    assert!(ratio < 2.0, "{ratio:.2} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_unresponsive_firewalls_does_not_make_the_loop_spin() {
    let fleet = Fleet::new(0, 60).await;
    let clock = Counting::new(Arc::new(SystemClock));
    let daemon = Running::start(&fleet.config_file(), Arc::clone(&clock) as _, || {}).await;
    pause(Duration::from_secs(1)).await;
    let asked = clock.asked();
    pause(Duration::from_secs(3)).await;
    let turns = clock.asked() - asked;
    // A turn a second, and what ends meanwhile asks for the time as well.
    assert!(turns < 300, "{turns} looks at the clock in three seconds");
    daemon.abandon();
}
