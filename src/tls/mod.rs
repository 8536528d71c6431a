//! Whom to believe on a TLS connection: always somebody, never nobody.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::pki::Fingerprint;

/// How a peer proves that it is the one.
#[derive(Debug, Clone)]
pub struct Trust {
    /// What its certificate is checked against.
    pub anchor: Anchor,
    /// The name that the certificate must carry when it is not the one in the URL; without effect for pins.
    pub server_name: Option<String>,
}

/// What a certificate is checked against.
#[derive(Debug, Clone)]
pub enum Anchor {
    /// The system's root certificates and the host name.
    System,
    /// The CA certificates of a PEM file and the host name.
    Ca(PathBuf),
    /// Exactly these certificates, by the SHA-256 of their DER.
    Pins(Vec<Fingerprint>),
}

/// A TLS client configuration that accepts `trust` or exactly one of `also` (certificates that renewd bound itself).
pub fn client_config(
    _trust: &Trust,
    _also: &[Fingerprint],
) -> Result<rustls::ClientConfig, Failure> {
    unimplemented!()
}
