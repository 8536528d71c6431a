//! What an issued certificate must be before it may go to a firewall.

use jiff::Timestamp;

use super::{Certificate, Fingerprint, KeyRequest};

/// What was asked for, to compare with what came.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// SHA-256 of the public key in the CSR.
    pub public_key: Fingerprint,
    /// The names in the CSR.
    pub request: &'a KeyRequest,
    /// Now: the certificate must be valid, give or take a small clock skew.
    pub now: Timestamp,
}

/// Everything that is wrong with an issued certificate and its chain, in words; empty: it may be installed.
pub fn check_issued(
    _leaf: &Certificate,
    _chain: &[Certificate],
    _expected: &Expected<'_>,
) -> Vec<String> {
    unimplemented!()
}
