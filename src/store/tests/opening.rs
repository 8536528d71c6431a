//! Opening: permissions, damage, strangers, other versions.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::store::location;

#[tokio::test]
async fn a_new_database_and_its_folder_belong_to_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("state/renewd");
    let file = inner.join("renewd.db");
    let store = Store::open(&format!("sqlite://{}", file.display()))
        .await
        .unwrap();
    store.write_probe(at(0)).await.unwrap();
    assert_eq!(mode(&inner), 0o700);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&inner.join("renewd.db-wal")), 0o600);
    assert_eq!(mode(&inner.join("renewd.db-shm")), 0o600);
    store.close().await;
    assert!(!inner.join("renewd.db-wal").exists());
}

#[tokio::test]
async fn a_database_that_others_could_read_is_taken_away_from_them() {
    let (store, folder) = store().await;
    store.close().await;
    let file = folder.path().join("renewd.db");
    fs::set_permissions(&file, Permissions::from_mode(0o664)).unwrap();
    let _store = Store::open(&url(&folder)).await.unwrap();
    assert_eq!(mode(&file), 0o600);
}

#[tokio::test]
async fn commits_are_durable_and_readers_do_not_wait() {
    let (store, _folder) = store().await;
    for (pragma, wanted) in [
        ("SELECT * FROM pragma_synchronous", 2),
        ("SELECT * FROM pragma_foreign_keys", 1),
        ("SELECT * FROM pragma_busy_timeout", 10_000),
    ] {
        for pool in [&store.writer, &store.reader] {
            let value: i64 = sqlx::query_scalar(pragma).fetch_one(pool).await.unwrap();
            assert_eq!(value, wanted, "{pragma}");
        }
    }
    let mode: String = sqlx::query_scalar("SELECT * FROM pragma_journal_mode")
        .fetch_one(&store.reader)
        .await
        .unwrap();
    assert_eq!(mode, "wal");

    let writing = store.begin().await.unwrap();
    assert_eq!(store.certificates().await.unwrap().len(), 0);
    drop(writing);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = home();
    let file = folder.path().join("renewd.db");
    let garbage = b"this is a letter to a friend, and not a database at all\n".repeat(100);
    fs::write(&file, &garbage).unwrap();
    match Store::open(&url(&folder)).await {
        Err(StoreError::Corrupt { evidence, advice }) => {
            assert!(evidence.contains("not a database"), "{evidence}");
            assert!(advice.contains("backup"), "{advice}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(&file).unwrap(), garbage);
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let (store, folder) = store().await;
    let many: Vec<_> = (0..500)
        .map(|n| configured(&format!("c{n}"), "hq", "1"))
        .collect();
    store.sync_inventory(&many, at(0)).await.unwrap();
    store.maintain().await.unwrap();
    store.close().await;

    let file = folder.path().join("renewd.db");
    let mut bytes = fs::read(&file).unwrap();
    let last_page = bytes.len() - 4096;
    bytes[last_page..].fill(0xa5);
    fs::write(&file, &bytes).unwrap();
    let refused = Store::open(&url(&folder)).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[tokio::test]
async fn damage_to_an_open_database_is_found_by_the_upkeep() {
    let (store, folder) = store().await;
    let many: Vec<_> = (0..500)
        .map(|n| configured(&format!("c{n}"), "hq", "1"))
        .collect();
    store.sync_inventory(&many, at(0)).await.unwrap();
    store.close().await;
    let store = Store::open(&url(&folder)).await.unwrap();
    let file = folder.path().join("renewd.db");
    let mut bytes = fs::read(&file).unwrap();
    let last_page = bytes.len() - 4096;
    bytes[last_page..].fill(0xa5);
    fs::write(&file, bytes).unwrap();
    let found = store.maintain().await;
    assert!(
        matches!(found, Err(StoreError::Corrupt { .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn an_emptied_database_is_refused_before_its_log_is_deleted() {
    let (store, folder) = store().await;
    store.write_probe(at(0)).await.unwrap();
    let wal = folder.path().join("renewd.db-wal");
    let log = fs::read(&wal).unwrap();
    store.close().await;
    fs::write(folder.path().join("renewd.db"), "").unwrap();
    fs::write(&wal, &log).unwrap();
    let refused = Store::open(&url(&folder)).await;
    assert!(
        matches!(refused, Err(StoreError::Corrupt { .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read(&wal).unwrap(), log);
}

#[tokio::test]
async fn a_database_of_a_newer_renewd_is_refused_and_left_as_it_is() {
    let (store, folder) = store().await;
    meddle(
        &store,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', 1, x'00', 1)",
    )
    .await;
    store.close().await;
    let before = fs::read(folder.path().join("renewd.db")).unwrap();
    let refused = Store::open(&url(&folder)).await;
    assert!(matches!(refused, Err(StoreError::Newer)), "{refused:?}");
    assert_eq!(fs::read(folder.path().join("renewd.db")).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let (store, folder) = store().await;
    meddle(&store, "DROP TABLE _sqlx_migrations").await;
    store.close().await;
    let before = fs::read(folder.path().join("renewd.db")).unwrap();
    match Store::open(&url(&folder)).await {
        Err(StoreError::Unusable { advice, .. }) => assert!(advice.contains("another program")),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(folder.path().join("renewd.db")).unwrap(), before);
}

#[tokio::test]
async fn a_location_that_cannot_be_used_is_reported_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for (path, wanted) in [
        ("file/renewd.db", "cannot be created"),
        ("folder", "must be a file"),
    ] {
        let url = format!("sqlite://{}/{path}", folder.path().display());
        match Store::open(&url).await {
            Err(StoreError::Unusable { location, advice }) => {
                assert!(
                    location.starts_with(folder.path().to_str().unwrap()),
                    "{location}"
                );
                assert!(advice.contains(wanted), "{advice}");
            }
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_turned_read_only_is_reported_with_advice() {
    let (store, _folder) = store().await;
    meddle(&store, "PRAGMA query_only = ON").await;
    match store.write_probe(at(0)).await {
        Err(error @ StoreError::Unusable { .. }) => {
            let reported = error.at("/here/renewd.db").to_string();
            assert!(
                reported.contains("/here/renewd.db") && reported.contains("readonly"),
                "{reported}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_address_that_is_not_understood_is_refused_without_repeating_a_password() {
    for url in [
        "/var/lib/renewd/renewd.db",
        "sqlite://renewd.db",
        "sqlite:///var/lib/renewd/",
        "sqlite:///var/lib/renewd.db?mode=ro",
        "",
    ] {
        match location::path_of(url) {
            Err(error @ StoreError::Unusable { .. }) => {
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
            other => panic!("{url}: {other:?}"),
        }
    }
    let (_, path) = location::path_of("sqlite:///var/lib/a%20b%3F/renewd.db").unwrap();
    assert_eq!(path, Path::new("/var/lib/a b?/renewd.db"));
}

#[tokio::test]
async fn an_unusual_path_works() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/a%20b%3Fc%23d.db", folder.path().display());
    let store = Store::open(&url).await.unwrap();
    store.write_probe(at(0)).await.unwrap();
    assert!(folder.path().join("a b?c#d.db").exists());
}

#[tokio::test]
async fn a_locked_database_is_busy_when_opened_and_when_written() {
    let (holder, folder) = store().await;
    let impatient = Duration::from_millis(1);
    let other = Store::open_waiting(&url(&folder), None, impatient, crate::store::Access::Write)
        .await
        .unwrap();
    let lock = holder.begin().await.unwrap();
    let written = other.write_probe(at(0)).await;
    assert!(matches!(written, Err(StoreError::Busy)), "{written:?}");
    let opened =
        Store::open_waiting(&url(&folder), None, impatient, crate::store::Access::Write).await;
    assert!(matches!(opened, Err(StoreError::Busy)), "{opened:?}");
    // Dropped, it would end only later.
    lock.commit().await.unwrap();
    other.write_probe(at(0)).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_sqlite_itself_rolled_back_does_not_end_all_writing() {
    let (store, _folder) = store().await;
    let mut transaction = store.begin().await.unwrap();
    sqlx::query("ROLLBACK")
        .execute(&mut transaction)
        .await
        .unwrap();
    drop(transaction);
    store.write_probe(at(0)).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_reported_and_nothing_is_half_stored() {
    let (store, _folder) = store().await;
    meddle(&store, "PRAGMA max_page_count = 1").await;
    let many: Vec<_> = (0..2000)
        .map(|n| configured(&format!("c{n}"), "hq", "1"))
        .collect();
    let stored = store.sync_inventory(&many, at(0)).await;
    assert!(matches!(stored, Err(StoreError::Full)), "{stored:?}");
    assert!(store.certificates().await.unwrap().is_empty());
    meddle(&store, "PRAGMA max_page_count = 1000000").await;
    store.sync_inventory(&many, at(0)).await.unwrap();
    assert_eq!(store.certificates().await.unwrap().len(), 2000);
}

#[test]
fn every_migration_file_is_embedded() {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let is_sql = |path: std::path::PathBuf| path.extension().is_some_and(|kind| kind == "sql");
    let files = files.filter(|file| is_sql(file.as_ref().unwrap().path()));
    assert_eq!(files.count(), crate::store::migrations::EMBEDDED.len());
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
