//! A certificate signing request (RFC 2986), its self-signature verified at the door.

use super::request::{AlternateName, KeyKind, KeyRequest};
use super::{Fingerprint, PkiError};

/// A request whose self-signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    /// The request itself.
    pub der: Vec<u8>,
    /// The SubjectPublicKeyInfo, DER.
    pub public_key_der: Vec<u8>,
    /// SHA-256 of the SubjectPublicKeyInfo.
    pub public_key: Fingerprint,
    /// The key's kind.
    pub key: KeyKind,
    /// The subject's attributes in their order: short name (C, ST, L, O, OU, CN, serialNumber, emailAddress, else the dotted OID) and text.
    pub subject: Vec<(String, String)>,
    /// Subject alternative names that are asked for.
    pub alternate_names: Vec<AlternateName>,
}

impl Csr {
    /// Parses DER or PEM (either header) and verifies the self-signature.
    pub fn parse(_bytes: &[u8]) -> Result<Self, PkiError> {
        unimplemented!()
    }

    /// Every difference between this request and what was asked for, in words; empty: it is what was asked for.
    pub fn differences(&self, _wanted: &KeyRequest) -> Vec<String> {
        unimplemented!()
    }

    /// The request as PEM.
    pub fn to_pem(&self) -> String {
        unimplemented!()
    }
}
