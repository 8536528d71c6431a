//! A key pair that renewd made itself, with its certificate, as a file for a device (RFC 7292).

use super::Certificate;

/// A private key, PKCS#8 DER (RFC 5958). It is wiped when it is dropped, and never shown.
pub struct PrivateKey(zeroize::Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// Takes a key in PKCS#8 DER.
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(der))
    }

    /// PKCS#8 DER: for sealing and for the file of a device only.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[private key]")
    }
}

/// A certificate with its key and the CAs above it.
#[derive(Debug)]
pub struct KeyBundle {
    /// The key of `leaf`.
    pub key: PrivateKey,
    /// The certificate.
    pub leaf: Certificate,
    /// The CA certificates above it, nearest first.
    pub chain: Vec<Certificate>,
}
