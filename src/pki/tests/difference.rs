//! What differs between a request or certificate and what was asked for.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use rcgen::{BasicConstraints, DnType, IsCa, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};

use super::super::testing::{Authority, csr, csr_params, key_request, leaf_params, params};
use super::super::{AlternateName, KeyKind, differences_from_request};

#[test]
fn the_request_that_was_asked_for_has_no_differences() {
    let key = KeyPair::generate().unwrap();
    assert_eq!(
        csr(&csr_params(), &key).differences(&key_request()),
        [""; 0]
    );
}

#[test]
fn the_order_of_parts_and_a_repeated_cn_do_not_count() {
    let key = KeyPair::generate().unwrap();
    let mut made = params(&[
        (DnType::CommonName, "vpn.example.com"),
        (DnType::CustomDnType(vec![2, 5, 4, 11]), "IT"),
        (DnType::OrganizationalUnitName, "Network"),
        (DnType::OrganizationName, "Example"),
        (DnType::CountryName, "Netherlands"),
    ]);
    let name = |name: &str| SanType::DnsName(name.try_into().unwrap());
    made.subject_alt_names = vec![name("VPN.example.com"), name("portal.example.com")];
    let mut wanted = key_request();
    wanted.alternate_names = vec![AlternateName::Domain("portal.example.com".to_owned())];
    assert_eq!(csr(&made, &key).differences(&wanted), [""; 0]);
}

#[test]
fn every_difference_is_reported() {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let mut made = params(&[
        (DnType::CountryName, "DE"),
        (DnType::OrganizationName, "example"),
        (DnType::OrganizationalUnitName, "IT"),
        (DnType::CommonName, "other.example.com"),
    ]);
    made.subject_alt_names = vec![
        SanType::DnsName("other.example.com".try_into().unwrap()),
        SanType::URI("https://example.com".try_into().unwrap()),
    ];
    made.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(
        csr(&made, &key).differences(&key_request()),
        [
            "C=Netherlands is missing",
            "O=Example is missing",
            "OU=Network is missing",
            "CN=vpn.example.com is missing",
            "C=DE was not asked for",
            "O=example was not asked for",
            "CN=other.example.com was not asked for",
            "the alternate name vpn.example.com is missing",
            "the alternate name other.example.com was not asked for",
            "the alternate name https://example.com was not asked for",
            "the key is ECDSA P-384, not ECDSA P-256",
            "it asks to become a CA (basic constraints CA:TRUE)",
        ]
    );
}

#[test]
fn a_country_spelt_as_only_the_device_does_is_no_difference() {
    let key = KeyPair::generate().unwrap();
    let request = csr(&csr_params(), &key);
    let mut wanted = key_request();
    for (country, same) in [
        ("NETHERLANDS", true),
        ("The Netherlands", true),
        ("Netherlands (Kingdom)", true),
        ("Germany", false),
    ] {
        wanted.subject.country = Some(country.to_owned());
        assert_eq!(request.differences(&wanted).is_empty(), same, "{country}");
    }
}

#[test]
fn a_certificate_that_fits_the_configuration_has_the_differences_from_request() {
    let key = KeyPair::generate().unwrap();
    let root = Authority::root("r");
    assert_eq!(
        differences_from_request(&root.sign(&leaf_params(), &key), &key_request()),
        [""; 0]
    );
    let only_cn = params(&[(DnType::CommonName, "VPN.example.com")]);
    assert_eq!(
        differences_from_request(&root.sign(&only_cn, &key), &key_request()),
        [""; 0]
    );
    let mut without_cn = leaf_params();
    without_cn.distinguished_name.remove(DnType::CommonName);
    assert_eq!(
        differences_from_request(&root.sign(&without_cn, &key), &key_request()),
        [""; 0]
    );
}

#[test]
fn a_changed_name_or_key_is_noticed_on_the_certificate() {
    let key = KeyPair::generate().unwrap();
    let certificate = Authority::root("r").sign(&leaf_params(), &key);
    let mut wanted = key_request();
    wanted.alternate_names = vec![AlternateName::Ip("192.0.2.1".parse().unwrap())];
    wanted.subject.common_name = Some("portal.example.com".to_owned());
    wanted.key = KeyKind::Rsa(2048);
    assert_eq!(
        differences_from_request(&certificate, &wanted),
        [
            "the name 192.0.2.1 is missing",
            "the name portal.example.com is missing",
            "the CN is vpn.example.com, not portal.example.com",
            "the key is ECDSA P-256, not RSA 2048",
        ]
    );
}
