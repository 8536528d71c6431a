//! What happened, append-only: this file inserts and selects, and no other file writes here.

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::row::{Columns, micros};
use super::{Store, StoreError, Writing, bulk, commit};
use crate::event::{Event, EventKind, Level};
use crate::inventory::RenewalId;

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct PastEvent {
    /// Grows in the order of commits.
    pub id: i64,
    /// When it happened.
    pub at: Timestamp,
    /// `event::EventKind`, by name; an older renewd may have known others.
    pub name: String,
    /// How loud it was.
    pub level: Level,
    /// The renewal that it tells of.
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

/// Stores `events` in a transaction that changes something else too.
pub(super) async fn append(
    connection: &mut Writing,
    events: &[Event],
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut id = next_id(connection, events.len()).await?;
    for some in events.chunks(bulk::rows_per_statement(6)) {
        id = insert(&mut *connection, some, id, at).await?;
    }
    Ok(())
}

/// Stores the same event of many certificates, in their order, in a transaction that changes something else too.
pub(super) async fn append_for_each(
    connection: &mut Writing,
    kind: EventKind,
    certificates: &[Arc<str>],
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut id = next_id(connection, certificates.len()).await?;
    let fields = fields(&Event::new(kind))?;
    for some in certificates.chunks(bulk::rows_per_statement(1)) {
        let statement = AssertSqlSafe(for_each_statement(some.len()));
        let mut query = sqlx::query(statement)
            .persistent(some.len() == bulk::rows_per_statement(1))
            .bind(id)
            .bind(micros(at))
            .bind(kind.name())
            .bind(kind.level().name())
            .bind(&*fields);
        for certificate in some {
            query = query.bind(&**certificate);
            id += 1;
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

fn for_each_statement(certificates: usize) -> String {
    let rows = bulk::rows(certificates, 6, 1, |parameter| {
        format!("($1 + {}, ${parameter})", parameter - 6)
    });
    format!("{FOR_EACH_HEAD} (VALUES {rows}) AS c")
}

/// The first of `count` ids that are in use from now on.
async fn next_id(connection: &mut Writing, count: usize) -> Result<i64, StoreError> {
    let count = i64::try_from(count).unwrap_or(0);
    if count == 0 {
        return Ok(0);
    }
    let last = sqlx::query(
        "UPDATE bookkeeping SET value = value + $1 WHERE name = 'last_event' RETURNING value",
    )
    .bind(count)
    .fetch_optional(connection)
    .await?
    .ok_or_else(|| super::missing("bookkeeping", "last_event"))?
    .number("value")?;
    Ok(last - count + 1)
}

/// Inserts `events` under the ids from `first` on; the id after them.
async fn insert(
    connection: &mut Writing,
    events: &[Event],
    first: i64,
    at: Timestamp,
) -> Result<i64, StoreError> {
    let row = |first| {
        let [id, name, level] = [first, first + 1, first + 2];
        let [certificate, renewal, fields] = [first + 3, first + 4, first + 5];
        format!("(${id}, $1, ${name}, ${level}, ${certificate}, ${renewal}, ${fields})")
    };
    let rows = bulk::rows(events.len(), 2, 6, row);
    let statement = AssertSqlSafe(format!("{INSERT_HEAD} {rows}"));
    // One is what ordinary steps tell: worth keeping prepared.
    let mut query = sqlx::query(statement)
        .persistent(events.len() == 1)
        .bind(micros(at));
    let mut id = first;
    for event in events {
        query = query
            .bind(id)
            .bind(event.kind.name())
            .bind(event.kind.level().name())
            .bind(event.certificate.as_deref())
            .bind(event.renewal.as_ref().map(|id| id.0.as_str()))
            .bind(fields(event)?);
        id += 1;
    }
    query.execute(connection).await?;
    Ok(id)
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

/// Both databases give the columns of VALUES these names.
const FOR_EACH_HEAD: &str = "INSERT INTO history (id, at, name, level, certificate, fields) \
     SELECT c.column1, $2, $3, $4, c.column2, $5 FROM";

const INSERT_HEAD: &str =
    "INSERT INTO history (id, at, name, level, certificate, renewal, fields) VALUES";

pub(super) const HISTORY: &str = "SELECT id, at, name, level, renewal, fields FROM history \
     WHERE certificate = $1 ORDER BY id DESC LIMIT $2";
