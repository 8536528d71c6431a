//! What happened, append-only: this file inserts and selects, and no other file writes here but `retention.rs`, which
//! removes the oldest. `history/chain.rs` links the events, `history/verify.rs` looks whether they are linked still, and
//! `history/checkpoint.rs` says from where on.

mod chain;
mod checkpoint;
mod verify;

pub use chain::{Head, NoHead};
pub use checkpoint::Checkpoint;
pub use verify::{Misfit, Verdict};

#[cfg(test)]
pub(super) use chain::HASH;
pub(super) use chain::chain_former;
pub(super) use checkpoint::newest as newest_checkpoint;
pub(super) use verify::SOME;
pub(super) use verify::Walk;

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::{Columns, micros};
use super::{Store, StoreError, Writing, bulk, commit};
use crate::event::{Event, EventKind, Level};
use crate::inventory::{Renewal, RenewalId};
use chain::{Chain, Link};

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEvent {
    /// Grows in the order of commits.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// `event::EventKind`, by name; an older renewd may have known others.
    pub name: String,
    /// How urgent it was.
    pub level: Level,
    /// The renewal that it is about.
    pub renewal: Option<RenewalId>,
    /// Everything else, a JSON object.
    pub fields: serde_json::Value,
}

impl Store {
    /// Stores `events` that go with no other change.
    pub async fn record(&self, events: &[Event], now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        append(&mut transaction, events, now).await?;
        commit(transaction).await
    }

    /// The last events of a certificate, newest first.
    pub async fn history(
        &self,
        certificate: &str,
        limit: u32,
    ) -> Result<Vec<PastEvent>, StoreError> {
        let rows = sqlx::query(HISTORY)
            .bind(certificate)
            .bind(i64::from(limit))
            .fetch_all(&mut self.read().await?)
            .await?;
        rows.iter().map(past_event).collect()
    }
}

impl Store {
    /// The last event of `kind` about `certificate`.
    pub async fn last_event(
        &self,
        certificate: &str,
        kind: EventKind,
    ) -> Result<Option<PastEvent>, StoreError> {
        let row = sqlx::query(LAST_EVENT)
            .bind(certificate)
            .bind(kind.name())
            .fetch_optional(&mut self.read().await?)
            .await?;
        row.as_ref().map(past_event).transpose()
    }

    /// Whether the history states already that `renewal` waits for `reason` in its present state.
    pub async fn is_wait_reported(
        &self,
        renewal: &Renewal,
        reason: &str,
    ) -> Result<bool, StoreError> {
        let past = self.history(&renewal.certificate, LOOKED_AT).await?;
        let state = renewal.state.name();
        Ok(past
            .iter()
            .filter(|event| event.renewal.as_ref() == Some(&renewal.id))
            .filter(|event| event.fields["state"] == state && event.at >= renewal.state_since)
            .any(|event| event.fields["reason"] == reason))
    }
}

/// Stores `events` in a transaction that changes something else too.
pub(super) async fn append(
    connection: &mut Writing,
    events: &[Event],
    at: Timestamp,
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut chain = Chain::reserve(connection, events.len()).await?;
    for some in events.chunks(bulk::rows_per_statement(7)) {
        insert(&mut *connection, some, &mut chain, at).await?;
    }
    connection.log_after_commit(events.iter().cloned());
    Ok(())
}

/// Stores the same event of many certificates, in their order, in a transaction that changes something else too.
pub(super) async fn append_for_each(
    connection: &mut Writing,
    kind: EventKind,
    certificates: &[Arc<str>],
    at: Timestamp,
) -> Result<(), StoreError> {
    if certificates.is_empty() {
        return Ok(());
    }
    let mut chain = Chain::reserve(connection, certificates.len()).await?;
    let fields = fields(&Event::new(kind))?;
    for some in certificates.chunks(bulk::rows_per_statement(2)) {
        let statement = AssertSqlSafe(for_each_statement(some.len()));
        let mut query = sqlx::query(statement)
            .persistent(some.len() == bulk::rows_per_statement(2))
            .bind(chain.head().id)
            .bind(micros(at))
            .bind(kind.name())
            .bind(kind.level().name())
            .bind(&*fields);
        for certificate in some {
            let head = chain.append(&Link {
                at: micros(at),
                name: kind.name(),
                level: kind.level().name(),
                certificate: Some(certificate),
                renewal: None,
                fields: &fields,
            });
            query = query.bind(&**certificate).bind(head.hash.clone());
        }
        query.execute(&mut *connection).await?;
    }
    connection.log_after_commit(lines(kind, certificates));
    Ok(())
}

/// One line for a whole fleet. The journal drops lines that come in thousands, important ones included. The history of
/// each certificate has the event anyway.
fn lines(kind: EventKind, certificates: &[Arc<str>]) -> Vec<Event> {
    if certificates.len() <= LOGGED_ONE_BY_ONE {
        let one = |name| Event::of_certificate(kind, name);
        return certificates.iter().map(one).collect();
    }
    vec![Event {
        detail: Some(format!("{} certificates at once", certificates.len())),
        ..Event::new(kind)
    }]
}

fn for_each_statement(certificates: usize) -> String {
    let rows = bulk::rows(certificates, 6, 2, |parameter| {
        let place = (parameter - 6) / 2 + 1;
        format!("($1 + {place}, ${parameter}, ${})", parameter + 1)
    });
    format!("{FOR_EACH_HEAD} (VALUES {rows}) AS c")
}

/// Inserts `events` as the next ones of `chain`.
async fn insert(
    connection: &mut Writing,
    events: &[Event],
    chain: &mut Chain,
    at: Timestamp,
) -> Result<(), StoreError> {
    let row = |first| {
        let [id, name, level] = [first, first + 1, first + 2];
        let [certificate, renewal, fields, hash] = [first + 3, first + 4, first + 5, first + 6];
        format!("(${id}, $1, ${name}, ${level}, ${certificate}, ${renewal}, ${fields}, ${hash})")
    };
    let rows = bulk::rows(events.len(), 2, 7, row);
    let statement = AssertSqlSafe(format!("{INSERT_HEAD} {rows}"));
    // One is what ordinary steps tell: worth keeping prepared.
    let mut query = sqlx::query(statement)
        .persistent(events.len() == 1)
        .bind(micros(at));
    for event in events {
        let fields = fields(event)?;
        let link = Link {
            at: micros(at),
            name: event.kind.name(),
            level: event.kind.level().name(),
            certificate: event.certificate.as_deref(),
            renewal: event.renewal.as_ref().map(|id| id.0.as_str()),
            fields: &fields,
        };
        let head = chain.append(&link);
        event.place.set(head.to_string());
        query = query
            .bind(head.id)
            .bind(link.name)
            .bind(link.level)
            .bind(link.certificate)
            .bind(link.renewal)
            .bind(fields.clone())
            .bind(head.hash.clone());
    }
    query.execute(connection).await?;
    Ok(())
}

fn fields(event: &Event) -> Result<String, StoreError> {
    serde_json::to_string(event)
        .map_err(|error| StoreError::broken(format!("the event {}: {error}", event.kind.name())))
}

fn past_event(row: &AnyRow) -> Result<PastEvent, StoreError> {
    let id = row.number("id")?;
    let fields = serde_json::from_str(&row.text("fields")?)
        .map_err(|error| StoreError::broken(format!("history {id}: its fields: {error}")))?;
    let level = row.text("level")?;
    let level = [Level::Info, Level::Warning, Level::Alert]
        .into_iter()
        .find(|known| known.name() == level)
        .ok_or_else(|| StoreError::broken(format!("history {id}: no level {level:?}")))?;
    Ok(PastEvent {
        id,
        at: row.time("at")?,
        name: row.text("name")?,
        level,
        renewal: row.maybe_text("renewal")?.map(RenewalId),
        fields,
    })
}

/// How many of the last events of a certificate are looked at: more than a renewal has in one state.
const LOOKED_AT: u32 = 200;

/// Of the events that a new configuration brings at once.
const LOGGED_ONE_BY_ONE: usize = 100;

/// Both databases give the columns of VALUES these names.
const FOR_EACH_HEAD: &str = "INSERT INTO history (id, at, name, level, certificate, fields, hash) \
     SELECT c.column1, $2, $3, $4, c.column2, $5, c.column3 FROM";

const INSERT_HEAD: &str =
    "INSERT INTO history (id, at, name, level, certificate, renewal, fields, hash) VALUES";

pub(super) const HISTORY: &str = "SELECT id, at, name, level, renewal, fields FROM history \
     WHERE certificate = $1 ORDER BY id DESC LIMIT $2";

pub(super) const LAST_EVENT: &str = "SELECT id, at, name, level, renewal, fields FROM history \
     WHERE certificate = $1 AND name = $2 ORDER BY id DESC LIMIT 1";
