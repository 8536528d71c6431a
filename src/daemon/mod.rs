//! The daemon: one loop that wakes, asks the scheduler, hands out the work, and sleeps.
//!
//! Only this loop sleeps. Signals and cron ticks only wake it; the work to do is read from the store.

mod database_outage;
mod dry_run;
mod limits;
mod lock;
mod maintenance;
mod once;
mod pacer;
mod reload;
mod triggers;
mod worker_pool;

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
pub use worker_pool::WorkerPool;

use crate::config::{self, Config, ConfigErrors};
use crate::env::Env;
use crate::event::{Event, EventKind};
use crate::random::Random;
use crate::renewal::{Checkpoint, ConfiguredPeers, Engine, NoCheckpoint, Runtime};
use crate::store::{Store, StoreError};
use crate::transfer::Transfers;
use maintenance::log_history_head;
use pacer::Pacer;
use reload::{refuse_what_needs_a_restart, synchronise};
use triggers::Ticks;

/// What wakes the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A tick, or the end of some work: check what is due.
    Tick,
    /// At the start and once a day: keep the database fast and small, and check it for damage.
    Maintain,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGTERM or SIGINT: finish or park what is running, and stop.
    Shutdown,
}

/// Why the daemon could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is broken.
    #[error(transparent)]
    Configuration(#[from] ConfigErrors),
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
    workers: WorkerPool,
    env: Env,
    /// The same for the lifetime of the daemon: a reload keeps the ports of open transfers.
    transfers: Transfers,
    /// Also the same: a reload keeps what is known of the firewalls.
    runtime: Runtime,
    /// The schedule of `scan`, and the channel that its ticks are sent to. `None` where another caller sends the
    /// commands.
    ticks: Option<(mpsc::Sender<Command>, Ticks)>,
    /// Where `log` of the configuration counts.
    log: Option<LogFilter>,
    checkpoint: Arc<dyn Checkpoint>,
    maintenance: JoinSet<Result<(), StoreError>>,
    _lock: Lock,
}

/// A step that runs when the daemon is stopped may continue for this long; then it is parked.
const LAST_STEPS: Duration = Duration::from_secs(15);
/// A full channel already holds what will wake the loop.
const MOST_COMMANDS: usize = 64;
/// Clocks of machines that share a fleet may differ by this much; leases have room for more.
const CLOCKS_AGREE: SignedDuration = SignedDuration::from_secs(20);

impl Daemon {
    /// Reads the configuration, opens the database and compares the two.
    ///
    /// # Errors
    /// When one of them cannot be used; nothing was done then.
    pub async fn start(config_file: &Path, config: Config, env: Env) -> Result<Self, DaemonError> {
        Self::start_with(config_file, config, env, Arc::new(NoCheckpoint)).await
    }

    /// As `start`, with a checkpoint that is called at every step.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_with(
        config_file: &Path,
        config: Config,
        env: Env,
        checkpoint: Arc<dyn Checkpoint>,
    ) -> Result<Self, DaemonError> {
        let lock = Lock::take(&config.daemon.database)?;
        let daemon = &config.daemon;
        let store = Store::open_with(&daemon.database, daemon.database_password.as_ref()).await?;
        let store = store.observed_by(Arc::clone(&checkpoint) as _);
        let now = env.clock.now();
        let last_write = store.last_write().await?;
        // On a server the time of the others stays, so that one that is wrong here is noticed at each start.
        let others = last_write.filter(|_| store.is_shared());
        store
            .write_probe(others.map_or(now, |last| last.max(now)))
            .await?;
        report_clock_difference(&store, now).await?;
        let owner = owner(env.random.as_ref());
        // The lock proves that no other daemon uses this database: remaining claims are those of a dead daemon. On a
        // database server other daemons may be alive; there each claim has its own expiry.
        let left_sessions = if store.is_shared() {
            Vec::new()
        } else {
            store.take_over().await?
        };
        synchronise(&store, &config, now).await?;
        // Where the clock was set back, the first turn reschedules what was postponed under the former one.
        if last_write.is_none_or(|last| last <= now) {
            let interval = config.daemon.probe_interval;
            store.shorten_probes(interval, now).await?;
        }
        let transfers = Transfers::new(&config.daemon.state_directory, &env);
        let runtime = Runtime::after_crash(left_sessions);
        let engine = engine(
            config,
            store,
            env.clone(),
            Arc::clone(&checkpoint),
            transfers.clone(),
            runtime.clone(),
        );
        engine.authenticate_former().await?;
        let workers = WorkerPool::new(owner, Arc::clone(&engine)).after(last_write);
        Ok(Self {
            config_file: config_file.to_owned(),
            engine,
            workers,
            env,
            transfers,
            runtime,
            ticks: None,
            log: None,
            checkpoint,
            maintenance: JoinSet::new(),
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
        let report = once::run(&mut self.workers, &self.engine).await;
        self.stop(report.is_ok()).await;
        Ok(report?)
    }

    /// Runs until a signal stops it.
    ///
    /// # Errors
    /// When it could not start, or the database is damaged; other errors are logged and tried again.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        let (command_sender, commands) = mpsc::channel(MOST_COMMANDS);
        let ticks = triggers::cron(&self.engine.config.daemon.scan, command_sender.clone()).await?;
        self.ticks = Some((command_sender.clone(), ticks));
        triggers::signals(&command_sender)?;
        let notifications =
            triggers::notifications(&self.engine.store, self.workers.owner(), command_sender);
        let ended = self.run_with(commands).await;
        notifications.abort();
        ended
    }

    /// Runs until a command stops it, or until every sender of `commands` is dropped.
    ///
    /// # Errors
    /// When the database is damaged: nothing more is written to it.
    pub async fn run_with(mut self, commands: mpsc::Receiver<Command>) -> Result<(), DaemonError> {
        let ended = self.turn_until_stopped(commands).await;
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
        mut commands: mpsc::Receiver<Command>,
    ) -> Result<(), StoreError> {
        let watchdog = sd_notify::watchdog_enabled();
        let mut pacer = Pacer::new(watchdog);
        self.start_maintenance();
        self.turn(&mut pacer).await?;
        Event::new(EventKind::DaemonReady).log();
        notify(&[NotifyState::Ready, NotifyState::Status(&self.status())]);
        loop {
            // Only here: a stalled loop does not feed the watchdog.
            if watchdog.is_some() {
                notify(&[NotifyState::Watchdog]);
            }
            let command = tokio::select! {
                command = commands.recv() => command.unwrap_or(Command::Shutdown),
                () = self.workers.one_finished() => Command::Tick,
                Some(ended) = self.maintenance.join_next() => {
                    only_damage(ended.unwrap_or(Ok(())))?;
                    Command::Tick
                }
                () = tokio::time::sleep_until(pacer.wake(Instant::now())) => Command::Tick,
            };
            match command {
                Command::Shutdown => return Ok(()),
                Command::Reload => self.reload().await,
                Command::Maintain => self.start_maintenance(),
                Command::Tick => {}
            }
            if pacer.may_turn(Instant::now()) {
                self.turn(&mut pacer).await?;
            }
        }
    }

    /// Stores periodically that the loop is alive, which also checks that the database accepts writes; then does one
    /// turn.
    async fn turn(&mut self, pacer: &mut Pacer) -> Result<(), StoreError> {
        let now = self.env.clock.now();
        // A time that is wrong is not stored as the last one: the next start compares with it.
        let beat = match self.workers.verify_clock(now).await {
            Ok(()) if pacer.is_beat_due() => {
                self.engine.store.beat(now).await.map(|()| pacer.beaten())
            }
            verified => verified,
        };
        let turned = match beat {
            Ok(()) => self.workers.turn(now).await,
            Err(error) => Err(error),
        };
        match turned {
            Err(error @ StoreError::Corrupt { .. }) => Err(error),
            turned => {
                pacer.turned(turned, now, Instant::now());
                Ok(())
            }
        }
    }

    /// Starts the maintenance of the database beside the loop: on a large database it takes a while.
    fn start_maintenance(&mut self) {
        let engine = Arc::clone(&self.engine);
        if self.maintenance.is_empty() {
            self.maintenance
                .spawn(async move { maintenance::maintain(&engine).await });
        }
    }

    /// Applies a changed configuration; an invalid one changes nothing.
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
        let config = loaded.config;
        let former = &self.engine.config.daemon;
        refuse_what_needs_a_restart(former, &config.daemon)?;
        let ticks = match &self.ticks {
            Some((command_sender, _)) if config.daemon.scan != former.scan => {
                let ticks = triggers::cron(&config.daemon.scan, command_sender.clone()).await?;
                Some((command_sender.clone(), ticks))
            }
            _ => None,
        };
        let store = self.engine.store.clone();
        let now = self.env.clock.now();
        synchronise(&store, &config, now).await?;
        let interval = config.daemon.probe_interval;
        store.shorten_probes(interval, now).await?;
        // The last operation that can fail: a refused configuration changes nothing.
        let changed_log = config.daemon.log != former.log;
        if let Some(log) = self.log.as_ref().filter(|_| changed_log) {
            log.change(&config.daemon.log)?;
        }
        if ticks.is_some() {
            self.ticks = ticks;
        }
        self.engine = engine(
            config,
            store,
            self.env.clone(),
            Arc::clone(&self.checkpoint),
            self.transfers.clone(),
            self.runtime.clone(),
        );
        self.workers.use_engine(Arc::clone(&self.engine));
        Ok(())
    }

    fn status(&self) -> String {
        format!(
            "{} certificates are watched",
            self.engine.config.certificates.len()
        )
    }

    /// `as_it_should`: the stop was requested, so no alert is needed for the missing heartbeat.
    async fn stop(mut self, as_it_should: bool) {
        self.workers.stop(Instant::now() + LAST_STEPS).await;
        self.maintenance.shutdown().await;
        let store = self.engine.store.clone();
        if as_it_should && let Err(error) = store.mark_stopped().await {
            tracing::debug!(%error, "that the daemon stopped could not be stored");
        }
        log_history_head(&store).await;
        store.close().await;
    }
}

/// The errors of the maintenance that must stop the daemon; the others are logged.
fn only_damage(maintenance: Result<(), StoreError>) -> Result<(), StoreError> {
    match maintenance {
        Err(error @ StoreError::Corrupt { .. }) => Err(error),
        Err(error) => {
            tracing::error!(%error, "the maintenance of the database failed");
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

/// Leases expire by each daemon's own clock. A daemon with a wrong clock takes leases that others still use.
async fn report_clock_difference(store: &Store, now: Timestamp) -> Result<(), StoreError> {
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
    config: Config,
    store: Store,
    env: Env,
    checkpoint: Arc<dyn Checkpoint>,
    transfers: Transfers,
    runtime: Runtime,
) -> Arc<Engine> {
    let config = Arc::new(config);
    let peers = Arc::new(ConfiguredPeers::with_runtime(
        Arc::clone(&config),
        env.clone(),
        transfers,
        runtime,
    ));
    Arc::new(Engine {
        config,
        store,
        peers,
        env,
        checkpoint,
    })
}

/// Notifies the service manager. Without one nothing is sent.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be notified");
    }
}
