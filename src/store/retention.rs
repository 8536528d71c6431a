//! Removes what is older than `keep_history`, in batches of one transaction each. Events are removed from the first one on
//! and only while they fit into the chain, so that what follows can still be verified from the checkpoint that is stored
//! with the removal. Of renewals only those are removed that no decision looks at any more.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::AnyRow;

use super::history::{self, Checkpoint, Head, Misfit, SOME, Walk};
use super::row::{Columns, micros};
use super::{Store, StoreError, Writing, commit};
use crate::pki::Certificate;
use crate::seal::{SealError, Sealer};

/// What came of one batch of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventBatch {
    /// So many were removed, up to this one.
    Removed {
        /// How many.
        events: i64,
        /// The last of them.
        last: i64,
    },
    /// None is older, or the oldest belongs to a renewal that is open.
    Nothing,
    /// An event that would be removed does not fit, or the checkpoint is not authentic: both stay, as evidence.
    Broken(Misfit),
    /// The sealing key cannot be used, so that no checkpoint can be stored.
    NoKey(SealError),
}

/// How far the removal of renewals has come: the end and the id of the last one that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenewalCursor {
    ended_at: i64,
    id: String,
}

/// How many past renewals of a certificate a decision looks at, at most; as many are kept where none was completed.
pub const REMEMBERED: u32 = 50;

impl Store {
    /// Whether anything may be removed at `now`: not when the time differs from that of the last look by more than a
    /// month, and not in the day after that. A clock that is wrong by years must not empty the history.
    pub async fn may_remove(&self, now: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let last = match bookkept(&mut transaction, LOOKED_AT).await? {
            Some(last) => Some(last),
            None => newest_event(&mut transaction).await?,
        };
        let held_until = bookkept(&mut transaction, HELD_UNTIL).await?;
        let is_jump = last.is_some_and(|last| {
            let passed = now.duration_since(last);
            passed < -CLOCKS_AGREE || passed > LONGEST_GAP
        });
        let held_until = match held_until {
            _ if is_jump => Some(now.saturating_add(HOLD).unwrap_or(now)),
            held_until => held_until.filter(|until| now < *until),
        };
        keep(&mut transaction, LOOKED_AT, micros(now)).await?;
        keep(&mut transaction, HELD_UNTIL, held_until.map_or(0, micros)).await?;
        commit(transaction).await?;
        Ok(held_until.is_none())
    }

    /// Removes the oldest events that happened before `before`, a few hundred at a time, and stores the checkpoint with it.
    /// The newest event stays, and so does each one from the first of an open renewal on. An event from a clock that was
    /// ahead keeps no other one.
    pub async fn remove_events(
        &self,
        before: Timestamp,
        sealer: &Sealer,
        now: Timestamp,
    ) -> Result<EventBatch, StoreError> {
        let mut transaction = self.begin().await?;
        let checkpoint = history::newest_checkpoint(&mut transaction).await?;
        if let Some(checkpoint) = &checkpoint {
            match checkpoint.is_authentic(sealer) {
                Ok(true) => {}
                Ok(false) => return Ok(EventBatch::Broken(Misfit::Checkpoint(checkpoint.head.id))),
                Err(problem) => return Ok(EventBatch::NoKey(problem)),
            }
        }
        let former = checkpoint.as_ref().map(|checkpoint| &checkpoint.head);
        let (removable, misfit) = removable(&mut transaction, former, (before, now)).await?;
        let Some(head) = removable else {
            return Ok(misfit.map_or(EventBatch::Nothing, EventBatch::Broken));
        };
        let events = head.id - former.map_or(0, |former| former.id);
        let last = head.id;
        let removed = checkpoint.map_or(0, |checkpoint| checkpoint.removed) + events;
        let checkpoint = match Checkpoint::new(head, removed, now, sealer) {
            Ok(checkpoint) => checkpoint,
            Err(problem) => return Ok(EventBatch::NoKey(problem)),
        };
        let done = sqlx::query(REMOVE_EVENTS)
            .bind(last)
            .execute(&mut transaction)
            .await?;
        if i64::try_from(done.rows_affected()) != Ok(events) {
            let what = format!(
                "{events} events were to be removed, not {}",
                done.rows_affected()
            );
            return Err(StoreError::broken(what));
        }
        checkpoint.store(&mut transaction).await?;
        commit(transaction).await?;
        Ok(EventBatch::Removed { events, last })
    }

    /// Looks at some renewals that ended before `before`, from `cursor` on, and removes those that no decision needs, with
    /// their intents: how many, and where to go on; `None`: all are looked at.
    ///
    /// What stays: what is open; of each certificate on each firewall the last completed renewal and what followed it, of
    /// those that follow none the newest [`REMEMBERED`]; and each one whose certificate is served or still valid.
    pub async fn remove_renewals(
        &self,
        before: Timestamp,
        cursor: &RenewalCursor,
        now: Timestamp,
    ) -> Result<(u64, Option<RenewalCursor>), StoreError> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query(REMOVABLE_RENEWALS)
            .bind(micros(before))
            .bind(cursor.ended_at)
            .bind(&*cursor.id)
            .bind(i64::from(RENEWALS_AT_ONCE))
            .fetch_all(&mut transaction)
            .await?;
        let mut removed = 0;
        for row in &rows {
            if is_valid_still(row, now)? {
                continue;
            }
            let id = row.text("id")?;
            for statement in [REMOVE_SLOT, REMOVE_INTENTS, REMOVE_RENEWAL] {
                sqlx::query(statement)
                    .bind(&*id)
                    .execute(&mut transaction)
                    .await?;
            }
            removed += 1;
        }
        commit(transaction).await?;
        let next = rows.last().map(|row| {
            Ok::<_, StoreError>(RenewalCursor {
                ended_at: row.number("ended_at")?,
                id: row.text("id")?,
            })
        });
        Ok((removed, next.transpose()?))
    }
}

/// The last event of those that may be removed at once, and what does not fit behind it.
async fn removable(
    connection: &mut Writing,
    former: Option<&Head>,
    (before, now): (Timestamp, Timestamp),
) -> Result<(Option<Head>, Option<Misfit>), StoreError> {
    let last = sqlx::query("SELECT value FROM bookkeeping WHERE name = 'last_event'")
        .fetch_one(&mut *connection)
        .await?
        .number("value")?;
    let rows = sqlx::query(SOME)
        // What was put in before the beginning is found as well.
        .bind(i64::MIN)
        .bind(last - 1)
        .fetch_all(&mut *connection)
        .await?;
    let mut walk = Walk::from(former.cloned(), None);
    let mut open = HashMap::new();
    let mut removable = None;
    for row in &rows {
        let is_kept = |at| at >= micros(before) && at <= micros(now);
        if row.number("at").is_ok_and(is_kept) || is_open(connection, row, &mut open).await? {
            break;
        }
        if let Some(misfit) = walk.step(row)? {
            return Ok((removable, Some(misfit)));
        }
        removable = Some(walk.head().clone());
    }
    Ok((removable, None))
}

/// Whether the renewal of an event is open.
async fn is_open(
    connection: &mut Writing,
    row: &AnyRow,
    open: &mut HashMap<String, bool>,
) -> Result<bool, StoreError> {
    let Ok(Some(renewal)) = row.maybe_text("renewal") else {
        return Ok(false);
    };
    if let Some(is_open) = open.get(&renewal) {
        return Ok(*is_open);
    }
    let found = sqlx::query(OPEN_RENEWAL)
        .bind(&*renewal)
        .fetch_optional(connection)
        .await?;
    open.insert(renewal, found.is_some());
    Ok(found.is_some())
}

/// A certificate that could still be served is needed to judge the address that serves it.
fn is_valid_still(row: &AnyRow, now: Timestamp) -> Result<bool, StoreError> {
    let pem = row.maybe_text("leaf_pem")?;
    let leaf = pem.and_then(|pem| Certificate::from_pem(&pem).ok());
    Ok(leaf.is_some_and(|leaf| leaf.not_after >= now))
}

/// A time of the store itself; `None` where it is not there, or 0.
async fn bookkept(
    connection: &mut Writing,
    name: &'static str,
) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query("SELECT value FROM bookkeeping WHERE name = $1 AND value <> 0")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.time("value")).transpose()
}

async fn keep(connection: &mut Writing, name: &'static str, value: i64) -> Result<(), StoreError> {
    sqlx::query(KEEP_TIME)
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}

async fn newest_event(connection: &mut Writing) -> Result<Option<Timestamp>, StoreError> {
    let row = sqlx::query("SELECT at FROM history ORDER BY id DESC LIMIT 1")
        .fetch_optional(connection)
        .await?;
    row.map(|row| row.time("at")).transpose()
}

/// Names of times of the store itself.
const LOOKED_AT: &str = "retention_looked_at";
const HELD_UNTIL: &str = "retention_held_until";

/// Between two looks, one a day: a daemon that stood still for longer waits for a day, as after a jump of the clock.
const LONGEST_GAP: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Daemons that share a database look one after the other, each by its own clock.
const CLOCKS_AGREE: SignedDuration = SignedDuration::from_hours(1);
/// Less than a day, so that the next daily look is not too early by a moment.
const HOLD: SignedDuration = SignedDuration::from_hours(20);

const RENEWALS_AT_ONCE: u32 = 100;

const KEEP_TIME: &str = "INSERT INTO bookkeeping (name, value) VALUES ($1, $2) \
     ON CONFLICT (name) DO UPDATE SET value = excluded.value";

pub(super) const OPEN_RENEWAL: &str = "SELECT id FROM renewal WHERE id = $1 AND ended_at IS NULL";

pub(super) const REMOVE_EVENTS: &str = "DELETE FROM history WHERE id <= $1";

/// An order counts in a budget for as long as `keep_history` is at least. Fifty is [`REMEMBERED`].
pub(super) const REMOVABLE_RENEWALS: &str = "SELECT r.id, r.ended_at, r.leaf_pem FROM renewal r \
     WHERE r.ended_at < $1 AND r.ended_at >= $2 AND (r.ended_at > $2 OR r.id > $3) \
     AND (EXISTS (SELECT 1 FROM renewal n WHERE n.certificate = r.certificate AND n.planned_at > r.planned_at \
             AND n.firewall = r.firewall AND n.state = 'completed') \
         OR (r.state <> 'completed' AND (SELECT COUNT(*) FROM renewal n \
             WHERE n.certificate = r.certificate AND n.planned_at > r.planned_at) >= 50)) \
     AND NOT EXISTS (SELECT 1 FROM served s WHERE s.certificate = r.certificate \
         AND (s.fingerprint = r.fingerprint OR s.unknown_fingerprint = r.fingerprint)) \
     AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.renewal = r.id AND i.tried_at >= $1) \
     ORDER BY r.ended_at, r.id LIMIT $4";

pub(super) const REMOVE_SLOT: &str = "DELETE FROM order_slot WHERE renewal = $1";
pub(super) const REMOVE_INTENTS: &str = "DELETE FROM intent WHERE renewal = $1";
pub(super) const REMOVE_RENEWAL: &str =
    "DELETE FROM renewal WHERE id = $1 AND ended_at IS NOT NULL";
