//! `run --once`: does what is due until nothing can move.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::worker_pool::WorkerPool;
use crate::inventory::{Renewal, RenewalId, Standstill, State};
use crate::renewal::Engine;
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::store::{Store, StoreError};

/// What a single run came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Renewals that were worked on, as they stand now.
    pub worked_on: Vec<Renewal>,
    /// Open renewals that were not worked on.
    pub waiting: Vec<Renewal>,
}

impl Report {
    /// How `worked_on` and the other open renewals stand.
    pub(super) async fn of(
        store: &Store,
        worked_on: &HashSet<RenewalId>,
    ) -> Result<Self, StoreError> {
        let mut report = Self::default();
        for id in worked_on {
            report.worked_on.extend(store.renewal(id).await?);
        }
        let open = store.open_renewals().await?;
        report.waiting = open
            .into_iter()
            .filter(|renewal| !worked_on.contains(&renewal.id))
            .collect();
        report
            .worked_on
            .sort_by(|a, b| a.certificate.cmp(&b.certificate));
        Ok(report)
    }

    /// Whether something failed or needs an operator.
    pub fn has_failed(&self) -> bool {
        self.worked_on.iter().chain(&self.waiting).any(has_failed)
    }
}

/// Whether a renewal failed, or cannot continue without an operator.
pub fn has_failed(renewal: &Renewal) -> bool {
    match renewal.state {
        State::RolledBack | State::NotRolledBack | State::Failed => true,
        state if state.is_end() => false,
        _ => {
            renewal.next_attempt_at.is_none()
                || needs_operator(renewal)
                || renewal.is_failing()
                || renewal.refused_logins >= REFUSED_LOGIN_LIMIT
        }
    }
}

fn needs_operator(renewal: &Renewal) -> bool {
    matches!(
        renewal.standstill(),
        Some(Standstill::Waits(reason)) if reason.needs_operator()
    )
}

pub(super) async fn run(
    workers: &mut WorkerPool,
    engine: &Arc<Engine>,
) -> Result<Report, StoreError> {
    let clock = &engine.env.clock;
    // For every wait except a verification, which has its own limit and must not be interrupted. A failure before it is
    // bounded only by this.
    let mut patience = LONGEST_PATIENCE;
    loop {
        let now = clock.now();
        let soonest = now.saturating_add(SHORTEST_SLEEP).unwrap_or(now);
        let wake = workers.turn(now).await?;
        if !workers.is_idle() {
            tokio::select! {
                () = workers.one_finished() => {}
                // A stalled session gives its slot away after a while.
                () = tokio::time::sleep(LONGEST_WAIT) => {}
            }
            continue;
        }
        let soon = match soon(engine, now, patience).await? {
            None if patience.is_positive() && wake.is_some_and(|wake| wake <= now) => Soon {
                at: soonest,
                is_proof: false,
            },
            None => break,
            Some(soon) => soon,
        };
        let at = soon.at.max(soonest);
        if !soon.is_proof {
            patience -= now.duration_until(at);
        }
        clock.sleep_until(at).await;
    }
    Report::of(&engine.store, workers.worked_on()).await
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Soon {
    at: Timestamp,
    /// Whether it is a verification after which nothing failed.
    is_proof: bool,
}

/// When the next open renewal continues that this run waits for: a renewal with a short wait within the remaining
/// `patience`, or one between bind and verification, which must not be interrupted. Not one that waits for an operator,
/// or that another daemon works on.
async fn soon(
    engine: &Engine,
    now: Timestamp,
    patience: SignedDuration,
) -> Result<Option<Soon>, StoreError> {
    let moment = now.saturating_add(MOMENT).unwrap_or(now);
    let open = engine.store.open_renewals().await?;
    let leased = if engine.store.is_shared() && !open.is_empty() {
        engine.store.leased(now).await?
    } else {
        HashSet::new()
    };
    let soon = |renewal: &Renewal| {
        let at = renewal.next_attempt_at?;
        let is_theirs =
            leased.contains(&*renewal.firewall) || engine.store.leaves(&renewal.certificate);
        // No login is tried at a firewall that has refused too many.
        let is_locked = renewal.refused_logins >= REFUSED_LOGIN_LIMIT;
        if is_theirs || is_locked || needs_operator(renewal) {
            return None;
        }
        let is_worth = is_midway(renewal.state) || !renewal.is_failing() || at <= moment;
        let is_proof = matches!(renewal.state, State::Bound | State::VerificationFailed)
            && !renewal.is_failing();
        let longest = if is_proof {
            PATIENCE
        } else {
            patience.min(PATIENCE)
        };
        let is_soon = longest.is_positive() && now.duration_until(at) <= longest;
        (is_worth && is_soon).then_some(Soon { at, is_proof })
    };
    Ok(open.iter().filter_map(soon).min())
}

/// Between bind and verification.
const fn is_midway(state: State) -> bool {
    matches!(
        state,
        State::Bound | State::Verified | State::VerificationFailed
    )
}

/// Longer than the default `verify_timeout`, and as long as a slow firewall needs for a key pair.
const PATIENCE: SignedDuration = SignedDuration::from_mins(3);
/// The longest total wait of a run, apart from verifications. A failing rollback is no verification. The whole wait for
/// a key pair after a crash fits into it.
const LONGEST_PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// While something is under way.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(1);
const SHORTEST_SLEEP: SignedDuration = SignedDuration::from_millis(20);
/// A run waits for a retry that is due this soon; shorter than the first wait of the retry table.
const MOMENT: SignedDuration = SignedDuration::from_secs(31);
