//! A database of every released renewd is brought up to date, and everything in it is there.

use std::fs;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::*;
use crate::inventory::{Standstill, WaitReason};
use crate::store::location::Location;
use crate::store::migrations;

#[tokio::test]
async fn a_database_of_every_released_renewd_is_brought_up_to_date() {
    for schema in 1..=RELEASED {
        let home = home();
        write_old(&home, schema).await;
        let store = Store::open(&url(&home)).await.unwrap();
        let portal = store.certificate("portal").await.unwrap().unwrap();
        assert_eq!(portal.current.unwrap().not_after, at(1_000_000));
        assert_eq!(store.certificates().await.unwrap().len(), 1);
        let id = RenewalId("270115-abcdef".to_owned());
        let renewal = store.renewal(&id).await.unwrap().unwrap();
        assert_eq!((renewal.state, renewal.attempts), (State::Submitted, 2));
        let obtained = renewal.obtained;
        assert_eq!(obtained.ca_reference.as_deref(), Some("order-1"));
        assert_eq!(obtained.sealed_key.is_some(), schema >= 3);
        let intent = store.intent(&id, "import").await.unwrap().unwrap();
        assert_eq!((intent.tries, intent.tried_at), (1, at(15)));
        let orders = store.orders_since("office", "submit", at(0)).await.unwrap();
        assert_eq!(orders, 1, "what was ordered counts in a budget");
        let firewall = store.firewall("hq").await.unwrap();
        assert_eq!((firewall.refused_logins, firewall.pins.len()), (1, 1));
        assert_eq!(firewall.pins_code.as_deref(), Some("former"));
        assert_eq!(store.former_pins().await.unwrap().len(), 1);
        assert!(claim(&store, "us", 59).await.is_none(), "the lease holds");
        assert!(claim(&store, "us", 60).await.unwrap().follows_lost);
        let event = crate::event::Event::of_certificate(
            crate::event::EventKind::RenewalRequested,
            &Arc::from("portal"),
        );
        store.record(&[event], at(60)).await.unwrap();
        let past = store.history("portal", 9).await.unwrap();
        let ids: Vec<i64> = past.iter().map(|event| event.id).collect();
        assert_eq!(ids, [3, 2, 1], "schema {schema}");
        store.close().await;
    }
}

#[tokio::test]
async fn states_and_reasons_get_their_new_names() {
    use WaitReason as Wait;
    for (state, kind, reached, wait) in [
        ("bound", "proof", State::Bound, Some(Wait::Verification)),
        (
            "unproven",
            "proof_of_previous",
            State::VerificationFailed,
            Some(Wait::RollbackVerification),
        ),
        (
            "submitted",
            "overdue_issuance",
            State::Submitted,
            Some(Wait::IssuanceOverdue),
        ),
        (
            "csr_exported",
            "order_settling",
            State::CsrExported,
            Some(Wait::OrderLookup),
        ),
        (
            "imported",
            "lost_answer",
            State::Imported,
            Some(Wait::ConfirmingBind),
        ),
        ("issued", "approval", State::Issued, Some(Wait::Approval)),
        ("abandoned", "refused", State::Failed, None),
        (
            "abandoned",
            "left_configuration",
            State::Cancelled,
            Some(Wait::LeftConfiguration),
        ),
    ] {
        let rows = format!("UPDATE renewal SET state = '{state}', last_error_kind = '{kind}'");
        let (store, _home) = upgraded_with(RELEASED, &rows).await;
        let id = RenewalId("270115-abcdef".to_owned());
        let renewal = store.renewal(&id).await.unwrap().unwrap();
        assert_eq!(renewal.state, reached, "{state}");
        let waits = renewal
            .standstill()
            .and_then(|standstill| match standstill {
                Standstill::Waits(reason) => Some(reason),
                _ => None,
            });
        assert_eq!(waits, wait, "{kind}");
        store.close().await;
    }
}

#[tokio::test]
async fn reported_conditions_get_their_new_names() {
    for (old, condition) in [
        ("unseen_once", ReportedCondition::UnreachableOnce),
        ("unseen", ReportedCondition::Unreachable),
        ("not_yet_valid", ReportedCondition::NotYetValid),
        ("ending", ReportedCondition::Expiring),
        ("ended", ReportedCondition::Expired),
    ] {
        let rows = format!("UPDATE certificate SET told = '{old}' WHERE name = 'portal'");
        let (store, _home) = upgraded_with(RELEASED, &rows).await;
        let portal = store.certificate("portal").await.unwrap().unwrap();
        assert_eq!(portal.reported_condition, Some(condition), "{old}");
        store.close().await;
    }
}

/// An event keeps the name under which it was stored: its hash is over its text.
#[tokio::test]
async fn the_history_of_every_released_renewd_is_unbroken_after_the_upgrade() {
    for schema in 1..=RELEASED {
        let home = home();
        write_old(&home, schema).await;
        let sealer = sealer(Path::new("/nowhere"));
        let store = Store::open(&url(&home)).await.unwrap();
        let verdict = store.verify_history(None, &sealer).await.unwrap();
        assert_eq!(
            (verdict.misfit, verdict.events),
            (None, 2),
            "schema {schema}"
        );
        store.close().await;
    }
    let rows = "UPDATE bookkeeping SET value = 3 WHERE name = 'last_event'; \
                INSERT INTO history (id, at, name, level, certificate, fields) VALUES \
                (3, 1800000000000001, 'certificate_drifted', 'alert', 'portal', '{}')";
    let (store, _home) = upgraded_with(3, rows).await;
    let sealer = sealer(Path::new("/nowhere"));
    let verdict = store.verify_history(None, &sealer).await.unwrap();
    assert_eq!((verdict.misfit, verdict.events), (None, 3));
    let past = store.history("portal", 1).await.unwrap();
    assert_eq!(past[0].name, "certificate_drifted");
    store.close().await;
}

/// A renewal between the bind and the proof has no code for its pin, and one that has bound nothing needs none.
#[tokio::test]
async fn a_renewal_that_was_bound_before_the_upgrade_is_marked_for_its_pin() {
    for (state, intent, is_marked) in [
        ("issued", "bind", false),
        ("imported", "import", false),
        ("imported", "bind", true),
        ("bound", "import", true),
        ("unproven", "import", true),
        ("verified", "import", true),
        ("completed", "import", false),
    ] {
        let home = home();
        write_old(&home, RELEASED).await;
        let mut connection = connect(&home).await;
        let print = "ab".repeat(32);
        let ended = if state == "completed" { "1" } else { "NULL" };
        let rows = format!(
            "UPDATE renewal SET state = '{state}', fingerprint = '{print}', ended_at = {ended}; \
             UPDATE intent SET step = '{intent}' WHERE closed_at IS NULL"
        );
        connection.execute(AssertSqlSafe(rows)).await.unwrap();
        connection.close().await.unwrap();
        let store = Store::open(&url(&home)).await.unwrap();
        let pending = store.former_pending().await.unwrap();
        assert_eq!(pending.len(), usize::from(is_marked), "{state} {intent}");
        if let Some(pin) = pending.first() {
            let pin_is = Some(("trust", "code"));
            let settled = store.settle_former_pending(&pin.renewal, pin_is, &[], at(1));
            settled.await.unwrap();
            assert!(store.former_pending().await.unwrap().is_empty());
            let pins = store.pending_pins("hq").await.unwrap();
            assert_eq!((&*pins[0].trust, &*pins[0].code), ("trust", "code"));
        }
        store.close().await;
    }
}

#[tokio::test]
async fn who_only_reads_leaves_an_older_database_as_it_is_and_cannot_write_in_a_present_one() {
    let home = home();
    write_old(&home, RELEASED).await;
    for _ in 0..2 {
        let refused = Store::open_to_read(&url(&home), None).await.unwrap_err();
        let words = refused.to_string();
        assert!(words.contains("restart the daemon"), "{words}");
    }
    Store::open(&url(&home)).await.unwrap().close().await;
    let store = Store::open_to_read(&url(&home), None).await.unwrap();
    assert_eq!(store.certificates().await.unwrap().len(), 1);
    assert!(store.write_probe(at(0)).await.is_err());
    store.close().await;

    let ours = Store::open(&url(&home)).await.unwrap();
    meddle(
        &ours,
        "UPDATE _sqlx_migrations SET version = 99 WHERE version = 5",
    )
    .await;
    ours.close().await;
    let newer = Store::open_to_read(&url(&home), None).await.unwrap_err();
    assert!(newer.to_string().contains("a newer renewd"), "{newer}");
}

#[test]
fn a_released_migration_is_never_changed() {
    for (version, _, sql) in &migrations::EMBEDDED[..RELEASED_FILES.len()] {
        let file = RELEASED_FILES[usize::try_from(*version).unwrap() - 1];
        let hash = Fingerprint::of(sql.as_bytes()).to_string();
        assert!(
            hash.starts_with(file),
            "migration {version} is released: write a new one instead ({hash})"
        );
    }
}

async fn connect(home: &Home) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let location = Location::of(&url(home), None).unwrap();
    location.prepare().unwrap();
    let options = AnyConnectOptions::from_url(location.url()).unwrap();
    AnyConnection::connect_with(&options).await.unwrap()
}

/// Makes a database as a renewd left it that knew the first `schema` migrations.
pub(super) async fn write_old(home: &Home, schema: i64) {
    let mut connection = connect(home).await;
    let migrator = migrations::migrator();
    let done = migrator.run_direct(Some(schema), &mut connection, false);
    done.await.unwrap();
    let file = format!("{}/tests/schemas/{schema}.sql", env!("CARGO_MANIFEST_DIR"));
    let rows = fs::read_to_string(file).unwrap();
    connection.execute(AssertSqlSafe(rows)).await.unwrap();
    connection.close().await.unwrap();
}

/// A database as a renewd left it that knew the first `schema` migrations, with `rows`, brought up to date.
async fn upgraded_with(schema: i64, rows: &str) -> (Store, Home) {
    let home = home();
    write_old(&home, schema).await;
    let mut connection = connect(&home).await;
    let rows = AssertSqlSafe(rows.to_owned());
    connection.execute(rows).await.unwrap();
    connection.close().await.unwrap();
    (Store::open(&url(&home)).await.unwrap(), home)
}

/// How many migrations were released.
const RELEASED: i64 = 4;

/// What the SHA-256 of each released file begins with.
const RELEASED_FILES: [&str; 4] = [
    "35c5a8c864462f4f",
    "3cf7c5b94e9a71c6",
    "2cea27b40b64731c",
    "d3cfbcc99c04dabc",
];
