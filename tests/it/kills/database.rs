//! The daemon's database from outside: how its renewals stand, and time that passes for those that rest.
//!
//! It is read while a daemon runs, with one connection for each query: a connection that outlives a killed daemon
//! would do the recovery in its place.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use renewd::clock::{Clock as _, SystemClock};
use renewd::store::Store;
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::postgres;

/// Where the daemon's database is.
#[derive(Debug)]
pub enum Database {
    /// A file in the folder of the fleet.
    Sqlite,
    /// A server, at this address.
    Postgres(String),
}

/// How a renewal stands.
#[derive(Debug, Clone)]
pub struct Standing {
    pub id: String,
    pub certificate: String,
    pub state: String,
    pub has_ended: bool,
    /// Whether a daemon works on it.
    pub is_leased: bool,
    /// When it continues, in microseconds; none: held until an operator requests it.
    pub next_attempt_at: Option<i64>,
    #[expect(dead_code, reason = "printed when it does not end")]
    pub last_error: Option<String>,
}

impl Database {
    /// A new one on the server for tests; `None`, after saying so: there is none.
    pub fn postgres() -> Option<Self> {
        Some(Self::Postgres(postgres::cluster()?.database()))
    }

    /// `database` of the configuration, for a fleet in `folder`.
    pub fn url(&self, folder: &Path) -> String {
        match self {
            Self::Sqlite => format!("sqlite://{}/{FILE}", folder.display()),
            Self::Postgres(url) => url.clone(),
        }
    }

    /// The file of the database, where it is one.
    pub fn file(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::Sqlite => Some(folder.join(FILE)),
            Self::Postgres(_) => None,
        }
    }

    /// The database while no daemon runs; a copy of a file, so that the daemon itself recovers it.
    pub async fn read(&self, folder: &Path) -> Store {
        let Some(file) = self.file(folder) else {
            return Store::open(&self.url(folder)).await.unwrap();
        };
        let copy = folder.join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).unwrap();
        std::fs::copy(&file, copy.join(FILE)).unwrap();
        let log = format!("{FILE}-wal");
        // After an orderly end there is none.
        let _ = std::fs::copy(folder.join(&log), copy.join(&log));
        let url = self.url(&copy);
        Store::open(&url).await.unwrap()
    }

    /// How every renewal stands. `None`: the daemon has not made its tables yet.
    pub async fn standings(&self, folder: &Path) -> Option<Vec<Standing>> {
        let mut connection = self.connect(folder).await?;
        let standings = standings(&mut connection).await;
        connection.close().await.unwrap();
        standings
    }

    /// Skips the time for which renewals wait: all times of each are moved into the past by as much. No daemon works on
    /// such a renewal or has it in memory: its rows are all that exists of it.
    ///
    /// Returns how long it was for each certificate, in microseconds.
    pub async fn let_time_pass(
        &self,
        folder: &Path,
        standings: &[Standing],
    ) -> HashMap<String, i64> {
        let now = SystemClock.now().as_microsecond();
        let mut passed = HashMap::new();
        let rests = |standing: &&Standing| {
            let until = standing.next_attempt_at.unwrap_or(now);
            !standing.has_ended && !standing.is_leased && until > now + SHORT_REST
        };
        let resting: Vec<&Standing> = standings.iter().filter(rests).collect();
        if resting.is_empty() {
            return passed;
        }
        let Some(mut connection) = self.connect(folder).await else {
            return passed;
        };
        for standing in resting {
            let until = standing.next_attempt_at.unwrap_or(now);
            if age(&mut connection, standing, until - now).await.unwrap() {
                passed.insert(standing.certificate.clone(), until - now);
            }
        }
        connection.close().await.unwrap();
        passed
    }

    /// Lets the time pass until the leases of the daemon with this process id have ended: it is dead, or does not know
    /// that time passes. Where a lock shows that it is dead, other daemons do not wait for that.
    pub async fn let_leases_end(&self, folder: &Path, process: u32) {
        let Self::Postgres(_) = self else { return };
        let mut connection = self.connect(folder).await.unwrap();
        let now = SystemClock.now().as_microsecond();
        for statement in [END_OF_FIREWALLS, END_OF_RENEWALS] {
            sqlx::query(statement)
                .bind(format!("%-{process}-%"))
                .bind(now)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        // A probe that it had begun becomes due again only minutes later, when no daemon can still be probing.
        sqlx::query(END_OF_LOOKS)
            .bind(now)
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    async fn connect(&self, folder: &Path) -> Option<AnyConnection> {
        sqlx::any::install_default_drivers();
        let connected = AnyConnection::connect(&self.url(folder)).await;
        match self {
            // The file is not there yet.
            Self::Sqlite => connected.ok(),
            Self::Postgres(_) => Some(connected.unwrap()),
        }
    }
}

async fn standings(connection: &mut AnyConnection) -> Option<Vec<Standing>> {
    let rows = sqlx::query(STANDINGS).fetch_all(connection).await.ok()?;
    let now = SystemClock.now().as_microsecond();
    let standing = |row: &sqlx::any::AnyRow| Standing {
        id: row.get("id"),
        certificate: row.get("certificate"),
        state: row.get("state"),
        has_ended: row.get::<Option<i64>, _>("ended_at").is_some(),
        is_leased: row
            .get::<Option<i64>, _>("lease_until")
            .is_some_and(|until| until > now),
        next_attempt_at: row.get("next_attempt_at"),
        last_error: row.get("last_error"),
    };
    Some(rows.iter().map(standing).collect())
}

/// Whether it still rested.
async fn age(
    connection: &mut AnyConnection,
    standing: &Standing,
    by: i64,
) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    if transaction.backend_name() == "PostgreSQL" {
        // As every writer does.
        sqlx::query(WRITERS_LOCK).execute(&mut *transaction).await?;
    }
    let done = sqlx::query(AGE_RENEWAL)
        .bind(&*standing.id)
        .bind(by)
        .bind(standing.next_attempt_at)
        .bind(SystemClock.now().as_microsecond())
        .execute(&mut *transaction)
        .await?;
    if done.rows_affected() == 1 {
        for statement in [AGE_PAST, AGE_INTENTS, AGE_SLOT, AGE_SERVED] {
            sqlx::query(statement)
                .bind(&*standing.id)
                .bind(by)
                .execute(&mut *transaction)
                .await?;
        }
    }
    transaction.commit().await?;
    Ok(done.rows_affected() == 1)
}

const FILE: &str = "renewd.db";

const STANDINGS: &str = "SELECT id, certificate, state, ended_at, lease_until, next_attempt_at, last_error FROM renewal";

const AGE_RENEWAL: &str = "UPDATE renewal SET planned_at = planned_at - $2, state_since = state_since - $2, \
     next_attempt_at = next_attempt_at - $2 \
     WHERE id = $1 AND next_attempt_at = $3 AND ended_at IS NULL AND (lease_until IS NULL OR lease_until <= $4)";

/// The order of renewals is kept.
const AGE_PAST: &str = "UPDATE renewal SET planned_at = planned_at - $2, state_since = state_since - $2, \
     ended_at = ended_at - $2 \
     WHERE ended_at IS NOT NULL AND certificate = (SELECT r.certificate FROM renewal r WHERE r.id = $1)";

const AGE_INTENTS: &str =
    "UPDATE intent SET opened_at = opened_at - $2, tried_at = tried_at - $2 WHERE renewal = $1";

const AGE_SLOT: &str = "UPDATE order_slot SET at = at - $2 WHERE renewal = $1";

const AGE_SERVED: &str = "UPDATE served SET seen_at = seen_at - $2, probed_at = probed_at - $2, \
     verified_at = verified_at - $2 \
     WHERE certificate = (SELECT r.certificate FROM renewal r WHERE r.id = $1)";

const END_OF_FIREWALLS: &str =
    "UPDATE firewall SET lease_until = $2 WHERE lease_owner LIKE $1 AND lease_until > $2";

const END_OF_RENEWALS: &str =
    "UPDATE renewal SET lease_until = $2 WHERE lease_owner LIKE $1 AND lease_until > $2";

const END_OF_LOOKS: &str = "UPDATE certificate SET probe_at = $1 WHERE probe_at > $1";

const WRITERS_LOCK: &str = "SELECT 1 FROM pg_advisory_xact_lock(125779969406820)";

/// Short enough not to be printed, in microseconds.
const SHORT_REST: i64 = 500_000;
