//! Reading bags of certificates.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use data_encoding::BASE64;
use rcgen::KeyPair;

use super::super::testing::{Authority, leaf_params, openssl};
use super::super::{Certificate, certificates_in, pem};

/// A leaf and the CAs above it.
fn three() -> Vec<Certificate> {
    let root = Authority::root("root");
    let sub = root.sub("sub");
    let leaf = sub.sign(&leaf_params(), &KeyPair::generate().unwrap());
    vec![leaf, sub.certificate, root.certificate]
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], length.as_slice(), content].concat()
}

/// The same of indefinite length.
fn unending(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x80], content, &[0, 0]].concat()
}

/// SignedData without a signature, each of its constructed parts made by `part`.
fn bag(certificates: &[Certificate], part: fn(u8, &[u8]) -> Vec<u8>) -> Vec<u8> {
    const SIGNED_DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
    const DATA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
    let der: Vec<u8> = certificates.iter().flat_map(|c| c.der.clone()).collect();
    let signed = [
        b"\x02\x01\x01\x31\x00".to_vec(),
        part(0x30, DATA),
        part(0xa0, &der),
        b"\x31\x00".to_vec(),
    ]
    .concat();
    let content = part(0xa0, &part(0x30, &signed));
    part(0x30, &[SIGNED_DATA, &content].concat())
}

#[test]
fn a_bag_is_read_in_der_and_in_ber_of_indefinite_length() {
    let all = three();
    for part in [tagged, unending] {
        let bag = bag(&all, part);
        assert_eq!(Certificate::all_from_pkcs7(&bag).unwrap(), all);
        assert_eq!(certificates_in(&bag).unwrap(), all);
    }
}

#[test]
fn whatever_a_ca_wraps_certificates_in_is_read() {
    let all = three();
    let bundle: String = all.iter().map(Certificate::to_pem).collect();
    let bag = bag(&all, tagged);
    let wrapped = [
        bundle.clone().into_bytes(),
        format!("\u{feff}Subject: x\r\n{}", bundle.replace('\n', "\r\n")).into_bytes(),
        pem::encode("PKCS7", &bag).into_bytes(),
        pem::encode("CMS", &bag).into_bytes(),
        pem::encode("CERTIFICATE", &bag).into_bytes(),
        BASE64.encode(&bag).into_bytes(),
        BASE64.encode(bundle.as_bytes()).into_bytes(),
    ];
    for bytes in wrapped {
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(certificates_in(&bytes).unwrap(), all, "{shown}");
    }
    let leaf = &all[..1];
    assert_eq!(certificates_in(&all[0].der).unwrap(), leaf);
    let lines = BASE64.encode(&all[0].der).replace('M', "\r\n M");
    assert_eq!(certificates_in(lines.as_bytes()).unwrap(), leaf);
}

#[test]
fn keys_and_requests_beside_certificates_are_skipped() {
    let all = three();
    let text = format!("{}{}", pem::encode("PRIVATE KEY", b"0123"), all[0].to_pem());
    assert_eq!(certificates_in(text.as_bytes()).unwrap(), all[..1]);
}

#[test]
fn the_error_for_an_invalid_certificate_quotes_its_beginning() {
    for (bytes, words) in [
        (&b""[..], "it begins with \"\""),
        (b"<html>Sign in</html>", "it begins with \"<html>"),
        (b"c29tZXRoaW5n", "it begins with \"c29tZXRoaW5n\""),
        (
            b"-----BEGIN X-----\n-----END X-----",
            "contains no certificate",
        ),
        (
            b"-----BEGIN CERTIFICATE-----\nAQID",
            "has no END CERTIFICATE",
        ),
        (b"0\x03\x02\x01\x01", "not an X.509 certificate"),
    ] {
        let error = certificates_in(bytes).unwrap_err();
        assert!(error.0.contains(words), "{error}");
    }
    let data = [
        b"0\x0d".as_slice(),
        b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x00",
    ]
    .concat();
    let error = certificates_in(&data).unwrap_err();
    assert!(error.0.contains("1.2.840.113549.1.7.1"), "{error}");
    let error = Certificate::all_from_pkcs7(b"nothing").unwrap_err();
    assert!(error.0.contains("no BEGIN PKCS7"), "{error}");
}

#[test]
fn a_cut_bag_is_an_error_and_not_a_panic() {
    for part in [tagged, unending] {
        let bag = bag(&three()[..1], part);
        for length in 0..bag.len() {
            assert!(certificates_in(&bag[..length]).is_err(), "{length}");
        }
    }
}

#[test]
fn bags_of_openssl_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let all = three();
    let bundle: String = all.iter().map(Certificate::to_pem).collect();
    std::fs::write(folder.path().join("bundle.pem"), bundle).unwrap();
    for form in ["PEM", "DER"] {
        let arguments = [
            "crl2pkcs7",
            "-nocrl",
            "-certfile",
            "bundle.pem",
            "-outform",
            form,
        ];
        let Some(bag) = openssl(folder.path(), &arguments) else {
            return;
        };
        let mut read = Certificate::all_from_pkcs7(&bag).unwrap();
        assert_eq!(certificates_in(&bag).unwrap(), read);
        let mut sorted = all.clone();
        for list in [&mut read, &mut sorted] {
            list.sort_by(|one, two| one.der.cmp(&two.der));
        }
        assert_eq!(read, sorted, "{form}");
    }
}
