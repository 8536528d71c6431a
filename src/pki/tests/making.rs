//! Requests and PKCS#12 files of our own, read back by our parser and by openssl.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use rcgen::PublicKeyData;

use super::super::testing::{Authority, key_request, leaf_params, openssl};
use super::super::{
    AlternateName, Csr, Digest, Encryption, KeyBundle, KeyKind, KeyRequest, PrivateKey, Subject,
};

fn everything() -> KeyRequest {
    let text = |text: &str| Some(text.to_owned());
    KeyRequest {
        subject: Subject {
            country: text("Netherlands"),
            state: text("Zuid-Holland"),
            locality: text("'s-Gravenhage"),
            organization: text("Exämple & Söhne"),
            department: text("IT"),
            group: text("Network"),
            team: text("Firewalls"),
            common_name: text("vpn.example.com"),
            serial: text("0001"),
            email: text("admin@example.com"),
        },
        alternate_names: vec![
            AlternateName::Domain("vpn.example.com".to_owned()),
            AlternateName::Domain("*.example.net".to_owned()),
            AlternateName::Email("admin@example.com".to_owned()),
            AlternateName::Ip("192.0.2.1".parse().unwrap()),
            AlternateName::Ip("2001:db8::1".parse().unwrap()),
        ],
        ..key_request()
    }
}

#[test]
fn a_request_of_ours_says_everything_that_was_asked_for() {
    let wanted = everything();
    let key = PrivateKey::generate(wanted.key).unwrap();
    let csr = Csr::make(&wanted, &key).unwrap();
    assert_eq!(csr.differences(&wanted), Vec::<String>::new());
    assert_eq!(csr.alternate_names, wanted.alternate_names);
    let units: Vec<&str> = csr
        .subject
        .iter()
        .filter(|(attribute, _)| attribute == "OU")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(units, ["IT", "Network", "Firewalls"]);
}

#[test]
fn every_kind_of_key_signs_its_request_with_every_digest() {
    for kind in [
        KeyKind::Rsa(2048),
        KeyKind::Ecdsa(256),
        KeyKind::Ecdsa(384),
        KeyKind::Ecdsa(521),
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        for digest in [Digest::Sha256, Digest::Sha384, Digest::Sha512] {
            let wanted = KeyRequest {
                key: kind,
                digest,
                ..key_request()
            };
            let csr = Csr::make(&wanted, &key).unwrap();
            assert_eq!(csr.key, kind);
        }
    }
}

#[test]
fn a_host_name_as_cn_stands_among_the_alternate_names() {
    let mut wanted = key_request();
    wanted.alternate_names = vec![AlternateName::Domain("www.example.com".to_owned())];
    let csr = Csr::make(&wanted, &PrivateKey::generate(wanted.key).unwrap()).unwrap();
    assert_eq!(csr.alternate_names, wanted.host_names());
    assert_eq!(csr.alternate_names.len(), 2);
}

#[test]
fn openssl_reads_a_request_of_ours_and_finds_it_signed() {
    let wanted = everything();
    let csr = Csr::make(&wanted, &PrivateKey::generate(wanted.key).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("csr.pem"), csr.to_pem()).unwrap();
    let arguments = ["req", "-in", "csr.pem", "-verify", "-noout", "-text"];
    let Some(text) = openssl(folder.path(), &arguments) else {
        return;
    };
    let text = String::from_utf8(text).unwrap();
    for part in [
        "OU = IT, OU = Network, OU = Firewalls",
        "C = NL",
        "DNS:*.example.net",
        "IP Address:192.0.2.1",
        "email:admin@example.com",
    ] {
        // openssl 3 prints "C = NL", later ones "C=NL".
        let found = text.contains(part) || text.contains(&part.replace(" = ", "="));
        assert!(found, "{part}: {text}");
    }
}

#[test]
fn values_that_a_request_cannot_hold_are_reported() {
    let key = PrivateKey::generate(KeyKind::Ecdsa(256)).unwrap();
    let refusal = |change: fn(&mut KeyRequest)| {
        let mut wanted = key_request();
        change(&mut wanted);
        Csr::make(&wanted, &key).unwrap_err().0
    };
    let country = refusal(|wanted| wanted.subject.country = Some("Atlantis".to_owned()));
    assert!(country.contains("two-letter code"), "{country}");
    let serial = refusal(|wanted| wanted.subject.serial = Some("№ 1".to_owned()));
    assert!(serial.contains("serialNumber"), "{serial}");
    let kind = refusal(|wanted| wanted.key = KeyKind::Rsa(2048));
    assert!(kind.contains("none of the kind RSA 2048"), "{kind}");
    assert!(PrivateKey::generate(KeyKind::Rsa(1024)).is_err());
    assert!(PrivateKey::generate(KeyKind::Other).is_err());
}

#[test]
fn a_private_key_is_never_shown() {
    let key = PrivateKey::generate(KeyKind::Ecdsa(256)).unwrap();
    assert_eq!(format!("{key:?}"), "[private key]");
}

/// A certificate for a key of ours, below an intermediate.
fn bundle() -> KeyBundle {
    struct Public(Vec<u8>);
    impl PublicKeyData for Public {
        fn der_bytes(&self) -> &[u8] {
            &self.0
        }
        fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
            &rcgen::PKCS_ECDSA_P256_SHA256
        }
    }
    let key = PrivateKey::generate(KeyKind::Ecdsa(256)).unwrap();
    let csr = Csr::make(&key_request(), &key).unwrap();
    let root = Authority::root("Test root");
    let near = root.sub("Test intermediate");
    // The point follows the 26 octets in front of it in every P-256 key.
    let public = Public(csr.public_key_der[26..].to_vec());
    let leaf = leaf_params().signed_by(&public, &near.issuer).unwrap();
    let leaf = super::super::Certificate::from_der(leaf.der()).unwrap();
    assert_eq!(leaf.public_key, csr.public_key);
    KeyBundle {
        key,
        leaf,
        chain: vec![near.certificate, root.certificate],
    }
}

#[test]
fn a_file_for_a_device_holds_key_certificate_and_chain_and_opens_with_its_password_only() {
    let bundle = bundle();
    for encryption in Encryption::ALL {
        let file = bundle.to_pkcs12("portal-1", "ONCE", encryption).unwrap();
        let store = KeyStore::from_pkcs12(&file, "ONCE", Pkcs12ImportPolicy::Strict).unwrap();
        let (alias, entry) = store.private_key_chain().unwrap();
        assert_eq!(alias, "portal-1");
        assert_eq!(entry.key().as_der(), bundle.key.pkcs8());
        let [leaf, near, root] = entry.certs() else {
            panic!("{} certificates", entry.certs().len())
        };
        assert_eq!(leaf.as_der(), bundle.leaf.der);
        assert_eq!(near.as_der(), bundle.chain[0].der);
        assert_eq!(root.as_der(), bundle.chain[1].der);
        assert!(KeyStore::from_pkcs12(&file, "other", Pkcs12ImportPolicy::Strict).is_err());
        let secret = &bundle.key.pkcs8()[36..68];
        assert!(!file.windows(32).any(|window| window == secret));
    }
}

#[test]
fn openssl_opens_both_kinds_of_file() {
    let bundle = bundle();
    let folder = tempfile::tempdir().unwrap();
    for encryption in Encryption::ALL {
        let file = bundle.to_pkcs12("portal-1", "ONCE", encryption).unwrap();
        std::fs::write(folder.path().join("file.p12"), file).unwrap();
        let arguments = [
            "pkcs12",
            "-in",
            "file.p12",
            "-passin",
            "pass:ONCE",
            "-nodes",
        ];
        let Some(text) = openssl(folder.path(), &arguments) else {
            return;
        };
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text.matches("BEGIN CERTIFICATE").count(),
            3,
            "{encryption:?}"
        );
        assert!(text.contains("BEGIN PRIVATE KEY"), "{encryption:?}");
    }
}
