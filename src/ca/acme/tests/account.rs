//! The file of the account.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::clock::ManualClock;
use crate::failure::FailureKind;
use crate::random::SeededRandom;
use crate::secret::SecretSource;

fn env(seed: u64) -> Env {
    Env {
        clock: Arc::new(ManualClock::new(now())),
        random: Arc::new(SeededRandom::new(seed)),
    }
}

fn made(settings: &Settings) -> Account {
    Account::read_or_make(settings, &env(1)).unwrap()
}

fn read(settings: &Settings) -> Result<Option<Account>, Failure> {
    Account::read(settings, &env(3))
}

fn content(settings: &Settings) -> String {
    fs::read_to_string(&settings.account).unwrap()
}

/// A file as an older renewd wrote it, with a key in the clear; the key.
fn write_clear(settings: &Settings) -> String {
    let key = jws::AccountKey::generate().unwrap();
    let text = data_encoding::BASE64URL_NOPAD.encode(&key.to_pkcs8().unwrap());
    let directory = settings.directory.as_str();
    let url = "https://acme.example.com/account/7";
    let accounts = json!({ directory: { "url": url, "contact": settings.contact } });
    let written = json!({ "key": text, "accounts": accounts }).to_string();
    let random = SeededRandom::new(4);
    crate::private_file::create(&settings.account, written.as_bytes(), &random).unwrap();
    text
}

#[test]
fn the_key_is_on_the_disk_with_mode_0600_before_a_ca_receives_it() {
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
                let settings = &settings;
                scope.spawn(move || {
                    let account = Account::read_or_make(settings, &env(seed)).unwrap();
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
        .remember(&settings, url.to_owned(), &env(2))
        .unwrap();
    let account = made(&settings);
    assert_eq!(account.url(&settings.directory), Some(url));
    assert!(account.has_reported(&settings));
    settings.contact.push("night@example.com".to_owned());
    assert!(!account.has_reported(&settings));
    let staging: Url = "https://staging.example.com/directory".parse().unwrap();
    assert_eq!(account.url(&staging), None);
}

#[test]
fn a_file_that_others_can_read_or_that_is_broken_is_refused_without_a_word_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    made(&settings);
    fs::set_permissions(&settings.account, fs::Permissions::from_mode(0o640)).unwrap();
    let failure = read(&settings).unwrap_err();
    assert!(failure.detail.contains("chmod 600"), "{failure}");

    fs::set_permissions(&settings.account, fs::Permissions::from_mode(0o600)).unwrap();
    for content in [
        "s3cr3t",
        r#"{"key":"s3cr3t","accounts":{}}"#,
        r#"{"accounts":{"s3cr3t":{"url":"","contact":[]}}}"#,
    ] {
        fs::write(&settings.account, content).unwrap();
        let failure = read(&settings).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(
            failure.detail.contains("put it back from a backup"),
            "{failure}"
        );
        assert!(!failure.to_string().contains("s3cr3t"), "{failure}");
    }
}

#[test]
fn the_key_is_sealed_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let key = made(&settings).key.to_pkcs8().unwrap();
    let content = content(&settings);
    assert!(content.contains("\"sealed_key\": \"sealed-1:"), "{content}");
    for encoding in [
        data_encoding::BASE64,
        data_encoding::BASE64URL_NOPAD,
        data_encoding::HEXLOWER,
    ] {
        // From within the private number (RFC 5915), in each of the three ways in which base64 can fall.
        for start in 36..39 {
            let part = encoding.encode(&key[start..start + 24]);
            assert!(!content.contains(&part), "{part}");
        }
    }
}

#[test]
fn a_key_in_the_clear_is_sealed_at_its_first_use_and_stays_the_same_account() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let clear = write_clear(&settings);
    let key = read(&settings).unwrap().unwrap().key.key_authorization("t");
    assert!(
        content(&settings).contains(&clear),
        "a look changes nothing"
    );
    assert!(!folder.path().join("seal.key").exists());

    let account = made(&settings);
    assert_eq!(account.key.key_authorization("t"), key);
    assert!(!content(&settings).contains(&clear));
    assert!(content(&settings).contains("sealed-1:"));
    let account = made(&settings);
    assert_eq!(account.key.key_authorization("t"), key);
    assert!(account.has_reported(&settings));
    let mode = fs::metadata(&settings.account)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let files = fs::read_dir(folder.path().join("acme")).unwrap().count();
    assert_eq!(files, 1, "nothing in the clear is left beside it");
}

#[test]
fn a_key_in_the_clear_that_cannot_be_sealed_is_used_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let missing = SecretSource::File(folder.path().join("missing"));
    settings.sealing_key = seal::SealingKeyLocation::new(Some(missing), folder.path());
    let clear = write_clear(&settings);
    made(&settings);
    assert!(content(&settings).contains(&clear));
}

#[test]
fn without_its_sealing_key_an_account_is_neither_opened_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    made(&settings);
    let before = content(&settings);
    let seal_key = folder.path().join("seal.key");
    let former = fs::read(&seal_key).unwrap();
    let refused = |settings: &Settings, words: &str| {
        let failure = Account::read_or_make(settings, &env(5)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(failure.detail.contains(words), "{failure}");
        assert_eq!(content(settings), before);
    };
    fs::write(&seal_key, data_encoding::BASE64.encode(&[9; 32])).unwrap();
    refused(&settings, "put the former sealing key back");
    fs::remove_file(&seal_key).unwrap();
    refused(&settings, "put the former sealing key back");
    assert!(!seal_key.exists(), "no new one is made for it");
    let missing = SecretSource::File(folder.path().join("missing"));
    settings.sealing_key = seal::SealingKeyLocation::new(Some(missing), folder.path());
    refused(&settings, "missing");

    settings.sealing_key = seal::SealingKeyLocation::new(None, folder.path());
    let random = SeededRandom::new(6);
    crate::private_file::create(&seal_key, &former, &random).unwrap();
    made(&settings);
}

#[test]
fn a_sealing_key_that_moved_seals_the_account_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    let key = made(&settings).key.key_authorization("t");
    let moved = folder.path().join("credential");
    fs::write(&moved, data_encoding::BASE64.encode(&[7; 32])).unwrap();
    settings.sealing_key =
        seal::SealingKeyLocation::new(Some(SecretSource::File(moved)), folder.path());
    assert_eq!(made(&settings).key.key_authorization("t"), key);
    fs::remove_file(folder.path().join("seal.key")).unwrap();
    assert_eq!(made(&settings).key.key_authorization("t"), key);
}
