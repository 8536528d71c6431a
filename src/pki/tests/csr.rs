//! Reading requests: every key and digest that a device offers.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use rcgen::KeyPair;

use super::super::testing::{csr, csr_params, leaf_params, openssl};
use super::super::{AlternateName, Csr, KeyKind, PkiError};

#[test]
fn der_and_both_pem_headers_are_the_same_request() {
    let key = KeyPair::generate().unwrap();
    let request = csr(&csr_params(), &key);
    let pem = request.to_pem();
    let old = pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST");
    let noisy = format!("\r\n  Alias: hq\r\n{}\r\n\r\n", old.replace('\n', "\r\n"));
    let spaced = [request.der.as_slice(), b"\r\n"].concat();
    for bytes in [pem.as_bytes(), old.as_bytes(), noisy.as_bytes(), &spaced] {
        assert_eq!(Csr::parse(bytes).unwrap(), request);
    }
    assert_eq!(request.key, KeyKind::Ecdsa(256));
    assert_eq!(request.common_name(), Some("vpn.example.com"));
    assert_eq!(
        request.alternate_names,
        [AlternateName::Domain("vpn.example.com".to_owned())]
    );
    assert!(!request.asks_for_ca);
}

#[test]
fn an_outermost_sequence_that_does_not_say_that_it_holds_others_is_refused() {
    let mut request = csr(&csr_params(), &KeyPair::generate().unwrap());
    // 0x30 without the bit for "constructed" (X.690, 8.1.2.5).
    request.der[0] = 0x10;
    let error = Csr::parse(request.to_pem().as_bytes()).unwrap_err();
    assert!(error.0.contains("no SEQUENCE"), "{error}");
}

#[test]
fn a_request_changed_after_signing_is_refused() {
    let mut der = csr(&csr_params(), &KeyPair::generate().unwrap()).der;
    let place = der.windows(3).position(|w| w == b"vpn").unwrap();
    der[place] = b'V';
    let error = Csr::parse(&der).unwrap_err();
    assert_eq!(
        error.0,
        "the certificate signing request: the signature does not belong to the key"
    );
}

#[test]
fn what_is_no_request_is_told_by_its_beginning() {
    assert_eq!(
        Csr::parse(b"<html>login</html>").unwrap_err().0,
        "neither DER nor PEM of a certificate signing request; it begins with \"<html>login</html>\""
    );
    let key = KeyPair::generate().unwrap();
    let certificate = leaf_params().self_signed(&key).unwrap().pem();
    assert_eq!(
        Csr::parse(certificate.as_bytes()).unwrap_err().0,
        "a BEGIN CERTIFICATE where a BEGIN CERTIFICATE REQUEST is expected"
    );
    assert!(Csr::parse(b"").is_err());
    assert!(Csr::parse(&[0x30, 0x03, 1]).is_err());
}

#[test]
fn every_key_and_digest_of_a_device_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    for (key, kind) in [
        ("rsa:1024", KeyKind::Rsa(1024)),
        ("rsa:1536", KeyKind::Rsa(1536)),
        ("rsa:2048", KeyKind::Rsa(2048)),
        ("P-256", KeyKind::Ecdsa(256)),
        ("P-384", KeyKind::Ecdsa(384)),
        ("P-521", KeyKind::Ecdsa(521)),
    ] {
        for digest in ["-sha256", "-sha384", "-sha512"] {
            // aws-lc-rs has no SHA-384 for such short keys.
            if digest == "-sha384" && matches!(kind, KeyKind::Rsa(..2048)) {
                continue;
            }
            let Some(request) = made_by_openssl(folder.path(), key, &[digest]) else {
                return;
            };
            assert_eq!(request.unwrap().key, kind, "{key} {digest}");
        }
    }
}

#[test]
fn signatures_that_can_be_forged_or_not_be_verified_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let pss = ["-sha256", "-sigopt", "rsa_padding_mode:pss"];
    for (key, options, words) in [
        (
            "rsa:2048",
            &["-sha1"][..],
            "signed with SHA-1, which can be forged",
        ),
        (
            "P-256",
            &["-sha1"][..],
            "signed with SHA-1, which can be forged",
        ),
        (
            "rsa:2048",
            &["-md5"][..],
            "signed with MD5, which can be forged",
        ),
        (
            "rsa:2048",
            &pss[..],
            "signed with RSA-PSS, which renewd cannot verify",
        ),
        (
            "rsa:1024",
            &["-sha384"][..],
            "cannot be verified with its key (RSA 1024)",
        ),
        (
            "secp256k1",
            &["-sha256"][..],
            "cannot be verified with its key (a key of another kind)",
        ),
    ] {
        let Some(request) = made_by_openssl(folder.path(), key, options) else {
            return;
        };
        let error = request.unwrap_err();
        assert!(error.0.contains(words), "{key} {options:?}: {error}");
    }
}

/// A request made by `openssl req`, parsed from its PEM; `None` without openssl.
fn made_by_openssl(folder: &Path, key: &str, options: &[&str]) -> Option<Result<Csr, PkiError>> {
    let curve = format!("ec_paramgen_curve:{key}");
    let mut arguments = vec![
        "req", "-new", "-nodes", "-keyout", "k.pem", "-subj", "/CN=fw",
    ];
    if key.starts_with("rsa:") {
        arguments.extend(["-newkey", key]);
    } else {
        arguments.extend(["-newkey", "ec", "-pkeyopt", &curve]);
    }
    arguments.extend(options);
    let pem = openssl(folder, &arguments)?;
    Some(Csr::parse(&pem))
}
