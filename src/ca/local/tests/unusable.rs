//! CAs that can sign nothing, or not for the wanted names: found by `check` and before a key pair exists.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use rcgen::{CidrSubnet, GeneralSubtree, KeyUsagePurpose, NameConstraints};

use super::*;
use crate::pki::testing::{Authority, set_validity};
use crate::pki::{KeyRequest, Subject};

/// A self-signed CA that is changed.
fn ca(change: impl FnOnce(&mut CertificateParams)) -> Authority {
    let mut ca = Authority::root("Office CA");
    ca.reissue_self(change);
    ca
}

fn put(setup: &Setup, chain: &[&Certificate], key: &KeyPair) {
    let chain: String = chain.iter().map(|one| one.to_pem()).collect();
    setup.put(&chain, &key.serialize_pem());
}

/// That neither `check` nor a preflight nor an order succeeds, and why; nothing is recorded as issued.
async fn assert_unusable(setup: &Setup, words: &str) {
    let ca = setup.ca();
    let checked = ca.check().await.unwrap_err();
    let preflight = ca.preflight(&key_request()).await.unwrap_err();
    let request = request("r1", good_csr());
    let prepared = ca.prepare(&request).await.map(drop).unwrap_err();
    for failure in [checked, preflight, prepared] {
        assert_eq!(failure.kind, FailureKind::Local, "{failure}");
        assert!(failure.detail.contains(words), "no {words:?} in {failure}");
    }
    assert!(!setup.settings.issued.join("r1.pem").exists());
}

#[tokio::test]
async fn files_that_are_missing_or_hold_something_else_are_found_before_anything_is_made() {
    let good = Authority::root("Office CA");
    let setup = Setup::without_ca();
    assert_unusable(&setup, "ca.pem: it is missing: `renewd ca init`").await;
    std::fs::write(&setup.settings.certificate, good.certificate.to_pem()).unwrap();
    assert_unusable(&setup, "ca.key: it is missing: `renewd ca init`").await;
    put(&setup, &[&good.certificate], &KeyPair::generate().unwrap());
    assert_unusable(&setup, "does not belong to the first certificate in").await;
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048);
    put(&setup, &[&good.certificate], &rsa.unwrap());
    assert_unusable(&setup, "does not belong to the first certificate in").await;
    let key = good.issuer.key();
    setup.put("garbage", &key.serialize_pem());
    assert_unusable(&setup, "ca.pem: it holds no BEGIN CERTIFICATE").await;
    let garbage = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    setup.put(garbage, &key.serialize_pem());
    assert_unusable(&setup, "certificate 1 (line 1) is skipped").await;
    setup.put(&good.certificate.to_pem(), "garbage");
    assert_unusable(&setup, "ca.key: it holds no private key").await;
    put(&setup, &[&good.certificate], key);
    setup.ca().check().await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_may_not_sign_is_found_before_anything_is_made() {
    let setup = Setup::without_ca();
    let day = SignedDuration::from_hours(24);
    let not_ca = ca(|params| params.is_ca = IsCa::ExplicitNoCa);
    let no_signing = ca(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let expired = ca(|params| set_validity(params, now() - day * 9, now() - day));
    let future = ca(|params| set_validity(params, now() + day, now() + day * 9));
    let clients_only = ca(|params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (ca, words) in [
        (not_ca, "is not a CA"),
        (no_signing, "may not sign certificates (key usage)"),
        (expired, "is expired on"),
        (future, "is the clock right?"),
        (clients_only, "may not issue for TLS servers"),
    ] {
        put(&setup, &[&ca.certificate], ca.issuer.key());
        assert_unusable(&setup, words).await;
    }
}

#[tokio::test]
async fn a_ca_above_that_forbids_it_is_found_before_anything_is_made() {
    let setup = Setup::without_ca();
    let mut root = ca(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let issuing = root.sub("Issuing CA");
    let files = [&issuing.certificate, &root.certificate];
    put(&setup, &files, issuing.issuer.key());
    assert_unusable(&setup, "allows 0 CAs below it (path length)").await;
    root.reissue_self(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1)));
    let files = [&issuing.certificate, &root.certificate];
    put(&setup, &files, issuing.issuer.key());
    assert_eq!(preflight(&setup, &key_request()).await, [""; 0]);
}

#[tokio::test]
async fn names_that_a_ca_of_the_chain_does_not_permit_are_found_before_anything_is_made() {
    let domain = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let permits_org = NameConstraints {
        permitted_subtrees: vec![domain("example.org")],
        excluded_subtrees: vec![],
    };
    let excludes_vpn = NameConstraints {
        permitted_subtrees: vec![],
        excluded_subtrees: vec![domain("vpn.example.com")],
    };
    let all = CidrSubnet::from_v4_prefix([0, 0, 0, 0], 0);
    let no_addresses = NameConstraints {
        permitted_subtrees: vec![],
        excluded_subtrees: vec![GeneralSubtree::IpAddress(all)],
    };
    let address = KeyRequest {
        subject: Subject::default(),
        alternate_names: vec![AlternateName::Ip("192.0.2.1".parse().unwrap())],
        ..key_request()
    };
    for (constraints, wanted, words) in [
        (
            &permits_org,
            key_request(),
            "does not permit vpn.example.com",
        ),
        (&excludes_vpn, key_request(), "excludes vpn.example.com"),
        (&no_addresses, address, "excludes 192.0.2.1"),
    ] {
        let constrain =
            |params: &mut CertificateParams| params.name_constraints = Some(constraints.clone());
        let setup = Setup::without_ca();
        let own = ca(constrain);
        put(&setup, &[&own.certificate], own.issuer.key());
        let reported = preflight(&setup, &wanted).await;
        assert!(reported[0].contains(words), "{reported:?}");
        setup.ca().check().await.expect("it can sign other names");

        let root = ca(constrain);
        let issuing = root.sub("Issuing CA");
        let files = [&issuing.certificate, &root.certificate];
        put(&setup, &files, issuing.issuer.key());
        let reported = preflight(&setup, &wanted).await;
        assert!(reported[0].contains(words), "{reported:?}");
    }
}

/// What `purposes` leave out is refused of every CA, so it is said before.
#[tokio::test]
async fn purposes_that_no_firewall_can_use_are_found_before_anything_is_made() {
    let mut setup = Setup::new();
    setup.settings.purposes = vec![Purpose::ClientAuth];
    assert_unusable(&setup, "extended key usage does not allow TLS servers").await;
}

async fn preflight(setup: &Setup, wanted: &KeyRequest) -> Vec<String> {
    let ca = setup.ca();
    let reported = ca.preflight(wanted).await.unwrap();
    if !reported.is_empty() {
        let mut params = csr_params();
        params.subject_alt_names = match &wanted.alternate_names[0] {
            AlternateName::Ip(address) => vec![SanType::IpAddress(*address)],
            _ => params.subject_alt_names,
        };
        let request = request("r1", csr(&params, &KeyPair::generate().unwrap()));
        let failure = ca.prepare(&request).await.map(drop).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{failure}");
        assert!(!setup.settings.issued.join("r1.pem").exists());
    }
    reported
}
