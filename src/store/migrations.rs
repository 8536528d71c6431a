//! Brings the tables up to date. Refuses what it does not know before anything is written.

use std::cmp::Ordering;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, Connection, SqlSafeStr};

use super::dialect::Dialect;
use super::location::Location;
use super::row::Columns;
use super::{StoreError, history};

/// Runs what is missing, all of it or nothing. The transaction takes the write lock first: SQLite has no lock for
/// migrations, and two daemons may start at the same moment.
pub(super) async fn run(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with(dialect.begin()).await?;
    for statement in [dialect.lock(), dialect.take_your_time()]
        .into_iter()
        .flatten()
    {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    // `run` is this after `acquire`, whose lifetimes keep the future from being `Send`.
    migrator()
        .run_direct(None, &mut *transaction, false)
        .await?;
    history::chain_former(&mut transaction).await?;
    Ok(transaction.commit().await?)
}

/// A database that has tables, but not ours, belongs to another program.
pub(super) async fn refuse_foreign(
    connection: &mut AnyConnection,
    location: &Location,
) -> Result<(), StoreError> {
    let row = sqlx::query(location.dialect().count_tables())
        .fetch_one(connection)
        .await?;
    if row.number("tables")? == 0 || row.number("ours")? == 1 {
        return Ok(());
    }
    let advice = "it is the database of another program; name another one";
    Err(StoreError::unusable(location, advice))
}

/// A command that only reads leaves the tables as they are: those of another version are refused.
pub(super) async fn refuse_other_version(
    connection: &mut AnyConnection,
    location: &Location,
) -> Result<(), StoreError> {
    let newest = EMBEDDED.last().map_or(0, |(version, _, _)| *version);
    let row = sqlx::query("SELECT MAX(version) AS version FROM _sqlx_migrations")
        .fetch_one(connection)
        .await?;
    let version = row.maybe_number("version")?.unwrap_or(0);
    let advice = match version.cmp(&newest) {
        Ordering::Equal => return Ok(()),
        Ordering::Less => {
            "its tables are those of an older renewd, and this command changes nothing: restart the daemon of this version, \
             which brings them up to date"
        }
        Ordering::Greater => {
            "its tables are those of a newer renewd: use the command of the version that the daemon has"
        }
    };
    Err(StoreError::unusable(location, advice))
}

pub(super) fn migrator() -> Migrator {
    let migrations = EMBEDDED
        .iter()
        .map(|&(version, name, sql)| {
            let kind = MigrationType::Simple;
            Migration::new(version, name.into(), kind, sql.into_sql_str(), false)
        })
        .collect();
    Migrator::with_migrations(migrations)
}

/// Every file of `migrations/`, by hand: sqlx's macro for it would bring its whole macro crate into the build.
pub(super) const EMBEDDED: &[(i64, &str, &str)] = &[
    (
        1,
        "initial",
        include_str!("../../migrations/0001_initial.sql"),
    ),
    (
        2,
        "orders",
        include_str!("../../migrations/0002_orders.sql"),
    ),
    (
        3,
        "sealed_keys",
        include_str!("../../migrations/0003_sealed_keys.sql"),
    ),
    (
        4,
        "history_chain",
        include_str!("../../migrations/0004_history_chain.sql"),
    ),
    (
        5,
        "trust_and_addresses",
        include_str!("../../migrations/0005_trust_and_addresses.sql"),
    ),
    (
        6,
        "retention_and_codes",
        include_str!("../../migrations/0006_retention_and_codes.sql"),
    ),
    (7, "names", include_str!("../../migrations/0007_names.sql")),
];
