//! Authority key identifiers: what contradicts the issuer is refused, and said.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use jiff::SignedDuration;
use rcgen::{CertificateParams, CustomExtension, KeyPair};

use super::super::der;
use super::super::path::build;
use super::super::testing::{Authority, key_request, leaf_params, now, set_validity};
use super::super::{Certificate, Expected, check_issued};
use super::agreement::{Chain, host};

/// An authority key identifier of these fields, DER.
fn identifier(params: &mut CertificateParams, fields: &[&[u8]]) {
    let whole = der::sequence(fields);
    let extension = CustomExtension::from_oid_content(&[2, 5, 29, 35], whole);
    params.custom_extensions.push(extension);
}

fn key_of(authority: &Authority) -> Vec<u8> {
    let own = authority.certificate.subject_key_identifier().unwrap();
    der::element(der::PRIMITIVE_CONTEXT, &own)
}

/// The general names that hold the issuer of `certificate`.
fn issuer_of(certificate: &Certificate) -> Vec<u8> {
    let parts = der::only(&certificate.der).unwrap().children().unwrap();
    let fields = parts[0].children().unwrap();
    let directory = der::element(der::CONSTRUCTED_CONTEXT | 4, fields[3].whole);
    der::element(der::CONSTRUCTED_CONTEXT | 1, &directory)
}

fn serial_of(certificate: &Certificate) -> Vec<u8> {
    let parts = der::only(&certificate.der).unwrap().children().unwrap();
    let fields = parts[0].children().unwrap();
    der::element(der::PRIMITIVE_CONTEXT | 2, fields[1].content)
}

/// The same CA, certified again with the same key.
fn renewed(authority: &Authority, by: &Authority) -> Authority {
    let mut renewed = authority.clone();
    renewed.reissue(by, |params| {
        params.serial_number = Some(rcgen::SerialNumber::from(4711_u64));
    });
    renewed
}

/// root, near, leaf; the identifier stands in the leaf.
fn chain_of_leaf(fields: impl FnOnce(&Authority, &Authority) -> Vec<Vec<u8>>) -> Chain {
    let root = Authority::root("root");
    let near = root.sub("near");
    let fields = fields(&root, &near);
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    let mut params = leaf_params();
    identifier(&mut params, &fields);
    Chain {
        leaf: near.sign(&params, &KeyPair::generate().unwrap()),
        between: vec![near.certificate],
        root: root.certificate,
        host: host("vpn.example.com"),
    }
}

/// The same of the CA below the root.
fn chain_of_ca(fields: impl FnOnce(&Authority) -> Vec<Vec<u8>>) -> Chain {
    let root = Authority::root("root");
    let fields = fields(&root);
    let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    let mut near = root.sub("near");
    near.reissue(&root, |params| identifier(params, &fields));
    Chain {
        leaf: near.sign(&leaf_params(), &KeyPair::generate().unwrap()),
        between: vec![near.certificate],
        root: root.certificate,
        host: host("vpn.example.com"),
    }
}

fn another_key() -> Vec<u8> {
    der::element(der::PRIMITIVE_CONTEXT, &[7; 20])
}

/// A leaf that names the certificate which its CA had before it was renewed, with the same key.
fn former() -> Chain {
    chain_of_leaf(|root, near| {
        let former = renewed(near, root).certificate;
        vec![key_of(near), issuer_of(&former), serial_of(&former)]
    })
}

pub(super) fn chains() -> Vec<(String, Chain)> {
    let named = |authority: &Authority| {
        let own = &authority.certificate;
        vec![key_of(authority), issuer_of(own), serial_of(own)]
    };
    let other_name = |authority: &Authority| {
        let other = Authority::root("other").certificate;
        vec![issuer_of(&other), serial_of(&authority.certificate)]
    };
    let cases = [
        ("its own", chain_of_leaf(|_, near| named(near))),
        ("another key", chain_of_leaf(|_, _| vec![another_key()])),
        ("a former certificate", former()),
        (
            "an issuer of another name",
            chain_of_leaf(|_, near| other_name(near)),
        ),
        ("nothing", chain_of_leaf(|_, _| Vec::new())),
        (
            "what cannot be read",
            chain_of_leaf(|_, _| vec![vec![5, 0]]),
        ),
        ("the root", chain_of_ca(named)),
        ("another root", chain_of_ca(|_| vec![another_key()])),
        ("a root of another name", chain_of_ca(other_name)),
    ];
    let cases = cases.into_iter();
    cases
        .map(|(what, chain)| (format!("{what} as the identifier of the issuer"), chain))
        .collect()
}

#[test]
fn a_leaf_that_names_another_issuer_is_refused_and_not_taken_for_one_without() {
    let request = key_request();
    for (chain, words) in [
        (
            chain_of_leaf(|_, _| vec![another_key()]),
            "CN=vpn.example.com names another key than that of CN=near as its issuer's (authority key identifier)",
        ),
        (
            former(),
            "CN=vpn.example.com names another certificate of its issuer than the one of CN=near in the chain, by issuer and serial number (authority key identifier)",
        ),
    ] {
        let bag = [chain.between[0].clone(), chain.root];
        let expected = Expected::new(chain.leaf.public_key, &request, now());
        for bag in [&bag[..], &bag[..1]] {
            let verdict = check_issued(&chain.leaf, bag, &expected);
            assert_eq!(verdict.problems, [words]);
            assert_eq!((verdict.chain.len(), verdict.unverified), (0, None));
        }
    }
}

#[test]
fn the_certificate_that_is_named_is_found_beside_another_of_the_same_ca() {
    let root = Authority::root("root");
    let near = root.sub("near");
    let former = renewed(&near, &root).certificate;
    let mut params = leaf_params();
    identifier(&mut params, &[&issuer_of(&former), &serial_of(&former)]);
    let leaf = near.sign(&params, &KeyPair::generate().unwrap());
    for bag in [
        [near.certificate.clone(), former.clone()],
        [former.clone(), near.certificate.clone()],
    ] {
        let chain = build(&leaf, &bag, &[], now());
        assert_eq!(chain.certificates, std::slice::from_ref(&former));
    }
}

/// As with the cross-signature of 2020: the CA below names the new root, which clients have and no CA sends.
#[test]
fn an_expired_cross_signature_that_is_not_the_one_named_is_passed_by() {
    let old = Authority::root("old root");
    let root = Authority::root("new root");
    let mut cross = root.clone();
    cross.reissue(&old, |params| {
        params.serial_number = Some(rcgen::SerialNumber::from(4711_u64));
        let at = |hours| now() - SignedDuration::from_hours(hours);
        set_validity(params, at(48), at(24));
    });
    let mut near = root.sub("near");
    let named = [issuer_of(&root.certificate), serial_of(&root.certificate)];
    near.reissue(&root, |params| {
        identifier(params, &[&named[0], &named[1]]);
    });
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let bag = [near.certificate.clone(), cross.certificate];
    let chain = build(&leaf, &bag, &[], now());
    assert_eq!(chain.problems, [""; 0]);
    assert_eq!(chain.certificates, bag[..1]);
}
