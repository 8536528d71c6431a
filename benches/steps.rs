//! How many steps of renewals are done in a second, each stored durably? Firewalls and CA are in memory.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

mod engine;
mod fleet;
mod memory;

use std::collections::HashSet;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use renewd::clock::SystemClock;
use renewd::daemon::WorkerPool;
use renewd::inventory::{ServedCertificate, State};
use renewd::renewal::Engine;
use renewd::scheduler::{self, Capacity};

use memory::Memory;

const RENEWALS: usize = 50;
/// From Planned to Completed.
const STEPS_OF_A_RENEWAL: usize = 8;

#[tokio::main]
async fn main() -> ExitCode {
    renewd::tls::install_provider();
    println!("at a time  on                 steps/s  syncs/s of the disk alone");
    for (place, folder) in places() {
        for concurrency in [1, 8, 32] {
            let folder = tempfile::tempdir_in(&folder).unwrap();
            let syncs = syncs_per_second(folder.path());
            let took = renew_all(folder.path(), concurrency).await;
            let steps = per_second(RENEWALS * STEPS_OF_A_RENEWAL, took);
            println!("{concurrency:9}  {place:15}  {steps:9.0}  {syncs:25.0}");
        }
    }
    ExitCode::SUCCESS
}

/// A disk, and memory for comparison: what is left there is renewd's own work.
fn places() -> Vec<(&'static str, std::path::PathBuf)> {
    let mut places = vec![("a disk", std::env::temp_dir())];
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        places.push(("memory", memory.to_owned()));
    }
    places
}

/// Renews a whole fleet, `concurrency` renewals at a time; how long it took from the plans to the last end.
async fn renew_all(folder: &Path, concurrency: usize) -> Duration {
    let clock = Arc::new(SystemClock);
    let mut engine = engine::start(folder, RENEWALS, clock, |config| {
        Arc::new(Memory::of(config))
    })
    .await;
    let config = Arc::make_mut(&mut engine.config);
    config.daemon.max_concurrent_renewals = concurrency;
    for firewall in config.firewalls.values_mut() {
        Arc::make_mut(firewall).window = None;
    }
    let engine = Arc::new(engine);
    let key = KeyPair::generate().unwrap();
    // Not the wanted name: every certificate is due.
    let now = engine.env.clock.now();
    engine::show(&engine, |_| {
        ServedCertificate::of(&engine::self_signed("factory.example.com", &key), now)
    })
    .await;
    plan(&engine).await;

    let start = Instant::now();
    let mut workers = WorkerPool::new("bench".to_owned(), Arc::clone(&engine));
    loop {
        workers.turn(engine.env.clock.now()).await.unwrap();
        if workers.is_idle() {
            break;
        }
        workers.one_finished().await;
    }
    let took = start.elapsed();
    assert_all_completed(&engine).await;
    took
}

async fn plan(engine: &Engine) {
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
    while planned < RENEWALS {
        let tick = scheduler::tick(engine, "bench", capacity, now)
            .await
            .unwrap();
        assert!(tick.planned > 0);
        planned += tick.planned;
    }
}

async fn assert_all_completed(engine: &Engine) {
    for name in engine.config.certificates.keys() {
        let renewals = engine.store.renewals_of(name, 2).await.unwrap();
        let states: Vec<State> = renewals.iter().map(|renewal| renewal.state).collect();
        let reported = renewals
            .iter()
            .find_map(|renewal| renewal.last_error.as_deref());
        assert_eq!(states, [State::Completed], "{name}: {reported:?}");
    }
}

/// The limit that nothing durable exceeds: a page written and synchronised, again and again.
fn syncs_per_second(folder: &Path) -> f64 {
    let mut file = std::fs::File::create(folder.join("sync")).unwrap();
    let start = Instant::now();
    let mut syncs = 0;
    while start.elapsed() < Duration::from_secs(1) {
        file.seek(SeekFrom::Start(4096 * (syncs as u64 % 64)))
            .unwrap();
        file.write_all(&[1; 4096]).unwrap();
        file.sync_data().unwrap();
        syncs += 1;
    }
    per_second(syncs, start.elapsed())
}

fn per_second(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64()
}
