//! From a file to a server and back: every row is there, and nothing is copied while a daemon uses either.

use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::*;
use crate::store::migrate::{TABLES, columns};
use crate::store::row::Columns;
use crate::store::{KnownCertificate, commit, migrate};

/// Every row of every table, as text.
async fn everything(store: &Store) -> Vec<String> {
    let mut session = store.begin().await.unwrap();
    let mut reported = Vec::new();
    for table in TABLES {
        let known = columns(store.dialect, &mut session, table).await.unwrap();
        assert!(!known.is_empty(), "{table}");
        let all = sqlx::query(AssertSqlSafe(format!("SELECT * FROM {table}")));
        let rows: Vec<_> = all.fetch(&mut session).try_collect().await.unwrap();
        for row in rows {
            let mut words = table.to_owned();
            for column in &known {
                let value = if column.is_number {
                    format!("{:?}", row.maybe_number(&column.name).unwrap())
                } else {
                    format!("{:?}", row.maybe_text(&column.name).unwrap())
                };
                words.extend([" ", &column.name, "=", &value]);
            }
            reported.push(words);
        }
    }
    commit(session).await.unwrap();
    reported.sort();
    reported
}

/// A store with rows in every table, some of them many.
async fn filled(home: &Home) -> Store {
    upgrades::write_old(home, 3).await;
    let store = Store::open(&url(home)).await.unwrap();
    let fleet: Vec<_> = (0..300)
        .map(|n| configured(&format!("c{n}"), &format!("f{n}"), "1"))
        .collect();
    store.sync_inventory(&fleet, at(0)).await.unwrap();
    let seen = current("pem", 9);
    let known = KnownCertificate {
        fingerprint: seen.fingerprint,
        is_adopted: true,
        known_at: at(0),
        code: "code".to_owned(),
        is_reported: false,
    };
    store.adopt("c1", &known, &[], at(0)).await.unwrap();
    record_probe(&store, "c1", Some(&seen), None, at(5), None, &[], at(1))
        .await
        .unwrap();
    meddle(
        &store,
        "INSERT INTO history_checkpoint (event, hash, removed, removed_at, code) VALUES (0, 'ab', 0, 1, 'mac-1:')",
    )
    .await;
    let installed = "INSERT INTO installed_ca_certificate (firewall, fingerprint, installed_at) \
         SELECT MIN(name), 'ab', 7 FROM firewall";
    sqlx::query(installed).execute(&store.writer).await.unwrap();
    store
}

#[tokio::test]
async fn from_a_file_to_a_server_and_back_every_row_is_the_same() {
    let Home::Server(there) = a_server() else {
        return;
    };
    let (first, last) = (a_folder(), a_folder());
    let file = filled(&first).await;
    let before = everything(&file).await;
    for table in TABLES {
        assert!(before.iter().any(|row| row.starts_with(table)), "{table}");
    }
    let server = Store::open(&there).await.unwrap();
    let migrated = migrate(&file, &server, at(70)).await.unwrap();
    assert_eq!(
        migrated.0.iter().map(|(_, rows)| rows).sum::<u64>(),
        before.len() as u64
    );
    assert_eq!(everything(&server).await, before);
    let back = Store::open(&url(&last)).await.unwrap();
    migrate(&server, &back, at(70)).await.unwrap();
    assert_eq!(everything(&back).await, before);
}

#[tokio::test]
async fn a_target_that_holds_something_is_refused_and_left_as_it_is() {
    let Home::Server(there) = a_server() else {
        return;
    };
    let file = filled(&a_folder()).await;
    let server = Store::open(&there).await.unwrap();
    server
        .sync_inventory(&[configured("own", "hq", "1")], at(0))
        .await
        .unwrap();
    let before = everything(&server).await;
    let refused = migrate(&file, &server, at(70)).await;
    assert!(
        matches!(refused, Err(StoreError::Unusable { .. })),
        "{refused:?}"
    );
    assert_eq!(everything(&server).await, before);
}

#[tokio::test]
async fn nothing_is_carried_from_a_server_while_a_daemon_works_or_listens_there() {
    let Home::Server(there) = a_server() else {
        return;
    };
    let server = filled(&Home::Server(there)).await;
    let target = a_folder();
    let file = Store::open(&url(&target)).await.unwrap();
    let leased = migrate(&server, &file, at(59)).await;
    assert!(
        matches!(leased, Err(StoreError::Unusable { .. })),
        "{leased:?}"
    );
    let daemon = server.listen("them").await.unwrap().unwrap();
    let listening = migrate(&server, &file, at(70)).await;
    assert!(
        matches!(listening, Err(StoreError::Unusable { .. })),
        "{listening:?}"
    );
    drop(daemon);
    server.close().await;
}

#[tokio::test]
async fn a_copy_of_a_server_for_a_dry_run_holds_everything_and_disturbs_no_daemon() {
    let Home::Server(there) = a_server() else {
        return;
    };
    let server = filled(&Home::Server(there.clone())).await;
    let before = everything(&server).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("copy.db");
    let writing = server.begin().await.unwrap();
    assert!(Store::copy(&there, None, &file).await.unwrap());
    commit(writing).await.unwrap();
    let copy = Store::open(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    assert_eq!(everything(&copy).await, before);
    assert_eq!(everything(&server).await, before);
}
