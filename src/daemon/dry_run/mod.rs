//! `run --dry-run`: performs all steps of the due renewals on a copy of the database, with read-only access to
//! firewalls and CAs. Nothing of it is kept, and a running daemon is not affected.

mod scratch;
mod stage;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::mpsc::{self, Receiver};
use tokio_util::sync::CancellationToken;

use scratch::Scratch;
use stage::Stage;

use super::DaemonError;
use super::once::Report;
use super::reload::synchronise;
use crate::config::{Config, Daemon};
use crate::env::Env;
use crate::inventory::RenewalId;
use crate::monitor;
use crate::renewal::{Engine, Liveness, NoCheckpoint};
use crate::scheduler::{self, Capacity, Tick};
use crate::seal;
use crate::secret::SecretSource;
use crate::store::{Lease, Store, StoreError};

/// What a run would do.
#[derive(Debug)]
pub struct DryRun {
    /// What each renewal would do, in order, in words that follow "would".
    pub reported: HashMap<RenewalId, Vec<String>>,
    /// How renewals would stand after it.
    pub report: Report,
    /// The copy of the database, as it would be after it.
    pub store: Store,
    _scratch: Scratch,
}

impl DryRun {
    /// Finds out what `run --once` would do now.
    ///
    /// # Errors
    /// When the database cannot be copied.
    pub async fn walk(mut config: Config, env: Env) -> Result<Self, DaemonError> {
        let scratch = Scratch::new(env.random.as_ref())
            .map_err(|error| DaemonError::System(format!("a temporary folder: {error}")))?;
        let copy = scratch.path().join("renewd.db");
        let daemon = &mut config.daemon;
        let password = daemon.database_password.take();
        Store::copy(&daemon.database, password.as_ref(), &copy).await?;
        daemon.database = format!("sqlite://{}", copy.display());
        leave_state_alone(&mut config.daemon, scratch.path());
        let store = Store::open(&config.daemon.database).await?;
        synchronise(&store, &config, env.clock.now()).await?;
        let (reported, words) = mpsc::channel(MOST_WORDS);
        let stage = Arc::new(Stage::new(config, &env, reported));
        let engine = Engine {
            config: stage.config(),
            store: store.clone(),
            peers: Arc::clone(&stage) as _,
            env,
            checkpoint: Arc::new(NoCheckpoint),
        };
        let mut walk = Walk {
            engine,
            stage,
            words,
            reported: HashMap::new(),
        };
        walk.check().await?;
        walk.renew().await?;
        let worked_on = walk.reported.keys().cloned().collect();
        Ok(Self {
            report: Report::of(&store, &worked_on).await?,
            reported: walk.reported,
            store,
            _scratch: scratch,
        })
    }
}

/// A dry run under way: one renewal after the other, so that it is clear which one a sentence belongs to.
struct Walk {
    engine: Engine,
    stage: Arc<Stage>,
    words: Receiver<String>,
    reported: HashMap<RenewalId, Vec<String>>,
}

impl Walk {
    /// Probes every service and asks every CA that a run would probe and ask first.
    async fn check(&self) -> Result<(), StoreError> {
        let (mut probed, mut asked) = (HashSet::new(), HashSet::new());
        loop {
            let capacity = Capacity {
                renewals: 0,
                suspect_renewals: 0,
                probes: UNLIMITED,
                suspect_probes: UNLIMITED,
                questions: UNLIMITED,
                probing: &probed,
                asking: &asked,
            };
            let now = self.engine.env.clock.now();
            let tick = self.tick(capacity, now).await?;
            if tick.to_probe.is_empty() && tick.to_ask.is_empty() {
                return Ok(());
            }
            let looks = tick.to_probe.iter();
            let looks = join_all(looks.map(|row| monitor::observe(&self.engine, row))).await;
            let questions = tick.to_ask.iter();
            let questions = join_all(questions.map(|row| monitor::ask(&self.engine, row))).await;
            looks
                .into_iter()
                .chain(questions)
                .collect::<Result<(), _>>()?;
            probed.extend(tick.to_probe.into_iter().map(|row| row.name));
            asked.extend(tick.to_ask.into_iter().map(|row| row.name));
        }
    }

    /// Continues every renewal as far as possible. The scheduler's clock does not advance, so that no renewal is
    /// retried after a failure.
    async fn renew(&mut self) -> Result<(), StoreError> {
        let now = self.engine.env.clock.now();
        let (no_certificates, one) = (HashSet::new(), 1);
        loop {
            let capacity = Capacity {
                renewals: one,
                suspect_renewals: one,
                probes: 0,
                suspect_probes: 0,
                questions: 0,
                probing: &no_certificates,
                asking: &no_certificates,
            };
            let Some(lease) = self.tick(capacity, now).await?.claimed.pop() else {
                return Ok(());
            };
            self.work(lease).await?;
        }
    }

    async fn work(&mut self, lease: Lease) -> Result<(), StoreError> {
        let id = lease.renewal.id.clone();
        self.stage.expect(&lease.renewal);
        let (never, liveness) = (CancellationToken::new(), Liveness::default());
        self.engine.work(lease, &never, &liveness).await?;
        let reported = self.reported.entry(id).or_default();
        while let Ok(words) = self.words.try_recv() {
            reported.push(words);
        }
        Ok(())
    }

    async fn tick(&self, capacity: Capacity<'_>, now: Timestamp) -> Result<Tick, StoreError> {
        scheduler::tick(&self.engine, OWNER, capacity, now).await
    }
}

/// Sealed values are opened as in a run, but a missing sealing key or host key is made in `scratch`. In the state
/// directory it would belong to the account of this command, and the daemon might not be able to read it.
fn leave_state_alone(daemon: &mut Daemon, scratch: &Path) {
    let own = seal::own_file(&daemon.state_directory);
    // A key file that cannot be accessed is reported as in a normal run.
    if daemon.sealing_key.is_none() && !matches!(own.try_exists(), Ok(false)) {
        daemon.sealing_key = Some(SecretSource::File(own));
    }
    scratch.clone_into(&mut daemon.state_directory);
}

/// The name on its claims.
const OWNER: &str = "dry run";
/// Sentences of one renewal: its steps have a few each.
const MOST_WORDS: usize = 1000;
/// Handshakes at the same time.
const UNLIMITED: usize = 32;
