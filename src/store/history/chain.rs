//! The chain of the history: each event carries a hash over itself and the hash of the event before it, so that what is
//! changed, taken out or put in afterwards no longer fits. Nothing is changed here but what a migration asks for.
//!
//! The hash of an event is the SHA-256, in lower-case hexadecimal, of eight texts: the hash of the event before it (64
//! zeros before the first), then id, at, name, level, certificate, renewal and fields as they are stored. Each is written
//! as its length in bytes, a colon, itself and a comma, or as `-,` where there is none: `2:42,-,`. What this proves, and
//! what it does not, stands in docs/adr/0020-a-hash-chain-over-the-history.md.

use std::fmt::{self, Write};
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use crate::store::row::{Columns, exactly_one};
use crate::store::{StoreError, Writing, bulk, missing};

/// An event and its hash: a history that ends here is this one and no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The event's id.
    pub id: i64,
    /// Its hash, lower-case hexadecimal.
    pub hash: String,
}

/// What a chain is made of: an event as it is stored.
pub(super) struct Link<'a> {
    /// Microseconds since 1970.
    pub at: i64,
    pub name: &'a str,
    pub level: &'a str,
    pub certificate: Option<&'a str>,
    pub renewal: Option<&'a str>,
    pub fields: &'a str,
}

/// A chain that grows by one event at a time.
pub(super) struct Chain {
    head: Head,
    /// What is hashed; kept for its memory.
    text: String,
}

impl Chain {
    /// The chain before its first event.
    pub(super) fn empty() -> Self {
        Self::after(Head {
            id: 0,
            hash: BEFORE_THE_FIRST.to_owned(),
        })
    }

    /// A chain that ends with `head`.
    pub(super) fn after(head: Head) -> Self {
        Self {
            head,
            text: String::new(),
        }
    }

    /// The stored chain, with the next `count` ids taken for what is appended to it. Only in the transaction that stores
    /// these: the row of the counter keeps every other writer waiting until then.
    pub(super) async fn reserve(
        connection: &mut Writing,
        count: usize,
    ) -> Result<Self, StoreError> {
        let count = i64::try_from(count).unwrap_or(0);
        let last = sqlx::query(RESERVE)
            .bind(count)
            .fetch_optional(&mut *connection)
            .await?
            .ok_or_else(|| missing("bookkeeping", "last_event"))?
            .number("value")?;
        let id = last - count;
        let row = sqlx::query(HASH)
            .bind(id)
            .fetch_optional(connection)
            .await?;
        // A removed end must not stop renewals. The ids show later that it was removed.
        let hash = row.map(|row| row.maybe_text("hash")).transpose()?.flatten();
        Ok(Self::after(Head {
            id,
            hash: hash.unwrap_or_else(|| BEFORE_THE_FIRST.to_owned()),
        }))
    }

    /// Appends an event under the next id.
    pub(super) fn append(&mut self, link: &Link<'_>) -> &Head {
        let id = self.head.id + 1;
        let hash = self.hash(id, link);
        self.head = Head { id, hash };
        &self.head
    }

    /// The event that was appended last.
    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    /// The hash of `link` as the next event, under `id`.
    fn hash(&mut self, id: i64, link: &Link<'_>) -> String {
        self.text.clear();
        let (id, at) = (id.to_string(), link.at.to_string());
        for part in [
            Some(self.head.hash.as_str()),
            Some(&id),
            Some(&at),
            Some(link.name),
            Some(link.level),
            link.certificate,
            link.renewal,
            Some(link.fields),
        ] {
            // Writing to a text does not fail.
            let _ = match part {
                Some(part) => write!(self.text, "{}:{part},", part.len()),
                None => self.text.write_str("-,"),
            };
        }
        HEXLOWER.encode(digest(&SHA256, self.text.as_bytes()).as_ref())
    }
}

/// A row of the history, as the chain needs it.
pub(super) struct Stored {
    id: i64,
    at: i64,
    name: String,
    level: String,
    certificate: Option<String>,
    renewal: Option<String>,
    fields: String,
    pub(super) hash: Option<String>,
}

impl Stored {
    pub(super) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.number("id")?,
            at: row.number("at")?,
            name: row.text("name")?,
            level: row.text("level")?,
            certificate: row.maybe_text("certificate")?,
            renewal: row.maybe_text("renewal")?,
            fields: row.text("fields")?,
            hash: row.maybe_text("hash")?,
        })
    }

    pub(super) fn link(&self) -> Link<'_> {
        Link {
            at: self.at,
            name: &self.name,
            level: &self.level,
            certificate: self.certificate.as_deref(),
            renewal: self.renewal.as_deref(),
            fields: &self.fields,
        }
    }
}

/// Gives the events that were stored before there was a chain their hashes, once: in the transaction of the migration
/// that says up to which.
pub(in crate::store) async fn chain_former(
    connection: &mut AnyConnection,
) -> Result<(), StoreError> {
    let last = number(connection, "to_be_chained").await?;
    if last == 0 {
        return Ok(());
    }
    let mut chain = Chain::empty();
    loop {
        let rows = sqlx::query(FORMER)
            .bind(chain.head.id)
            .bind(last)
            .bind(i64::try_from(bulk::rows_per_statement(2)).unwrap_or(1))
            .fetch_all(&mut *connection)
            .await?;
        if rows.is_empty() {
            break;
        }
        let mut heads = Vec::with_capacity(rows.len());
        for row in &rows {
            let stored = Stored::read(row)?;
            let hash = chain.hash(stored.id, &stored.link());
            chain.head = Head {
                id: stored.id,
                hash,
            };
            heads.push(chain.head.clone());
        }
        give(connection, &heads).await?;
    }
    let done = sqlx::query("UPDATE bookkeeping SET value = 0 WHERE name = 'to_be_chained'")
        .execute(connection)
        .await?;
    exactly_one(done.rows_affected(), || {
        missing("bookkeeping", "to_be_chained")
    })
}

async fn give(connection: &mut AnyConnection, heads: &[Head]) -> Result<(), StoreError> {
    let rows = bulk::rows(heads.len(), 1, 2, |first| {
        format!("(${first}, ${})", first + 1)
    });
    let statement = AssertSqlSafe(format!("{GIVE_HEAD} (VALUES {rows}) {GIVE_TAIL}"));
    let mut query = sqlx::query(statement).persistent(heads.len() == bulk::rows_per_statement(2));
    for head in heads {
        query = query.bind(head.id).bind(&head.hash);
    }
    query.execute(connection).await?;
    Ok(())
}

/// A number of the store itself.
async fn number(connection: &mut AnyConnection, name: &str) -> Result<i64, StoreError> {
    sqlx::query("SELECT value FROM bookkeeping WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| missing("bookkeeping", name))?
        .number("value")
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.hash)
    }
}

/// Why a text is no head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as the log has it in `history_head`: an id, a colon and 64 hexadecimal digits")]
pub struct NoHead;

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (id, hash) = text.trim().split_once(':').ok_or(NoHead)?;
        let id = id.parse().map_err(|_| NoHead)?;
        let is_hash = hash.len() == BEFORE_THE_FIRST.len()
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if id < 1 || !is_hash {
            return Err(NoHead);
        }
        Ok(Self {
            id,
            hash: hash.to_ascii_lowercase(),
        })
    }
}

const BEFORE_THE_FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const RESERVE: &str =
    "UPDATE bookkeeping SET value = value + $1 WHERE name = 'last_event' RETURNING value";

/// A statement of its own, after the counter's row is ours: in one with it, PostgreSQL could look at what was there before
/// the writer that we waited for.
pub(in crate::store) const HASH: &str = "SELECT hash FROM history WHERE id = $1";

const FORMER: &str = "SELECT id, at, name, level, certificate, renewal, fields, hash FROM history \
     WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3";

/// The one change that a stored event sees: from no hash to its hash.
const GIVE_HEAD: &str = "UPDATE history SET hash = c.column2 FROM";
const GIVE_TAIL: &str = "AS c WHERE history.id = c.column1 AND history.hash IS NULL";
