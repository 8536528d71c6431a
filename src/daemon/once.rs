//! `run --once`: does what is due until nothing can move.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::work::Crew;
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

    /// Whether something failed or needs a person.
    pub fn has_failed(&self) -> bool {
        self.worked_on.iter().chain(&self.waiting).any(has_failed)
    }
}

/// Whether a renewal failed, or cannot go on without a person.
pub fn has_failed(renewal: &Renewal) -> bool {
    match renewal.state {
        State::RolledBack | State::NotRolledBack | State::Abandoned => true,
        state if state.is_end() => false,
        _ => {
            let needs_operator = matches!(
                renewal.standstill(),
                Some(Standstill::Waits(reason)) if reason.needs_operator()
            );
            renewal.next_attempt_at.is_none()
                || needs_operator
                || renewal.is_failing()
                || renewal.refused_logins >= REFUSED_LOGIN_LIMIT
        }
    }
}

pub(super) async fn run(crew: &mut Crew, engine: &Arc<Engine>) -> Result<Report, StoreError> {
    let clock = &engine.surroundings.clock;
    loop {
        let now = clock.now();
        let soonest = now.saturating_add(SHORTEST_SLEEP).unwrap_or(now);
        let wake = crew.turn(now).await?;
        if !crew.is_idle() {
            tokio::select! {
                () = crew.one_finished() => {}
                // Who is silent gives its place away after a while.
                () = tokio::time::sleep(LONGEST_WAIT) => {}
            }
            continue;
        }
        match soon(engine, now).await? {
            Some(at) => clock.sleep_until(at.max(soonest)).await,
            None if wake.is_some_and(|wake| wake <= now) => clock.sleep_until(soonest).await,
            None => break,
        }
    }
    Report::of(&engine.store, crew.worked_on()).await
}

/// When an open renewal goes on that is worth waiting for: one that waits for something short, or one that is half
/// way between bind and proof and must not be left there.
async fn soon(engine: &Engine, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let latest = now.saturating_add(PATIENCE).unwrap_or(now);
    let moment = now.saturating_add(MOMENT).unwrap_or(now);
    let open = engine.store.open_renewals().await?;
    let worth = open.iter().filter(|renewal| {
        // Nothing is tried at a firewall that has refused too many logins, and what another daemon is to do is not waited for.
        if renewal.refused_logins >= REFUSED_LOGIN_LIMIT
            || engine.store.leaves(&renewal.certificate)
        {
            return false;
        }
        is_midway(renewal.state) || !renewal.is_failing() || renewal.next_attempt_at <= Some(moment)
    });
    Ok(worth
        .filter_map(|renewal| renewal.next_attempt_at)
        .filter(|at| *at <= latest)
        .min())
}

/// Half way between bind and proof.
const fn is_midway(state: State) -> bool {
    matches!(state, State::Bound | State::Verified | State::Unproven)
}

/// Longer than the default grace period of a proof.
const PATIENCE: SignedDuration = SignedDuration::from_mins(3);
/// While something is under way.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(1);
const SHORTEST_SLEEP: SignedDuration = SignedDuration::from_millis(20);
/// A failure that is looked into this soon is waited for; shorter than the first wait of the retry table.
const MOMENT: SignedDuration = SignedDuration::from_secs(31);
