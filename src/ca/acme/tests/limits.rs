//! Which limits an order uses up.

use jiff::SignedDuration;
use rcgen::{KeyPair, SanType};

use super::*;
use crate::ca::{Previous, Window};
use crate::pki::testing::{csr, params};

fn request(names: &[&str]) -> SigningRequest {
    let mut wanted = params(&[(rcgen::DnType::CommonName, names[0])]);
    wanted.subject_alt_names = names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    SigningRequest {
        client_reference: "r1".to_owned(),
        csr: csr(&wanted, &KeyPair::generate().unwrap()),
        planned_at: now(),
        previous: None,
        window: None,
    }
}

fn renewal(names: &[&str], age: SignedDuration) -> SigningRequest {
    let mut wanted = params(&[(rcgen::DnType::CommonName, names[0])]);
    wanted.subject_alt_names = names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().unwrap()))
        .collect();
    crate::pki::testing::set_validity(
        &mut wanted,
        now() - age,
        now() + SignedDuration::from_hours(24),
    );
    let der = wanted.self_signed(&KeyPair::generate().unwrap()).unwrap();
    SigningRequest {
        previous: Some(Previous {
            certificate: Certificate::from_der(der.der()).unwrap(),
            order: Some(Reference("https://acme.example.com/order/1".to_owned())),
        }),
        ..request(names)
    }
}

fn buckets(request: &SigningRequest) -> Vec<String> {
    let directory = "https://acme-v02.api.letsencrypt.org/directory"
        .parse()
        .unwrap();
    let names = names::identifiers(&request.csr).unwrap();
    super::super::limits::of(&Limits::of(&directory), &names, request, now())
        .into_iter()
        .map(|limit| limit.bucket)
        .collect()
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[test]
fn a_first_order_is_counted_for_the_account_the_registered_domain_and_the_names() {
    assert_eq!(
        buckets(&request(&["vpn.shop.example.co.uk"])),
        [
            "account",
            "domain example.co.uk",
            "names vpn.shop.example.co.uk"
        ]
    );
    assert_eq!(
        buckets(&request(&["*.example.com", "fw.example.com"])),
        [
            "account",
            "domain example.com",
            "names *.example.com,fw.example.com"
        ]
    );
}

#[test]
fn an_address_is_its_own_domain_and_of_ipv6_the_64_bits_of_its_network() {
    assert_eq!(buckets(&request(&["192.0.2.1"]))[1], "domain 192.0.2.1");
    assert_eq!(
        buckets(&request(&["2001:db8:1:2:3::4"]))[1],
        "domain 2001:db8:1:2::/64"
    );
}

#[test]
fn a_renewal_of_the_same_names_within_120_days_is_counted_for_the_names_only() {
    let names = ["vpn.example.com"];
    assert_eq!(
        buckets(&renewal(&names, DAY * 60)),
        ["names vpn.example.com"]
    );
    assert_eq!(buckets(&renewal(&names, DAY * 121)).len(), 3);
    let mut other = renewal(&names, DAY * 60);
    other.csr = request(&["fw.example.com"]).csr;
    assert_eq!(buckets(&other).len(), 3);
}

#[test]
fn a_certificate_of_another_client_is_no_renewal() {
    let mut request = renewal(&["vpn.example.com"], DAY * 60);
    request.previous.as_mut().unwrap().order = None;
    assert_eq!(buckets(&request).len(), 3);
}

#[test]
fn inside_the_window_that_the_ca_named_nothing_is_counted() {
    let mut request = renewal(&["vpn.example.com"], DAY * 60);
    let hour = SignedDuration::from_hours(1);
    let window = |start, end| Some(Window { start, end });
    request.window = window(now(), now() + hour);
    assert_eq!(buckets(&request), [""; 0]);
    request.window = window(now() - hour, now());
    assert_eq!(buckets(&request).len(), 1, "its end lies outside of it");
    request.window = window(now() + hour, now() + hour * 2);
    assert_eq!(buckets(&request).len(), 1);
}

#[test]
fn other_cas_have_no_limits_that_we_know_of() {
    let directory = "https://acme.example.com/directory".parse().unwrap();
    assert_eq!(Limits::of(&directory), Limits::default());
    let request = request(&["vpn.example.com"]);
    let names = names::identifiers(&request.csr).unwrap();
    assert_eq!(
        super::super::limits::of(&Limits::default(), &names, &request, now()),
        []
    );
}
