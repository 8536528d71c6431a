//! Whether a certificate that a service presents leads to a trusted CA. The result is reported and does not affect the
//! connection.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;

use super::{ca_file, provider, system_roots};
use crate::pki::{AlternateName, Certificate, KeyRequest};

/// What a chain has to lead to.
#[derive(Debug, Clone, Copy)]
pub enum Roots<'a> {
    /// One of the system's root certificates.
    System,
    /// One of the CA certificates of a file.
    File(&'a Path),
    /// One of these CA certificates.
    Certificates(&'a [Certificate]),
}

/// Whether `leaf`, presented with the further certificates `chain`, is a server certificate for a host name of `request`
/// that is valid `now` and leads to `roots`.
pub fn is_trusted(
    leaf: &Certificate,
    chain: &[Vec<u8>],
    request: &KeyRequest,
    roots: Roots<'_>,
    now: Timestamp,
) -> bool {
    let chain: Vec<CertificateDer<'_>> = chain
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    let names = server_names(request);
    match roots {
        Roots::System => SYSTEM
            .as_ref()
            .is_some_and(|verifier| is_verified(verifier.as_ref(), leaf, &chain, &names, now)),
        Roots::File(file) => ca_file(file)
            .is_ok_and(|verifier| is_verified(verifier.as_ref(), leaf, &chain, &names, now)),
        Roots::Certificates(certificates) => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(
                certificates
                    .iter()
                    .map(|certificate| CertificateDer::from(certificate.der.as_slice())),
            );
            is_signed(&store, leaf, &chain, now) && is_named(leaf, &names, request)
        }
    }
}

fn is_verified(
    verifier: &dyn ServerCertVerifier,
    leaf: &Certificate,
    chain: &[CertificateDer<'_>],
    names: &[ServerName<'_>],
    now: UnixTime,
) -> bool {
    let leaf = CertificateDer::from(leaf.der.as_slice());
    names.iter().any(|name| {
        verifier
            .verify_server_cert(&leaf, chain, name, &[], now)
            .is_ok()
    })
}

fn is_signed(
    roots: &RootCertStore,
    leaf: &Certificate,
    chain: &[CertificateDer<'_>],
    now: UnixTime,
) -> bool {
    let leaf = CertificateDer::from(leaf.der.as_slice());
    let algorithms = provider().signature_verification_algorithms;
    ParsedCertificate::try_from(&leaf).is_ok_and(|leaf| {
        verify_server_cert_signed_by_trust_anchor(&leaf, roots, chain, now, algorithms.all).is_ok()
    })
}

/// A private CA may still put the name into the CN alone.
fn is_named(leaf: &Certificate, names: &[ServerName<'_>], request: &KeyRequest) -> bool {
    let der = CertificateDer::from(leaf.der.as_slice());
    let Ok(parsed) = ParsedCertificate::try_from(&der) else {
        return false;
    };
    let by_common_name = || {
        let found = leaf.common_name.as_deref();
        let wanted = request.subject.common_name.as_deref();
        found
            .zip(wanted)
            .is_some_and(|(found, wanted)| found.eq_ignore_ascii_case(wanted))
    };
    names
        .iter()
        .any(|name| verify_server_name(&parsed, name).is_ok())
        || (leaf.alternate_names.is_empty() && by_common_name())
}

/// Read once: a service that presents an unknown certificate is judged at every probe.
static SYSTEM: LazyLock<Option<Arc<dyn ServerCertVerifier>>> =
    LazyLock::new(|| system_roots().ok());

/// The host names of `request`, a wildcard by one of the names that it stands for.
fn server_names(request: &KeyRequest) -> Vec<ServerName<'static>> {
    let text = |name: AlternateName| name.to_string().replacen('*', "any", 1);
    request
        .host_names()
        .into_iter()
        .filter_map(|name| ServerName::try_from(text(name)).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::fs;

    use rcgen::KeyPair;

    use super::*;
    use crate::pki::testing::{Authority, key_request, leaf_params, now};

    #[test]
    fn a_chain_to_the_ca_of_the_certificate_makes_it_known_and_nothing_else_does() {
        let root = Authority::root("Office CA");
        let sub = root.sub("Office Sub CA");
        let leaf = sub.sign(&leaf_params(), &KeyPair::generate().unwrap());
        let chain = [sub.certificate.der.clone()];
        let request = key_request();
        let trusted = |chain: &[Vec<u8>], roots: &[Certificate], at| {
            is_trusted(&leaf, chain, &request, Roots::Certificates(roots), at)
        };
        let roots = [root.certificate.clone()];
        assert!(trusted(&chain, &roots, now()));
        assert!(trusted(&[], std::slice::from_ref(&sub.certificate), now()));
        assert!(!trusted(&[], &roots, now()), "the issuer is missing");
        assert!(!trusted(&chain, &[], now()));
        let other = Authority::root("Office CA");
        assert!(!trusted(&chain, &[other.certificate], now()), "another key");
        let late = leaf.not_after + jiff::SignedDuration::from_hours(1);
        assert!(!trusted(&chain, &roots, late), "it has expired");
        let mut others = request.clone();
        others.subject.common_name = Some("other.example.com".to_owned());
        others.alternate_names = vec![AlternateName::Domain("other.example.com".to_owned())];
        let roots = Roots::Certificates(&roots);
        assert!(!is_trusted(&leaf, &chain, &others, roots, now()));
        assert!(!is_trusted(&leaf, &chain, &request, Roots::System, now()));
    }

    #[test]
    fn a_self_signed_certificate_with_our_names_is_trusted_by_nothing() {
        let key = KeyPair::generate().unwrap();
        let own = leaf_params().self_signed(&key).unwrap();
        let own = Certificate::from_der(own.der()).unwrap();
        let root = Authority::root("Office CA").certificate;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        fs::write(&file, root.to_pem()).unwrap();
        let chain = [own.der.clone(), root.der.clone()];
        for roots in [
            Roots::System,
            Roots::File(&file),
            Roots::Certificates(std::slice::from_ref(&root)),
        ] {
            assert!(!is_trusted(&own, &chain, &key_request(), roots, now()));
        }
    }
}
