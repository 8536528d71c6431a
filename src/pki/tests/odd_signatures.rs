//! Signatures that few CAs make. A verifiable one is accepted, and an unsupported one is not reported as forged.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::path::Path;

use rcgen::KeyPair;

use super::super::path::build;
use super::super::testing::{Authority, leaf_params, now, openssl, signed_anew};
use super::super::{Certificate, der};
use super::agreement::{Chain, host};

/// A way to sign.
struct Way {
    name: &'static str,
    /// The kind of key, for `openssl genpkey`.
    key: &'static str,
    /// For `openssl dgst`.
    options: String,
    /// The AlgorithmIdentifier.
    algorithm: Vec<u8>,
}

fn oid(content: &[u8]) -> Vec<u8> {
    der::element(der::OBJECT_IDENTIFIER, content)
}

/// RSASSA-PSS (RFC 4055, 3.1) over SHA-256.
fn pss(salt: u8, mask: &[u8]) -> Vec<u8> {
    let with_null = |content: &[u8]| der::sequence(&[&oid(content), &[5, 0]]);
    let mask = der::sequence(&[&oid(MGF1), &with_null(mask)]);
    let parameters = der::sequence(&[
        &der::element(der::CONSTRUCTED_CONTEXT, &with_null(SHA256)),
        &der::element(der::CONSTRUCTED_CONTEXT | 1, &mask),
        &der::element(
            der::CONSTRUCTED_CONTEXT | 2,
            &der::element(2, &[0, salt][usize::from(salt < 0x80)..]),
        ),
    ]);
    der::sequence(&[&oid(PSS), &parameters])
}

fn pss_ways() -> [Way; 5] {
    let way = |name, made_with: &str, salt, mask| Way {
        name,
        key: RSA,
        options: format!(
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{made_with}"
        ),
        algorithm: pss(salt, mask),
    };
    [
        way("RSA-PSS with the usual salt", "32", 32, SHA256),
        way("RSA-PSS with openssl's salt", "222", 222, SHA256),
        way("RSA-PSS without a salt", "0", 0, SHA256),
        way("RSA-PSS with another salt than it says", "32", 222, SHA256),
        way(
            "RSA-PSS with SHA-1 for the mask",
            "32 -sigopt rsa_mgf1_md:sha1",
            32,
            SHA1,
        ),
    ]
}

fn other_ways() -> [Way; 4] {
    let way = |name, key, options: &str, algorithm: Vec<u8>| Way {
        name,
        key,
        options: options.to_owned(),
        algorithm,
    };
    let ecdsa = |digest| der::sequence(&[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, digest])]);
    let rsa_sha224 = der::sequence(&[
        &oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 14]),
        &[5, 0],
    ]);
    let curve = "EC -pkeyopt ec_paramgen_curve:P-256";
    let brainpool = "EC -pkeyopt ec_paramgen_curve:brainpoolP256r1";
    let koblitz = "EC -pkeyopt ec_paramgen_curve:secp256k1";
    [
        way("RSA with SHA-224", RSA, "-sha224", rsa_sha224),
        way("ECDSA with SHA-224", curve, "-sha224", ecdsa(1)),
        way("a Brainpool curve", brainpool, "-sha256", ecdsa(2)),
        way("secp256k1", koblitz, "-sha256", ecdsa(2)),
    ]
}

/// A root and a leaf, both signed by openssl in each way; `None`: it is not installed.
pub(super) fn chains(folder: &Path) -> Option<Vec<(String, Chain)>> {
    let drafts = Authority::root("root");
    let leaf = drafts.sign(&leaf_params(), &KeyPair::generate().unwrap());
    let mut chains = Vec::new();
    for way in pss_ways().into_iter().chain(other_ways()) {
        let mut arguments = vec!["genpkey", "-out", "key.pem", "-algorithm"];
        arguments.extend(way.key.split(' '));
        openssl(folder, &arguments)?;
        let key = openssl(
            folder,
            &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"],
        )?;
        let sign = |to_sign: &[u8]| {
            std::fs::write(folder.join("to-sign"), to_sign).unwrap();
            let mut arguments = vec!["dgst", "-sign", "key.pem"];
            arguments.extend(way.options.split(' '));
            arguments.push("to-sign");
            openssl(folder, &arguments).unwrap()
        };
        let anew = |draft: &Certificate, key| signed_anew(&draft.der, key, &way.algorithm, sign);
        let chain = Chain {
            leaf: anew(&leaf, None),
            between: Vec::new(),
            root: anew(&drafts.certificate, Some(&key)),
            host: host("vpn.example.com"),
        };
        chains.push((way.name.to_owned(), chain));
    }
    Some(chains)
}

#[test]
fn an_unsupported_signature_is_not_reported_as_forged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(chains) = chains(folder.path()) else {
        return;
    };
    for (name, chain) in chains {
        let built = build(&chain.leaf, &[chain.root], &[], now());
        let problems = built.problems.join("; ");
        match name.as_str() {
            "RSA-PSS with the usual salt"
            | "RSA-PSS with openssl's salt"
            | "RSA-PSS without a salt" => assert_eq!(problems, "", "{name}"),
            "RSA-PSS with another salt than it says" => assert_eq!(
                problems,
                "CN=vpn.example.com is followed by CN=root in the chain, which did not issue it: the signature does not belong to the key"
            ),
            _ => {
                let words = "whether CN=root issued CN=vpn.example.com cannot be verified: ";
                assert!(problems.starts_with(words), "{name}: {problems}");
            }
        }
    }
}

const RSA: &str = "RSA -pkeyopt rsa_keygen_bits:2048";

const PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
