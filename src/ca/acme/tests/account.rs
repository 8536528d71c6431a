//! The file of the account.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::random::SeededRandom;

fn made(settings: &Settings) -> Account {
    Account::read_or_make(&settings.account, &SeededRandom::new(1)).unwrap()
}

#[test]
fn the_key_is_on_the_disk_and_nobody_elses_before_any_ca_hears_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let key = made(&settings).key.key_authorization("t");
    let mode = fs::metadata(&settings.account)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(made(&settings).key.key_authorization("t"), key, "kept");
    let files = fs::read_dir(folder.path().join("acme")).unwrap().count();
    assert_eq!(files, 1, "no half-written file is left beside it");
}

#[test]
fn of_two_that_make_it_at_once_both_get_the_first_ones_key() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let keys: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|seed| {
                let path = &settings.account;
                scope.spawn(move || {
                    let random = SeededRandom::new(seed);
                    let account = Account::read_or_make(path, &random).unwrap();
                    account.key.key_authorization("t")
                })
            })
            .collect();
        threads.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[test]
fn an_account_belongs_to_its_directory_and_a_changed_contact_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let url = "https://acme.example.com/account/7";
    made(&settings)
        .remember(&settings, url.to_owned(), &SeededRandom::new(2))
        .unwrap();
    let account = made(&settings);
    assert_eq!(account.url(&settings.directory), Some(url));
    assert!(account.has_told(&settings));
    settings.contact.push("night@example.com".to_owned());
    assert!(!account.has_told(&settings));
    let staging: Url = "https://staging.example.com/directory".parse().unwrap();
    assert_eq!(account.url(&staging), None);
}

#[test]
fn a_file_that_others_can_read_or_that_is_broken_is_refused_without_a_word_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    made(&settings);
    fs::set_permissions(&settings.account, fs::Permissions::from_mode(0o640)).unwrap();
    let failure = Account::read(&settings.account).unwrap_err();
    assert!(failure.detail.contains("chmod 600"), "{failure}");

    fs::set_permissions(&settings.account, fs::Permissions::from_mode(0o600)).unwrap();
    for content in ["s3cr3t", r#"{"key":"s3cr3t","accounts":{}}"#] {
        fs::write(&settings.account, content).unwrap();
        let failure = Account::read(&settings.account).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(
            failure.detail.contains("put it back from a backup"),
            "{failure}"
        );
        assert!(!failure.to_string().contains("s3cr3t"), "{failure}");
    }
}
