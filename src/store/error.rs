//! How the store can fail, told by what the caller can do about it. The database's own words are kept as evidence.

use std::path::Path;

use sqlx::migrate::MigrateError;
use sqlx::sqlite::SqliteError;

/// A failed call to the store. Nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The renewal is no longer ours, or no longer in the state that was left: stop working on it.
    #[error("another worker has taken this renewal over, or it moved on; this worker must stop")]
    LeaseLost,
    /// Somebody else holds the database. Try again later.
    #[error("the database is locked by another program; it will be tried again")]
    Busy,
    /// No room. Nothing is lost; it goes on when there is room again.
    #[error("the disk or the database is full; make room, it goes on by itself")]
    Full,
    /// The file is damaged, or no database at all. It is left as it is.
    #[error("the database is damaged: {evidence}; {advice}")]
    Corrupt {
        /// The database's own words.
        evidence: String,
        /// What a person can do.
        advice: String,
    },
    /// Its tables were made by a newer renewd. It is left as it is.
    #[error(
        "the database was written by a newer renewd; install that version again, or restore a backup from before it"
    )]
    Newer,
    /// It cannot be opened or created there, or not written.
    #[error("the database {place} cannot be used: {advice}")]
    Unusable {
        /// The file, folder or URL.
        place: String,
        /// Why, and what a person can do.
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

    pub(super) fn unusable(place: &Path, advice: impl Into<String>) -> Self {
        Self::Unusable {
            place: place.display().to_string(),
            advice: advice.into(),
        }
    }

    /// Names the file, which the database's own error does not.
    pub(super) fn at(self, file: &Path) -> Self {
        match self {
            Self::Unusable { place, advice } if place == SOME_FILE => Self::unusable(file, advice),
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
            other => by_sqlite_code(other),
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
            place: SOME_FILE.to_owned(),
            advice: format!(
                "{error}; its disk is full, over a quota, or failing: see `df` and the log of the system"
            ),
        },
        SQLITE_PERM | SQLITE_READONLY | SQLITE_CANTOPEN => StoreError::Unusable {
            place: SOME_FILE.to_owned(),
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

const SOME_FILE: &str = "file";

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
