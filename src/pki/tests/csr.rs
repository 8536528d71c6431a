//! Reading requests: every key and digest that a device offers.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use rcgen::KeyPair;

use super::super::der::{self, element, sequence};
use super::super::testing::{csr, csr_params, key_request, leaf_params, openssl};
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
fn the_error_for_an_invalid_csr_quotes_its_beginning() {
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
    let pss = ["-sha256", "-sigopt", "rsa_padding_mode:pss"];
    if let Some(request) = made_by_openssl(folder.path(), "rsa:2048", &pss) {
        assert_eq!(request.unwrap().key, KeyKind::Rsa(2048));
    }
}

#[test]
fn signatures_that_can_be_forged_or_not_be_verified_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
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

/// The request for `vpn.example.com` with these attributes, signed.
fn with_attributes(attributes: &[Vec<u8>]) -> Result<Csr, PkiError> {
    let key = KeyPair::generate().unwrap();
    let plain = csr(&csr_params(), &key);
    let whole = der::only(&plain.der).unwrap().children().unwrap();
    let info = whole[0].children().unwrap();
    let attributes = element(0xa0, &attributes.concat());
    let info = sequence(&[info[0].whole, info[1].whole, info[2].whole, &attributes]);
    let signature = rcgen::SigningKey::sign(&key, &info).unwrap();
    Csr::parse(&sequence(&[
        &info,
        whole[1].whole,
        &der::bit_string(&signature),
    ]))
}

fn attribute(oid: &[u8], values: &[&[u8]]) -> Vec<u8> {
    sequence(&[&element(6, oid), &element(0x31, &values.concat())])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&element(6, oid), &element(4, value)])
}

const EXTENSIONS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];

const PASSWORD: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7];
const MICROSOFT_EXTENSIONS: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 1, 14];
const MICROSOFT_NAME_AND_VALUE: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 13, 2, 1];
const MICROSOFT_TEMPLATE: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2];
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

fn names(name: &str) -> Vec<u8> {
    let names = sequence(&[&element(0x82, name.as_bytes())]);
    extension(&[0x55, 0x1d, 17], &names)
}

fn purposes(purpose: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1d, 37], &sequence(&[&element(6, purpose)]))
}

/// What cannot be read at all is refused as well.
fn assert_not_as_requested(attributes: &[Vec<u8>], what: &str) {
    let differences = with_attributes(attributes).map(|csr| csr.differences(&key_request()));
    assert_ne!(differences, Ok(Vec::new()), "{what}");
}

#[test]
fn the_attributes_and_extensions_that_devices_use_are_no_difference() {
    let good = sequence(&[&names("vpn.example.com")]);
    let allowed = sequence(&[&names("vpn.example.com"), &purposes(SERVER_AUTH)]);
    let password = attribute(PASSWORD, &[&element(12, b"secret")]);
    for attributes in [
        vec![attribute(EXTENSIONS, &[&good])],
        vec![attribute(EXTENSIONS, &[&allowed]), password],
    ] {
        let csr = with_attributes(&attributes).unwrap();
        assert_eq!(csr.differences(&key_request()), [""; 0]);
    }
}

#[test]
fn attributes_that_a_ca_may_read_and_renewd_does_not_compare_are_a_difference() {
    let good = sequence(&[&names("vpn.example.com")]);
    let evil = sequence(&[&names("evil.example.com")]);
    let request = attribute(EXTENSIONS, &[&good]);
    for (second, what) in [
        (attribute(EXTENSIONS, &[&evil]), "a second attribute"),
        (attribute(MICROSOFT_EXTENSIONS, &[&evil]), "Microsoft's"),
        (
            attribute(MICROSOFT_NAME_AND_VALUE, &[&evil]),
            "Microsoft's name and value",
        ),
        (attribute(&[0x2a, 3, 4], &[&[5, 0]]), "an unknown one"),
    ] {
        assert_not_as_requested(&[request.clone(), second], what);
    }
    for (values, what) in [
        (vec![&*good, &*evil], "a second value"),
        (vec![&*good, &*good], "the same value twice"),
        (vec![], "no value"),
    ] {
        assert_not_as_requested(&[attribute(EXTENSIONS, &values)], what);
    }
}

#[test]
fn extensions_that_were_not_asked_for_are_a_difference() {
    let signing = extension(&[0x55, 0x1d, 15], &[3, 2, 2, 4]);
    let template = extension(MICROSOFT_TEMPLATE, &element(30, &[0, 65]));
    for (second, what) in [
        (purposes(CODE_SIGNING), "code signing"),
        (template, "a template"),
        (signing, "signing"),
        (names("vpn.example.com"), "an extension twice"),
    ] {
        let extensions = sequence(&[&names("vpn.example.com"), &second]);
        assert_not_as_requested(&[attribute(EXTENSIONS, &[&extensions])], what);
    }
}

#[test]
fn parts_of_a_subject_that_were_not_asked_for_are_differences() {
    for kind in [
        vec![0, 9, 2342, 19_200_300, 100, 1, 1],
        vec![0, 9, 2342, 19_200_300, 100, 1, 25],
        vec![2, 5, 4, 9],
        vec![1, 2, 840, 113_549, 1, 9, 1],
    ] {
        let mut params = csr_params();
        params
            .distinguished_name
            .push(rcgen::DnType::CustomDnType(kind), "admin");
        let request = csr(&params, &KeyPair::generate().unwrap());
        let differences = request.differences(&key_request());
        assert_eq!(differences.len(), 1, "{differences:?}");
        assert!(
            differences[0].ends_with("=admin was not asked for"),
            "{differences:?}"
        );
    }
}

#[test]
fn a_request_that_is_not_der_is_refused() {
    let good = extension(
        &[0x55, 0x1d, 17],
        &sequence(&[&element(0x82, b"vpn.example.com")]),
    );
    let value = sequence(&[&good]);
    // The same, with a length that is not the shortest.
    let long = [
        &[0x30, 0x81, u8::try_from(value.len() - 2).unwrap()][..],
        &value[2..],
    ]
    .concat();
    let refused = with_attributes(&[attribute(EXTENSIONS, &[&long])]).unwrap_err();
    assert!(
        refused.0.contains("not DER") || refused.0.contains("not a certificate signing"),
        "{refused}"
    );
    let indefinite = [&[0x30, 0x80][..], &value[2..], &[0, 0]].concat();
    assert!(with_attributes(&[attribute(EXTENSIONS, &[&indefinite])]).is_err());
}
