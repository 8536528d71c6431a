//! What does a tick cost when nothing is due? It must not grow with the fleet.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

mod engine;
mod fleet;

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rcgen::KeyPair;
use renewd::clock::{Clock, ManualClock};
use renewd::env::Env;
use renewd::inventory::ServedCertificate;
use renewd::renewal::{ConfiguredPeers, Engine};
use renewd::scheduler::{self, Capacity, Tick};
use renewd::transfer::Transfers;

/// The first is what the others are compared with.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const ROUNDS: usize = 2_000;
/// The largest fleet's tick may cost this many times the smallest's.
const LIMIT: f64 = 2.0;

#[tokio::main]
async fn main() -> ExitCode {
    renewd::tls::install_provider();
    let mut fleets = Vec::new();
    for size in SIZES {
        fleets.push(Fleet::rested(size).await);
    }
    // In turns, so that whatever else the machine does hits all sizes alike.
    for _ in 0..ROUNDS {
        for fleet in &mut fleets {
            fleet.measure().await;
        }
    }
    println!("certificates  median of {ROUNDS} ticks  times the first");
    let first = fleets[0].median().as_secs_f64();
    let mut last = 1.0;
    for fleet in &mut fleets {
        let median = fleet.median();
        last = median.as_secs_f64() / first;
        println!("{:12}  {median:>20.1?}  {last:15.2}", fleet.size);
    }
    println!("limit: {LIMIT} times");
    ExitCode::from(u8::from(last > LIMIT))
}

/// A fleet that was looked at a moment ago: nothing is due.
struct Fleet {
    size: usize,
    engine: Engine,
    now: Timestamp,
    took: Vec<Duration>,
    _folder: tempfile::TempDir,
}

impl Fleet {
    async fn rested(size: usize) -> Self {
        let folder = folder();
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(start));
        let engine = engine::start(folder.path(), size, Arc::clone(&clock), |config| {
            let env = Env {
                clock,
                ..Env::system()
            };
            let transfers = Transfers::new(&config.daemon.state_directory, &env);
            Arc::new(ConfiguredPeers::new(
                Arc::new(config.clone()),
                env,
                transfers,
            ))
        })
        .await;
        let key = KeyPair::generate().unwrap();
        engine::show(&engine, |name| {
            ServedCertificate::of(&engine::self_signed(name, &key), start)
        })
        .await;
        let asked = Instant::now();
        let first = tick(&engine, start).await;
        println!(
            "{size} certificates: the due rules were asked of all in {:.1?}",
            asked.elapsed()
        );
        assert_eq!(first.planned, 0, "a fresh certificate was due");
        Self {
            size,
            engine,
            now: start + SignedDuration::from_secs(1),
            took: Vec::with_capacity(ROUNDS),
            _folder: folder,
        }
    }

    async fn measure(&mut self) {
        let start = Instant::now();
        let tick = tick(&self.engine, self.now).await;
        self.took.push(start.elapsed());
        let is_idle = tick.claimed.is_empty() && tick.to_probe.is_empty() && tick.planned == 0;
        assert!(is_idle, "something was due");
    }

    fn median(&mut self) -> Duration {
        self.took.sort_unstable();
        self.took[self.took.len() / 2]
    }
}

async fn tick(engine: &Engine, now: Timestamp) -> Tick {
    let capacity = Capacity {
        renewals: 8,
        suspect_renewals: 8,
        probes: 32,
        suspect_probes: 32,
        questions: 32,
        probing: &HashSet::new(),
        asking: &HashSet::new(),
    };
    scheduler::tick(engine, "bench", capacity, now)
        .await
        .unwrap()
}

/// A tick with nothing due writes nothing, so the preparation need not wait for a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}
