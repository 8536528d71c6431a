//! The files of the local CA: made, read, and refused when they are open or do not fit.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[tokio::test]
async fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
    let setup = Setup::new();
    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&setup.settings.key, open).unwrap();
    let (kind, words) = setup.issue(good_csr()).await.unwrap_err();
    assert_eq!(kind, FailureKind::Local);
    let help = format!("(mode 0640): chmod 0600 {}", setup.settings.key.display());
    assert!(words.ends_with(&help), "{words}");
}

#[tokio::test]
async fn files_that_do_not_fit_are_named() {
    let setup = Setup::new();
    let pem = KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(&setup.settings.key, &pem).unwrap();
    let (kind, words) = setup.issue(good_csr()).await.unwrap_err();
    assert_eq!(kind, FailureKind::Local);
    assert!(
        words.contains("ca.key does not belong to the first certificate in"),
        "{words}"
    );

    std::fs::write(&setup.settings.key, &pem[..80]).unwrap();
    let (_, words) = setup.issue(good_csr()).await.unwrap_err();
    assert!(
        words.ends_with("the private key in line 1 cannot be read"),
        "{words}"
    );

    std::fs::write(&setup.settings.certificate, "").unwrap();
    let (_, words) = setup.issue(good_csr()).await.unwrap_err();
    assert!(
        words.ends_with("ca.pem: it holds no BEGIN CERTIFICATE"),
        "{words}"
    );
}

#[test]
fn parameters_of_the_curve_before_the_key_do_not_hide_it() {
    let setup = Setup::without_ca();
    let key = include_bytes!("../../../pki/tests/cases/ecparam.key");
    let certificate = include_bytes!("../../../pki/tests/cases/ecparam.pem");
    std::fs::write(&setup.settings.certificate, certificate).unwrap();
    std::fs::write(&setup.settings.key, key).unwrap();
    let closed = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&setup.settings.key, closed).unwrap();
    super::super::authority::Authority::load(&setup.settings).unwrap();
}

#[tokio::test]
async fn a_ca_whose_name_rcgen_cannot_repeat_is_refused_instead_of_signing_a_wrong_issuer() {
    let setup = Setup::without_ca();
    let made = openssl(
        setup.folder.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/DC=com/DC=example/CN=AD CA",
            "-days",
            "9000",
        ],
    );
    if made.is_none() {
        return;
    }
    let pem = std::fs::read_to_string(&setup.settings.certificate).unwrap();
    setup
        .clock
        .set(Certificate::from_pem(&pem).unwrap().not_before);
    let (kind, words) = setup.issue(good_csr()).await.unwrap_err();
    assert_eq!(kind, FailureKind::Local);
    assert!(
        words.contains("(CN=AD CA,DC=example,DC=com) repeats an attribute"),
        "{words}"
    );
}

#[tokio::test]
async fn the_check_tells_what_the_ca_is_and_changes_nothing() {
    let setup = Setup::new();
    let facts = || async { setup.ca().check().await.unwrap() };
    let expected = |issued: &str| {
        [
            ("subject", "CN=Office CA"),
            ("key", "ECDSA P-256"),
            ("days left", "3650"),
            ("issued", issued),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    assert_eq!(facts().await, expected("0"));
    assert!(!setup.settings.issued.exists());
    setup.issue(good_csr()).await.unwrap();
    assert_eq!(facts().await, expected("1"));
}

#[test]
fn a_new_ca_has_closed_files_and_is_never_overwritten() {
    let setup = Setup::without_ca();
    let create = |key| init(&setup.settings, "Office CA", key, 10, &setup.surroundings());
    let made = create(KeyKind::Ecdsa(384)).unwrap();
    assert!(made.is_ca && made.is_self_signed());
    assert_eq!(
        (made.subject.as_str(), made.key),
        ("CN=Office CA", KeyKind::Ecdsa(384))
    );
    assert_eq!(mode(&setup.settings.key), 0o600);
    assert_eq!(mode(&setup.settings.certificate), 0o644);
    let before = std::fs::read(&setup.settings.key).unwrap();
    let failure = create(KeyKind::Ecdsa(384)).unwrap_err();
    assert!(
        failure
            .detail
            .contains("exists already and is never overwritten"),
        "{failure}"
    );
    std::fs::remove_file(&setup.settings.certificate).unwrap();
    assert!(create(KeyKind::Ecdsa(384)).is_err());
    assert_eq!(std::fs::read(&setup.settings.key).unwrap(), before);
}

#[test]
fn a_ca_that_cannot_be_made_leaves_nothing_behind() {
    let mut setup = Setup::without_ca();
    let make = |setup: &Setup, name: &str, key, years| {
        init(&setup.settings, name, key, years, &setup.surroundings())
            .unwrap_err()
            .detail
    };
    assert!(make(&setup, "CA", KeyKind::Rsa(2048), 10).contains("RSA 3072, RSA 4096"));
    assert!(make(&setup, " ", KeyKind::Ecdsa(256), 10).contains("needs a common name"));
    assert!(make(&setup, "CA", KeyKind::Ecdsa(256), 0).contains("1 to 50 years"));
    setup.settings.certificate = setup.folder.path().join("missing/ca.pem");
    assert!(make(&setup, "CA", KeyKind::Ecdsa(256), 10).contains("its folder does not exist"));
    assert!(!setup.settings.key.exists());
}
