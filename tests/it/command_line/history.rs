//! `renewd history verify`: what it prints, and how it ends.

use std::sync::Arc;

use renewd::random::SystemRandom;
use renewd::seal::Sealer;
use renewd::store::{EventBatch, Store};
use serde_json::Value;
use sqlx::{Connection, Row, SqliteConnection};

use super::office::{Office, PASSWORD};

/// The head that the log of a run ends with.
fn reported_head(log: &str) -> String {
    let lines = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut heads = lines.filter(|line: &Value| line["event"] == "history_head");
    let head = heads.next_back().expect("the log contains no head");
    head["message"].as_str().unwrap().to_owned()
}

pub async fn meddle(office: &Office, statement: &'static str) {
    let url = format!("sqlite://{}", office.path("renewd.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_is_intact_until_it_is_tampered_with_and_its_head_is_in_the_log() {
    let office = Office::new().await;
    let run = office.renewd(&["run", "--once"]).with_code(0);
    let head = reported_head(&run.stderr);
    let whole = office.renewd(&["history", "verify", "--head", &head]);
    whole
        .with_code(0)
        .prints(&["unbroken", &format!("head {head}")]);

    meddle(&office, "UPDATE history SET at = at + 1 WHERE id = 3").await;
    let changed = office.renewd(&["history", "verify"]).with_code(1);
    changed.prints(&["BROKEN: event 3 does not fit", "2 events, 1..2"]);
    meddle(&office, "UPDATE history SET at = at - 1 WHERE id = 3").await;
    office.renewd(&["history", "verify"]).with_code(0);

    meddle(&office, "DELETE FROM history WHERE id > 4").await;
    meddle(
        &office,
        "UPDATE bookkeeping SET value = 4 WHERE name = 'last_event'",
    )
    .await;
    office.renewd(&["history", "verify"]).with_code(0);
    let cut = office.renewd(&["history", "verify", "--head", &head, "--json"]);
    let output = cut.with_code(1).json();
    assert_eq!(
        (&output["unbroken"], &output["events"]),
        (&Value::from(false), &Value::from(4))
    );
    assert_eq!(output["misfit"]["event"], 5);
}

/// Removes the oldest `events`, as `keep_history` does.
pub async fn remove_oldest(office: &Office, events: usize) {
    let url = format!("sqlite://{}", office.path("renewd.db").display());
    let store = Store::open(&url).await.unwrap();
    let sealer = Sealer::new(None, &office.path(""), Arc::new(SystemRandom));
    let mut past = store.history("hq-portal", 1000).await.unwrap();
    past.reverse();
    let (before, now) = (past[events].at, past.last().unwrap().at);
    let removed = store.remove_events(before, &sealer, now).await.unwrap();
    assert!(matches!(removed, EventBatch::Removed { .. }), "{removed:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_whose_oldest_events_were_removed_is_verified_from_the_checkpoint_on() {
    let office = Office::new().await;
    let run = office.renewd(&["run", "--once"]).with_code(0);
    let newest = reported_head(&run.stderr);
    let whole = office
        .renewd(&["history", "verify", "--json"])
        .with_code(0)
        .json();
    assert_eq!(whole["checkpoint"], Value::Null);
    let oldest = first_head(&office).await;
    remove_oldest(&office, 3).await;

    let found = office.renewd(&["history", "verify", "--head", &newest, "--json"]);
    let found = found.with_code(0).json();
    let last = found["checkpoint"]["event"].as_i64().unwrap();
    assert!(
        last >= 1 && found["checkpoint"]["verified"] == true,
        "{found}"
    );
    let kept = whole["events"].as_i64().unwrap() - last;
    assert_eq!(found["events"], Value::from(kept));
    let output = office.renewd(&["history", "verify"]).with_code(0);
    output.prints(&["unbroken", &format!("{}..", last + 1), "keep_history"]);

    let too_old = office.renewd(&["history", "verify", "--head", &oldest]);
    too_old.with_code(1).prints(&[
        "NOT PROVEN: event 1 of the given head",
        "give a newer head",
        "unbroken",
    ]);
    let too_old = office.renewd(&["history", "verify", "--head", &oldest, "--json"]);
    let output = too_old.with_code(1).json();
    assert_eq!(
        (&output["unbroken"], &output["head_removed"]),
        (&Value::from(true), &Value::from(true))
    );

    meddle(
        &office,
        "UPDATE history_checkpoint SET removed_at = removed_at + 1",
    )
    .await;
    let forged = office.renewd(&["history", "verify"]).with_code(1);
    forged.prints(&["BROKEN: the checkpoint"]);
}

/// The head as it was when the history had one event.
async fn first_head(office: &Office) -> String {
    let url = format!("sqlite://{}", office.path("renewd.db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let row = sqlx::query("SELECT '1:' || hash FROM history WHERE id = 1")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_head_and_a_missing_database_are_reported() {
    let office = Office::new().await;
    let wrong = office.renewd(&["history", "verify", "--head", "12"]);
    wrong.with_code(2).complains(&["history_head"]);
    let missing = office.renewd(&["history", "verify"]);
    missing.with_code(74).complains(&["there is no database"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_and_each_completed_renewal_logs_the_head_of_the_history() {
    let office = Office::new().await;
    office.write("hq.password", "mistyped\n");
    let failed = office.renewd(&["run", "--once"]).with_code(1);
    office.write("hq.password", &format!("{PASSWORD}\n"));
    office.renewd(&["renew", "hq-portal"]).with_code(0);
    let done = office.renewd(&["run", "--once"]).with_code(0);
    let mut output = 0;
    for line in failed.stderr.lines().chain(done.stderr.lines()) {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        if line["alert"] != true && line["event"] != "renewal_completed" {
            assert_eq!(line["history_head"], Value::Null, "{line}");
            continue;
        }
        let head = line["history_head"]
            .as_str()
            .unwrap_or_else(|| panic!("no head: {line}"));
        office
            .renewd(&["history", "verify", "--head", head])
            .with_code(0);
        output += 1;
    }
    assert!(output >= 2, "{failed:#?} {done:#?}");
}
