//! The verdict on a path, and on an issued certificate, against that of `openssl verify -purpose sslserver
//! -verify_hostname`, over generated chains.
//!
//! Where they differ on purpose, the chain is in a list with the reason.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::process::{Command, Stdio};

use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    SanType,
};

use super::super::path::verify;
use super::super::testing::{Authority, key_request, leaf_params, now, set_validity};
use super::super::{AlternateName, Certificate, Expected, check_issued};
use super::{identifiers, odd_signatures};

type Change = fn(&mut CertificateParams);

/// root, middle, near, leaf; each may be changed before it is signed.
#[derive(Clone, Copy)]
enum ChainPosition {
    Root,
    Middle,
    Near,
    Leaf,
}

pub(super) struct Chain {
    pub(super) leaf: Certificate,
    pub(super) between: Vec<Certificate>,
    pub(super) root: Certificate,
    /// Which name it is verified for.
    pub(super) host: AlternateName,
}

pub(super) fn host(name: &str) -> AlternateName {
    match name.parse() {
        Ok(address) => AlternateName::Ip(address),
        Err(_) => AlternateName::Domain(name.to_owned()),
    }
}

fn chain(changes: &[(ChainPosition, Change)]) -> Chain {
    let at = |wanted: ChainPosition| {
        let changes: Vec<Change> = changes
            .iter()
            .filter(|(place, _)| *place as u8 == wanted as u8)
            .map(|(_, change)| *change)
            .collect();
        move |params: &mut CertificateParams| changes.iter().for_each(|change| change(params))
    };
    let mut root = Authority::root("root");
    root.reissue_self(at(ChainPosition::Root));
    let mut middle = root.sub("middle");
    middle.reissue(&root, at(ChainPosition::Middle));
    let mut near = middle.sub("near");
    near.reissue(&middle, at(ChainPosition::Near));
    let mut params = leaf_params();
    at(ChainPosition::Leaf)(&mut params);
    let leaf = near.sign(&params, &KeyPair::generate().unwrap());
    Chain {
        leaf,
        between: vec![middle.certificate, near.certificate],
        root: root.certificate,
        host: host("vpn.example.com"),
    }
}

fn hours(from: i64, to: i64) -> impl Fn(&mut CertificateParams) {
    move |params| {
        let at = |hours| now() + SignedDuration::from_hours(hours);
        set_validity(params, at(from), at(to));
    }
}

fn expired(params: &mut CertificateParams) {
    hours(-48, -24)(params);
}

fn not_yet(params: &mut CertificateParams) {
    hours(24, 48)(params);
}

fn odd(params: &mut CertificateParams, is_critical: bool) {
    extend(params, &[1, 2, 3, 4], &[5, 0], is_critical);
}

fn extend(params: &mut CertificateParams, oid: &[u64], content: &[u8], is_critical: bool) {
    let mut extension = CustomExtension::from_oid_content(oid, content.to_vec());
    extension.set_criticality(is_critical);
    params.custom_extensions.push(extension);
}

const NETSCAPE_TYPE: &[u64] = &[2, 16, 840, 1, 113_730, 1, 1];

fn constrain(params: &mut CertificateParams, permitted: GeneralSubtree) {
    let constraints = params.name_constraints.get_or_insert(NameConstraints {
        permitted_subtrees: vec![],
        excluded_subtrees: vec![],
    });
    constraints.permitted_subtrees.push(permitted);
}

fn exclude(params: &mut CertificateParams, excluded: GeneralSubtree) {
    let constraints = params.name_constraints.get_or_insert(NameConstraints {
        permitted_subtrees: vec![],
        excluded_subtrees: vec![],
    });
    constraints.excluded_subtrees.push(excluded);
}

fn dns(name: &str) -> GeneralSubtree {
    GeneralSubtree::DnsName(name.to_owned())
}

fn common_name(name: &str) -> GeneralSubtree {
    let mut directory = DistinguishedName::new();
    directory.push(DnType::CommonName, name);
    GeneralSubtree::DirectoryName(directory)
}

fn names(params: &mut CertificateParams, names: &[&str]) {
    let name = |name: &&str| SanType::DnsName((*name).try_into().unwrap());
    params.subject_alt_names = names.iter().map(name).collect();
}

/// What may be changed at a CA.
const OF_CAS: [(&str, Change); 20] = [
    ("expired", expired),
    ("not yet valid", not_yet),
    ("no CA", |params| params.is_ca = IsCa::ExplicitNoCa),
    ("no basic constraints", |params| params.is_ca = IsCa::NoCa),
    ("no signing of certificates", |params| {
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
    }),
    ("no key usage", |params| params.key_usages.clear()),
    ("for clients only", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }),
    ("for servers and clients", |params| {
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
    }),
    ("a critical unknown extension", |params| odd(params, true)),
    ("an unknown extension", |params| odd(params, false)),
    ("path length 0", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    }),
    ("path length 1", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    }),
    ("path length 999", |params| {
        params.is_ca = IsCa::NoCa;
        let limits = [0x30, 7, 1, 1, 0xff, 2, 2, 3, 0xe7];
        extend(params, &[2, 5, 29, 19], &limits, true);
    }),
    ("for any purpose", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    }),
    ("a critical Netscape type", |params| {
        extend(params, NETSCAPE_TYPE, &[3, 2, 0, 4], true);
    }),
    ("policies that cannot be read", |params| {
        extend(params, &[2, 5, 29, 32], &[5, 0], false);
    }),
    ("permits example.com", |params| {
        constrain(params, dns("example.com"));
    }),
    ("permits example.org", |params| {
        constrain(params, dns("example.org"));
    }),
    ("excludes vpn.example.com", |params| {
        exclude(params, dns("vpn.example.com"));
    }),
    ("excludes a network", |params| {
        exclude(
            params,
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([0, 0, 0, 0], 0)),
        );
    }),
];

/// What may be changed at the leaf.
const OF_LEAVES: [(&str, Change); 13] = [
    ("expired", expired),
    ("not yet valid", not_yet),
    ("for clients only", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    }),
    ("for anything", |params| params.extended_key_usages.clear()),
    ("for encipherment", |params| {
        params.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    }),
    ("for nothing of TLS", |params| {
        params.key_usages = vec![KeyUsagePurpose::ContentCommitment];
    }),
    ("a critical unknown extension", |params| odd(params, true)),
    ("a critical Netscape type", |params| {
        extend(params, NETSCAPE_TYPE, &[3, 2, 6, 0x40], true);
    }),
    ("a critical Netscape type for clients", |params| {
        extend(params, NETSCAPE_TYPE, &[3, 2, 7, 0x80], true);
    }),
    ("valid since 1950", |params| {
        let start = "1950-01-01T00:00:00Z".parse().unwrap();
        set_validity(params, start, now() + SignedDuration::from_hours(1));
    }),
    ("a wildcard", |params| names(params, &["*.example.com"])),
    ("another name", |params| names(params, &["www.example.com"])),
    ("a wildcard of another level", |params| {
        names(params, &["*.com"]);
    }),
];

/// More than one change, or kinds of names that few CAs constrain.
fn others() -> Vec<(&'static str, Chain)> {
    let subject_permitted: Change = |params| constrain(params, common_name("vpn.example.com"));
    let other_permitted: Change = |params| constrain(params, common_name("other"));
    let subject_excluded: Change = |params| exclude(params, common_name("VPN.example.com"));
    vec![
        (
            "mail permitted",
            chain(&[
                (ChainPosition::Near, permits_mail),
                (ChainPosition::Leaf, mail),
            ]),
        ),
        (
            "mail not permitted",
            chain(&[
                (ChainPosition::Near, permits_mail),
                (ChainPosition::Leaf, foreign_mail),
            ]),
        ),
        (
            "address permitted",
            chain(&[
                (ChainPosition::Near, permits_network),
                (ChainPosition::Leaf, address),
            ]),
        ),
        (
            "address not permitted",
            chain(&[
                (ChainPosition::Near, permits_network),
                (ChainPosition::Leaf, foreign_address),
            ]),
        ),
        (
            "the subject permitted",
            chain(&[(ChainPosition::Near, subject_permitted)]),
        ),
        (
            "another subject permitted",
            chain(&[(ChainPosition::Near, other_permitted)]),
        ),
        (
            "the subject excluded",
            chain(&[(ChainPosition::Near, subject_excluded)]),
        ),
        ("a good chain", chain(&[])),
    ]
}

/// Names in the CN under a CA that permits others, and the leaf's only alternate name is an address.
fn common_names() -> Vec<(String, Chain)> {
    let names = [
        "fw01",
        "192.0.2.1",
        "198.51.100.1",
        "Office firewall",
        "fw01.example.com",
        "fw01.example.org",
        "FW_01.Example.ORG",
        "*.example.org",
        "-fw01.example.org",
        "fw01.example.org.",
        "fw01..example.org",
    ];
    let chain_of = |name: &str| {
        let mut root = Authority::root("root");
        root.reissue_self(|params| {
            constrain(params, dns("example.com"));
            permits_network(params);
        });
        let mut params = leaf_params();
        params.subject_alt_names.clear();
        address(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        Chain {
            leaf: root.sign(&params, &KeyPair::generate().unwrap()),
            between: Vec::new(),
            root: root.certificate,
            host: host("192.0.2.1"),
        }
    };
    let chains = names
        .iter()
        .map(|name| (format!("CN={name}"), chain_of(name)));
    chains.collect()
}

/// What a leaf is for, and a host.
fn wildcards() -> Vec<(String, Chain)> {
    let chain_of = |(pattern, name): &(&str, &str)| {
        let root = Authority::root("root");
        let mut params = leaf_params();
        names(&mut params, &[pattern]);
        Chain {
            leaf: root.sign(&params, &KeyPair::generate().unwrap()),
            between: Vec::new(),
            root: root.certificate,
            host: host(name),
        }
    };
    let chains = WILDCARDS
        .iter()
        .map(|one| (format!("{} for {}", one.0, one.1), chain_of(one)));
    chains.collect()
}

const WILDCARDS: [(&str, &str); 20] = [
    ("*.example.com", "vpn.example.com"),
    ("*.EXAMPLE.com", "VPN.example.COM"),
    ("*.example.com", "a.vpn.example.com"),
    ("*.example.com", "example.com"),
    ("*.corp", "fw.corp"),
    ("*", "corp"),
    ("v*.example.com", "vpn.example.com"),
    ("v*.example.com", "v.example.com"),
    ("*n.example.com", "vpn.example.com"),
    ("v*n.example.com", "vpn.example.com"),
    ("*p*.example.com", "vpn.example.com"),
    ("vpn.*.com", "vpn.example.com"),
    ("*.*.com", "vpn.example.com"),
    ("*.example.com", "xn--bcher-kva.example.com"),
    ("x*.example.com", "xn--bcher-kva.example.com"),
    ("*a.example.com", "xn--bcher-kva.example.com"),
    ("xn--*.example.com", "xn--bcher-kva.example.com"),
    ("a-*.example.com", "a-b.example.com"),
    ("*-b.example.com", "a-b.example.com"),
    ("*.example.com", "a_b.example.com"),
];

fn permits_mail(params: &mut CertificateParams) {
    constrain(params, GeneralSubtree::Rfc822Name("example.com".to_owned()));
}

fn mail(params: &mut CertificateParams) {
    let mail = SanType::Rfc822Name("it@example.com".try_into().unwrap());
    params.subject_alt_names.push(mail);
}

fn foreign_mail(params: &mut CertificateParams) {
    let mail = SanType::Rfc822Name("it@example.org".try_into().unwrap());
    params.subject_alt_names.push(mail);
}

fn permits_network(params: &mut CertificateParams) {
    let network = CidrSubnet::from_v4_prefix([192, 0, 2, 0], 24);
    constrain(params, GeneralSubtree::IpAddress(network));
}

fn address(params: &mut CertificateParams) {
    let address = SanType::IpAddress("192.0.2.1".parse().unwrap());
    params.subject_alt_names.push(address);
}

fn foreign_address(params: &mut CertificateParams) {
    let address = SanType::IpAddress("198.51.100.1".parse().unwrap());
    params.subject_alt_names.push(address);
}

/// What openssl says; `None`: it is not installed.
fn openssl(folder: &std::path::Path, chain: &Chain) -> Option<bool> {
    let write = |name: &str, certificates: &[Certificate]| {
        let text: String = certificates.iter().map(Certificate::to_pem).collect();
        std::fs::write(folder.join(name), text).unwrap();
    };
    write("root.pem", std::slice::from_ref(&chain.root));
    write("between.pem", &chain.between);
    write("leaf.pem", std::slice::from_ref(&chain.leaf));
    let moment = now().as_second().to_string();
    let name = chain.host.to_string();
    let option = match chain.host {
        AlternateName::Ip(_) => "-verify_ip",
        _ => "-verify_hostname",
    };
    let mut arguments = vec![option, &name];
    let usual = "verify -purpose sslserver -no-CApath -no-CAstore -trusted root.pem -attime";
    if !chain.between.is_empty() {
        arguments.extend(["-untrusted", "between.pem"]);
    }
    let status = Command::new("openssl")
        .args(usual.split(' '))
        .arg(&moment)
        .args(arguments)
        .arg("leaf.pem")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.ok().map(|status| status.success())
}

#[test]
fn generated_chains_get_the_verdict_of_openssl() {
    let folder = tempfile::tempdir().unwrap();
    let mut chains: Vec<(String, Chain)> = Vec::new();
    for (place, name) in [
        (ChainPosition::Root, "root"),
        (ChainPosition::Middle, "middle"),
        (ChainPosition::Near, "near"),
    ] {
        for (what, change) in OF_CAS {
            chains.push((format!("{name}: {what}"), chain(&[(place, change)])));
        }
    }
    for (what, change) in OF_LEAVES {
        chains.push((
            format!("leaf: {what}"),
            chain(&[(ChainPosition::Leaf, change)]),
        ));
    }
    chains.extend(
        others()
            .into_iter()
            .map(|(what, chain)| (what.to_owned(), chain)),
    );
    chains.extend(common_names());
    chains.extend(wildcards());
    chains.extend(identifiers::chains());
    let Some(signed) = odd_signatures::chains(folder.path()) else {
        return;
    };
    chains.extend(signed);
    assert!(chains.len() >= 100);
    let (mut good, mut bad) = (0, 0);
    for (what, mut chain) in chains {
        let Some(expected) = openssl(folder.path(), &chain) else {
            println!("skipped: needs openssl");
            return;
        };
        let roots = std::slice::from_ref(&chain.root);
        for _ in 0..2 {
            let host = Some(&chain.host);
            let verdict = verify(&chain.leaf, &chain.between, roots, host, now());
            let is_stricter = EXCEPTIONS.iter().any(|(exception, _)| *exception == what);
            let agrees = verdict.is_ok() == expected || is_stricter && verdict.is_err();
            assert!(agrees, "{what}: openssl says {expected}: {verdict:?}");
            if let Some(problems) = problems_as_issued(&chain) {
                let is_lenient = ROOTS_NOT_NEEDED.contains(&&*what);
                let agrees = problems.is_empty() == (expected || is_lenient)
                    || is_stricter && !problems.is_empty();
                assert!(agrees, "{what}: openssl says {expected}: {problems:?}");
            }
            chain.between.reverse();
        }
        *if expected { &mut good } else { &mut bad } += 1;
    }
    assert!(good >= 40 && bad >= 50, "{good} good, {bad} bad");
}

/// What is wrong with the leaf as an answer to a request for the host; `None`: a name of that is missing, which is a fault of
/// its own whatever openssl says.
fn problems_as_issued(chain: &Chain) -> Option<Vec<String>> {
    let names = &chain.leaf.alternate_names;
    let mut request = key_request();
    request
        .subject
        .common_name
        .clone_from(&chain.leaf.common_name);
    request.alternate_names = vec![chain.host.clone()];
    if !request.host_names().iter().all(|name| names.contains(name)) {
        return None;
    }
    let expected = Expected {
        tolerated: names,
        ..Expected::new(chain.leaf.public_key, &request, now())
    };
    let mut bag = chain.between.clone();
    bag.push(chain.root.clone());
    let verdict = check_issued(&chain.leaf, &bag, &expected);
    let unverified = verdict.unverified.into_iter();
    Some(verdict.problems.into_iter().chain(unverified).collect())
}

/// Chains on which renewd differs from openssl on purpose, with the reason: it refuses what openssl takes.
const EXCEPTIONS: [(&str, &str); 6] = [
    (
        "root: no basic constraints",
        "openssl takes a root for a CA because of its key usage; RFC 5280, 4.2.1.9, wants basic constraints",
    ),
    (
        "RSA-PSS with SHA-1 for the mask",
        "aws-lc-rs has the digest of the message only, which is what RFC 4055, 3.1 recommends",
    ),
    (
        "RSA with SHA-224",
        "aws-lc-rs does not have it, and browsers do not take it",
    ),
    (
        "ECDSA with SHA-224",
        "aws-lc-rs does not have it, and browsers do not take it",
    ),
    (
        "a Brainpool curve",
        "aws-lc-rs does not have it, and browsers do not take it",
    ),
    (
        "secp256k1",
        "browsers do not take it, and no CA for TLS is known that uses it",
    ),
];

/// Issued certificates that are taken though openssl refuses the path up to this root: which roots a client has is not
/// known, so the chain ends below a root that is outdated.
const ROOTS_NOT_NEEDED: [&str; 2] = ["root: expired", "root: not yet valid"];
