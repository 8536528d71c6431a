//! Carries everything from one database to another, of either kind: each table whole, in one transaction on the target.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::dialect::Dialect;
use super::row::{Columns, micros};
use super::{Store, StoreError, Writing, bulk, commit};

/// What was carried: each table and its number of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigratedRows(pub Vec<(&'static str, u64)>);

/// Carries everything that `from` holds to `to`, which must be empty. No program may work on either at that time: the
/// caller holds the locks of files; servers are checked here.
pub async fn migrate(from: &Store, to: &Store, now: Timestamp) -> Result<MigratedRows, StoreError> {
    let mut source = from.begin().await?;
    let mut target = to.begin().await?;
    for (dialect, transaction) in [(from.dialect, &mut source), (to.dialect, &mut target)] {
        refuse_where_in_use(dialect, transaction, now).await?;
    }
    refuse_unless_empty(&mut target).await?;
    let migrated = tables((from.dialect, &mut source), (to.dialect, &mut target)).await?;
    commit(target).await?;
    Ok(migrated)
}

/// Carries every table; columns that only one of the two has are left at their defaults.
pub(super) async fn tables(
    from: (Dialect, &mut Writing),
    to: (Dialect, &mut Writing),
) -> Result<MigratedRows, StoreError> {
    let mut migrated = Vec::new();
    for table in TABLES {
        let theirs = columns(from.0, from.1, table).await?;
        let ours = columns(to.0, to.1, table).await?;
        let common: Vec<Column> = ours
            .into_iter()
            .filter(|column| theirs.iter().any(|other| other.name == column.name))
            .collect();
        let rows = migrate_table(table, &common, from.1, to.1).await?;
        migrated.push((table, rows));
    }
    Ok(MigratedRows(migrated))
}

/// A column, and whether it holds numbers.
pub(super) struct Column {
    pub(super) name: String,
    pub(super) is_number: bool,
}

/// The columns of a table, as the database itself reports them.
pub(super) async fn columns(
    dialect: Dialect,
    connection: &mut Writing,
    table: &str,
) -> Result<Vec<Column>, StoreError> {
    let rows = sqlx::query(dialect.columns())
        .bind(table)
        .fetch_all(connection)
        .await?;
    let column = |row: &AnyRow| {
        Ok(Column {
            name: row.text("name")?,
            is_number: row.number("is_number")? == 1,
        })
    };
    rows.iter().map(column).collect()
}

async fn migrate_table(
    table: &str,
    columns: &[Column],
    from: &mut Writing,
    to: &mut Writing,
) -> Result<u64, StoreError> {
    if columns.is_empty() {
        return Ok(0);
    }
    let names: Vec<&str> = columns.iter().map(|column| &*column.name).collect();
    let names = names.join(", ");
    let all = AssertSqlSafe(format!("SELECT {names} FROM {table}"));
    let mut rows = sqlx::query(all).fetch(from);
    let at_once = bulk::rows_per_statement(columns.len());
    let (mut some, mut migrated) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        some.push(row);
        if some.len() == at_once {
            migrated += insert(table, &names, columns, &some, to).await?;
            some.clear();
        }
    }
    if !some.is_empty() {
        migrated += insert(table, &names, columns, &some, to).await?;
    }
    Ok(migrated)
}

async fn insert(
    table: &str,
    names: &str,
    columns: &[Column],
    rows: &[AnyRow],
    to: &mut Writing,
) -> Result<u64, StoreError> {
    let width = columns.len();
    let values = bulk::rows(rows.len(), 1, width, |first| {
        let row: Vec<String> = (first..first + width).map(|n| format!("${n}")).collect();
        format!("({})", row.join(", "))
    });
    // What the migrations put there comes from the source as well.
    let over = match table {
        "bookkeeping" => "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        _ => "",
    };
    let statement = format!("INSERT INTO {table} ({names}) VALUES {values} {over}");
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for row in rows {
        for column in columns {
            query = if column.is_number {
                query.bind(row.maybe_number(&column.name)?)
            } else {
                query.bind(row.maybe_text(&column.name)?)
            };
        }
    }
    Ok(query.execute(to).await?.rows_affected())
}

async fn refuse_unless_empty(target: &mut Writing) -> Result<(), StoreError> {
    for table in TABLES.into_iter().filter(|table| *table != "bookkeeping") {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) AS rows_there FROM {table}"));
        let row = sqlx::query(count).fetch_one(&mut *target).await?;
        if row.number("rows_there")? > 0 {
            let advice = format!("its table {table} is not empty; name a database that is new");
            return Err(StoreError::unusable("to carry to", advice));
        }
    }
    Ok(())
}

/// A lease that has not ended, or a daemon that is connected. For a file the lock shows it, and leases are those of
/// processes that ended.
async fn refuse_where_in_use(
    dialect: Dialect,
    connection: &mut Writing,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(statement) = dialect.is_unused() else {
        return Ok(());
    };
    let unused = sqlx::query(statement).fetch_one(&mut *connection).await?;
    let leased = sqlx::query("SELECT COUNT(*) AS leases FROM firewall WHERE lease_until > $1")
        .bind(micros(now))
        .fetch_one(connection)
        .await?;
    if unused.number("unused")? == 1 && leased.number("leases")? == 0 {
        return Ok(());
    }
    let advice = "a renewd works with it; stop every one first, and wait two minutes after one that was killed";
    Err(StoreError::unusable("on the server", advice))
}

/// Every table, what is referred to before what refers to it.
pub(super) const TABLES: [&str; 12] = [
    "bookkeeping",
    "certificate",
    "served",
    "known_certificate",
    "firewall",
    "installed_ca_certificate",
    "renewal",
    "intent",
    "allowance",
    "order_slot",
    "history_checkpoint",
    "history",
];
