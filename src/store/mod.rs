//! All SQL of renewd: what is configured and was seen, renewals with their leases and intents, and the history.
//!
//! One public method is one transaction, with one `now` that the caller gives. Nothing here reads the clock, talks to
//! the network or decides anything. Statements keep to what SQLite and PostgreSQL share (see `migrations/`); there are
//! no checked macros for that, so `tests` executes every statement on both. What differs between the two stands in
//! `dialect`; besides it only `location`, `sqlite`, `server`, `copy`, `notifications` and `error` know one of them. Times lose what
//! is below a microsecond.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Connection};

mod bulk;
mod clock_rollback;
mod commit_observer;
mod connections;
mod copy;
mod dialect;
mod error;
mod firewalls;
mod heartbeat;
mod history;
mod intents;
mod inventory;
mod leases;
mod limits;
mod location;
mod migrate;
mod migrations;
mod next_wakeup;
mod notify;
mod renewals;
mod retention;
mod row;
mod served;
mod server;
mod sqlite;
mod steps;
mod synchronised;
#[cfg(test)]
mod tests;

pub use commit_observer::CommitObserver;
pub use error::StoreError;
pub use firewalls::PendingPin;
pub use history::{Checkpoint, Head, Misfit, NoHead, PastEvent, Verdict};
pub use intents::{EndedOrder, ForgottenOrder};
pub use inventory::{Changes, Configured, Decision, PollKind};
pub use leases::{Lease, LeaseKey, LeasePolicy};
pub use limits::Permission;
pub use location::file;
pub use migrate::{MigratedRows, migrate};
pub use next_wakeup::{Counts, NextDue};
pub use notify::Notifications;
pub use renewals::{Ending, UnconfirmedKey};
pub use retention::{EventBatch, REMEMBERED, RenewalCursor};
pub use served::{BoundBefore, KnownCertificate, ProbeRecord, Report};
pub use steps::{Login, Next, Pins, Postponed, Reached, StepRecord};

use crate::secret::SecretSource;
use connections::{Reading, Session, Writing, within};
use dialect::Dialect;
use location::Location;
use row::{exactly_one, micros};
use synchronised::Synchronised;

/// The open database. Cheap to clone; all clones share the same connections.
#[derive(Debug, Clone)]
pub struct Store {
    dialect: Dialect,
    /// One connection: both databases let one write at a time, and waiting here is in turn and costs nothing, while
    /// waiting in SQLite is polling and may starve.
    writer: AnyPool,
    /// Readers see the last commit and never wait for the writer's disk.
    reader: AnyPool,
    lease_policy: LeasePolicy,
    /// Where other daemons may write too.
    notifications: Option<notify::Line>,
    observer: Option<Arc<dyn CommitObserver>>,
    synchronised: Arc<Synchronised>,
}

impl Store {
    /// Opens the database `sqlite:///path` or `postgres://user@host/name`, and brings its tables up to date.
    ///
    /// A file is made when there is none, with the permissions 0600, a folder that has to be created with 0700. What is
    /// damaged, foreign or newer than this program is refused and not touched.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, None).await
    }

    /// As `open`; a server is given the `password`. Without one, libpq's ways hold: `PGPASSFILE`, `~/.pgpass`.
    pub async fn open_with(url: &str, password: Option<&SecretSource>) -> Result<Self, StoreError> {
        Self::open_waiting(url, password, BUSY_TIMEOUT, Access::Write).await
    }

    /// As `open_with`, for a command that only reads: nothing is written, and a database with the tables of another version
    /// is refused instead of being brought up to date.
    pub async fn open_to_read(
        url: &str,
        password: Option<&SecretSource>,
    ) -> Result<Self, StoreError> {
        Self::open_waiting(url, password, BUSY_TIMEOUT, Access::Read).await
    }

    async fn open_waiting(
        url: &str,
        password: Option<&SecretSource>,
        busy_timeout: Duration,
        access: Access,
    ) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let location = Location::of(url, password)?;
        if access == Access::Write {
            location.prepare()?;
        }
        let dialect = location.dialect();
        // Statements are not logged; their effects are reported as events.
        let options = AnyConnectOptions::from_url(location.url())?.disable_statement_logging();
        let ready = match access {
            Access::Write => make_ready(&options, &location, busy_timeout).await,
            Access::Read => check_ready(&options, &location, busy_timeout).await,
        };
        ready.map_err(|error| error.at(&location))?;
        Ok(Self {
            dialect,
            lease_policy: match dialect {
                Dialect::Sqlite => LeasePolicy::ALONE,
                Dialect::Postgres => LeasePolicy::SHARED,
            },
            writer: pool(dialect, 1, options.clone(), busy_timeout, access).await?,
            reader: pool(dialect, READERS, options, busy_timeout, access).await?,
            notifications: notify::Line::to(&location)?,
            observer: None,
            synchronised: Arc::default(),
        })
    }

    /// The same database, with an observer of every commit.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn CommitObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Closes every connection after its work is done; SQLite's write-ahead log is then part of the file.
    pub async fn close(self) {
        self.reader.close().await;
        self.writer.close().await;
        if let Some(line) = self.notifications {
            line.close().await;
        }
    }

    /// Whether other daemons may work on this database at the same time.
    pub fn is_shared(&self) -> bool {
        self.dialect == Dialect::Postgres
    }

    /// By how much `now` differs from the database's own clock, which all daemons share; a file has none.
    pub async fn clock_difference(
        &self,
        now: Timestamp,
    ) -> Result<Option<SignedDuration>, StoreError> {
        let theirs = self.dialect.clock(&mut self.read().await?).await?;
        Ok(theirs.map(|theirs| SignedDuration::from_micros(micros(now) - theirs)))
    }

    /// Finds out whether anything can be stored at all, by storing `now`.
    pub async fn write_probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("UPDATE bookkeeping SET value = $1 WHERE name = 'write_probe'")
            .bind(micros(now))
            .execute(&mut transaction)
            .await?;
        exactly_one(done.rows_affected(), || {
            missing("bookkeeping", "write_probe")
        })?;
        commit(transaction).await
    }

    /// Keeps the database quick and small, and looks for damage; to be called about once a day. Deletes nothing.
    pub async fn maintain(&self) -> Result<(), StoreError> {
        self.dialect
            .check_for_damage(&mut self.read().await?)
            .await?;
        if let Some(statement) = self.dialect.optimize() {
            sqlx::query(statement).execute(&self.writer).await?;
        }
        self.empty_write_ahead_log().await
    }

    /// What was overwritten in the file must not stay in the log. Where another connection reads just then, it is cut off later.
    async fn empty_write_ahead_log(&self) -> Result<(), StoreError> {
        if let Some(statement) = self.dialect.empty_log() {
            sqlx::query(statement).execute(&self.writer).await?;
        }
        Ok(())
    }

    /// A connection for one look.
    async fn read(&self) -> Result<Reading, StoreError> {
        let connection = self.reader.acquire().await;
        let connection = connection.map_err(|error| self.dialect.failed(error))?;
        Ok(Session::new(connection, self.dialect.patience()))
    }

    /// A transaction that is the only one that writes, whatever the database: what is read in it stays true until its
    /// commit.
    async fn begin(&self) -> Result<Writing, StoreError> {
        let patience = self.dialect.patience();
        let transaction = self.writer.begin_with(self.dialect.begin());
        let transaction = within(patience, transaction).await;
        let transaction = transaction.map_err(|error| self.dialect.failed(error))?;
        let mut writing = Session::new(transaction, patience).observed_by(self.observer.clone());
        if let Some(statement) = self.dialect.lock() {
            sqlx::query(statement).execute(&mut writing).await?;
        }
        Ok(writing.observed_by(self.observer.clone()))
    }
}

async fn commit(transaction: Writing) -> Result<(), StoreError> {
    transaction.commit().await
}

/// A row that must be there, and is not.
fn missing(table: &str, name: &str) -> StoreError {
    StoreError::broken(format!("{table} has no row \"{name}\""))
}

async fn pool(
    dialect: Dialect,
    connections: u32,
    options: AnyConnectOptions,
    busy_timeout: Duration,
    access: Access,
) -> Result<AnyPool, StoreError> {
    let pool = AnyPoolOptions::new()
        .max_connections(connections)
        // A connection does not age, and its cache is worth keeping.
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                dialect.set_up(connection, busy_timeout).await?;
                match access {
                    Access::Write => Ok(()),
                    Access::Read => dialect.forbid_writing(connection).await,
                }
            })
        });
    let patience = dialect.patience();
    let pool = match patience {
        Some(patience) => pool.acquire_timeout(patience),
        None => pool,
    };
    let pool = pool.after_release(move |connection, _| {
        Box::pin(async move { Ok(is_usable(connection, patience.map(|_| ECHO)).await) })
    });
    Ok(pool.connect_with(options).await?)
}

/// Whether a connection may be used again, after whatever was left to do. One that does not answer any more is replaced;
/// else it would wait in the pool for the next. On a full disk SQLite itself rolls back
/// (<https://www.sqlite.org/rescode.html>, under SQLITE_FULL); sqlx then cannot, takes the transaction for open, and would
/// begin no other one for ever.
async fn is_usable(connection: &mut AnyConnection, patience: Option<Duration>) -> bool {
    within(patience, connection.ping()).await.is_ok() && !connection.is_in_transaction()
}

/// Looks at the database before anything is changed in it, then brings it up to date.
async fn make_ready(
    options: &AnyConnectOptions,
    location: &Location,
    busy_timeout: Duration,
) -> Result<(), StoreError> {
    let dialect = location.dialect();
    let connection = AnyConnection::connect_with(options);
    let mut connection = within(dialect.patience(), connection).await?;
    dialect.set_up(&mut connection, busy_timeout).await?;
    if let Location::File { file, .. } = location {
        sqlite::refuse_damaged(&mut connection, file).await?;
    }
    migrations::refuse_foreign(&mut connection, location).await?;
    if let Location::File { file, .. } = location {
        sqlite::use_write_ahead_log(&mut connection, file).await?;
    }
    migrations::run(&mut connection, dialect).await?;
    Ok(connection.close().await?)
}

/// Looks whether a database can be read by this version, without a write.
async fn check_ready(
    options: &AnyConnectOptions,
    location: &Location,
    busy_timeout: Duration,
) -> Result<(), StoreError> {
    let dialect = location.dialect();
    let connection = AnyConnection::connect_with(options);
    let mut connection = within(dialect.patience(), connection).await?;
    dialect.set_up(&mut connection, busy_timeout).await?;
    dialect.forbid_writing(&mut connection).await?;
    migrations::refuse_foreign(&mut connection, location).await?;
    migrations::refuse_other_version(&mut connection, location).await?;
    Ok(connection.close().await?)
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Enough for the status page beside the scheduler; each costs a thread and a page cache, or a process of a server.
const READERS: u32 = 2;

/// How soon a server must answer that is there.
const ECHO: Duration = Duration::from_secs(5);
