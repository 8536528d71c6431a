//! The settings of a local CA.

use std::path::PathBuf;

/// One local CA.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The CA certificate, PEM; further certificates in the file are its own issuers, nearest first.
    pub certificate: PathBuf,
    /// The CA's private key, readable by renewd alone.
    pub key: PathBuf,
    /// Folder of what was issued, one file per client reference: the record that makes a repeated submit harmless.
    pub issued: PathBuf,
    /// Lifetime of what is signed, in days; never past the CA certificate's own end.
    pub lifetime_days: u16,
    /// Extended key usages.
    pub purposes: Vec<Purpose>,
    /// Domains (and everything below them) that may be signed; empty: any.
    pub permitted_domains: Vec<String>,
}

impl Settings {
    /// Signs anything; has no files.
    pub(super) fn unrestricted() -> Self {
        Self {
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            issued: PathBuf::new(),
            lifetime_days: 90,
            purposes: vec![Purpose::ServerAuth],
            permitted_domains: Vec::new(),
        }
    }
}

/// Extended key usage (RFC 5280, 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// id-kp-serverAuth.
    ServerAuth,
    /// id-kp-clientAuth.
    ClientAuth,
    /// id-kp-ipsecIKE (RFC 4945).
    IpsecIke,
}
