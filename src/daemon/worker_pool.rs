//! The worker pool: renewals and probes under way, bounded in number, each isolated against panics. After the store
//! failed, the pool starts nothing until the store accepts writes again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::limits::{self, Slots, Stage};
use crate::event::{Event, EventKind};
use crate::inventory::{RenewalId, TrackedCertificate};
use crate::monitor;
use crate::renewal::{Engine, Liveness};
use crate::scheduler::{self, Capacity};
use crate::store::{Lease, PollKind, StoreError};

/// All work under way.
#[derive(Debug)]
pub struct WorkerPool {
    owner: String,
    engine: Arc<Engine>,
    stop: CancellationToken,
    renewals: JoinSet<Result<(), StoreError>>,
    claims: HashMap<Id, Claim>,
    probes: JoinSet<Result<(), StoreError>>,
    probing: HashMap<Id, Probe>,
    worked_on: HashSet<RenewalId>,
    /// What the store said to the last that found it failing.
    failed: Option<StoreError>,
    /// Whether it is not known yet that something can be stored again.
    is_unsure: bool,
    /// Counts the configurations that were in force.
    configuration: u64,
    /// Renewals whose last steps were taken by a configuration that is no longer in force.
    outdated: Vec<RenewalId>,
    /// Whether such a probe was stored.
    has_outdated_probe: bool,
    /// Claims that could not be released.
    unreleased_leases: Vec<Claim>,
    /// Claims whose worker panicked, and probes that did.
    panicked: Vec<Claim>,
    panicked_probes: Vec<Probe>,
    /// The time of the last turn.
    last_turn: Option<Timestamp>,
}

/// What must be known of a renewal under way.
#[derive(Debug)]
struct Claim {
    renewal: RenewalId,
    token: i64,
    configuration: u64,
    /// Its last attempt did not reach the peer.
    is_suspect: bool,
    liveness: Arc<Liveness>,
}

/// What must be known of a probe under way.
#[derive(Debug)]
struct Probe {
    poll: PollKind,
    certificate: Arc<str>,
    configuration: u64,
    /// The last one reached no service.
    is_suspect: bool,
    since: Instant,
}

impl WorkerPool {
    /// An idle worker pool; `owner` is the name on its claims.
    pub fn new(owner: String, engine: Arc<Engine>) -> Self {
        Self {
            owner,
            engine,
            stop: CancellationToken::new(),
            renewals: JoinSet::new(),
            claims: HashMap::new(),
            probes: JoinSet::new(),
            probing: HashMap::new(),
            worked_on: HashSet::new(),
            failed: None,
            is_unsure: false,
            configuration: 0,
            outdated: Vec::new(),
            has_outdated_probe: false,
            unreleased_leases: Vec::new(),
            panicked: Vec::new(),
            panicked_probes: Vec::new(),
            last_turn: None,
        }
    }

    /// The clock stood at `time` when renewd stored something last.
    #[must_use]
    pub fn after(self, time: Option<Timestamp>) -> Self {
        Self {
            last_turn: time,
            ..self
        }
    }

    /// The name on its claims.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// From the next turn on, works with another configuration. What is under way ends with the former one; for when it
    /// then waits is looked at again.
    pub fn use_engine(&mut self, engine: Arc<Engine>) {
        self.engine = engine;
        self.configuration += 1;
    }

    /// Asks the scheduler and hands out what it found; when something is due next. That may lie in the past while there
    /// is no place for it.
    ///
    /// # Errors
    /// The store's, also when it failed for a worker since the last turn.
    pub async fn turn(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        if let Some(error) = self.failed.take() {
            self.is_unsure = true;
            return Err(error);
        }
        let wake = self.settle_and_hand_out(now).await;
        self.is_unsure = wake.is_err();
        wake
    }

    async fn settle_and_hand_out(
        &mut self,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.verify_clock(now).await?;
        if self.is_unsure {
            self.engine.store.write_probe(now).await?;
            self.release_leases().await?;
        }
        self.report_panics().await?;
        self.check_the_clock(now).await?;
        self.reconsider_outdated(now).await?;
        self.hand_out(now).await
    }

    /// Evaluates again what was postponed by a configuration that is no longer in force: the window for which it waits
    /// may be another one by now, and so may the time of the next probe.
    async fn reconsider_outdated(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let store = &self.engine.store;
        while let Some(renewal) = self.outdated.last() {
            store.reconsider_wait(renewal, now).await?;
            self.outdated.pop();
        }
        if self.has_outdated_probe {
            let interval = self.engine.config.daemon.probe_interval;
            store.shorten_probes(interval, now).await?;
            self.has_outdated_probe = false;
        }
        Ok(())
    }

    /// When the clock stood later than at `now`, by more than a correction of no consequence.
    fn set_back_from(&self, now: Timestamp) -> Option<Timestamp> {
        let earliest = now.saturating_add(CLOCK_SLACK).unwrap_or(now);
        self.last_turn.filter(|before| *before > earliest)
    }

    /// Fails where the clock was set back, and is wrong since: other daemons share the rows that would be changed for it.
    ///
    /// # Errors
    /// [`StoreError::ClockDiffers`], and those of the store.
    pub async fn verify_clock(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.set_back_from(now).is_none() {
            return Ok(());
        }
        match self.engine.store.clock_difference(now).await? {
            Some(by) if by.abs() > CLOCK_SLACK => Err(StoreError::ClockDiffers {
                seconds: by.as_secs(),
            }),
            _ => Ok(()),
        }
    }

    /// Reschedules what was postponed under a clock that was ahead.
    async fn check_the_clock(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if let Some(before) = self.set_back_from(now) {
            let interval = self.engine.config.daemon.probe_interval;
            let store = &self.engine.store;
            let lease = store.lease_policy().lease;
            store.clock_moved_back(before, now, interval, lease).await?;
            let words = format!(
                "from {before:.0} to {now:.0}: everything is looked at again; what was issued in between may not be valid yet"
            );
            let event = Event {
                detail: Some(words),
                ..Event::new(EventKind::ClockMovedBackwards)
            };
            event.log();
        }
        self.last_turn = Some(now);
        Ok(())
    }

    async fn hand_out(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let (probing, asking) = (self.busy(PollKind::Services), self.busy(PollKind::Window));
        let renewals = self.free_for_renewals();
        let probes = self.free_for_probes();
        let capacity = Capacity {
            renewals: renewals.total,
            suspect_renewals: renewals.suspect,
            probes: probes.total,
            suspect_probes: probes.suspect,
            questions: limits::QUESTIONS.saturating_sub(asking.len()),
            probing: &probing,
            asking: &asking,
        };
        let tick = scheduler::tick(&self.engine, &self.owner, capacity, now).await?;
        for lease in tick.claimed {
            self.start_renewal(lease);
        }
        for row in tick.to_probe {
            self.start_poll(PollKind::Services, row);
        }
        for row in tick.to_ask {
            self.start_poll(PollKind::Window, row);
        }
        Ok(tick.wake)
    }

    fn free_for_renewals(&self) -> Slots {
        let stages = self.claims.values().map(|claim| {
            if claim
                .liveness
                .is_stalled(Instant::now(), limits::RENEWAL_PATIENCE)
            {
                Stage::Stalled
            } else if claim.is_suspect && !claim.liveness.has_answered() {
                Stage::Suspect
            } else {
                Stage::Active
            }
        });
        Slots::of(self.engine.config.daemon.max_concurrent_renewals, stages)
    }

    fn free_for_probes(&self) -> Slots {
        let probes = self.probing.values();
        let stages = probes
            .filter(|probe| probe.poll == PollKind::Services)
            .map(|probe| {
                if probe.since.elapsed() > limits::PROBE_PATIENCE {
                    Stage::Stalled
                } else if probe.is_suspect {
                    Stage::Suspect
                } else {
                    Stage::Active
                }
            });
        Slots::of(limits::PROBES, stages)
    }

    /// Otherwise no daemon could work on these firewalls until the claims expire.
    async fn release_leases(&mut self) -> Result<(), StoreError> {
        while let Some(claim) = self.unreleased_leases.last() {
            let engine = &self.engine;
            engine
                .give_back(&claim.renewal, &self.owner, claim.token)
                .await?;
            self.unreleased_leases.pop();
        }
        Ok(())
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.renewals.is_empty() && self.probes.is_empty()
    }

    /// Every renewal that was worked on so far.
    pub fn worked_on(&self) -> &HashSet<RenewalId> {
        &self.worked_on
    }

    /// Waits until something under way has ended, for ever when nothing is.
    pub async fn one_finished(&mut self) {
        tokio::select! {
            Some(ended) = self.renewals.join_next_with_id() => self.renewal_ended(ended),
            Some(ended) = self.probes.join_next_with_id() => self.probe_ended(ended),
            else => std::future::pending().await,
        }
    }

    /// Lets running steps finish until `deadline`, then parks what is left: the store knows where it stands.
    pub async fn stop(&mut self, deadline: Instant) {
        self.stop.cancel();
        self.probes.abort_all();
        while !self.is_idle() {
            if tokio::time::timeout_at(deadline, self.one_finished())
                .await
                .is_err()
            {
                tracing::warn!(
                    parked = self.renewals.len(),
                    "steps are parked; they go on after the next start"
                );
                self.renewals.abort_all();
                break;
            }
        }
        if let Err(error) = self.report_panics().await {
            tracing::error!(%error, "a panic could not be stored");
        }
    }

    fn start_renewal(&mut self, lease: Lease) {
        self.worked_on.insert(lease.renewal.id.clone());
        let engine = Arc::clone(&self.engine);
        let stop = self.stop.clone();
        let liveness = Arc::new(Liveness::default());
        let claim = Claim {
            renewal: lease.renewal.id.clone(),
            token: lease.token,
            configuration: self.configuration,
            is_suspect: lease.renewal.is_unreached(),
            liveness: Arc::clone(&liveness),
        };
        let task = self
            .renewals
            .spawn(async move { engine.work(lease, &stop, &liveness).await });
        self.claims.insert(task.id(), claim);
    }

    fn start_poll(&mut self, poll: PollKind, row: TrackedCertificate) {
        let engine = Arc::clone(&self.engine);
        let probe = Probe {
            poll,
            certificate: Arc::clone(&row.name),
            configuration: self.configuration,
            is_suspect: row.is_unseen(),
            since: Instant::now(),
        };
        let task = self.probes.spawn(async move {
            match poll {
                PollKind::Services => monitor::observe(&engine, &row).await,
                PollKind::Window => monitor::ask(&engine, &row).await,
            }
        });
        self.probing.insert(task.id(), probe);
    }

    /// Certificates that are being probed in this way.
    fn busy(&self, poll: PollKind) -> HashSet<Arc<str>> {
        let probes = self.probing.values().filter(|probe| probe.poll == poll);
        probes.map(|probe| Arc::clone(&probe.certificate)).collect()
    }

    /// Does not await anything: the caller's wait for the end of a task may be cancelled at any moment.
    fn renewal_ended(&mut self, ended: Result<(Id, Result<(), StoreError>), JoinError>) {
        match ended {
            Ok((id, result)) => {
                let claim = self.claims.remove(&id);
                let configuration = self.configuration;
                let outdated = claim
                    .as_ref()
                    .filter(|claim| claim.configuration != configuration);
                self.outdated
                    .extend(outdated.map(|claim| claim.renewal.clone()));
                if let Err(error) = result {
                    tracing::debug!(%error, "what came of a renewal could not be stored");
                    self.unreleased_leases.extend(claim);
                    self.failed = Some(error);
                }
            }
            Err(error) => {
                let claim = self.claims.remove(&error.id());
                self.panicked.extend(claim.filter(|_| error.is_panic()));
            }
        }
    }

    /// As `renewal_ended`.
    fn probe_ended(&mut self, ended: Result<(Id, Result<(), StoreError>), JoinError>) {
        match ended {
            Ok((id, result)) => {
                let probe = self.probing.remove(&id);
                self.has_outdated_probe |=
                    probe.is_some_and(|probe| probe.configuration != self.configuration);
                if let Err(error) = result {
                    tracing::debug!(%error, "what a look found could not be stored");
                    self.failed = Some(error);
                }
            }
            Err(error) => {
                let probe = self.probing.remove(&error.id());
                self.panicked_probes
                    .extend(probe.filter(|_| error.is_panic()));
            }
        }
    }

    /// Stores that a worker panicked: an operator is notified, and the work is not retried at once.
    async fn report_panics(&mut self) -> Result<(), StoreError> {
        while let Some(claim) = self.panicked.last() {
            let engine = &self.engine;
            engine
                .after_panic(&claim.renewal, &self.owner, claim.token)
                .await?;
            self.panicked.pop();
        }
        while let Some(probe) = self.panicked_probes.last() {
            monitor::after_panic(&self.engine, probe.poll, &probe.certificate).await?;
            self.panicked_probes.pop();
        }
        Ok(())
    }
}

/// A smaller correction of the clock is harmless: what was postponed is only delayed by that much.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_mins(10);
