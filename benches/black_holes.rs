//! How much do firewalls that never answer delay those that do? Firewalls and CA are in memory; those that answer take a
//! second for each login, the others are waited for as long as a call may take.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

mod engine;
mod fleet;
mod memory;

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::SignedDuration;
use rcgen::KeyPair;
use renewd::ca::Issuer;
use renewd::clock::SystemClock;
use renewd::config::Config;
use renewd::daemon::WorkerPool;
use renewd::failure::{Failure, FailureKind};
use renewd::firewall::{Firewall, KnownDevice};
use renewd::inventory::{Endpoint, ServedCertificate, State};
use renewd::probe::ProbeResult;
use renewd::renewal::{Engine, Peers};
use renewd::scheduler::{self, Capacity};
use renewd::store::{Next, Postponed, StepRecord};

use memory::Memory;

const HEALTHY: usize = 10;
const LOST: usize = 1_000;
const LOGIN: Duration = Duration::from_secs(1);
/// As long as a call may take that is not configured otherwise.
const PATIENCE: Duration = Duration::from_secs(20);
/// Beside those that are known not to answer, the healthy ones may take this many times their time alone.
const LIMIT: f64 = 2.0;

#[tokio::main]
async fn main() -> ExitCode {
    renewd::tls::install_provider();
    let alone = renew_healthy(0, false).await;
    println!("{HEALTHY} firewalls alone                                : {alone:.1?}");
    let known = renew_healthy(LOST, true).await;
    println!("beside {LOST} that did not answer the last time either  : {known:.1?}");
    let new = renew_healthy(LOST, false).await;
    println!("beside {LOST} of which that is not known yet, behind them: {new:.1?}");
    ExitCode::from(u8::from(known.as_secs_f64() > LIMIT * alone.as_secs_f64()))
}

/// Renews the last ten of a fleet, all of which is due, of which `lost` never answer; how long that took.
async fn renew_healthy(lost: usize, is_known: bool) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SystemClock);
    let peers = |config: &Config| -> Arc<dyn Peers> { Arc::new(Partly::of(config, lost)) };
    let mut engine = engine::start(folder.path(), lost + HEALTHY, clock, peers).await;
    for firewall in Arc::make_mut(&mut engine.config).firewalls.values_mut() {
        Arc::make_mut(firewall).window = None;
    }
    let engine = Arc::new(engine);
    let key = KeyPair::generate().unwrap();
    let now = engine.env.clock.now();
    // Not the wanted name: every certificate is due.
    let current = ServedCertificate::of(&engine::self_signed("factory.example.com", &key), now);
    engine::show(&engine, |_| current.clone()).await;
    plan(&engine, lost + HEALTHY).await;
    if is_known {
        fail(&engine, lost).await;
    }
    let started = Instant::now();
    let mut workers = WorkerPool::new("bench".to_owned(), Arc::clone(&engine));
    while !are_completed(&engine, lost).await {
        workers.turn(engine.env.clock.now()).await.unwrap();
        tokio::select! {
            () = workers.one_finished() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
    started.elapsed()
}

async fn plan(engine: &Engine, renewals: usize) {
    let capacity = Capacity {
        renewals: 0,
        suspect_renewals: 0,
        probes: 0,
        suspect_probes: 0,
        questions: 0,
        probing: &HashSet::new(),
        asking: &HashSet::new(),
    };
    let now = engine.env.clock.now();
    let mut planned = 0;
    while planned < renewals {
        let tick = scheduler::tick(engine, "bench", capacity, now)
            .await
            .unwrap();
        assert!(tick.planned > 0);
        planned += tick.planned;
    }
}

/// Lets the first `lost` renewals have failed a moment ago, and be due again.
async fn fail(engine: &Engine, lost: usize) {
    let store = &engine.store;
    let now = engine.env.clock.now();
    let until = now + SignedDuration::from_mins(1);
    for _ in 0..lost {
        let lease = store.claim_reachable("bench", now, until, 2).await.unwrap();
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
}

async fn are_completed(engine: &Engine, lost: usize) -> bool {
    for name in engine.config.certificates.keys() {
        let number: usize = name.trim_start_matches("portal-").parse().unwrap();
        let renewals = engine.store.renewals_of(name, 1);
        if number >= lost && renewals.await.unwrap()[0].state != State::Completed {
            return false;
        }
    }
    true
}

/// Firewalls in memory, of which some never answer.
#[derive(Debug)]
struct Partly {
    memory: Memory,
    lost: usize,
}

impl Partly {
    fn of(config: &Config, lost: usize) -> Self {
        let memory = Memory::of(config);
        Self { memory, lost }
    }
}

#[async_trait]
impl Peers for Partly {
    async fn firewall(
        &self,
        name: &str,
        known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        let number: usize = name.trim_start_matches("fw-").parse().unwrap();
        if number < self.lost {
            tokio::time::sleep(PATIENCE).await;
            return Err(Failure::new(
                FailureKind::Unreachable,
                "log in",
                "no answer",
            ));
        }
        tokio::time::sleep(LOGIN).await;
        self.memory.firewall(name, known).await
    }

    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        self.memory.issuer(name)
    }

    async fn probe(&self, endpoint: &Endpoint, server_name: Option<&str>) -> ProbeResult {
        self.memory.probe(endpoint, server_name).await
    }
}
