//! What differs between SQLite and PostgreSQL. Every other file of the store knows neither.

use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Executor, Row};

use super::StoreError;
use super::connections::{Reading, Writing};
use super::row::Columns;

/// The kind of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// A file, for one daemon.
    Sqlite,
    /// A server, which several daemons may share.
    Postgres,
}

impl Dialect {
    /// Begins a transaction that writes. SQLite takes its lock at once: a transaction that reads first and then finds
    /// that another process wrote could not go on (SQLITE_BUSY_SNAPSHOT), however long it waits.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// What makes a transaction the only one that writes, until it ends; SQLite's has begun with that.
    pub(super) const fn lock(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            // The number is renewd's own: its name in ASCII.
            Self::Postgres => Some("SELECT 1 FROM pg_advisory_xact_lock(125779969406820)"),
        }
    }

    /// Gives way to no limit within the transaction: a migration takes as long as it takes.
    pub(super) const fn take_your_time(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SET LOCAL statement_timeout = 0"),
        }
    }

    /// How long a statement may take to answer. SQLite waits for other processes only, and limits that wait itself.
    pub(super) const fn patience(self) -> Option<Duration> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(PATIENCE),
        }
    }

    /// What it means that no connection was to be had: other work of ours in SQLite, else most often no server.
    pub(super) fn failed(self, error: sqlx::Error) -> StoreError {
        match (self, error) {
            (Self::Postgres, sqlx::Error::PoolTimedOut) => StoreError::Unreachable {
                evidence: "no connection to it could be made in time".to_owned(),
            },
            (_, error) => error.into(),
        }
    }

    /// Makes a new connection behave as the store needs it; none of this outlives the connection.
    pub(super) async fn set_up(
        self,
        connection: &mut AnyConnection,
        busy_timeout: Duration,
    ) -> sqlx::Result<()> {
        let milliseconds = busy_timeout.as_millis();
        let settings = match self {
            Self::Sqlite => SQLITE_SETTINGS,
            Self::Postgres => POSTGRES_SETTINGS,
        };
        let wait = match self {
            Self::Sqlite => format!("PRAGMA busy_timeout = {milliseconds}"),
            Self::Postgres => format!("SET lock_timeout = {milliseconds}"),
        };
        connection.execute(AssertSqlSafe(wait)).await?;
        for setting in settings {
            connection.execute(*setting).await?;
        }
        Ok(())
    }

    /// Lets the connection read only.
    pub(super) async fn forbid_writing(self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let statement = match self {
            Self::Sqlite => "PRAGMA query_only = ON",
            Self::Postgres => "SET default_transaction_read_only = on",
        };
        connection.execute(statement).await?;
        Ok(())
    }

    /// Counts the tables that there are, and how many of them say which migrations were run.
    pub(super) const fn count_tables(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT COUNT(*) AS tables, COUNT(CASE WHEN name = '_sqlx_migrations' THEN 1 END) AS ours \
                 FROM sqlite_schema WHERE type = 'table'"
            }
            Self::Postgres => {
                "SELECT COUNT(*) AS tables, COUNT(CASE WHEN c.relname = '_sqlx_migrations' THEN 1 END) AS ours \
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema()"
            }
        }
    }

    /// The columns of table `$1`: their names, and 1 where they hold numbers.
    pub(super) const fn columns(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT name, CASE WHEN type = 'BIGINT' THEN 1 ELSE 0 END AS is_number \
                 FROM pragma_table_info($1) ORDER BY cid"
            }
            Self::Postgres => {
                "SELECT CAST(column_name AS TEXT) AS name, \
                 CAST(CASE WHEN data_type = 'bigint' THEN 1 ELSE 0 END AS BIGINT) AS is_number \
                 FROM information_schema.columns \
                 WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
            }
        }
    }

    /// Looks for damage. PostgreSQL looks itself, whenever it reads a page.
    pub(super) async fn check_for_damage(self, reading: &mut Reading) -> Result<(), StoreError> {
        if self == Self::Postgres {
            return Ok(());
        }
        let verdict: String = sqlx::query("PRAGMA quick_check(1)")
            .fetch_one(reading)
            .await?
            .try_get(0)?;
        if verdict == "ok" {
            Ok(())
        } else {
            Err(StoreError::corrupt(verdict))
        }
    }

    /// What keeps the database quick; PostgreSQL's autovacuum does that.
    pub(super) const fn optimize(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA optimize"),
            Self::Postgres => None,
        }
    }

    /// What brings the write-ahead log into the file and cuts it off. PostgreSQL's belongs to its server, and to its
    /// backups.
    pub(super) const fn empty_log(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => Some("PRAGMA wal_checkpoint(TRUNCATE)"),
            Self::Postgres => None,
        }
    }

    /// Wakes every daemon that listens, when the transaction commits; `sender` need not wake itself.
    pub(super) async fn notify(
        self,
        writing: &mut Writing,
        sender: &str,
    ) -> Result<(), StoreError> {
        if self == Self::Postgres {
            sqlx::query("SELECT 1 FROM pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(sender)
                .execute(writing)
                .await?;
        }
        Ok(())
    }

    /// Whether no daemon is connected, until the end of the transaction. For a file its lock shows that.
    pub(super) const fn is_unused(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(
                "SELECT CAST(CASE WHEN pg_try_advisory_xact_lock(125779969406821) THEN 1 ELSE 0 END AS BIGINT) AS unused",
            ),
        }
    }

    /// A look at everything as it is at one moment.
    pub(super) const fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// The server's clock, in microseconds; a file has none.
    pub(super) async fn clock(self, reading: &mut Reading) -> Result<Option<i64>, StoreError> {
        if self == Self::Sqlite {
            return Ok(None);
        }
        let row = sqlx::query(
            "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS now",
        )
        .fetch_one(reading)
        .await?;
        row.number("now").map(Some)
    }
}

/// Where daemons wake each other.
pub(super) const CHANNEL: &str = "renewd";

/// Says for as long as the connection lives that a daemon is there.
pub(super) const PRESENT: &str = "SELECT 1 FROM pg_advisory_lock_shared(125779969406821)";

/// Longer than the server's own limits, whose errors say more than silence.
const PATIENCE: Duration = Duration::from_secs(20);

const SQLITE_SETTINGS: &[&str] = &[
    "PRAGMA foreign_keys = ON",
    // A commit that was reported survives a power cut: one order per renewal depends on it.
    "PRAGMA synchronous = FULL",
    // Deleted data is overwritten with zeros: a private key that was destroyed remains nowhere, not even sealed.
    "PRAGMA secure_delete = ON",
];

/// A daemon that was stopped or cut off holds the lock of the one writer for seconds: the server ends its transaction.
const POSTGRES_SETTINGS: &[&str] = &[
    "SET synchronous_commit = on",
    "SET statement_timeout = '15s'",
    // Sooner than others give up waiting for the lock: one that starts just then would not come up.
    "SET idle_in_transaction_session_timeout = '5s'",
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET tcp_user_timeout = '15s'",
    "SET application_name = 'renewd'",
];
