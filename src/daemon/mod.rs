//! The daemon: one loop that wakes, asks the scheduler, hands out the work, and sleeps.
//!
//! It is the only place that sleeps. Signals and cron ticks only wake it; what is to be done is read from the store.

mod dry_run;
mod lock;
mod once;
mod places;
mod pokes;
mod reload;
mod rhythm;
mod trouble;
mod upkeep;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sd_notify::NotifyState;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use dry_run::DryRun;
pub use lock::{InUse, Lock};
pub use once::{Report, has_failed};
pub use reload::LogFilter;
pub use work::Crew;

use crate::config::{self, Desired, Mistakes};
use crate::event::{Event, EventKind};
use crate::random::Random;
use crate::renewal::{Checkpoint, ConfiguredPeers, Engine, NoCheckpoint, Runtime};
use crate::store::{Store, StoreError};
use crate::surroundings::Surroundings;
use crate::transfer::Transfers;
use pokes::Ticks;
use reload::{refuse_what_needs_a_restart, synchronise};
use rhythm::Rhythm;
use upkeep::log_history_head;

/// What wakes the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Poke {
    /// A tick, or a piece of work that ended: look what is due.
    Look,
    /// At the start and once a day: keep the database quick and small, and look for damage.
    Upkeep,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: finish or park what is running, and stop.
    Stop,
}

/// Why the daemon could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is broken.
    #[error(transparent)]
    Configuration(#[from] Mistakes),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another renewd uses the database.
    #[error(transparent)]
    InUse(#[from] InUse),
    /// The operating system refused something.
    #[error("{0}")]
    System(String),
}

/// A daemon that has its configuration and its database.
#[derive(Debug)]
pub struct Daemon {
    config_file: PathBuf,
    engine: Arc<Engine>,
    crew: Crew,
    surroundings: Surroundings,
    /// One for the whole life: a reload finds the ports of transfers that are open.
    transfers: Transfers,
    /// The same: a reload forgets nothing of what is known of firewalls.
    runtime: Runtime,
    /// The ticks of `scan`, and what they poke; none where somebody else pokes.
    ticks: Option<(mpsc::Sender<Poke>, Ticks)>,
    /// Where `log` of the configuration counts.
    log: Option<LogFilter>,
    checkpoint: Arc<dyn Checkpoint>,
    upkeep: JoinSet<Result<(), StoreError>>,
    _lock: Lock,
}

/// A step that runs when the daemon is told to stop may go on for this long; then it is parked.
const LAST_STEPS: Duration = Duration::from_secs(15);
/// A full channel already holds what will wake the loop.
const MOST_POKES: usize = 64;
/// Clocks of machines that share a fleet may differ by this much; leases have room for more.
const CLOCKS_AGREE: SignedDuration = SignedDuration::from_secs(20);

impl Daemon {
    /// Reads the configuration, opens the database and compares the two.
    ///
    /// # Errors
    /// When one of them cannot be used; nothing was done then.
    pub async fn start(
        config_file: &Path,
        desired: Desired,
        surroundings: Surroundings,
    ) -> Result<Self, DaemonError> {
        Self::start_with(config_file, desired, surroundings, Arc::new(NoCheckpoint)).await
    }

    /// As `start`, with somebody who is told of every moment.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_with(
        config_file: &Path,
        desired: Desired,
        surroundings: Surroundings,
        checkpoint: Arc<dyn Checkpoint>,
    ) -> Result<Self, DaemonError> {
        let lock = Lock::take(&desired.daemon.database)?;
        let daemon = &desired.daemon;
        let store = Store::open_with(&daemon.database, daemon.database_password.as_ref()).await?;
        let store = store.witnessed_by(Arc::clone(&checkpoint) as _);
        let now = surroundings.clock.now();
        let last_write = store.last_write().await?;
        // On a server the time of the others stays, so that one that is wrong here is noticed at each start.
        let others = last_write.filter(|_| store.is_shared());
        store
            .write_probe(others.map_or(now, |last| last.max(now)))
            .await?;
        tell_clock_difference(&store, now).await?;
        let owner = owner(surroundings.random.as_ref());
        // The lock says that nobody else works on this database: claims that are left are those of a dead daemon. On a
        // server others may live; there a claim says itself when its time is over.
        let left_sessions = if store.is_shared() {
            Vec::new()
        } else {
            store.take_over().await?
        };
        synchronise(&store, &desired, now).await?;
        // Where the clock was set back, the first turn moves what was put off under the former one.
        if last_write.is_none_or(|last| last <= now) {
            let interval = desired.daemon.probe_interval;
            store.shorten_probes(interval, now).await?;
        }
        let transfers = Transfers::new(&desired.daemon.state_directory, &surroundings);
        let runtime = Runtime::after_crash(left_sessions);
        let engine = engine(
            desired,
            store,
            surroundings.clone(),
            Arc::clone(&checkpoint),
            transfers.clone(),
            runtime.clone(),
        );
        engine.authenticate_former().await?;
        let crew = Crew::new(owner, Arc::clone(&engine)).after(last_write);
        Ok(Self {
            config_file: config_file.to_owned(),
            engine,
            crew,
            surroundings,
            transfers,
            runtime,
            ticks: None,
            log: None,
            checkpoint,
            upkeep: JoinSet::new(),
            _lock: lock,
        })
    }

    /// The same, whose reloads change what is logged by `filter`.
    #[must_use]
    pub fn with_log(self, filter: LogFilter) -> Self {
        Self {
            log: Some(filter),
            ..self
        }
    }

    /// Does what is due until nothing can move, then stops.
    ///
    /// # Errors
    /// The store's.
    pub async fn run_once(mut self) -> Result<Report, DaemonError> {
        let report = once::run(&mut self.crew, &self.engine).await;
        self.stop(report.is_ok()).await;
        Ok(report?)
    }

    /// Runs until it is told to stop by a signal.
    ///
    /// # Errors
    /// When it could not start, or the database is damaged; other errors are logged and tried again.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        let (poke, pokes) = mpsc::channel(MOST_POKES);
        let ticks = pokes::cron(&self.engine.desired.daemon.scan, poke.clone()).await?;
        self.ticks = Some((poke.clone(), ticks));
        pokes::signals(&poke)?;
        let notices = pokes::notices(&self.engine.store, self.crew.owner(), poke);
        let ended = self.run_with(pokes).await;
        notices.abort();
        ended
    }

    /// Runs until `pokes` tell it to stop, or nobody is left who could.
    ///
    /// # Errors
    /// When the database is damaged: nothing more is written to it.
    pub async fn run_with(mut self, pokes: mpsc::Receiver<Poke>) -> Result<(), DaemonError> {
        let ended = self.turn_until_stopped(pokes).await;
        notify(&[NotifyState::Stopping]);
        if let Err(error) = &ended {
            let event = Event {
                detail: Some(error.to_string()),
                ..Event::new(EventKind::DatabaseFailed)
            };
            event.log();
        }
        Event::new(EventKind::DaemonStopping).log();
        self.stop(ended.is_ok()).await;
        Ok(ended?)
    }

    async fn turn_until_stopped(
        &mut self,
        mut pokes: mpsc::Receiver<Poke>,
    ) -> Result<(), StoreError> {
        let watchdog = sd_notify::watchdog_enabled();
        let mut rhythm = Rhythm::new(watchdog);
        self.start_upkeep();
        self.turn(&mut rhythm).await?;
        Event::new(EventKind::DaemonReady).log();
        notify(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
        loop {
            // Here and nowhere else: a loop that stalls does not feed it.
            if watchdog.is_some() {
                notify(&[NotifyState::Watchdog]);
            }
            let poke = tokio::select! {
                poke = pokes.recv() => poke.unwrap_or(Poke::Stop),
                () = self.crew.one_finished() => Poke::Look,
                Some(ended) = self.upkeep.join_next() => {
                    only_damage(ended.unwrap_or(Ok(())))?;
                    Poke::Look
                }
                () = tokio::time::sleep_until(rhythm.wake(Instant::now())) => Poke::Look,
            };
            match poke {
                Poke::Stop => return Ok(()),
                Poke::Reload => self.reload().await,
                Poke::Upkeep => self.start_upkeep(),
                Poke::Look => {}
            }
            if rhythm.may_turn(Instant::now()) {
                self.turn(&mut rhythm).await?;
            }
        }
    }

    /// Stores now and then that the loop is alive, which also tells whether anything can be stored; then does one turn.
    async fn turn(&mut self, rhythm: &mut Rhythm) -> Result<(), StoreError> {
        let now = self.surroundings.clock.now();
        // A time that is wrong is not stored as the last one: the next start compares with it.
        let beat = match self.crew.verify_clock(now).await {
            Ok(()) if rhythm.is_beat_due() => {
                self.engine.store.beat(now).await.map(|()| rhythm.beaten())
            }
            verified => verified,
        };
        let turned = match beat {
            Ok(()) => self.crew.turn(now).await,
            Err(error) => Err(error),
        };
        match turned {
            Err(error @ StoreError::Corrupt { .. }) => Err(error),
            turned => {
                rhythm.turned(turned, now, Instant::now());
                Ok(())
            }
        }
    }

    /// Looks after the database beside the loop: on a large one it takes a while.
    fn start_upkeep(&mut self) {
        let engine = Arc::clone(&self.engine);
        if self.upkeep.is_empty() {
            self.upkeep
                .spawn(async move { upkeep::maintain(&engine).await });
        }
    }

    /// Puts a changed configuration in force; a broken one changes nothing.
    async fn reload(&mut self) {
        let started = NotifyState::monotonic_usec_now();
        if let Ok(moment) = started {
            notify(&[NotifyState::Reloading, moment]);
        }
        let event = match self.try_reload().await {
            Ok(()) => Event::new(EventKind::ConfigurationReloaded),
            Err(error) => Event {
                detail: Some(format!("{error}; the old configuration stays in force")),
                ..Event::new(EventKind::ConfigurationRefused)
            },
        };
        event.log();
        notify(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
    }

    async fn try_reload(&mut self) -> Result<(), DaemonError> {
        let loaded = config::load(&self.config_file)?;
        let found = config::unsafe_files(&loaded);
        if !found.is_empty() {
            return Err(DaemonError::System(found.join("; ")));
        }
        let desired = loaded.desired;
        let former = &self.engine.desired.daemon;
        refuse_what_needs_a_restart(former, &desired.daemon)?;
        let ticks = match &self.ticks {
            Some((poke, _)) if desired.daemon.scan != former.scan => {
                let ticks = pokes::cron(&desired.daemon.scan, poke.clone()).await?;
                Some((poke.clone(), ticks))
            }
            _ => None,
        };
        let store = self.engine.store.clone();
        let now = self.surroundings.clock.now();
        synchronise(&store, &desired, now).await?;
        let interval = desired.daemon.probe_interval;
        store.shorten_probes(interval, now).await?;
        // Last of all that can fail: what is refused changes nothing.
        let changed_log = desired.daemon.log != former.log;
        if let Some(log) = self.log.as_ref().filter(|_| changed_log) {
            log.change(&desired.daemon.log)?;
        }
        if ticks.is_some() {
            self.ticks = ticks;
        }
        self.engine = engine(
            desired,
            store,
            self.surroundings.clone(),
            Arc::clone(&self.checkpoint),
            self.transfers.clone(),
            self.runtime.clone(),
        );
        self.crew.use_engine(Arc::clone(&self.engine));
        Ok(())
    }

    fn status(&self) -> String {
        format!(
            "{} certificates are watched",
            self.engine.desired.certificates.len()
        )
    }

    /// `as_it_should`: nobody need wonder why it is silent from now on.
    async fn stop(mut self, as_it_should: bool) {
        self.crew.stop(Instant::now() + LAST_STEPS).await;
        self.upkeep.shutdown().await;
        let store = self.engine.store.clone();
        if as_it_should && let Err(error) = store.rest().await {
            tracing::debug!(%error, "that the daemon stopped could not be stored");
        }
        log_history_head(&store).await;
        store.close().await;
    }
}

/// What of the upkeep's errors must stop the daemon; the others are told.
fn only_damage(upkeep: Result<(), StoreError>) -> Result<(), StoreError> {
    match upkeep {
        Err(error @ StoreError::Corrupt { .. }) => Err(error),
        Err(error) => {
            tracing::error!(%error, "the upkeep of the database failed");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// A name for our claims that no other daemon has, on this machine or another.
fn owner(random: &dyn Random) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    let tail = data_encoding::HEXLOWER.encode(&bytes);
    let process = std::process::id();
    match host.trim() {
        "" => format!("renewd-{process}-{tail}"),
        host => format!("renewd-{host}-{process}-{tail}"),
    }
}

/// Leases end by each daemon's own clock: one that goes wrong takes from the others what they still work on.
async fn tell_clock_difference(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let difference = store.clock_difference(now).await?;
    if let Some(difference) = difference.filter(|by| by.abs() > CLOCKS_AGREE) {
        tracing::warn!(
            seconds = difference.as_secs(),
            "this machine's clock and that of the database differ; set both by NTP, else daemons take work from each other"
        );
    }
    Ok(())
}

fn engine(
    desired: Desired,
    store: Store,
    surroundings: Surroundings,
    checkpoint: Arc<dyn Checkpoint>,
    transfers: Transfers,
    runtime: Runtime,
) -> Arc<Engine> {
    let desired = Arc::new(desired);
    let peers = Arc::new(ConfiguredPeers::with_runtime(
        Arc::clone(&desired),
        surroundings.clone(),
        transfers,
        runtime,
    ));
    Arc::new(Engine {
        desired,
        store,
        peers,
        surroundings,
        checkpoint,
    })
}

/// Tells the service manager; without one it is nobody's loss.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
