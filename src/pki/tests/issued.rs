//! Judging what a CA issued.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};

use super::super::testing::{Authority, key_request, leaf_params, now, set_validity};
use super::super::{
    AlternateName, Certificate, Expected, Fingerprint, KeyRequest, check_issued,
    differences_from_request,
};

fn check(leaf: &Certificate, chain: &[Certificate], request: &KeyRequest) -> Vec<String> {
    let expected = Expected::new(leaf.public_key, request, now());
    check_issued(leaf, chain, &expected).problems
}

#[test]
fn a_good_certificate_passes_with_and_without_its_chain() {
    let root = Authority::root("root");
    let near = root.sub("near");
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let chain = [near.certificate.clone(), root.certificate.clone()];
    assert_eq!(check(&leaf, &chain, &key_request()), [""; 0]);
    assert_eq!(check(&leaf, &chain[..1], &key_request()), [""; 0]);
    assert_eq!(check(&leaf, &[], &key_request()), [""; 0]);
}

#[test]
fn a_ca_may_leave_the_cn_out_or_put_a_host_name_there() {
    let root = Authority::root("root");
    let key = KeyPair::generate().unwrap();
    let mut request = key_request();
    request.subject.common_name = Some("Office firewall".to_owned());
    let mut params = leaf_params();
    let replaced = root.sign(&params, &key);
    params.distinguished_name.remove(DnType::CommonName);
    let dropped = root.sign(&params, &key);
    for leaf in [replaced, dropped] {
        assert_eq!(check(&leaf, &[], &request), [""; 0]);
        assert_eq!(differences_from_request(&leaf, &request), [""; 0]);
    }
}

#[test]
fn every_fault_is_reported() {
    let mut params = leaf_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::DnsName("www.example.com".try_into().unwrap())];
    params.distinguished_name.push(DnType::CommonName, "else");
    let leaf = Authority::root("root").sign(&params, &KeyPair::generate().unwrap());
    let request = key_request();
    let expected = Expected::new(Fingerprint::of(b"another key"), &request, now());
    let problems = check_issued(&leaf, &[], &expected).problems;
    assert!(problems[0].starts_with("its public key (SHA-256 "));
    assert_eq!(
        problems[1..],
        [
            "vpn.example.com is not among its alternate names",
            "the CN is else, not vpn.example.com",
            "it is also for www.example.com, which was not asked for",
            "it is a CA certificate (basic constraints CA:TRUE)",
            "its extended key usage does not allow TLS servers",
        ]
    );
}

#[test]
fn a_clock_ten_minutes_ahead_is_tolerated_and_no_more() {
    let key = KeyPair::generate().unwrap();
    let root = Authority::root("root");
    let issued = |start: i64, end: i64| {
        let mut params = leaf_params();
        let at = |minutes| now() + SignedDuration::from_mins(minutes);
        set_validity(&mut params, at(start), at(end));
        check(&root.sign(&params, &key), &[], &key_request())
    };
    assert_eq!(issued(10, 100), [""; 0]);
    assert!(issued(11, 100)[0].ends_with("is the clock right?"));
    assert_eq!(issued(-100, 0), ["it expired on 2026-11-22T12:00:00Z"]);
}

#[test]
fn an_invalid_chain_is_refused() {
    let root = Authority::root("root");
    let near = root.sub("near");
    let key = KeyPair::generate().unwrap();
    let leaf = near.sign(&leaf_params(), &key);
    let request = key_request();
    let impostor = Authority::root("near").certificate;
    assert_eq!(
        check(&leaf, &[impostor], &request),
        [
            "CN=vpn.example.com is followed by CN=near in the chain, which did not issue it: the signature does not belong to the key"
        ]
    );
}

#[test]
fn names_that_were_not_asked_for_are_refused() {
    let root = Authority::root("root");
    let key = KeyPair::generate().unwrap();
    let request = key_request();
    let text = |text: &str| text.try_into().unwrap();
    for (name, words) in [
        (
            SanType::DnsName(text("evil.example.com")),
            "evil.example.com",
        ),
        (SanType::DnsName(text("*.example.com")), "*.example.com"),
        (
            SanType::IpAddress("192.0.2.7".parse().unwrap()),
            "192.0.2.7",
        ),
        (
            SanType::Rfc822Name(text("ceo@example.com")),
            "ceo@example.com",
        ),
        (
            SanType::URI(text("https://example.com")),
            "https://example.com",
        ),
        (
            SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "admin@corp".into())),
            "a user principal name",
        ),
    ] {
        let mut params = leaf_params();
        params.subject_alt_names.push(name);
        let leaf = root.sign(&params, &key);
        let expected = format!("it is also for {words}, which was not asked for");
        assert_eq!(check(&leaf, &[], &request), [expected]);
    }
}

#[test]
fn a_directory_name_that_was_not_asked_for_is_refused() {
    let root = Authority::root("root");
    let key = KeyPair::generate().unwrap();
    let directory = vec![
        0x30, 0x10, 0xa4, 0x0e, 0x30, 0x0c, 0x31, 0x0a, 0x30, 8, 6, 3, 85, 4, 3, 12, 1, 65,
    ];
    let mut params = leaf_params();
    params.subject_alt_names.clear();
    let odd = rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], directory);
    params.custom_extensions.push(odd);
    let problems = check(&root.sign(&params, &key), &[], &key_request());
    assert!(
        problems.contains(
            &"it is also for the directory name CN=A, which was not asked for".to_owned()
        ),
        "{problems:?}"
    );
}

#[test]
fn a_name_that_the_ca_is_known_to_add_is_tolerated_and_reported() {
    let root = Authority::root("root");
    let request = key_request();
    let mut params = leaf_params();
    params
        .subject_alt_names
        .push(SanType::DnsName("www.vpn.example.com".try_into().unwrap()));
    let leaf = root.sign(&params, &KeyPair::generate().unwrap());
    let www = [AlternateName::Domain("www.vpn.example.com".to_owned())];
    let expected = Expected {
        tolerated: &www,
        ..Expected::new(leaf.public_key, &request, now())
    };
    let verdict = check_issued(&leaf, &[], &expected);
    assert_eq!(
        (verdict.problems.as_slice(), verdict.tolerated.as_slice()),
        (&[][..], &www[..])
    );
}

#[test]
fn names_in_the_subject_that_were_not_asked_for_are_refused() {
    let root = Authority::root("root");
    let key = KeyPair::generate().unwrap();
    let mut request = key_request();
    request.subject.common_name = None;
    let mut params = leaf_params();
    params
        .distinguished_name
        .push(DnType::CommonName, "www.bank.example");
    params.distinguished_name.push(
        DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]),
        "ceo@example.com",
    );
    assert_eq!(
        check(&root.sign(&params, &key), &[], &request),
        [
            "it is also for the CN www.bank.example, which was not asked for",
            "it is also for ceo@example.com, which was not asked for",
        ]
    );
    assert_eq!(
        check(&root.sign(&leaf_params(), &key), &[], &request),
        [""; 0]
    );
}

#[test]
fn purposes_that_no_firewall_has_are_refused() {
    let root = Authority::root("root");
    let key = KeyPair::generate().unwrap();
    let request = key_request();
    let check = |purposes: &[ExtendedKeyUsagePurpose]| {
        let mut params = leaf_params();
        params.extended_key_usages.extend(purposes.iter().cloned());
        check(&root.sign(&params, &key), &[], &request)
    };
    let ike = ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 17]);
    assert_eq!(check(&[ExtendedKeyUsagePurpose::ClientAuth, ike]), [""; 0]);
    for (purpose, number) in [
        (ExtendedKeyUsagePurpose::Any, "2.5.29.37.0"),
        (ExtendedKeyUsagePurpose::CodeSigning, "1.3.6.1.5.5.7.3.3"),
        (ExtendedKeyUsagePurpose::OcspSigning, "1.3.6.1.5.5.7.3.9"),
        (
            ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 2]),
            "1.3.6.1.4.1.311.20.2.2",
        ),
    ] {
        let found = check(&[purpose]);
        assert_eq!(found.len(), 1, "{number}: {found:?}");
        assert!(found[0].contains(number), "{found:?}");
    }
}

/// A client that trusts a CN may use any of them.
#[test]
fn every_cn_must_be_one_that_was_asked_for_wherever_it_stands() {
    let root = Authority::root("root");
    let leaf = |names: [&str; 2]| {
        let mut params = leaf_params();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        let again = DnType::CustomDnType(vec![2, 5, 4, 3]);
        params.distinguished_name.push(again, names[1]);
        root.sign(&params, &KeyPair::generate().unwrap())
    };
    let ours = "vpn.example.com";
    let without_cn = || {
        let mut request = key_request();
        request.subject.common_name = None;
        request
    };
    for names in [["evil.example.org", ours], [ours, "evil.example.org"]] {
        let leaf = leaf(names);
        let words = "the CN is evil.example.org, not vpn.example.com";
        assert_eq!(check(&leaf, &[], &key_request()), [words]);
        assert_eq!(differences_from_request(&leaf, &key_request()), [words]);
        let words = "it is also for the CN evil.example.org, which was not asked for";
        assert_eq!(check(&leaf, &[], &without_cn()), [words]);
    }
    assert_eq!(check(&leaf([ours, ours]), &[], &key_request()), [""; 0]);
}
