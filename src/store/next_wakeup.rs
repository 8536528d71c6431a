//! When something will have to be done, and how much there is.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::row::Columns;
use super::{Store, StoreError};
use crate::inventory::State;

/// How much there is, for status and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Configured certificates.
    pub certificates: u32,
    /// Renewals that have not ended.
    pub open: u32,
    /// Those of them that wait for an operator.
    pub held: u32,
    /// Open renewals in each state; states without any are left out.
    pub by_state: BTreeMap<State, u32>,
}

/// When something will be due, in the past when it is already; `None`: never, as it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NextDue {
    /// The due rules are to be asked of a certificate.
    pub due_check_at: Option<Timestamp>,
    /// What is served is to be looked at.
    pub probe_at: Option<Timestamp>,
    /// A CA is to be asked for its window.
    pub window_at: Option<Timestamp>,
    /// A renewal can be claimed.
    pub attempt_at: Option<Timestamp>,
}

impl NextDue {
    /// The earliest of all.
    pub fn first(&self) -> Option<Timestamp> {
        let all = [
            self.due_check_at,
            self.probe_at,
            self.window_at,
            self.attempt_at,
        ];
        all.into_iter().fold(None, earlier)
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Store {
    /// When something will be due, in one look at the indexes.
    ///
    /// A renewal whose firewall is worked on counts from the end of that lease, so that a worker that died is noticed;
    /// when a living worker is done, its own daemon asks again. Renewals that are held, or whose firewall refused
    /// `refused_login_limit` logins, do not count.
    pub async fn next_due(&self, refused_login_limit: u32) -> Result<NextDue, StoreError> {
        let row = sqlx::query(NEXT_DUE)
            .bind(i64::from(refused_login_limit))
            .fetch_one(&mut self.read().await?)
            .await?;
        let [free_at, leased_at] = ["free_at", "leased_at"].map(|column| row.maybe_time(column));
        Ok(NextDue {
            due_check_at: row.maybe_time("due_check_at")?,
            probe_at: row.maybe_time("probe_at")?,
            window_at: row.maybe_time("window_at")?,
            attempt_at: earlier(free_at?, leased_at?),
        })
    }

    /// How much there is.
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        let rows = sqlx::query(COUNTS)
            .fetch_all(&mut self.read().await?)
            .await?;
        let mut counts = Counts::default();
        for row in &rows {
            let number = row.count("number")?;
            let Some(state) = row.maybe_text("state")? else {
                counts.certificates = number;
                continue;
            };
            let state = State::from_name(&state)
                .ok_or_else(|| StoreError::broken(format!("renewal: no state {state:?}")))?;
            counts.open += number;
            counts.held += row.count("held")?;
            counts.by_state.insert(state, number);
        }
        Ok(counts)
    }
}

/// Five looks at an index. The fourth walks past what cannot be claimed, which is little: what is held has no time, and
/// what is worked on is bounded by the number of workers. CROSS makes SQLite begin the fifth with the few firewalls that
/// are worked on, and not with all open renewals.
pub(super) const NEXT_DUE: &str = "SELECT \
     (SELECT MIN(due_check_at) FROM certificate WHERE configured = 1 AND due_check_at IS NOT NULL) AS due_check_at, \
     (SELECT MIN(probe_at) FROM certificate WHERE configured = 1 AND probe_at IS NOT NULL) AS probe_at, \
     (SELECT MIN(window_poll_at) FROM certificate WHERE configured = 1 AND window_poll_at IS NOT NULL) AS window_at, \
     (SELECT r.next_attempt_at FROM renewal r WHERE r.ended_at IS NULL AND r.next_attempt_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM firewall f WHERE f.name = r.firewall \
             AND (f.lease_until IS NOT NULL OR f.refused_logins >= $1)) \
         ORDER BY r.next_attempt_at LIMIT 1) AS free_at, \
     (SELECT MIN(CASE WHEN r.next_attempt_at > f.lease_until THEN r.next_attempt_at ELSE f.lease_until END) \
         FROM firewall f CROSS JOIN renewal r \
         WHERE f.lease_until IS NOT NULL AND f.refused_logins < $1 \
         AND r.firewall = f.name AND r.ended_at IS NULL AND r.next_attempt_at IS NOT NULL) AS leased_at";

pub(super) const COUNTS: &str = "SELECT NULL AS state, COUNT(*) AS number, 0 AS held FROM certificate WHERE configured = 1 \
     UNION ALL \
     SELECT state, COUNT(*), COUNT(CASE WHEN next_attempt_at IS NULL THEN 1 END) FROM renewal \
     WHERE ended_at IS NULL GROUP BY state";
