//! The issuer of what is signed is the CA's subject, whatever it is made of: openssl and our own path validation accept it.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use rcgen::KeyUsagePurpose;

use super::*;
use crate::clock::Clock;
use crate::pki::testing::{renamed, set_validity};
use crate::random::Random;

/// CAs as Active Directory and others make them.
const CASES: [(&str, &str, &str); 2] = [
    (
        "DC=example,DC=corp,CN=corp-ISSUING-CA",
        include_str!("cases/multidc.ca.pem"),
        include_str!("cases/multidc.ca.key"),
    ),
    (
        "OU=PKI,OU=Ops,CN=x",
        include_str!("cases/twoou.ca.pem"),
        include_str!("cases/twoou.ca.key"),
    ),
];

#[tokio::test]
async fn a_repeated_attribute_in_the_cas_subject_stays_repeated_in_the_issuer() {
    for (subject, certificate, key) in CASES {
        let setup = Setup::without_ca();
        setup.put(certificate, key);
        setup.move_to(certificate);
        let ca = Certificate::from_pem(certificate).unwrap();
        let mut parts: Vec<&str> = ca.subject.split(',').collect();
        parts.reverse();
        assert_eq!(parts.join(","), subject);
        assert_issues(&setup).await;
    }
}

#[tokio::test]
async fn any_subject_is_copied_byte_by_byte() {
    for seed in 0..200 {
        let name = name(&SeededRandom::new(seed));
        let setup = Setup::without_ca();
        let key = KeyPair::generate().unwrap();
        let root = ca_params().self_signed(&key).unwrap();
        let root = renamed(root.der(), Some(&name), Some(&name), &key);
        setup.put(&root.to_pem(), &key.serialize_pem());
        let (leaf, _) = setup
            .issue(good_csr())
            .await
            .unwrap_or_else(|(_, words)| panic!("seed {seed}, {name:02x?}: {words}"));
        assert_eq!(issuer_of(&leaf), name, "seed {seed}");
        if seed % 4 == 0 {
            verify(&setup, "ca.pem", &format!("seed {seed}, {name:02x?}"));
        }
    }
}

#[tokio::test]
async fn an_issuing_ca_below_another_one_of_any_subject_signs_as_well() {
    for seed in 1000..1040 {
        let random = SeededRandom::new(seed);
        let (above, own) = (name(&random), name(&random));
        let setup = Setup::without_ca();
        let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root = ca_params().self_signed(&root_key).unwrap();
        let root = renamed(root.der(), Some(&above), Some(&above), &root_key);
        let issuing = ca_params().signed_by(&key, &rcgen::Issuer::new(ca_params(), &root_key));
        let issuing = issuing.unwrap();
        let issuing = renamed(issuing.der(), Some(&above), Some(&own), &root_key);
        let chain = format!("{}{}", issuing.to_pem(), root.to_pem());
        setup.put(&chain, &key.serialize_pem());
        std::fs::write(setup.folder.path().join("root.pem"), root.to_pem()).unwrap();
        let (leaf, chain) = setup
            .issue(good_csr())
            .await
            .unwrap_or_else(|(_, words)| panic!("seed {seed}: {words}"));
        assert_eq!(issuer_of(&leaf), own, "seed {seed}");
        assert_eq!(chain, [issuing, root], "seed {seed}");
        if seed % 4 == 0 {
            verify(&setup, "root.pem", &format!("seed {seed}"));
        }
    }
}

/// The identifier need not be derived from the key.
#[tokio::test]
async fn the_authority_key_identifier_is_the_subject_key_identifier_of_the_ca() {
    for identifier in [vec![7; 20], vec![1, 2, 3], vec![9; 64]] {
        let setup = Setup::without_ca();
        let key = KeyPair::generate().unwrap();
        let mut params = ca_params();
        params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(identifier.clone());
        let root = params.self_signed(&key).unwrap();
        setup.put(&root.pem(), &key.serialize_pem());
        setup.issue(good_csr()).await.unwrap();
        verify(&setup, "ca.pem", &format!("{identifier:?}"));
        let line = "x509 -in state/issued/r1.pem -noout -ext authorityKeyIdentifier";
        let arguments: Vec<_> = line.split(' ').collect();
        let Some(text) = openssl(setup.folder.path(), &arguments) else {
            return;
        };
        let digits: Vec<String> = identifier.iter().map(|b| format!("{b:02X}")).collect();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(&digits.join(":")), "{text}");
    }
}

/// PKCS#8, and PKCS#1 or SEC 1 where there is one.
#[tokio::test]
async fn keys_of_every_kind_and_form_sign() {
    for kind in [
        "RSA -pkeyopt rsa_keygen_bits:2048",
        "RSA -pkeyopt rsa_keygen_bits:3072",
        "EC -pkeyopt ec_paramgen_curve:P-256",
        "EC -pkeyopt ec_paramgen_curve:P-384",
        "EC -pkeyopt ec_paramgen_curve:P-521",
        "ED25519",
    ] {
        let setup = Setup::without_ca();
        let run = |line: &str| {
            let arguments: Vec<_> = line.split(' ').collect();
            let printed = openssl(setup.folder.path(), &arguments)?;
            Some(String::from_utf8(printed).unwrap())
        };
        let Some(pem) = run(&format!("genpkey -algorithm {kind}")) else {
            return;
        };
        let der = crate::pki::private_key_of_file(pem.as_bytes()).unwrap();
        let key = KeyPair::try_from(der.as_slice()).unwrap();
        let root = ca_params().self_signed(&key).unwrap().pem();
        setup.put(&root, &pem);
        assert_issues(&setup).await;
        if kind != "ED25519" {
            let older = run("pkey -in ca.key -traditional").unwrap();
            assert!(!older.contains("BEGIN PRIVATE KEY"), "{kind}");
            setup.put(&root, &older);
            std::fs::remove_dir_all(&setup.settings.issued).unwrap();
            assert_issues(&setup).await;
        }
    }
}

/// That a certificate is issued which openssl accepts.
async fn assert_issues(setup: &Setup) {
    let csr = good_csr();
    let wanted = key_request();
    let expected = Expected::new(csr.public_key, &wanted, setup.clock.now());
    let (leaf, chain) = setup.issue(csr).await.unwrap();
    assert_eq!(check_issued(&leaf, &chain, &expected).problems, [""; 0]);
    verify(setup, "ca.pem", "");
}

fn verify(setup: &Setup, root: &str, why: &str) {
    let at = setup.clock.now().as_second();
    let line = format!(
        "verify -purpose sslserver -verify_hostname vpn.example.com -attime {at} -CAfile {root} -untrusted ca.pem state/issued/r1.pem"
    );
    let arguments: Vec<_> = line.split(' ').collect();
    println!("{why}");
    openssl(setup.folder.path(), &arguments);
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    let year = SignedDuration::from_hours(24 * 365);
    set_validity(&mut params, now() - year, now() + year * 9);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn issuer_of(certificate: &Certificate) -> Vec<u8> {
    let (_, parsed) = x509_parser::parse_x509_certificate(&certificate.der).unwrap();
    parsed.issuer().as_raw().to_vec()
}

/// A name of up to eighty parts, some with several attributes, in all string types. One in ten is empty.
fn name(random: &SeededRandom) -> Vec<u8> {
    let parts = match draw(random, 10) {
        0 => 0,
        1 => 60 + draw(random, 20),
        _ => 1 + draw(random, 6),
    };
    let parts: Vec<u8> = (0..parts)
        .flat_map(|_| {
            let attributes = if draw(random, 5) == 0 {
                1 + draw(random, 3)
            } else {
                1
            };
            let mut attributes: Vec<_> = (0..attributes).map(|_| attribute(random)).collect();
            // The order of a SET OF (X.690, 11.6).
            attributes.sort();
            attributes.dedup();
            element(0x31, &attributes.concat())
        })
        .collect();
    element(0x30, &parts)
}

fn attribute(random: &SeededRandom) -> Vec<u8> {
    const TYPES: [&[u8]; 11] = [
        &[0x55, 4, 3],
        &[0x55, 4, 11],
        &[0x55, 4, 11],
        &[0x55, 4, 10],
        &[0x55, 4, 7],
        &[0x55, 4, 5],
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
        &[0x2b, 0x06, 1, 4, 1, 0x82, 0x37, 0x7b, 1],
    ];
    const TEXTS: [&str; 6] = [
        "PKI",
        "  Two  words ",
        "a",
        "corp-ISSUING-CA",
        "x+y, \"z\"",
        "B",
    ];
    let text = match draw(random, 8) {
        0 => "long ".repeat(40),
        choice => TEXTS[choice % TEXTS.len()].to_owned(),
    };
    let (tag, value) = match draw(random, 7) {
        0 => (0x0c, format!("{text}Zürich 局").into_bytes()),
        1 => (0x13, text.replace(['"', '+'], "-").into_bytes()),
        2 => (0x16, format!("{text}@example.com").into_bytes()),
        3 => (0x14, [text.as_bytes(), b"M\xfcnchen"].concat()),
        4 => (
            0x1e,
            format!("{text}ü")
                .encode_utf16()
                .flat_map(u16::to_be_bytes)
                .collect(),
        ),
        5 => (
            0x1c,
            text.chars()
                .flat_map(|c| u32::from(c).to_be_bytes())
                .collect(),
        ),
        _ => (0x12, b"20 26".to_vec()),
    };
    let kind = element(0x06, TYPES[draw(random, TYPES.len())]);
    element(0x30, &[kind, element(tag, &value)].concat())
}

fn draw(random: &SeededRandom, below: usize) -> usize {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    usize::try_from(u32::from_be_bytes(bytes)).unwrap() % below
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    let length = match length {
        0..=0x7f => vec![u8::try_from(length).unwrap()],
        0x80..=0xff => vec![0x81, u8::try_from(length).unwrap()],
        _ => [&[0x82], &length.to_be_bytes()[2..]].concat(),
    };
    [&[tag], &length[..], content].concat()
}
