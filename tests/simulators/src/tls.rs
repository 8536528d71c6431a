//! What every simulated TLS port shares. Which certificate it serves, and what is said through it, is decided elsewhere.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

/// No resumption: a resumed session would show the certificate of the first handshake instead of the present one.
pub(crate) fn acceptor(
    certificate: Arc<dyn ResolvesServerCert>,
) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A private key (PKCS#8) and its certificates (DER, leaf first) as TLS wants them.
pub(crate) fn certified_key(
    private_key: Vec<u8>,
    certificates: Vec<Vec<u8>>,
) -> Result<CertifiedKey, rustls::Error> {
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(private_key).into())?;
    let certificates = certificates.into_iter().map(CertificateDer::from).collect();
    Ok(CertifiedKey::new(certificates, key))
}

/// An error of a hyper service ends the connection without a reply.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}
