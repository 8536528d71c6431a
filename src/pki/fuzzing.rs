//! The parsers of certificates and requests with any input: the bodies of fuzz targets, and a request that they share.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use std::sync::OnceLock;

use jiff::Timestamp;

use super::{
    AlternateName, Certificate, Csr, Digest, Expected, KeyKind, KeyRequest, PrivateKey, Subject,
    certificates_in, check_issued, differences_from_request, path,
};

/// Whatever a CA sends as "the certificate": what is read reads the same as PEM, a chain leads up and is no longer than what
/// came, and what may be installed is what was asked for.
pub fn certificates(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = Certificate::all_from_pem(&text);
    let _ = Certificate::all_from_pkcs7(data);
    let Ok(found) = certificates_in(data) else {
        return;
    };
    // No certificate is shorter.
    assert!(found.len() <= data.len() / 64);
    for certificate in &found {
        let again = Certificate::from_pem(&certificate.to_pem());
        assert_eq!(again.as_ref(), Ok(certificate));
        let names = [&certificate.subject, &certificate.issuer];
        assert!(!names.iter().any(|name| name.chars().any(char::is_control)));
    }
    if let Some(leaf) = found.first() {
        leads_up(leaf, &found);
    }
}

fn leads_up(leaf: &Certificate, found: &[Certificate]) {
    for now in [Timestamp::UNIX_EPOCH, leaf.not_before] {
        let expected = Expected::new(leaf.public_key, wanted(), now);
        let verdict = check_issued(leaf, found, &expected);
        let chain = &verdict.chain;
        assert!(chain.len() < found.len());
        let mut last = leaf;
        for issuer in chain {
            assert!(issuer.is_ca || issuer.is_self_signed());
            assert!(last.verify_signed_by(issuer).is_ok());
            assert!(issuer.not_after > now);
            assert!(!last.is_self_signed(), "nothing is above a root");
            last = issuer;
        }
        if verdict.problems.is_empty() {
            assert!(!leaf.is_ca && leaf.allows_server_auth);
            assert!(leaf.not_after > expected.now);
            assert_eq!(chain.is_empty(), verdict.unverified.is_some());
            let differences = differences_from_request(leaf, wanted());
            assert!(differences.iter().all(|words| words.starts_with("the key")));
        }
        let foreign = Expected::new(request().public_key, wanted(), now);
        assert!(!check_issued(leaf, found, &foreign).problems.is_empty());
    }
    let roots = found.get(1..).unwrap_or_default();
    for above in path::verify(leaf, found, roots, None, leaf.not_before).unwrap_or_default() {
        assert!(found.contains(&above));
    }
}

/// Whatever a device sends as "the request": what is read reads the same as PEM, and is only taken for what was asked for
/// when it names nothing else.
pub fn signing_request(data: &[u8]) {
    let Ok(csr) = Csr::parse(data) else {
        return;
    };
    assert_eq!(Csr::parse(csr.to_pem().as_bytes()).as_ref(), Ok(&csr));
    assert_eq!(Csr::parse(&csr.der).as_ref(), Ok(&csr));
    if csr.differences(wanted()).is_empty() {
        assert!(!csr.asks_for_ca && csr.other_names.is_empty() && csr.extras.is_empty());
        let names = wanted().host_names();
        let is_wanted = |name: &AlternateName| names.iter().any(|own| own.is_same(name));
        assert!(csr.alternate_names.iter().all(is_wanted));
        assert_eq!(csr.key, wanted().key);
    }
}

/// What all bodies ask for.
pub(crate) fn wanted() -> &'static KeyRequest {
    static WANTED: OnceLock<KeyRequest> = OnceLock::new();
    WANTED.get_or_init(|| KeyRequest {
        subject: Subject {
            country: Some("United States".to_owned()),
            organization: Some("Example".to_owned()),
            common_name: Some("fw1.example.com".to_owned()),
            ..Subject::default()
        },
        alternate_names: vec![AlternateName::Domain("fw1.example.com".to_owned())],
        key: KeyKind::Ecdsa(256),
        digest: Digest::Sha256,
    })
}

/// A request for it.
pub(crate) fn request() -> &'static Csr {
    static REQUEST: OnceLock<Csr> = OnceLock::new();
    REQUEST.get_or_init(|| {
        PrivateKey::generate(wanted().key)
            .and_then(|key| Csr::make(wanted(), &key))
            .unwrap_or_else(|error| panic!("no request could be made: {error}"))
    })
}
