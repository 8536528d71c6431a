//! Disks that fill, databases that are locked or damaged, clocks that jump, peers that never answer, endless restarts,
//! panics: nothing is lost, no other certificate waits, and an alert is raised.

mod black_holes;
mod clock;
mod damage;
mod disk;
mod fleet;
mod memory;
mod panics;
mod stalls;
mod starts;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use renewd::clock::Clock;
use renewd::config;
use renewd::daemon::{Command, Daemon, DaemonError};
use renewd::env::Env;
use renewd::random::SystemRandom;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// A daemon whose loop runs in this process.
pub struct Running {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<Result<(), DaemonError>>,
}

impl Running {
    /// Starts the daemon of `config_file`, and does `between` before its loop begins.
    pub async fn start(config_file: &Path, clock: Arc<dyn Clock>, between: impl FnOnce()) -> Self {
        let env = Env {
            clock,
            random: Arc::new(SystemRandom),
        };
        let config = config::load(config_file).unwrap().config;
        let daemon = Daemon::start(config_file, config, env).await.unwrap();
        between();
        let (commands, heard) = mpsc::channel(9);
        let task = tokio::spawn(daemon.run_with(heard));
        Self { commands, task }
    }

    /// Waits for its end, which was not requested.
    pub async fn ended(self) -> Result<(), DaemonError> {
        self.task.await.unwrap()
    }

    /// Ends it in the middle of whatever it does: those that do not answer would be waited for.
    pub fn abandon(self) {
        self.task.abort();
    }

    pub async fn stop(self) {
        self.commands.send(Command::Shutdown).await.unwrap();
        self.ended().await.unwrap();
    }
}

/// A clock that counts how often it is asked: the loop does so once in each turn.
#[derive(Debug)]
pub struct Counting<C> {
    pub clock: Arc<C>,
    asked: AtomicU64,
}

impl<C> Counting<C> {
    pub fn new(clock: Arc<C>) -> Arc<Self> {
        let asked = AtomicU64::new(0);
        Arc::new(Self { clock, asked })
    }

    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl<C: Clock> Clock for Counting<C> {
    fn now(&self) -> Timestamp {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.clock.sleep_until(at).await;
    }
}

/// Waits until `is_so`, which must come.
pub async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < PATIENCE, "timed out: {what}");
        pause(Duration::from_millis(20)).await;
    }
}

/// Lets the daemon run for a moment of real time.
pub async fn pause(how_long: Duration) {
    tokio::time::sleep(how_long).await;
}

/// Longer than anything here takes on a slow machine.
const PATIENCE: Duration = Duration::from_mins(1);
