//! The verification of server certificates, tested against real servers.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::testing::{OpensslServer, serve};
use super::{Anchor, Trust, client_config, install_provider, refusal};
use crate::failure::FailureKind;
use crate::inventory::Endpoint;
use crate::pki::testing::{openssl, params};
use crate::pki::{Certificate, Fingerprint};

/// A handshake with `endpoint`; the error is the verifier's refusal, or anything else in brackets.
async fn connect(
    endpoint: &Endpoint,
    trust: &Trust,
    also: &[Fingerprint],
    name: &str,
) -> Result<(), String> {
    let config = client_config(trust, also).map_err(|failure| failure.to_string())?;
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect(name, stream.await.unwrap())
        .await
        .map(drop)
        .map_err(|error| refusal(&error).unwrap_or_else(|| format!("[{error}]")))
}

fn trust(anchor: Anchor) -> Trust {
    Trust {
        anchor,
        server_name: None,
    }
}

/// A self-signed certificate as a device makes one, expired long ago.
fn device_certificate() -> (KeyPair, Certificate) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&[(rcgen::DnType::CommonName, "192.168.168.168")]);
    params.not_before = rcgen::date_time_ymd(2010, 1, 1);
    params.not_after = rcgen::date_time_ymd(2011, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let certificate = Certificate::from_der(certificate.der()).unwrap();
    (key, certificate)
}

/// A CA in a file, and a certificate by it for `fw.example.com`. rustls asks the machine's clock, so the dates are wide.
fn vouched_certificate() -> (TempDir, PathBuf, KeyPair, Certificate) {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, ca.pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::DnsName("fw.example.com".try_into().unwrap())];
    let leaf = params.signed_by(&key, &ca).unwrap();
    let leaf = Certificate::from_der(leaf.der()).unwrap();
    (folder, path, key, leaf)
}

#[tokio::test]
async fn the_pinned_certificate_is_accepted_even_expired_and_under_another_name() {
    let (key, certificate) = device_certificate();
    let server = serve("127.0.0.1", &[&certificate], &key).await;
    let pins = trust(Anchor::Pins(vec![certificate.fingerprint]));
    assert_eq!(
        connect(&server.endpoint, &pins, &[], "fw.example.com").await,
        Ok(())
    );
}

#[tokio::test]
async fn a_wrong_pin_is_refused_and_both_fingerprints_are_named() {
    let (key, certificate) = device_certificate();
    let server = serve("127.0.0.1", &[&certificate], &key).await;
    let other = Fingerprint::of(b"other");
    let refused = connect(
        &server.endpoint,
        &trust(Anchor::Pins(vec![other])),
        &[],
        "127.0.0.1",
    )
    .await
    .unwrap_err();
    let shown = certificate.fingerprint;
    assert_eq!(
        refused,
        format!("the firewall showed SHA-256 {shown}, expected SHA-256 {other}")
    );
}

#[tokio::test]
async fn the_certificate_that_renewd_bound_is_accepted_besides_the_pin_and_besides_a_ca() {
    let (key, certificate) = device_certificate();
    let server = serve("127.0.0.1", &[&certificate], &key).await;
    let (_folder, path, _, _) = vouched_certificate();
    for anchor in [
        Anchor::Pins(vec![Fingerprint::of(b"old")]),
        Anchor::Ca(path),
    ] {
        let also = [certificate.fingerprint];
        let trust = trust(anchor);
        assert_eq!(
            connect(&server.endpoint, &trust, &also, "127.0.0.1").await,
            Ok(())
        );
        let other = [Fingerprint::of(b"other")];
        assert!(
            connect(&server.endpoint, &trust, &other, "127.0.0.1")
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn a_ca_vouches_for_its_name_and_for_no_other() {
    let (_folder, path, key, leaf) = vouched_certificate();
    let server = serve("127.0.0.1", &[&leaf], &key).await;
    let mut trust = trust(Anchor::Ca(path.clone()));
    let to = &server.endpoint;
    assert_eq!(connect(to, &trust, &[], "fw.example.com").await, Ok(()));
    let refused = connect(to, &trust, &[], "127.0.0.1").await.unwrap_err();
    let start = format!(
        "the firewall showed SHA-256 {}, expected a certificate for 127.0.0.1 from the CA in {}: ",
        leaf.fingerprint,
        path.display()
    );
    assert!(refused.starts_with(&start), "{refused}");
    trust.server_name = Some("fw.example.com".to_owned());
    assert_eq!(connect(to, &trust, &[], "127.0.0.1").await, Ok(()));
    trust.server_name = Some("other.example.com".to_owned());
    assert!(connect(to, &trust, &[], "fw.example.com").await.is_err());
}

#[tokio::test]
async fn an_unknown_certificate_with_the_right_names_is_refused() {
    let (_folder, path, _, _) = vouched_certificate();
    let (_other_folder, _, key, leaf) = vouched_certificate();
    let server = serve("127.0.0.1", &[&leaf], &key).await;
    let trust = trust(Anchor::Ca(path));
    let refused = connect(&server.endpoint, &trust, &[], "fw.example.com").await;
    assert!(refused.unwrap_err().contains("expected a certificate for"));
}

#[tokio::test]
async fn a_server_without_the_key_of_a_trusted_certificate_is_refused() {
    let (_folder, path, _, leaf) = vouched_certificate();
    let thief = serve("127.0.0.1", &[&leaf], &KeyPair::generate().unwrap()).await;
    for anchor in [Anchor::Pins(vec![leaf.fingerprint]), Anchor::Ca(path)] {
        let refused = connect(&thief.endpoint, &trust(anchor), &[], "fw.example.com")
            .await
            .unwrap_err();
        let words = format!(
            "the firewall showed SHA-256 {} but did not prove that it has its key",
            leaf.fingerprint
        );
        assert!(refused.starts_with(&words), "{refused}");
    }
}

#[tokio::test]
async fn the_refusal_is_found_under_the_errors_of_reqwest() {
    install_provider();
    let (key, certificate) = device_certificate();
    let server = serve("127.0.0.1", &[&certificate], &key).await;
    let url = format!("https://{}/", server.endpoint);
    let get = |pin: Fingerprint| {
        let trust = trust(Anchor::Pins(vec![pin]));
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(client_config(&trust, &[]).unwrap())
            .no_proxy()
            .build()
            .unwrap();
        client.get(&url).send()
    };
    assert_eq!(get(certificate.fingerprint).await.unwrap().status(), 204);
    let error = get(Fingerprint::of(b"other")).await.unwrap_err();
    assert!(refusal(&error).unwrap().contains("expected SHA-256"));
    drop(server);
    let error = get(certificate.fingerprint).await.unwrap_err();
    assert_eq!(refusal(&error), None);
}

#[tokio::test]
async fn pinned_devices_with_x509_v1_or_rsa_1024_work() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| openssl(folder.path(), &line.split(' ').collect::<Vec<_>>());
    for (key, v1, version, works) in [
        ("rsa:1024", false, "-tls1_2", true),
        ("rsa:1024", true, "-tls1_2", true),
        ("rsa:2048", true, "-tls1_2", true),
        ("rsa:2048", true, "-tls1_3", true),
        ("rsa:1024", false, "-tls1_3", false),
    ] {
        let new = format!("req -x509 -newkey {key} -nodes -keyout k.pem -subj /CN=fw -out c.pem");
        if run(&new).is_none() {
            return;
        }
        if v1 {
            run("req -new -key k.pem -subj /CN=fw -out r.pem").unwrap();
            run("x509 -req -in r.pem -signkey k.pem -out c.pem").unwrap();
        }
        let pem = std::fs::read_to_string(folder.path().join("c.pem")).unwrap();
        let pins = trust(Anchor::Pins(vec![
            Certificate::from_pem(&pem).unwrap().fingerprint,
        ]));
        let server = OpensslServer::start(folder.path(), &[version]);
        let result = connect(&server.endpoint, &pins, &[], "127.0.0.1").await;
        match result {
            Ok(()) => assert!(works, "{key} {v1} {version}"),
            Err(words) => assert!(
                !works && words.contains("allow TLS 1.2 on the device"),
                "{key} {v1} {version}: {words}"
            ),
        }
    }
}

#[tokio::test]
async fn a_server_that_shows_a_ca_certificate_is_refused_with_the_advice_to_pin_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.subject_alt_names = vec![SanType::DnsName("fw.example.com".try_into().unwrap())];
    let own = params.self_signed(&key).unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, own.pem()).unwrap();
    let own = Certificate::from_der(own.der()).unwrap();
    let server = serve("127.0.0.1", &[&own], &key).await;
    let trust = trust(Anchor::Ca(path));
    let refused = connect(&server.endpoint, &trust, &[], "fw.example.com").await;
    assert!(refused.unwrap_err().contains("pin it"));
}

#[test]
fn one_certificate_that_cannot_be_read_does_not_spoil_a_file_of_cas() {
    let (_folder, ca, _, _) = vouched_certificate();
    let good = std::fs::read(&ca).unwrap();
    let broken = b"# Z\xfcrich\n-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    std::fs::write(&ca, [&broken[..], &good].concat()).unwrap();
    assert!(client_config(&trust(Anchor::Ca(ca.clone())), &[]).is_ok());
    let der = Certificate::from_pem(std::str::from_utf8(&good).unwrap()).unwrap();
    std::fs::write(&ca, der.der).unwrap();
    assert!(client_config(&trust(Anchor::Ca(ca)), &[]).is_ok());
}

#[test]
fn invalid_settings_are_reported_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    let missing = folder.path().join("missing.pem");
    let (_folder, ca, _, _) = vouched_certificate();
    for (anchor, server_name, words) in [
        (Anchor::Pins(vec![]), None, "no fingerprint is given"),
        (Anchor::Ca(empty), None, "it holds no BEGIN CERTIFICATE"),
        (Anchor::Ca(missing), None, "No such file"),
        (
            Anchor::Ca(ca),
            Some("no name"),
            "server_name \"no name\" is no host name or address",
        ),
    ] {
        let trust = Trust {
            anchor,
            server_name: server_name.map(str::to_owned),
        };
        let failure = client_config(&trust, &[]).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
        assert!(failure.detail.contains(words), "{failure}");
    }
}

/// What stands in databases, as every renewd so far wrote it.
#[test]
fn the_text_of_a_trust_is_the_same_for_ever() {
    let text = |anchor, name: Option<&str>| {
        let server_name = name.map(str::to_owned);
        Trust {
            anchor,
            server_name,
        }
        .text()
    };
    let [one, two] = [b"1", b"2"].map(|bytes| Fingerprint::of(bytes));
    for (trust, stored) in [
        (
            text(Anchor::System, None),
            "Trust { anchor: System, server_name: None }",
        ),
        (
            text(
                Anchor::Ca("/etc/renewd/ca.pem".into()),
                Some("fw.example.com"),
            ),
            r#"Trust { anchor: Ca("/etc/renewd/ca.pem"), server_name: Some("fw.example.com") }"#,
        ),
        (
            text(Anchor::Ca("/büro \"1\"\\x'".into()), None),
            r#"Trust { anchor: Ca("/büro \"1\"\\x'"), server_name: None }"#,
        ),
        (
            text(Anchor::Pins(vec![one]), None),
            "Trust { anchor: Pins([6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b]), server_name: None }",
        ),
        (
            text(Anchor::Pins(vec![one, two]), None),
            "Trust { anchor: Pins([6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b, \
             d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35]), server_name: None }",
        ),
    ] {
        assert_eq!(trust, stored);
    }
}
