//! What the local CA issues.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use super::*;

#[tokio::test]
async fn what_is_asked_for_is_issued_and_stands_every_check() {
    let setup = Setup::new();
    let csr = good_csr();
    let (leaf, chain) = setup.issue(csr.clone()).await.unwrap();
    let wanted = key_request();
    let expected = Expected::new(csr.public_key, &wanted, now());
    assert_eq!(check_issued(&leaf, &chain, &expected).problems, [""; 0]);
    assert_eq!(leaf.subject, "CN=vpn.example.com");
    assert_eq!(leaf.not_before, now() - SignedDuration::from_mins(5));
    assert_eq!(leaf.not_after, now() + SignedDuration::from_hours(24 * 90));
    assert_eq!(leaf.serial.len(), 40);
    assert_eq!(chain.len(), 1);
    let file = setup.settings.issued.join("r1.pem");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&setup.settings.issued), 0o700);
    assert_eq!(
        setup.settings.issued.read_dir().unwrap().count(),
        1,
        "no temporary file is left"
    );
}

#[tokio::test]
async fn openssl_accepts_the_chain_and_shows_the_usages() {
    let setup = Setup::new();
    setup.issue(good_csr()).await.unwrap();
    let run = |line: &str| openssl(setup.folder.path(), &line.split(' ').collect::<Vec<_>>());
    let at = now().as_second();
    let verify = format!(
        "verify -x509_strict -purpose sslserver -verify_hostname vpn.example.com -attime {at} -CAfile ca.pem state/issued/r1.pem"
    );
    if run(&verify).is_none() {
        return;
    }
    let text = run("x509 -in state/issued/r1.pem -noout -text").unwrap();
    let text = String::from_utf8(text).unwrap();
    for words in [
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature\n",
        "TLS Web Server Authentication, ipsec Internet Key Exchange",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[tokio::test]
async fn a_request_to_become_a_ca_is_never_honoured() {
    let setup = Setup::new();
    let mut asking = csr_params();
    asking.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let csr = csr(&asking, &KeyPair::generate().unwrap());
    assert!(csr.asks_for_ca);
    let (leaf, _) = setup.issue(csr).await.unwrap();
    assert!(!leaf.is_ca);
}

#[tokio::test]
async fn every_curve_survives_a_digest_of_another_length() {
    let setup = Setup::new();
    let ca = setup.ca();
    for (curve, digest, kind) in [
        ("P-384", "-sha256", KeyKind::Ecdsa(384)),
        ("P-256", "-sha384", KeyKind::Ecdsa(256)),
        ("P-521", "-sha256", KeyKind::Ecdsa(521)),
    ] {
        let curve = format!("ec_paramgen_curve:{curve}");
        let line = format!(
            "req -new -nodes -newkey ec -pkeyopt {curve} {digest} -keyout k.pem -subj /CN=vpn.example.com"
        );
        let arguments: Vec<_> = line.split(' ').collect();
        let Some(pem) = openssl(setup.folder.path(), &arguments) else {
            return;
        };
        let csr = Csr::parse(&pem).unwrap();
        let public_key = csr.public_key;
        let request = request(&kind.to_string().replace(' ', "-"), csr);
        let (leaf, _) = issued(&ca, &ca.submit(&request).await.unwrap()).await;
        assert_eq!((leaf.key, leaf.public_key), (kind, public_key));
    }
}

#[tokio::test]
async fn the_same_request_is_signed_once_even_when_submitted_at_the_same_time() {
    let setup = Setup::new();
    let ca = setup.ca();
    let first = request("r1", good_csr());
    assert_eq!(ca.find(&first).await.unwrap(), None);
    let (one, two) = tokio::join!(ca.submit(&first), ca.submit(&first));
    assert_eq!(one.unwrap(), two.unwrap());
    let before = issued(&ca, &Reference("r1".to_owned())).await;
    setup.clock.advance(SignedDuration::from_hours(1));
    let again = ca.submit(&first).await.unwrap();
    assert_eq!(ca.find(&first).await.unwrap(), Some(again.clone()));
    assert_eq!(issued(&ca, &again).await, before);

    let failure = ca.submit(&request("r1", good_csr())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert!(
        failure.detail.contains("with another public key"),
        "{failure}"
    );
}

#[tokio::test]
async fn the_cn_becomes_an_alternate_name_when_it_is_a_host_name_or_address() {
    for (common_name, expected) in [
        (
            "Fw.Example.com",
            AlternateName::Domain("fw.example.com".to_owned()),
        ),
        ("192.0.2.1", AlternateName::Ip("192.0.2.1".parse().unwrap())),
    ] {
        let setup = Setup::new();
        let params = params(&[(DnType::CommonName, common_name)]);
        let csr = csr(&params, &KeyPair::generate().unwrap());
        let (leaf, _) = setup.issue(csr).await.unwrap();
        assert_eq!(leaf.alternate_names, [expected]);
    }
}

#[tokio::test]
async fn a_sub_ca_hands_out_its_own_issuer_too_and_rsa_keys_may_encipher() {
    let setup = Setup::new();
    // The CA that `ca init` makes allows no CA below it.
    let mut root: CertificateParams = params(&[(DnType::CommonName, "Office CA")]);
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate().unwrap();
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let root_issuer = rcgen::Issuer::new(root, root_key);
    let mut sub: CertificateParams = params(&[(DnType::CommonName, "Sub CA")]);
    sub.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let sub_key = KeyPair::generate().unwrap();
    let sub = sub.signed_by(&sub_key, &root_issuer).unwrap().pem();
    std::fs::write(&setup.settings.certificate, format!("{sub}{root_pem}")).unwrap();
    std::fs::write(&setup.settings.key, sub_key.serialize_pem()).unwrap();
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let csr = csr(&csr_params(), &key);
    let mut wanted = key_request();
    wanted.key = KeyKind::Rsa(2048);
    let expected = Expected::new(csr.public_key, &wanted, now());
    let (leaf, chain) = setup.issue(csr).await.unwrap();
    let subjects: Vec<_> = chain.iter().map(|c| c.subject.as_str()).collect();
    assert_eq!(subjects, ["CN=Sub CA", "CN=Office CA"]);
    assert_eq!(check_issued(&leaf, &chain, &expected).problems, [""; 0]);
    let usages = rcgen_usages(&leaf);
    assert!(usages.contains(&rcgen::KeyUsagePurpose::KeyEncipherment));
}

/// The key usages of a certificate, read by rcgen.
fn rcgen_usages(certificate: &Certificate) -> Vec<rcgen::KeyUsagePurpose> {
    let der = rustls::pki_types::CertificateDer::from(certificate.der.as_slice());
    let key = KeyPair::generate().unwrap();
    rcgen::Issuer::from_ca_cert_der(&der, key)
        .unwrap()
        .key_usages()
        .to_vec()
}
