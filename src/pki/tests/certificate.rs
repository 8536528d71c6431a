//! Reading certificates.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use jiff::SignedDuration;
use rcgen::{DnType, ExtendedKeyUsagePurpose, KeyPair, SanType, SerialNumber};

use super::super::testing::{Authority, leaf_of_many_names, leaf_params, now, openssl, params};
use super::super::{
    Allowance, AlternateName, Certificate, Csr, KeyKind, certificates_in, certificates_of_file,
    certificates_within,
};

#[test]
fn an_outermost_sequence_that_does_not_say_that_it_holds_others_is_refused() {
    let mut der = Authority::root("Example, Inc. root").certificate.der;
    // 0x30 without the bit for "constructed" (X.690, 8.1.2.5).
    der[0] = 0x10;
    let error = Certificate::from_der(&der).unwrap_err();
    assert!(error.0.contains("no SEQUENCE"), "{error}");
}

#[test]
fn the_facts_of_a_leaf_are_read() {
    let key = KeyPair::generate().unwrap();
    let mut leaf = leaf_params();
    leaf.subject_alt_names = vec![
        SanType::DnsName("VPN.Example.com".try_into().unwrap()),
        SanType::Rfc822Name("it@example.com".try_into().unwrap()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
    ];
    leaf.serial_number = Some(SerialNumber::from_slice(&[0x80, 0x0a, 0xff]));
    let root = Authority::root("Example, Inc. root");
    let read = root.sign(&leaf, &key);
    assert_eq!(read.subject, "CN=vpn.example.com");
    assert_eq!(read.issuer, "CN=Example\\, Inc. root");
    assert_eq!(read.common_name.as_deref(), Some("vpn.example.com"));
    assert_eq!(
        read.alternate_names,
        [
            AlternateName::Domain("vpn.example.com".to_owned()),
            AlternateName::Email("it@example.com".to_owned()),
            AlternateName::Ip("2001:db8::1".parse().unwrap()),
        ]
    );
    assert_eq!(read.serial, "800aff");
    assert_eq!(read.key, KeyKind::Ecdsa(256));
    assert!(!read.is_ca && read.allows_server_auth);
    assert_eq!(read.not_before, now() - SignedDuration::from_hours(1));
    assert!(root.certificate.is_ca && root.certificate.is_self_signed());
    assert!(!read.is_self_signed());
}

#[test]
fn a_certificate_for_clients_only_does_not_allow_server_auth() {
    let key = KeyPair::generate().unwrap();
    let mut leaf = leaf_params();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert!(!Authority::root("r").sign(&leaf, &key).allows_server_auth);
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    assert!(Authority::root("r").sign(&leaf, &key).allows_server_auth);
    leaf.extended_key_usages.clear();
    assert!(Authority::root("r").sign(&leaf, &key).allows_server_auth);
}

#[test]
fn the_subject_is_written_last_part_first() {
    let key = KeyPair::generate().unwrap();
    let subject = params(&[
        (DnType::CountryName, "NL"),
        (DnType::OrganizationName, "Example"),
        (DnType::CommonName, "fw"),
        (DnType::CustomDnType(vec![1, 2, 3]), "x"),
    ]);
    let read = Authority::root("r").sign(&subject, &key);
    assert_eq!(read.subject, "1.2.3=x,CN=fw,O=Example,C=NL");
}

#[test]
fn pem_goes_there_and_back_with_text_around() {
    let one = Authority::root("one").certificate;
    let two = Authority::root("two").certificate;
    let text = format!(
        "subject=one\r\n{}\r\n# two\n{}",
        one.to_pem().replace('\n', "\r\n"),
        two.to_pem()
    );
    assert_eq!(
        Certificate::all_from_pem(&text).unwrap(),
        [one.clone(), two]
    );
    assert_eq!(Certificate::from_pem(&one.to_pem()).unwrap(), one);
    let error = Certificate::from_pem(&text).unwrap_err();
    assert_eq!(error.0, "2 certificates where one is expected");
    assert_eq!(Certificate::all_from_pem("nothing").unwrap(), []);
    assert!(Certificate::from_pem("nothing").is_err());
}

#[test]
fn garbage_is_an_error_and_not_a_panic() {
    let der = Authority::root("r").certificate.der;
    for length in 0..der.len() {
        assert!(Certificate::from_der(&der[..length]).is_err(), "{length}");
    }
    let mut longer = der;
    longer.push(0);
    let error = Certificate::from_der(&longer).unwrap_err();
    assert_eq!(error.0, "1 bytes follow the certificate");
}

#[test]
fn x509_v1_and_rsa_1024_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| openssl(folder.path(), &line.split(' ').collect::<Vec<_>>());
    if run("req -new -newkey rsa:1024 -nodes -keyout k.pem -subj /C=NL/CN=fw -out r.pem").is_none()
    {
        return;
    }
    run("x509 -req -in r.pem -signkey k.pem -days 30 -sha256 -out v1.pem").unwrap();
    let pem = std::fs::read_to_string(folder.path().join("v1.pem")).unwrap();
    let read = Certificate::from_pem(&pem).unwrap();
    let text = run("x509 -in v1.pem -noout -text").unwrap();
    assert!(String::from_utf8_lossy(&text).contains("Version: 1 "));
    assert_eq!(read.key, KeyKind::Rsa(1024));
    assert_eq!(read.subject, "CN=fw,C=NL");
    assert!(read.allows_server_auth && !read.is_ca && read.is_self_signed());
}

#[test]
fn a_certificate_that_never_expires_is_read() {
    // 99991231235959Z, as devices write it that have no better date (RFC 5280, 4.1.2.5).
    let der = include_bytes!("../../../fuzz/corpus/certificates/never_expires.der");
    let read = Certificate::from_der(der).unwrap();
    assert_eq!(read.subject, "CN=192.168.168.168");
    assert_eq!(read.not_after, jiff::Timestamp::MAX);
    assert!(read.is_self_signed());
}

#[test]
fn what_is_too_large_for_a_certificate_is_refused_before_it_is_parsed() {
    let many = Certificate::from_der(&leaf_of_many_names(30_000)).unwrap();
    assert_eq!(many.alternate_names.len(), 30_000);
    let der = leaf_of_many_names(40_000);
    let error = Certificate::from_der(&der).unwrap_err();
    let words = format!("the certificate has {} bytes", der.len());
    assert!(error.0.contains(&words), "{error}");
    let error = Csr::parse(&der).unwrap_err();
    assert!(
        error.0.contains("certificate signing request has"),
        "{error}"
    );
}

#[test]
fn of_an_answer_no_more_certificates_are_read_than_a_chain_has_but_of_a_file_all() {
    let one = Authority::root("root").certificate.to_pem();
    assert_eq!(
        Certificate::all_from_pem(&one.repeat(200)).unwrap().len(),
        200
    );
    let large = Certificate::from_der(&leaf_of_many_names(30_000)).unwrap();
    for too_much in [one.repeat(201), large.to_pem().repeat(5)] {
        let words = "no chain does";
        let error = Certificate::all_from_pem(&too_much).unwrap_err();
        assert!(error.0.contains(words), "{error}");
        let error = certificates_in(too_much.as_bytes()).unwrap_err();
        assert!(error.0.contains(words), "{error}");
        let file = certificates_of_file(too_much.as_bytes()).unwrap();
        assert_eq!(file.skipped, [""; 0]);
        assert_eq!(file.certificates.len(), too_much.matches("BEGIN").count());
    }
    // Several texts of one answer share what may be read.
    let mut allowance = Allowance::of_an_answer();
    let text = one.repeat(150);
    assert!(certificates_within(text.as_bytes(), &mut allowance).is_ok());
    assert!(certificates_within(text.as_bytes(), &mut allowance).is_err());
    assert!(allowance.check().is_err());
}
