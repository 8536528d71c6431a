//! Paths out of what CAs really send: expired cross-signatures, forged signatures, names in another case, strangers.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, DistinguishedName, DnType, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose,
    NameConstraints, SanType,
};

use super::super::path::{Chain, build, ends_in_root, verify};
use super::super::testing::{Authority, leaf_params, now, renamed, set_validity};
use super::super::{AlternateName, Certificate};

/// The files of a case: the leaf, and what came with it.
fn case(pem: &str) -> (Certificate, Vec<Certificate>) {
    let mut all = Certificate::all_from_pem(pem).unwrap();
    (all.remove(0), all)
}

/// A moment at which the leaves of all cases are valid.
fn moment() -> Timestamp {
    "2026-12-01T12:00:00Z".parse().unwrap()
}

fn built(leaf: &Certificate, bag: &[Certificate]) -> Chain {
    build(leaf, bag, &[], now())
}

fn subjects(chain: &Chain) -> Vec<&str> {
    let certificates = chain.certificates.iter();
    certificates.map(|one| one.subject.as_str()).collect()
}

fn host(name: &str) -> AlternateName {
    AlternateName::Domain(name.to_owned())
}

/// Every order of `bag`.
fn orders(bag: &[Certificate]) -> Vec<Vec<Certificate>> {
    let Some((first, rest)) = bag.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for order in orders(rest) {
        for place in 0..=order.len() {
            let mut order = order.clone();
            order.insert(place, first.clone());
            all.push(order);
        }
    }
    all
}

#[test]
fn an_expired_cross_signature_is_passed_by_in_every_order_of_the_bag() {
    for pem in [
        include_str!("cases/expired_cross_first.pem"),
        include_str!("cases/expired_cross_last.pem"),
    ] {
        let (leaf, bag) = case(pem);
        for bag in orders(&bag) {
            let chain = build(&leaf, &bag, &[], moment());
            assert_eq!(chain.problems, [""; 0]);
            assert_eq!(subjects(&chain), ["CN=Inter", "CN=New Root"]);
            assert!(ends_in_root(&chain.certificates));
        }
    }
}

#[test]
fn where_all_above_is_expired_the_chain_ends_below_it() {
    let (leaf, mut bag) = case(include_str!("cases/expired_cross_first.pem"));
    bag.retain(|one| one.subject != one.issuer || one.not_after < moment());
    assert_eq!(
        bag.len(),
        3,
        "Inter, the cross-signed root and the old root"
    );
    for bag in orders(&bag) {
        let chain = build(&leaf, &bag, &[], moment());
        assert_eq!(subjects(&chain), ["CN=Inter"], "{:?}", chain.problems);
    }
}

#[test]
fn an_intermediate_without_a_valid_certificate_is_refused() {
    let root = Authority::root("root");
    let mut middle = root.sub("middle");
    let near = middle.sub("near");
    middle.reissue(&root, |params| {
        set_validity(
            params,
            now() - SignedDuration::from_hours(48),
            now() - SignedDuration::from_hours(24),
        );
    });
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let bag = [&near, &middle, &root].map(|one| one.certificate.clone());
    for bag in orders(&bag) {
        let chain = built(&leaf, &bag);
        assert_eq!(
            chain.problems,
            ["in the chain, CN=middle expired on 2026-11-21T12:00:00Z"]
        );
        assert_eq!(chain.certificates, []);
    }
    let mut near = near;
    near.reissue(&middle, |params| {
        set_validity(
            params,
            now() - SignedDuration::from_hours(48),
            now() - SignedDuration::from_hours(24),
        );
    });
    let chain = built(&leaf, std::slice::from_ref(&near.certificate));
    assert_eq!(
        chain.problems,
        ["in the chain, CN=near expired on 2026-11-21T12:00:00Z"],
        "the issuer of the leaf itself must be valid"
    );
}

#[test]
fn a_leaf_with_a_forged_signature_is_refused_with_the_name_of_its_issuer() {
    let (leaf, bag) = case(include_str!("cases/bogus_sig.pem"));
    for bag in orders(&bag) {
        let chain = build(&leaf, &bag, &[], moment());
        assert_eq!(
            chain.problems,
            [
                "CN=vpn.example.com is followed by CN=Inter in the chain, which did not issue it: the signature does not belong to the key"
            ]
        );
    }
}

#[test]
fn a_leaf_signed_with_sha_1_is_refused() {
    let (leaf, bag) = case(include_str!("cases/sha1_leaf.pem"));
    for bag in orders(&bag) {
        let chain = build(&leaf, &bag, &[], moment());
        assert!(
            chain.problems.iter().any(|words| words.contains("SHA-1")),
            "{chain:?}"
        );
        let refused = verify(&leaf, &bag, &bag, None, moment()).unwrap_err();
        assert!(refused.0.contains("SHA-1"), "{refused}");
    }
}

#[test]
fn names_that_differ_in_case_and_spaces_are_the_same() {
    let (leaf, bag) = case(include_str!("cases/issuer_case.pem"));
    assert_ne!(leaf.issuer, bag[0].subject);
    for bag in orders(&bag) {
        let chain = build(&leaf, &bag, &[], moment());
        assert_eq!(
            subjects(&chain),
            ["CN=Corp  Issuing CA", "CN=New Root"],
            "{chain:?}"
        );
    }
    assert_eq!(leaf.verify_signed_by(&bag[0]), Ok(()));
}

#[test]
fn an_unordered_bag_is_ordered_and_unrelated_and_duplicate_certificates_are_dropped() {
    let root = Authority::root("root");
    let middle = root.sub("middle");
    let near = middle.sub("near");
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let [r, m, n] = [&root, &middle, &near].map(|a| a.certificate.clone());
    let stranger = Authority::root("near").certificate;
    let given = [
        r.clone(),
        stranger,
        leaf.clone(),
        m.clone(),
        r.clone(),
        n.clone(),
        n.clone(),
    ];
    let chain = built(&leaf, &given);
    assert_eq!(chain.certificates, [n.clone(), m.clone(), r], "{chain:?}");
    assert!(ends_in_root(&chain.certificates));
    let open = built(&leaf, &[m, n]);
    assert_eq!(open.certificates.len(), 2);
    assert!(!ends_in_root(&open.certificates) && open.problems.is_empty());
}

#[test]
fn a_leaf_whose_issuer_was_not_sent_is_reported_as_unverified_and_not_refused() {
    let root = Authority::root("root");
    let leaf = root.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let stranger = Authority::root("stranger").certificate;
    for bag in [&[][..], &[stranger]] {
        let chain = built(&leaf, bag);
        assert_eq!(
            (chain.problems.as_slice(), chain.certificates.len()),
            (&[][..], 0)
        );
        assert_eq!(
            chain.unverified.as_deref(),
            Some(
                "the CA did not send the certificate of the issuer (CN=root), so the signature of CN=vpn.example.com was not verified"
            )
        );
    }
}

#[test]
fn a_leaf_that_names_itself_as_its_issuer_is_refused() {
    let own = KeyPair::generate().unwrap();
    let stranger = KeyPair::generate().unwrap();
    let draft = leaf_params().self_signed(&own).unwrap();
    let forged = renamed(draft.der(), None, None, &stranger);
    let genuine = Certificate::from_der(draft.der()).unwrap();
    let other = Authority::root("stranger").certificate;
    for leaf in [genuine, forged] {
        for bag in [
            &[][..],
            std::slice::from_ref(&leaf),
            std::slice::from_ref(&other),
        ] {
            let chain = built(&leaf, bag);
            assert_eq!(
                chain.problems,
                [
                    "it names itself (CN=vpn.example.com) as its issuer, as a self-signed certificate does"
                ]
            );
            assert_eq!(chain.unverified, None);
        }
    }
}

/// The authority key identifier distinguishes its CA from itself.
#[test]
fn a_leaf_may_have_the_name_of_its_ca_where_it_names_the_key_of_the_ca() {
    let namesake = Authority::root("vpn.example.com");
    let own = KeyPair::generate().unwrap();
    let mut params = leaf_params();
    params.is_ca = IsCa::ExplicitNoCa;
    let leaf = namesake.sign(&params, &own);
    let bag = [namesake.certificate.clone()];
    assert_eq!(built(&leaf, &bag).problems.len(), 1);
    params.use_authority_key_identifier_extension = true;
    let leaf = namesake.sign(&params, &own);
    assert_eq!(built(&leaf, &bag).certificates, bag);
    assert!(built(&leaf, &[]).unverified.is_some());
}

#[test]
fn another_ca_of_the_same_name_neither_helps_nor_hurts_above_the_leaf() {
    let root = Authority::root("root");
    let mut near = root.sub("near");
    near.reissue(&root, |params| {
        params.use_authority_key_identifier_extension = true;
    });
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let namesake = Authority::root("root").certificate;
    let chain = built(&leaf, &[namesake.clone(), near.certificate.clone()]);
    assert_eq!(chain.certificates, [near.certificate.clone()], "{chain:?}");
    let all = [namesake, near.certificate.clone(), root.certificate.clone()];
    assert_eq!(built(&leaf, &all).certificates, all[1..]);
    let namesake = Authority::root("near").certificate;
    let chain = built(&leaf, &[namesake]);
    assert_eq!(
        chain.problems.len(),
        1,
        "the leaf's own issuer must fit: {chain:?}"
    );
}

#[test]
fn cas_that_signed_each_other_are_no_endless_chain() {
    let one = Authority::root("one");
    let two = Authority::root("two");
    let leaf = one.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let given = [one.cross_signed_by(&two), two.cross_signed_by(&one)];
    for bag in orders(&given) {
        assert_eq!(built(&leaf, &bag).certificates, given);
    }
}

#[test]
fn a_chain_without_an_end_is_refused() {
    let mut above = vec![Authority::root("0")];
    for number in 1..40 {
        let next = above.last().unwrap().sub(&number.to_string());
        above.push(next);
    }
    let last = above.last().unwrap();
    let leaf = last.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let given: Vec<Certificate> = above.into_iter().map(|one| one.certificate).collect();
    let chain = built(&leaf, &given);
    assert_eq!(chain.problems, ["the chain is longer than 16 certificates"]);
}

#[test]
fn a_bag_with_many_paths_costs_a_bounded_number_of_steps() {
    // Four certificates of each of twelve CAs: sixteen million ways.
    let mut layers: Vec<Vec<Authority>> = vec![vec![Authority::root("0")]];
    for depth in 1..=12 {
        let below: Vec<Authority> = layers
            .last()
            .unwrap()
            .iter()
            .take(1)
            .flat_map(|above| {
                let first = above.sub(&depth.to_string());
                let copies: Vec<Authority> = (0..3)
                    .map(|_| {
                        let mut copy = first.clone();
                        copy.reissue(above, |params| params.serial_number = Some(rand_serial()));
                        copy
                    })
                    .collect();
                std::iter::once(first).chain(copies)
            })
            .collect();
        layers.push(below);
    }
    let last = &layers.last().unwrap()[0];
    let leaf = last.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let bag: Vec<Certificate> = layers
        .iter()
        .flatten()
        .map(|one| one.certificate.clone())
        .collect();
    let chain = built(&leaf, &bag);
    assert_eq!(chain.problems, [""; 0]);
    assert_eq!(chain.certificates.len(), 13);
}

fn rand_serial() -> rcgen::SerialNumber {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1000);
    rcgen::SerialNumber::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn a_ca_that_may_not_issue_is_refused_and_named() {
    type Change = fn(&mut rcgen::CertificateParams);
    let cases: [(Change, &str); 4] = [
        (|params| params.is_ca = IsCa::ExplicitNoCa, "is not a CA"),
        (
            |params| params.key_usages = vec![KeyUsagePurpose::CrlSign],
            "may not sign certificates (key usage)",
        ),
        (
            |params| params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth],
            "may not issue for TLS servers (extended key usage)",
        ),
        (
            |params| {
                let mut odd = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                odd.set_criticality(true);
                params.custom_extensions.push(odd);
            },
            "has a critical extension that renewd does not know (1.2.3.4)",
        ),
    ];
    for (change, words) in cases {
        let root = Authority::root("root");
        let mut near = root.sub("near");
        near.reissue(&root, change);
        let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
        let bag = [near.certificate.clone(), root.certificate.clone()];
        let expected = format!("in the chain, CN=near {words}");
        assert_eq!(built(&leaf, &bag).problems, [&*expected]);
        let refused = verify(&leaf, &bag, &bag[1..], None, now()).unwrap_err();
        assert_eq!(refused.0, expected);
    }
    let mut root = Authority::root("root");
    root.reissue_self(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let near = root.sub("near");
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let bag = [near.certificate.clone(), root.certificate.clone()];
    assert_eq!(
        built(&leaf, &bag).problems,
        ["in the chain, CN=root allows 0 CAs below it (path length), and there are 1"]
    );
}

#[test]
fn a_root_signed_with_anything_is_a_root_and_a_pin_may_name_any_ca_of_the_path() {
    let root = Authority::root("root");
    let near = root.sub("near");
    let leaf = near.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let bag = [near.certificate.clone(), root.certificate.clone()];
    let stranger = Authority::root("stranger").certificate;
    for pinned in &bag {
        let pins = [stranger.clone(), pinned.clone()];
        let chain = build(&leaf, &bag, &pins, now());
        assert_eq!(chain.problems, [""; 0]);
        assert_eq!(chain.certificates, bag);
    }
    // Most CAs do not send the root.
    let sent = [near.certificate.clone()];
    let chain = build(&leaf, &sent, std::slice::from_ref(&root.certificate), now());
    assert_eq!(
        (chain.problems, &chain.certificates[..]),
        (vec![], &sent[..])
    );
    let stranger = [stranger];
    let chain = build(&leaf, &bag, &stranger, now());
    let [near, root] = bag.each_ref().map(|one| one.fingerprint);
    assert_eq!(
        chain.problems,
        [format!(
            "none of the CA certificates above it is in chain_roots: CN=near (SHA-256 {near}), CN=root (SHA-256 {root})"
        )]
    );
    let alone = build(&leaf, &[], &stranger, now());
    assert_eq!(
        alone.problems,
        ["CN=near, which issued CN=vpn.example.com, is neither trusted nor was it sent"]
    );
}

#[test]
fn what_is_served_is_verified_for_its_name_its_roots_and_its_time() {
    let root = Authority::root("root");
    let near = root.sub("near");
    let mut params = leaf_params();
    params.subject_alt_names.extend([
        SanType::DnsName("*.wild.example.com".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
    ]);
    let leaf = near.sign(&params, &KeyPair::generate().unwrap());
    let between = [near.certificate.clone()];
    let roots = [root.certificate.clone()];
    let at = |name: AlternateName, now: Timestamp| {
        verify(&leaf, &between, &roots, Some(&name), now).map(|chain| chain.len())
    };
    for (name, fits) in [
        (host("VPN.example.com"), true),
        (host("a.wild.example.com"), true),
        (host("a.b.wild.example.com"), false),
        (host("wild.example.com"), false),
        (AlternateName::Ip("192.0.2.1".parse().unwrap()), true),
        (AlternateName::Ip("192.0.2.2".parse().unwrap()), false),
    ] {
        let verified = at(name.clone(), now());
        assert_eq!(verified.is_ok(), fits, "{name}: {verified:?}");
    }
    let late = now() + SignedDuration::from_hours(24 * 91);
    let expired = at(host("vpn.example.com"), late).unwrap_err();
    assert!(expired.0.starts_with("it expired on "), "{expired}");
    let stranger = [Authority::root("root").certificate];
    assert!(verify(&leaf, &between, &stranger, None, now()).is_err());
    assert!(verify(&leaf, &between, &[], None, now()).is_err());
    assert!(verify(&leaf, &[], &roots, None, now()).is_err());
    let pinned = verify(&leaf, &[], &between, None, now());
    assert_eq!(pinned.as_deref(), Ok(between.as_slice()));
    let mut params = leaf_params();
    params
        .distinguished_name
        .push(DnType::CommonName, "other.example.com");
    let by_cn = near.sign(&params, &KeyPair::generate().unwrap());
    let other = host("other.example.com");
    assert!(verify(&by_cn, &between, &roots, Some(&other), now()).is_err());
}

fn permitted(names: impl IntoIterator<Item = String>) -> NameConstraints {
    NameConstraints {
        permitted_subtrees: names.into_iter().map(GeneralSubtree::DnsName).collect(),
        excluded_subtrees: Vec::new(),
    }
}

/// OpenSSL takes each CN that is a host name for one where there are no alternate names.
#[test]
fn each_cn_of_a_leaf_without_alternate_names_is_constrained() {
    let mut root = Authority::root("root");
    root.reissue_self(|params| {
        params.name_constraints = Some(permitted(["example.com".to_owned()]));
    });
    let leaf = |first: &str| {
        let mut params = leaf_params();
        params.subject_alt_names.clear();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, first);
        let again = DnType::CustomDnType(vec![2, 5, 4, 3]);
        params.distinguished_name.push(again, "vpn.example.com");
        root.sign(&params, &KeyPair::generate().unwrap())
    };
    let bag = [root.certificate.clone()];
    assert_eq!(built(&leaf("www.example.com"), &bag).problems, [""; 0]);
    let problems = built(&leaf("evil.example.org"), &bag).problems;
    assert!(
        problems[0].contains("does not permit evil.example.org"),
        "{problems:?}"
    );
}

/// Otherwise every name would be compared with every constraint, for each path, for minutes.
#[test]
fn a_chain_with_more_constraints_and_names_than_can_be_compared_is_refused() {
    let mut root = Authority::root("root");
    let subtrees = || (0..2000).map(|at| format!("n{at}.example.com"));
    root.reissue_self(|params| params.name_constraints = Some(permitted(subtrees())));
    let leaf = |names: usize| {
        let mut params = leaf_params();
        params.subject_alt_names = subtrees()
            .take(names)
            .map(|name| SanType::DnsName(name.try_into().unwrap()))
            .collect();
        root.sign(&params, &KeyPair::generate().unwrap())
    };
    let bag = [root.certificate.clone()];
    assert_eq!(built(&leaf(100), &bag).problems, [""; 0]);
    let problems = built(&leaf(2000), &bag).problems;
    assert!(
        problems[0].contains("more name constraints than renewd compares"),
        "{problems:?}"
    );
}
