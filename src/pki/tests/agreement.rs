//! The verdict on a path, against that of `openssl verify -purpose sslserver -verify_hostname`, over generated chains.
//!
//! Where both differ on purpose, the chain says so with the reason: renewd is stricter there.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::process::{Command, Stdio};

use jiff::SignedDuration;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints,
    SanType,
};

use super::super::path::verify;
use super::super::testing::{Authority, leaf_params, now, set_validity};
use super::super::{AlternateName, Certificate};

type Change = fn(&mut CertificateParams);

/// root, middle, near, leaf; each may be changed before it is signed.
#[derive(Clone, Copy)]
enum Place {
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

fn chain(changes: &[(Place, Change)]) -> Chain {
    let at = |wanted: Place| {
        let changes: Vec<Change> = changes
            .iter()
            .filter(|(place, _)| *place as u8 == wanted as u8)
            .map(|(_, change)| *change)
            .collect();
        move |params: &mut CertificateParams| changes.iter().for_each(|change| change(params))
    };
    let mut root = Authority::root("root");
    root.reissue_self(at(Place::Root));
    let mut middle = root.sub("middle");
    middle.reissue(&root, at(Place::Middle));
    let mut near = middle.sub("near");
    near.reissue(&middle, at(Place::Near));
    let mut params = leaf_params();
    at(Place::Leaf)(&mut params);
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
    let mut odd = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    odd.set_criticality(is_critical);
    params.custom_extensions.push(odd);
}

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
const OF_CAS: [(&str, Change); 16] = [
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
const OF_LEAVES: [(&str, Change); 10] = [
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
            chain(&[(Place::Near, permits_mail), (Place::Leaf, mail)]),
        ),
        (
            "mail not permitted",
            chain(&[(Place::Near, permits_mail), (Place::Leaf, foreign_mail)]),
        ),
        (
            "address permitted",
            chain(&[(Place::Near, permits_network), (Place::Leaf, address)]),
        ),
        (
            "address not permitted",
            chain(&[
                (Place::Near, permits_network),
                (Place::Leaf, foreign_address),
            ]),
        ),
        (
            "the subject permitted",
            chain(&[(Place::Near, subject_permitted)]),
        ),
        (
            "another subject permitted",
            chain(&[(Place::Near, other_permitted)]),
        ),
        (
            "the subject excluded",
            chain(&[(Place::Near, subject_excluded)]),
        ),
        ("a good chain", chain(&[])),
    ]
}

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
    let arguments = "verify -purpose sslserver -verify_hostname vpn.example.com -no-CApath -no-CAstore -trusted root.pem -untrusted between.pem -attime";
    let status = Command::new("openssl")
        .args(arguments.split(' '))
        .args([&moment, "leaf.pem"])
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
        (Place::Root, "root"),
        (Place::Middle, "middle"),
        (Place::Near, "near"),
    ] {
        for (what, change) in OF_CAS {
            chains.push((format!("{name}: {what}"), chain(&[(place, change)])));
        }
    }
    for (what, change) in OF_LEAVES {
        chains.push((format!("leaf: {what}"), chain(&[(Place::Leaf, change)])));
    }
    chains.extend(
        others()
            .into_iter()
            .map(|(what, chain)| (what.to_owned(), chain)),
    );
    assert!(chains.len() >= 60);
    let name = AlternateName::Domain("vpn.example.com".to_owned());
    let (mut good, mut bad) = (0, 0);
    for (what, mut chain) in chains {
        let Some(expected) = openssl(folder.path(), &chain) else {
            println!("skipped: needs openssl");
            return;
        };
        let roots = std::slice::from_ref(&chain.root);
        for _ in 0..2 {
            let verdict = verify(&chain.leaf, &chain.between, roots, Some(&name), now());
            let is_stricter = EXCEPTIONS.iter().any(|(exception, _)| *exception == what);
            let agrees = verdict.is_ok() == expected || is_stricter && verdict.is_err();
            assert!(agrees, "{what}: openssl says {expected}: {verdict:?}");
            chain.between.reverse();
        }
        *if expected { &mut good } else { &mut bad } += 1;
    }
    assert!(good >= 15 && bad >= 25, "{good} good, {bad} bad");
}

/// Chains on which renewd differs from openssl on purpose, with the reason: it refuses what openssl takes.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "root: no basic constraints",
    "openssl takes a root for a CA because of its key usage; RFC 5280, 4.2.1.9, wants basic constraints",
)];
