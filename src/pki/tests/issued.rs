//! Judging what a CA issued.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use jiff::SignedDuration;
use rcgen::{BasicConstraints, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType};

use super::super::testing::{Authority, key_request, leaf_params, now, set_validity};
use super::super::{
    Certificate, Expected, Fingerprint, KeyRequest, check_issued, differences_from_request,
};

fn check(leaf: &Certificate, chain: &[Certificate], request: &KeyRequest) -> Vec<String> {
    let expected = Expected {
        public_key: leaf.public_key,
        request,
        now: now(),
    };
    check_issued(leaf, chain, &expected)
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
fn everything_that_is_wrong_is_told() {
    let mut params = leaf_params();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![SanType::DnsName("www.example.com".try_into().unwrap())];
    params.distinguished_name.push(DnType::CommonName, "else");
    let leaf = Authority::root("root").sign(&params, &KeyPair::generate().unwrap());
    let request = key_request();
    let expected = Expected {
        public_key: Fingerprint::of(b"another key"),
        request: &request,
        now: now(),
    };
    let problems = check_issued(&leaf, &[], &expected);
    assert!(problems[0].starts_with("its public key (SHA-256 "));
    assert_eq!(
        problems[1..],
        [
            "vpn.example.com is not among its alternate names",
            "the CN is else, not vpn.example.com",
            "it is a CA certificate (basic constraints CA:TRUE)",
            "its extended key usage does not allow TLS servers",
        ]
    );
}

#[test]
fn a_clock_ten_minutes_ahead_is_borne_and_no_more() {
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
fn a_chain_that_does_not_hold_is_refused() {
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
    assert_eq!(
        check(&leaf, std::slice::from_ref(&root.certificate), &request),
        [
            "CN=vpn.example.com is followed by CN=root in the chain, which did not issue it: its issuer is CN=near, not CN=root"
        ]
    );
    let not_a_ca = root.sign(&leaf_params(), &key);
    let problems = check(&leaf, &[not_a_ca], &request);
    assert_eq!(problems[0], "in the chain, CN=vpn.example.com is not a CA");
}
