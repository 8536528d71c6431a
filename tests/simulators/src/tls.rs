//! The common part of every simulated TLS port. Certificates and protocols are in other modules.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
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

/// A private key (PKCS#8) and its certificates (DER, leaf first) in the form for TLS.
pub(crate) fn certified_key(
    private_key: Vec<u8>,
    certificates: Vec<Vec<u8>>,
) -> Result<CertifiedKey, rustls::Error> {
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(private_key).into())?;
    let certificates = certificates.into_iter().map(CertificateDer::from).collect();
    Ok(CertifiedKey::new(certificates, key))
}

/// A certificate that no client knows, with its key.
pub(crate) fn unknown_certificate() -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>>
{
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let own = rcgen::generate_simple_self_signed(names)?;
    let key = own.signing_key.serialize_der();
    let certified = certified_key(key, vec![own.cert.der().to_vec()])?;
    Ok(acceptor(Arc::new(One(Arc::new(certified))))?)
}

/// One certificate for all clients.
#[derive(Debug)]
pub(crate) struct One(pub(crate) Arc<CertifiedKey>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// An error of a service, which ends the connection without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Closed as usual.
    Closed,
    /// Reset: the client gets a TCP RST.
    Reset,
}

impl Cut {
    /// Whether this error of a connection requires a reset.
    pub(crate) fn is_reset(error: &(dyn std::error::Error + 'static)) -> bool {
        std::iter::successors(Some(error), |error| error.source())
            .any(|error| error.downcast_ref() == Some(&Self::Reset))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the connection is cut on purpose")
    }
}

impl std::error::Error for Cut {}
