//! What is stored under a clock that was ahead, and must not wait until the clock is there again.

use jiff::{SignedDuration, Timestamp};

use super::row::micros;
use super::{Store, StoreError, commit};

impl Store {
    /// The clock was set back from `before` to `now`. What lies further ahead than it is ever put off is due now; what
    /// happened, happened by now; the rate limits of CAs are moved back by the same time. Everything looks before it
    /// acts, so being asked once too often does no harm.
    pub async fn clock_moved_back(
        &self,
        before: Timestamp,
        now: Timestamp,
        probe_interval: SignedDuration,
        longest_lease: SignedDuration,
    ) -> Result<(), StoreError> {
        let ahead = |by| micros(now.saturating_add(by).unwrap_or(Timestamp::MAX));
        let next_probe = ahead(probe_interval + SLACK);
        let next_day = ahead(LONGEST_WAIT + SLACK);
        let lease = ahead(longest_lease);
        let now = micros(now);
        let mut transaction = self.begin().await?;
        for (statement, limit) in [
            (LOOK, next_day),
            (PROBE, next_probe),
            (WINDOW, next_day),
            (ATTEMPT, next_day),
            (SINCE, now),
            (PLANNED, now),
            (OPENED, now),
            (TRIED, now),
            (PROBED, now),
            (VERIFIED, now),
            (BOUND_BACK, now),
            (SEEN, now),
            (TURN, micros(before)),
            (ALLOWANCE, micros(before)),
        ] {
            sqlx::query(statement)
                .bind(now)
                .bind(limit)
                .execute(&mut transaction)
                .await?;
        }
        sqlx::query(CODE)
            .bind(now)
            .execute(&mut transaction)
            .await?;
        for statement in [LEASED_FIREWALL, LEASED_RENEWAL] {
            sqlx::query(statement)
                .bind(lease)
                .execute(&mut transaction)
                .await?;
        }
        commit(transaction).await
    }
}

/// The longest wait that is kept, except for waits for a window, an operator or a turn.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// Jitter, and the time that passes between a decision and its commit.
const SLACK: SignedDuration = SignedDuration::from_hours(3);

pub(super) const LOOK: &str =
    "UPDATE certificate SET due_check_at = $1 WHERE configured = 1 AND due_check_at > $2";
pub(super) const PROBE: &str =
    "UPDATE certificate SET probe_at = $1 WHERE configured = 1 AND probe_at > $2";
pub(super) const WINDOW: &str =
    "UPDATE certificate SET window_poll_at = $1 WHERE configured = 1 AND window_poll_at > $2";
pub(super) const ATTEMPT: &str =
    "UPDATE renewal SET next_attempt_at = $1 WHERE ended_at IS NULL AND next_attempt_at > $2";
/// The grace period of a proof counts from here.
const SINCE: &str =
    "UPDATE renewal SET state_since = $1 WHERE ended_at IS NULL AND state_since > $2";
const PLANNED: &str = "UPDATE renewal SET planned_at = $1, planned_ahead = 1 WHERE ended_at IS NULL AND planned_at > $2";
/// The proof of the previous certificate counts from here.
const BOUND_BACK: &str =
    "UPDATE renewal SET previous_bound_at = $1 WHERE ended_at IS NULL AND previous_bound_at > $2";
/// Else what was reported in the future would count as reported until then, whatever comes in between.
const SEEN: &str = "UPDATE served SET \
     seen_at = CASE WHEN seen_at > $2 THEN $1 ELSE seen_at END, \
     unknown_since = CASE WHEN unknown_since > $2 THEN $1 ELSE unknown_since END, \
     unreachable_since = CASE WHEN unreachable_since > $2 THEN $1 ELSE unreachable_since END, \
     unreachable_reported_at = CASE WHEN unreachable_reported_at > $2 THEN $1 ELSE unreachable_reported_at END, \
     reported_at = CASE WHEN reported_at > $2 THEN $1 ELSE reported_at END \
     WHERE seen_at > $2 OR unknown_since > $2 OR unreachable_since > $2 OR unreachable_reported_at > $2 \
     OR reported_at > $2";
const OPENED: &str = "UPDATE intent SET opened_at = $1 WHERE closed_at IS NULL AND opened_at > $2";
/// An order counts in a budget from the moment at which it was placed.
const TRIED: &str = "UPDATE intent SET tried_at = $1 WHERE tried_at > $2";
/// A code of a time that has not come yet was none that the device took. The step of `$1` itself counts as used.
const CODE: &str = "UPDATE firewall SET code_step = $1 WHERE code_step > $1";
/// Else no probe would count before the clock is there again. One that begins at this very moment counts already.
const PROBED: &str = "UPDATE served SET probed_at = $1 - 1 WHERE probed_at > $2";
const VERIFIED: &str = "UPDATE served SET verified_at = $1 - 1 WHERE verified_at > $2";
const LEASED_FIREWALL: &str = "UPDATE firewall SET lease_until = $1 WHERE lease_until > $1";
const LEASED_RENEWAL: &str =
    "UPDATE renewal SET lease_until = $1 WHERE ended_at IS NULL AND lease_until > $1";
/// Whose turn would have come by `$2` has it.
const TURN: &str =
    "UPDATE order_slot SET at = CASE WHEN at > $2 THEN at - ($2 - $1) ELSE $1 END WHERE at > $1";
/// What would have refilled by `$2` has.
const ALLOWANCE: &str = "UPDATE allowance SET full_at = CASE WHEN full_at > $2 THEN full_at - ($2 - $1) ELSE $1 END \
     WHERE full_at > $1";
