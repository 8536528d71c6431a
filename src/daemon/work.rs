//! The crew: renewals and probes under way, bounded in number, each behind a panic fence.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::inventory::{RenewalId, TrackedCertificate};
use crate::renewal::Engine;
use crate::scheduler::{self, Room};
use crate::store::{Lease, Look, StoreError};
use crate::watch;

/// Everything that is under way.
#[derive(Debug)]
pub struct Crew {
    owner: String,
    engine: Arc<Engine>,
    stop: CancellationToken,
    renewals: JoinSet<Result<(), StoreError>>,
    claims: HashMap<Id, Claim>,
    probes: JoinSet<Result<(), StoreError>>,
    probing: HashMap<Id, (Look, Arc<str>)>,
    worked_on: HashSet<RenewalId>,
}

/// What must be known of a renewal whose worker panicked.
#[derive(Debug)]
struct Claim {
    renewal: RenewalId,
    token: i64,
}

impl Crew {
    /// A crew with nothing to do; `owner` is the name on its claims.
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
        }
    }

    /// The name on its claims.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// From the next turn on, works with another configuration.
    pub fn use_engine(&mut self, engine: Arc<Engine>) {
        self.engine = engine;
    }

    /// Asks the scheduler and hands out what it found; when something is due next.
    ///
    /// # Errors
    /// The store's.
    pub async fn turn(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let limit = self.engine.desired.daemon.concurrency;
        let (probing, asking) = (self.busy(Look::Services), self.busy(Look::Window));
        let room = Room {
            renewals: limit.saturating_sub(self.renewals.len()),
            probes: PROBES.saturating_sub(self.probes.len()),
            probing: &probing,
            asking: &asking,
        };
        let is_full = room.renewals == 0 || room.probes == 0;
        let tick = scheduler::tick(&self.engine, &self.owner, room, now).await?;
        for lease in tick.claimed {
            self.start_renewal(lease);
        }
        for row in tick.to_probe {
            self.start_look(Look::Services, row);
        }
        for row in tick.to_ask {
            self.start_look(Look::Window, row);
        }
        // With no room, what is due stays due: the end of something wakes the loop, not the time.
        Ok(if is_full { None } else { tick.wake })
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
            Some(ended) = self.renewals.join_next_with_id() => self.renewal_ended(ended).await,
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
    }

    fn start_renewal(&mut self, lease: Lease) {
        self.worked_on.insert(lease.renewal.id.clone());
        let engine = Arc::clone(&self.engine);
        let stop = self.stop.clone();
        let claim = Claim {
            renewal: lease.renewal.id.clone(),
            token: lease.token,
        };
        let task = self
            .renewals
            .spawn(async move { engine.work(lease, &stop).await });
        self.claims.insert(task.id(), claim);
    }

    fn start_look(&mut self, look: Look, row: TrackedCertificate) {
        let engine = Arc::clone(&self.engine);
        let name = Arc::clone(&row.name);
        let task = self.probes.spawn(async move {
            match look {
                Look::Services => watch::observe(&engine, &row).await,
                Look::Window => watch::ask(&engine, &row).await,
            }
        });
        self.probing.insert(task.id(), (look, name));
    }

    /// Certificates that are looked at in this way at this moment.
    fn busy(&self, look: Look) -> HashSet<Arc<str>> {
        let looks = self.probing.values().filter(|(other, _)| *other == look);
        looks.map(|(_, name)| Arc::clone(name)).collect()
    }

    async fn renewal_ended(&mut self, ended: Result<(Id, Result<(), StoreError>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result),
            Err(error) => {
                let claim = self.claims.remove(&error.id());
                if let Some(claim) = claim.filter(|_| error.is_panic()) {
                    let lease = self
                        .engine
                        .after_panic(&claim.renewal, &self.owner, claim.token);
                    log_store_error(lease.await);
                }
                return;
            }
        };
        self.claims.remove(&id);
        log_store_error(result);
    }

    fn probe_ended(&mut self, ended: Result<(Id, Result<(), StoreError>), JoinError>) {
        match ended {
            Ok((id, result)) => {
                self.probing.remove(&id);
                log_store_error(result);
            }
            Err(error) => {
                self.probing.remove(&error.id());
                if error.is_panic() {
                    tracing::error!(%error, "a probe panicked: a defect of renewd");
                }
            }
        }
    }
}

fn log_store_error(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!(%error, "what was found could not be stored; it will be done again");
    }
}

/// Handshakes are short and cheap.
const PROBES: usize = 32;
