//! What SQLite's file needs once.

use std::path::Path;

use sqlx::{AnyConnection, Connection, Row};

use super::StoreError;

/// The file remembers this. While it changes, SQLite does not wait for others, such as a second daemon that starts at the
/// same moment; taking the write lock in between does.
pub(super) async fn use_write_ahead_log(
    connection: &mut AnyConnection,
    file: &Path,
) -> Result<(), StoreError> {
    let mut tries = 0;
    let mode: String = loop {
        let answer = sqlx::query("PRAGMA journal_mode = WAL")
            .fetch_one(&mut *connection)
            .await;
        match answer.map_err(StoreError::from) {
            Err(StoreError::Busy) if tries < WAL_TRIES => tries += 1,
            answer => break answer?.try_get(0)?,
        }
        connection
            .begin_with("BEGIN IMMEDIATE")
            .await?
            .rollback()
            .await?;
    };
    if mode == "wal" {
        return Ok(());
    }
    let advice = "its file system cannot share memory between processes, as on a network share; \
                  put the database on a local disk";
    Err(StoreError::unusable(file.display(), advice))
}

/// Each waits for one other process to finish a write, so this is far more than are ever started together.
const WAL_TRIES: u32 = 20;
