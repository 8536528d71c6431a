//! Copying: what is in the copy, and that the original does not notice.

use std::collections::BTreeSet;
use std::fs;

use super::*;

fn files(folder: &Home) -> BTreeSet<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_copy_holds_what_was_committed_and_goes_its_own_way() {
    let (store, folder) = store_with_portal().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("copy.db");
    // While the original is open, with what is in its write-ahead log alone.
    assert!(Store::copy(&url(&folder), None, &file).await.unwrap());
    let url = format!("sqlite://{}", file.display());
    let copy = Store::open(&url).await.unwrap();
    assert!(copy.certificate("portal").await.unwrap().is_some());
    copy.plan(&renewal("r1", "portal", "hq"), &[])
        .await
        .unwrap();
    assert_eq!(copy.open_renewals().await.unwrap().len(), 1);
    assert_eq!(store.open_renewals().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_database_that_is_not_in_use_is_left_as_it_was() {
    let (store, folder) = store_with_portal().await;
    store.close().await;
    let (before, bytes) = (files(&folder), fs::read(folder.path().join("renewd.db")));
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("copy.db");
    assert!(Store::copy(&url(&folder), None, &file).await.unwrap());
    assert_eq!(files(&folder), before);
    let after = fs::read(folder.path().join("renewd.db"));
    assert_eq!(after.unwrap(), bytes.unwrap());
}

#[tokio::test]
async fn where_there_is_no_database_none_is_made() {
    let folder = home();
    let file = folder.path().join("copy.db");
    assert!(!Store::copy(&url(&folder), None, &file).await.unwrap());
    assert_eq!(files(&folder), BTreeSet::new());
}
