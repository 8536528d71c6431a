//! The errors of the store, by what the caller can do about them. The database's own words are kept as evidence.

use std::fmt::Display;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use super::location::Location;

/// A failed call to the store. Nothing of it was stored, save perhaps where the database is unreachable.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The renewal is no longer ours, or no longer in the state that was left: stop working on it.
    #[error("another worker has taken this renewal over, or it moved on; this worker must stop")]
    LeaseLost,
    /// Another program has locked the database. Try again later.
    #[error("the database is locked by another program; it will be tried again")]
    Busy,
    /// The server does not answer, or not any more: what was being stored may be stored or not. Every caller that goes on
    /// reads first what is true.
    #[error("the database cannot be reached: {evidence}; it will be tried again")]
    Unreachable {
        /// What was met.
        evidence: String,
    },
    /// This machine's clock is not that of the server, and was right before: leases and times of other daemons would suffer.
    /// Nothing was stored.
    #[error(
        "the clock of this machine is {seconds} s from that of the database, which other daemons share: nothing is begun \
         until it is set right (NTP)"
    )]
    ClockDiffers {
        /// By how much ours is ahead; negative: behind.
        seconds: i64,
    },
    /// No room. Nothing is lost; it goes on when there is room again.
    #[error("the disk or the database is full; make room, it goes on by itself")]
    Full,
    /// The file is damaged, or no database at all. It is left as it is.
    #[error("the database is damaged: {evidence}; {advice}")]
    Corrupt {
        /// The database's own words.
        evidence: String,
        /// What an operator can do.
        advice: String,
    },
    /// Its tables were made by a newer renewd. It is left as it is.
    #[error(
        "the database was written by a newer renewd; install that version again, or restore a backup from before it"
    )]
    Newer,
    /// It cannot be opened or created there, or not written.
    #[error("the database {location} cannot be used: {advice}")]
    Unusable {
        /// The file, folder or URL.
        location: String,
        /// Why, and what an operator can do.
        advice: String,
    },
    /// A row that is not valid, or one that must be there and is not.
    #[error("the database holds something that is not valid: {what}")]
    Broken {
        /// Which row or column, and what is wrong with it.
        what: String,
    },
    /// Something that is in no table of this file.
    #[error("the database failed: {0}")]
    Other(#[source] sqlx::Error),
}

impl StoreError {
    pub(super) fn broken(what: impl Into<String>) -> Self {
        Self::Broken { what: what.into() }
    }

    pub(super) fn unusable(location: impl Display, advice: impl Into<String>) -> Self {
        Self::Unusable {
            location: location.to_string(),
            advice: advice.into(),
        }
    }

    /// Names the database that the configuration has at `url`, where the error does not name it: damage is mostly found by a
    /// statement, which does not know in which file it runs.
    #[must_use]
    pub fn in_database(self, url: &str) -> Self {
        match Location::of(url, None) {
            Ok(location) => self.at(location),
            Err(_) => self,
        }
    }

    /// Names the place, which the database's own error does not.
    pub(super) fn at(self, known: impl Display) -> Self {
        match self {
            Self::Unusable { location, advice } if location == SOMEWHERE => {
                Self::unusable(known, advice)
            }
            Self::Corrupt { evidence, advice } => {
                let known = known.to_string();
                let is_named = evidence.starts_with(&known);
                let evidence = if is_named {
                    evidence
                } else {
                    format!("{known}: {evidence}")
                };
                Self::Corrupt { evidence, advice }
            }
            other => other,
        }
    }

    pub(super) fn corrupt(evidence: impl Into<String>) -> Self {
        Self::Corrupt {
            evidence: evidence.into(),
            advice: CORRUPT_ADVICE.to_owned(),
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Migrate(error) => (*error).into(),
            sqlx::Error::PoolTimedOut => Self::Busy,
            sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::Decode(_) => Self::broken(error.to_string()),
            sqlx::Error::Io(error) if is_of_tls(&error) => {
                Self::unusable(SOMEWHERE, format!("{error}; {TLS_ADVICE}"))
            }
            sqlx::Error::Io(error) => Self::Unreachable {
                evidence: error.to_string(),
            },
            sqlx::Error::Tls(error) => Self::unusable(SOMEWHERE, format!("{error}; {TLS_ADVICE}")),
            // The error of a connection that ends in the middle of an answer, as behind a proxy whose server is gone.
            sqlx::Error::Protocol(words) => Self::Unreachable {
                evidence: format!("no whole answer of a PostgreSQL server: {words}"),
            },
            other => match server_code(&other) {
                Some(code) => by_server_code(&code, other),
                None => by_sqlite_code(other),
            },
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => Self::Newer,
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Other(other.into()),
        }
    }
}

/// Sorts SQLite's primary result codes (<https://www.sqlite.org/rescode.html>); the upper bits only add detail.
fn by_sqlite_code(error: sqlx::Error) -> StoreError {
    let Some(code) = sqlite_code(&error) else {
        return StoreError::Other(error);
    };
    match code & 0xff {
        SQLITE_BUSY | SQLITE_LOCKED => StoreError::Busy,
        SQLITE_FULL => StoreError::Full,
        SQLITE_CORRUPT | SQLITE_NOTADB => StoreError::corrupt(error.to_string()),
        SQLITE_IOERR => StoreError::Unusable {
            location: SOMEWHERE.to_owned(),
            advice: format!(
                "{error}; its disk is full, over a quota, or failing: see `df` and the log of the system"
            ),
        },
        SQLITE_PERM | SQLITE_READONLY | SQLITE_CANTOPEN => StoreError::Unusable {
            location: SOMEWHERE.to_owned(),
            advice: format!(
                "{error}; check that it is still there, that its folder and file system can be written, \
                 and that they belong to the user that renewd runs as"
            ),
        },
        _ => StoreError::Other(error),
    }
}

fn sqlite_code(error: &sqlx::Error) -> Option<u32> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<SqliteError>()?;
    error.code()?.parse().ok()
}

/// Whether a handshake failed: the driver hands that on as if the connection had broken.
fn is_of_tls(error: &std::io::Error) -> bool {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some()
}

/// PostgreSQL's SQLSTATE.
fn server_code(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<PgDatabaseError>()?;
    error.code().map(std::borrow::Cow::into_owned)
}

/// Sorts PostgreSQL's codes (<https://www.postgresql.org/docs/current/errcodes-appendix.html>): what stands in the way,
/// and for how long.
fn by_server_code(code: &str, error: sqlx::Error) -> StoreError {
    let unusable = |advice: &str| StoreError::unusable(SOMEWHERE, format!("{error}; {advice}"));
    match code {
        // lock_not_available, query_canceled, serialization_failure, deadlock_detected, too_many_connections
        "55P03" | "57014" | "40001" | "40P01" | "53300" => StoreError::Busy,
        // admin_shutdown, crash_shutdown, cannot_connect_now, idle timeouts, and connections that broke
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => unreachable(&error),
        _ if code.starts_with("08") => unreachable(&error),
        "53100" => StoreError::Full,
        "XX001" | "XX002" => StoreError::Corrupt {
            evidence: error.to_string(),
            advice: "stop every renewd and restore the server's backup".to_owned(),
        },
        "3D000" => unusable("make it, with the user of renewd as its owner"),
        "42501" | "3F000" => unusable("make the user of renewd the owner of the database"),
        "25006" => unusable("name the server that takes writes, not its copy"),
        _ if code.starts_with("28") => unusable(
            "say with `database_password` where the password is, and look at the server's pg_hba.conf",
        ),
        _ => StoreError::Other(error),
    }
}

fn unreachable(error: &sqlx::Error) -> StoreError {
    StoreError::Unreachable {
        evidence: error.to_string(),
    }
}

const SOMEWHERE: &str = "file or server";

const TLS_ADVICE: &str = "name with `sslrootcert` the CA that signed the server's certificate, and the server by a name \
     that stands in it";

const SQLITE_PERM: u32 = 3;
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_CANTOPEN: u32 = 14;
const SQLITE_NOTADB: u32 = 26;

const CORRUPT_ADVICE: &str = "stop renewd, copy the file and its -wal beside it, and restore a backup. Without one, move them away: \
     renewd then starts afresh, looks at every certificate again and renews what is due; \
     before that, finish or cancel by hand every order that is open at a CA, because those are forgotten";
