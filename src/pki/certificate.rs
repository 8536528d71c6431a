//! A certificate, parsed once.

use jiff::Timestamp;

use super::request::{AlternateName, KeyKind};
use super::{Fingerprint, PkiError};

/// An X.509 certificate (RFC 5280) with the facts that renewd decides by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate itself.
    pub der: Vec<u8>,
    /// SHA-256 of the DER.
    pub fingerprint: Fingerprint,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub public_key: Fingerprint,
    /// The key's kind.
    pub key: KeyKind,
    /// Subject, as RFC 4514 text.
    pub subject: String,
    /// Issuer, as RFC 4514 text.
    pub issuer: String,
    /// The subject's last CN.
    pub common_name: Option<String>,
    /// Subject alternative names of the kinds we know.
    pub alternate_names: Vec<AlternateName>,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// Basic constraints CA=true.
    pub is_ca: bool,
    /// Whether the extended key usage allows TLS servers (absent extension: yes).
    pub allows_server_auth: bool,
}

impl Certificate {
    /// Parses one certificate.
    pub fn from_der(_der: &[u8]) -> Result<Self, PkiError> {
        unimplemented!()
    }

    /// Parses the one certificate of a PEM text; text around it is skipped.
    pub fn from_pem(_pem: &str) -> Result<Self, PkiError> {
        unimplemented!()
    }

    /// Parses every certificate of a PEM text, in its order.
    pub fn all_from_pem(_pem: &str) -> Result<Vec<Self>, PkiError> {
        unimplemented!()
    }

    /// The certificate as PEM.
    pub fn to_pem(&self) -> String {
        unimplemented!()
    }
}
