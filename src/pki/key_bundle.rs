//! A key pair that renewd made itself, with its certificate, as a file for a device (PKCS#12, RFC 7292).

use p12_keystore::{EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, PrivateKeyChain};

use super::{Certificate, Fingerprint, PkiError, PrivateKey};

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

/// How a PKCS#12 file is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// PBES2 with AES-256 and HMAC-SHA-256 (RFC 8018).
    Modern,
    /// Triple DES and SHA-1 (RFC 7292, appendix C), for devices that know nothing else.
    Legacy,
}

impl KeyBundle {
    /// The PKCS#12 file, encrypted under `password`, which holds the key under the name `alias`.
    ///
    /// The library draws salts from the system's generator itself, and does not wipe its own copies of the key.
    ///
    /// # Errors
    /// When key or certificate cannot be put into such a file.
    pub fn to_pkcs12(
        &self,
        alias: &str,
        password: &str,
        encryption: Encryption,
    ) -> Result<Vec<u8>, PkiError> {
        let unable = |error| PkiError(format!("no PKCS#12 file can be made: {error}"));
        let key = p12_keystore::PrivateKey::from_der(self.key.pkcs8()).map_err(unable)?;
        let certificates = std::iter::once(&self.leaf)
            .chain(&self.chain)
            .map(|certificate| p12_keystore::Certificate::from_der(&certificate.der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(unable)?;
        // Any number serves that key and certificate share.
        let id = Fingerprint::of(&self.leaf.der).short();
        let mut store = KeyStore::new();
        let entry = PrivateKeyChain::new(id, key, certificates);
        store.add_entry(alias, KeyStoreEntry::PrivateKeyChain(entry));
        let (algorithm, mac) = encryption.algorithms();
        let writer = store.writer(password).encryption_algorithm(algorithm);
        writer.mac_algorithm(mac).write().map_err(unable)
    }
}

impl Encryption {
    /// Both, the better one first.
    pub const ALL: [Self; 2] = [Self::Modern, Self::Legacy];

    /// The word in logs and in what is remembered of a device.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Legacy => "legacy",
        }
    }

    const fn algorithms(self) -> (EncryptionAlgorithm, MacAlgorithm) {
        match self {
            Self::Modern => (
                EncryptionAlgorithm::PbeWithHmacSha256AndAes256,
                MacAlgorithm::HmacSha256,
            ),
            Self::Legacy => (
                EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
                MacAlgorithm::HmacSha1,
            ),
        }
    }
}
