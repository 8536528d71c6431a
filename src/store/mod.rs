//! All SQL of renewd: what is configured and was seen, renewals with their leases and intents, and the history.
//!
//! One public method is one transaction, with one `now` that the caller gives. Nothing here reads the clock, talks to
//! the network or decides anything. Statements keep to what SQLite and PostgreSQL share (see `migrations/`); there are
//! no checked macros for that, so `tests` executes every statement. Only this file, `place`, `copy`, `migrations` and
//! `error` know that it is SQLite. Times lose what is below a microsecond.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::any::{Any, AnyConnectOptions, AnyPoolOptions};
use sqlx::{
    AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions, Connection, Executor, Row, Transaction,
};

mod bulk;
mod copy;
mod error;
mod firewalls;
mod heartbeat;
mod history;
mod intents;
mod inventory;
mod leases;
mod limits;
mod migrations;
mod place;
mod renewals;
mod row;
mod set_back;
#[cfg(test)]
mod tests;
mod waking;

pub use error::StoreError;
pub use history::PastEvent;
pub use inventory::{Changes, Configured, Decision};
pub use leases::Lease;
pub use limits::Permission;
pub use renewals::Ending;
pub use waking::Counts;

use row::{exactly_one, micros};

/// The open database. Cheap to clone; all clones share the same connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection: SQLite lets one write at a time, and waiting here is in turn and costs nothing, while waiting
    /// in SQLite is polling and may starve.
    writer: AnyPool,
    /// Readers see the last commit and never wait for the writer's disk (WAL).
    reader: AnyPool,
}

impl Store {
    /// Opens the database `sqlite:///path`, makes it when there is none, and brings its tables up to date.
    ///
    /// The file gets the permissions 0600, a folder that has to be created 0700. A file that is damaged, foreign or
    /// newer than this program is refused and not touched.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_waiting(url, BUSY_TIMEOUT).await
    }

    async fn open_waiting(url: &str, busy_timeout: Duration) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (url, file) = place::path_of(url)?;
        place::prepare(&file)?;
        // Statements are not worth a log line; what they bring about is told as events.
        let options = AnyConnectOptions::from_url(&url)?.disable_statement_logging();
        make_ready(&options, &file, busy_timeout)
            .await
            .map_err(|error| error.at(&file))?;
        Ok(Self {
            writer: pool(1, options.clone(), busy_timeout).await?,
            reader: pool(READERS, options, busy_timeout).await?,
        })
    }

    /// Closes every connection after its work is done; the write-ahead log is then part of the file.
    pub async fn close(self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Finds out whether anything can be stored at all, by storing `now`.
    pub async fn write_probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("UPDATE bookkeeping SET value = $1 WHERE name = 'write_probe'")
            .bind(micros(now))
            .execute(&mut *transaction)
            .await?;
        exactly_one(done.rows_affected(), || {
            missing("bookkeeping", "write_probe")
        })?;
        commit(transaction).await
    }

    /// Keeps the database quick and small, and looks for damage; to be called about once a day. Deletes nothing.
    pub async fn upkeep(&self) -> Result<(), StoreError> {
        let verdict: String = sqlx::query("PRAGMA quick_check(1)")
            .fetch_one(&self.reader)
            .await?
            .try_get(0)?;
        if verdict != "ok" {
            return Err(StoreError::corrupt(verdict));
        }
        self.writer.execute("PRAGMA optimize").await?;
        self.empty_write_ahead_log().await
    }

    /// Brings the write-ahead log into the file and cuts it off: what was overwritten in the file does not lie on in the
    /// log. Where somebody reads just then, it is cut off later.
    async fn empty_write_ahead_log(&self) -> Result<(), StoreError> {
        self.writer
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await?;
        Ok(())
    }

    /// Begins with the lock that a write needs: a transaction that reads first and then finds that another process
    /// wrote could not go on (SQLITE_BUSY_SNAPSHOT), however long it waits.
    async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

async fn commit(transaction: Transaction<'static, Any>) -> Result<(), StoreError> {
    Ok(transaction.commit().await?)
}

/// A row that must be there, and is not.
fn missing(table: &str, name: &str) -> StoreError {
    StoreError::broken(format!("{table} has no row \"{name}\""))
}

async fn pool(
    connections: u32,
    options: AnyConnectOptions,
    busy_timeout: Duration,
) -> Result<AnyPool, StoreError> {
    Ok(AnyPoolOptions::new()
        .max_connections(connections)
        // A connection to a file does not age, and its cache is worth keeping.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| Box::pin(set_up(connection, busy_timeout)))
        .after_release(|connection, _| Box::pin(has_left_its_transaction(connection)))
        .connect_with(options)
        .await?)
}

/// Whether a connection may be used again. On a full disk SQLite itself rolls back (<https://www.sqlite.org/rescode.html>,
/// under SQLITE_FULL); sqlx then cannot, takes the transaction for open, and would begin no other one for ever.
async fn has_left_its_transaction(connection: &mut AnyConnection) -> sqlx::Result<bool> {
    // After whatever was left to do.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// What SQLite forgets with each connection.
async fn set_up(connection: &mut AnyConnection, busy_timeout: Duration) -> sqlx::Result<()> {
    let milliseconds = busy_timeout.as_millis();
    connection
        .execute(AssertSqlSafe(format!(
            "PRAGMA busy_timeout = {milliseconds}"
        )))
        .await?;
    connection.execute("PRAGMA foreign_keys = ON").await?;
    // A commit that was reported survives a power cut: the promise of one order per renewal rests on it.
    connection.execute("PRAGMA synchronous = FULL").await?;
    // What is deleted is overwritten with zeros: a private key that was destroyed lies on nowhere, not even sealed.
    connection.execute("PRAGMA secure_delete = ON").await?;
    Ok(())
}

/// Looks at the file before anything is changed in it, then brings it up to date.
async fn make_ready(
    options: &AnyConnectOptions,
    file: &Path,
    busy_timeout: Duration,
) -> Result<(), StoreError> {
    let mut connection = AnyConnection::connect_with(options).await?;
    set_up(&mut connection, busy_timeout).await?;
    refuse_damaged(&mut connection, file).await?;
    migrations::refuse_foreign(&mut connection, file).await?;
    use_write_ahead_log(&mut connection, file).await?;
    migrations::run(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Reads the whole file, if that takes no more than a moment. Damage to a larger one is found by the first upkeep.
async fn refuse_damaged(connection: &mut AnyConnection, file: &Path) -> Result<(), StoreError> {
    let length = std::fs::metadata(file).map_or(0, |file| file.len());
    if length > LARGEST_READ_AT_ONCE {
        return Ok(());
    }
    let verdict: String = sqlx::query("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await?
        .try_get(0)?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(StoreError::corrupt(verdict)),
    }
}

/// The file remembers this. While it changes, SQLite does not wait for others, such as a second daemon that starts at the
/// same moment; taking the write lock in between does.
async fn use_write_ahead_log(
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
    Err(StoreError::unusable(file, advice))
}

/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// In bytes; a hundred megabytes take most of a second.
const LARGEST_READ_AT_ONCE: u64 = 8 << 20;

/// Enough for the status page beside the scheduler; each costs a thread and a page cache.
const READERS: u32 = 2;

/// Each waits for one other process to finish a write, so this is far more than are ever started together.
const WAL_TRIES: u32 = 20;
