//! Writes about many certificates at once. One statement holds many rows, because one statement per row is an order of
//! magnitude slower. A full one is kept prepared; the last one has a length of its own each time.

use jiff::Timestamp;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyQueryResult;

use super::row::micros;
use super::{Configured, Decision, StoreError, Writing};

/// Inserts or changes `certificates`, which are then configured and probed at once. The due rules are asked at once of
/// those that are known; of a new one there is nothing to ask before something is seen.
pub(super) async fn write(
    connection: &mut Writing,
    certificates: &[&Configured],
    now: Timestamp,
) -> Result<(), StoreError> {
    for some in certificates.chunks(rows_per_statement(4)) {
        write_some(&mut *connection, some, now).await?;
    }
    Ok(())
}

async fn write_some(
    connection: &mut Writing,
    certificates: &[&Configured],
    now: Timestamp,
) -> Result<(), StoreError> {
    let row = |first| {
        let [name, firewall, ca, hash] = [first, first + 1, first + 2, first + 3];
        format!("(${name}, ${firewall}, ${ca}, ${hash}, 1, $1)")
    };
    let rows = rows(certificates.len(), 2, 4, row);
    let statement = AssertSqlSafe(format!("{UPSERT_HEAD} {rows} {UPSERT_TAIL}"));
    let mut query = sqlx::query(statement)
        .persistent(certificates.len() == rows_per_statement(4))
        .bind(micros(now));
    for certificate in certificates {
        query = query
            .bind(&*certificate.name)
            .bind(&*certificate.firewall)
            .bind(&*certificate.ca)
            .bind(&*certificate.hash);
    }
    all_written(&query.execute(connection).await?, certificates.len())
}

/// Stores `decisions`, each only where its certificate is to be decided about as it was when the decision was made.
pub(super) async fn decide(
    connection: &mut Writing,
    decisions: &[Decision<'_>],
) -> Result<(), StoreError> {
    for some in decisions.chunks(rows_per_statement(4)) {
        decide_some(&mut *connection, some).await?;
    }
    Ok(())
}

async fn decide_some(
    connection: &mut Writing,
    decisions: &[Decision<'_>],
) -> Result<(), StoreError> {
    let statement = AssertSqlSafe(record_decisions_statement(decisions.len()));
    let mut query = sqlx::query(statement).persistent(decisions.len() == rows_per_statement(4));
    for decision in decisions {
        query = query
            .bind(decision.name)
            .bind(micros(decision.due_check_at))
            .bind(decision.decision)
            .bind(decision.was_due_at.map_or(0, micros));
    }
    query.execute(connection).await?;
    Ok(())
}

pub(super) fn record_decisions_statement(decisions: usize) -> String {
    let row = |first| {
        let (second, third, fourth) = (first + 1, first + 2, first + 3);
        format!("(${first}, ${second}, ${third}, ${fourth})")
    };
    let rows = rows(decisions, 1, 4, row);
    format!("{DECIDE_HEAD} {rows} {DECIDE_TAIL}")
}

/// The rows of VALUES: only the numbers of parameters, beginning with `first`, `columns` for each row.
pub(super) fn rows(
    count: usize,
    first: usize,
    columns: usize,
    row: impl Fn(usize) -> String,
) -> String {
    let rows: Vec<String> = (0..count).map(|n| row(first + n * columns)).collect();
    rows.join(", ")
}

fn all_written(done: &AnyQueryResult, expected: usize) -> Result<(), StoreError> {
    let written = done.rows_affected();
    if usize::try_from(written) == Ok(expected) {
        return Ok(());
    }
    let what =
        format!("of {expected} certificates only {written} are in the inventory, each named once");
    Err(StoreError::broken(what))
}

/// How many rows of so many parameters make a full statement.
pub(super) const fn rows_per_statement(parameters: usize) -> usize {
    PARAMETERS / parameters
}

/// Few, because SQLite looks for the name of a parameter among all of them: the work grows with the square of this.
const PARAMETERS: usize = 128;

/// Has a renewal that is open?
macro_rules! is_open {
    () => {
        "EXISTS (SELECT 1 FROM renewal r WHERE r.certificate = certificate.name AND r.ended_at IS NULL)"
    };
}
pub(super) use is_open;

/// The due rules are to be asked at that time: of something new, so that what was decided before is not stored any more.
/// It never is the time that was stored before, by which a decision is known; one microsecond earlier is due as well.
macro_rules! check_again {
    ($at:literal) => {
        concat!(
            "CASE WHEN certificate.due_check_at = ",
            $at,
            " THEN ",
            $at,
            " - 1 ELSE ",
            $at,
            " END"
        )
    };
}
pub(super) use check_again;

const UPSERT_HEAD: &str =
    "INSERT INTO certificate (name, firewall, ca, hash, configured, probe_at) VALUES";

const UPSERT_TAIL: &str = concat!(
    "ON CONFLICT (name) DO UPDATE SET firewall = excluded.firewall, ca = excluded.ca, hash = excluded.hash, \
     configured = 1, probe_at = excluded.probe_at, due_check_at = CASE WHEN ",
    is_open!(),
    " THEN NULL ELSE ",
    check_again!("$1"),
    " END"
);

const DECIDE_HEAD: &str = concat!(
    "UPDATE certificate SET decision = d.column3, due_check_at = CASE WHEN ",
    is_open!(),
    " THEN NULL ELSE d.column2 END FROM (VALUES"
);

/// Both databases give the columns of VALUES these names.
const DECIDE_TAIL: &str = ") AS d WHERE certificate.name = d.column1 \
     AND COALESCE(certificate.due_check_at, 0) = d.column4";
