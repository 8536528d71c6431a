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

#[tokio::test]
async fn parameters_of_the_curve_before_the_key_do_not_hide_it() {
    let setup = Setup::without_ca();
    let key = include_str!("../../../pki/tests/cases/ecparam.key");
    let certificate = include_str!("../../../pki/tests/cases/ecparam.pem");
    setup.put(certificate, key);
    setup.move_to(certificate);
    setup.ca().check().await.unwrap();
}

#[tokio::test]
async fn the_check_reports_the_facts_of_the_ca_and_changes_nothing() {
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
    let create = |key| init(&setup.settings, "Office CA", key, 10, &setup.env());
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

/// With the constraints a stolen key of the CA cannot sign for other domains.
#[tokio::test]
async fn permitted_domains_become_critical_name_constraints_of_a_new_ca() {
    let mut setup = Setup::without_ca();
    setup.settings.permitted_domains = vec!["example.com".to_owned(), "example.net".to_owned()];
    let key = KeyKind::Ecdsa(256);
    let ca = init(&setup.settings, "Office CA", key, 10, &setup.env()).unwrap();
    setup.issue(good_csr()).await.unwrap();
    let line = ["x509", "-in", "ca.pem", "-noout", "-ext", "nameConstraints"];
    let Some(text) = openssl(setup.folder.path(), &line) else {
        return;
    };
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("Name Constraints: critical"), "{text}");
    assert!(is_accepted(&setup, "state/issued/r1.pem"));

    // What the key signs without regard to the setting.
    setup.settings.permitted_domains.clear();
    let domain = |name: &str| SanType::DnsName(name.try_into().unwrap());
    let address = |name: &str| SanType::IpAddress(name.parse().unwrap());
    for (name, is_permitted) in [
        (domain("example.net"), true),
        (domain("a.b.example.com"), true),
        (domain("*.example.com"), true),
        (domain("badexample.com"), false),
        (domain("example.org"), false),
        (address("192.0.2.1"), false),
        (address("2001:db8::1"), false),
    ] {
        let mut leaf = params(&[]);
        leaf.subject_alt_names = vec![name.clone()];
        sign_with_the_key_alone(&setup, &ca, &leaf);
        assert_eq!(is_accepted(&setup, "leaf.pem"), is_permitted, "{name:?}");
        let request = request("r2", csr(&leaf, &KeyPair::generate().unwrap()));
        let issued = setup.ca().submit(&request).await;
        assert_eq!(issued.is_ok(), is_permitted, "{name:?}: {issued:?}");
        let _ = std::fs::remove_file(setup.settings.issued.join("r2.pem"));
    }
}

/// Writes `leaf.pem`, as an attacker with the stolen key would.
fn sign_with_the_key_alone(setup: &Setup, ca: &Certificate, leaf: &CertificateParams) {
    let pem = std::fs::read_to_string(&setup.settings.key).unwrap();
    let key = KeyPair::from_pem(&pem).unwrap();
    let ca = rcgen::Issuer::from_ca_cert_der(&ca.der.as_slice().into(), key).unwrap();
    let mut leaf = leaf.clone();
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
    std::fs::write(setup.folder.path().join("leaf.pem"), leaf.pem()).unwrap();
}

/// Whether openssl accepts the certificate in this file.
fn is_accepted(setup: &Setup, file: &str) -> bool {
    let at = now().as_second();
    let line = format!("verify -x509_strict -purpose sslserver -attime {at} -CAfile ca.pem {file}");
    let run = std::process::Command::new("openssl")
        .args(line.split(' '))
        .current_dir(setup.folder.path())
        .output();
    run.unwrap().status.success()
}

#[test]
fn a_ca_that_cannot_be_made_leaves_nothing_behind() {
    let mut setup = Setup::without_ca();
    let make = |setup: &Setup, name: &str, key, years| {
        init(&setup.settings, name, key, years, &setup.env())
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
