//! Where the history begins after its oldest events were removed: the last of them, authenticated under the sealing key, so
//! that no other program can remove events and store a checkpoint for them.

use jiff::Timestamp;
use sqlx::AnyExecutor;
use sqlx::any::AnyRow;

use super::chain::Head;
use crate::seal::{SealError, Sealer};
use crate::store::row::{Columns, micros};
use crate::store::{Store, StoreError, Writing};

/// The end of what was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last event that was removed.
    pub head: Head,
    /// How many events were removed since the first one.
    pub removed: i64,
    /// When it was removed.
    pub removed_at: Timestamp,
    /// The code that authenticates all of it.
    code: String,
}

impl Checkpoint {
    /// A checkpoint with its code.
    pub(in crate::store) fn new(
        head: Head,
        removed: i64,
        removed_at: Timestamp,
        sealer: &Sealer,
    ) -> Result<Self, SealError> {
        let mut checkpoint = Self {
            head,
            removed,
            removed_at,
            code: String::new(),
        };
        let parts = checkpoint.parts();
        let parts = parts.each_ref().map(String::as_str);
        checkpoint.code = sealer.authenticate(LABEL, &parts)?;
        Ok(checkpoint)
    }

    /// Whether renewd stored it under this sealing key.
    ///
    /// # Errors
    /// The sealing key cannot be read, so that this is unknown.
    pub fn is_authentic(&self, sealer: &Sealer) -> Result<bool, SealError> {
        let parts = self.parts();
        let parts = parts.each_ref().map(String::as_str);
        sealer.is_authentic(LABEL, &parts, &self.code)
    }

    /// Replaces the checkpoint before, in the transaction that removes the events between the two.
    pub(in crate::store) async fn store(&self, connection: &mut Writing) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM history_checkpoint")
            .execute(&mut *connection)
            .await?;
        sqlx::query(KEEP)
            .bind(self.head.id)
            .bind(&*self.head.hash)
            .bind(self.removed)
            .bind(micros(self.removed_at))
            .bind(&*self.code)
            .execute(connection)
            .await?;
        Ok(())
    }

    fn parts(&self) -> [String; 4] {
        [
            self.head.id.to_string(),
            self.head.hash.clone(),
            self.removed.to_string(),
            micros(self.removed_at).to_string(),
        ]
    }
}

impl Store {
    /// Where the history begins; `None`: with its first event.
    pub async fn history_checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        newest(&mut self.read().await?).await
    }
}

/// The newest checkpoint.
pub(in crate::store) async fn newest(
    executor: impl AnyExecutor<'_>,
) -> Result<Option<Checkpoint>, StoreError> {
    let row = sqlx::query(NEWEST).fetch_optional(executor).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &AnyRow) -> Result<Checkpoint, StoreError> {
    Ok(Checkpoint {
        head: Head {
            id: row.number("event")?,
            hash: row.text("hash")?,
        },
        removed: row.number("removed")?,
        removed_at: row.time("removed_at")?,
        code: row.text("code")?,
    })
}

const LABEL: &str = "history checkpoint";

const NEWEST: &str = "SELECT event, hash, removed, removed_at, code FROM history_checkpoint ORDER BY event DESC LIMIT 1";

const KEEP: &str = "INSERT INTO history_checkpoint (event, hash, removed, removed_at, code) VALUES ($1, $2, $3, $4, $5)";
