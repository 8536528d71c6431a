//! A private key that renewd generates itself, for devices that cannot generate one for the configured certificate.
//!
//! It is in memory only as long as a step needs it. Callers that store it seal it first. The cryptographic library has
//! a generator of its own for keys and signatures, which cannot be given as an argument.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom as SignatureNonces;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{self as aws, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _};
use zeroize::Zeroizing;

use super::signature::Scheme;
use super::{Digest, KeyKind, PkiError};

/// A private key, PKCS#8 DER (RFC 5958). It is wiped when it is dropped, and never shown.
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl PrivateKey {
    /// Generates a key. An RSA key of 4096 bits takes seconds, so call it only on a thread that may block.
    ///
    /// # Errors
    /// When renewd makes no keys of this kind.
    pub fn generate(kind: KeyKind) -> Result<Self, PkiError> {
        let unable = |_| PkiError(format!("no key pair could be made: {kind}"));
        match kind {
            KeyKind::Rsa(bits) => {
                let pair = rsa::KeyPair::generate(rsa_size(bits)?).map_err(unable)?;
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(unable)?;
                Ok(Self::from_pkcs8(der.as_ref().to_vec()))
            }
            KeyKind::Ecdsa(bits) => {
                // The digest is that of the signatures, and of no meaning for the key.
                let (algorithm, _) = ecdsa(bits, Digest::default())?;
                let pair = EcdsaKeyPair::generate(algorithm).map_err(unable)?;
                let der = pair.to_pkcs8v1().map_err(unable)?;
                Ok(Self::from_pkcs8(der.as_ref().to_vec()))
            }
            KeyKind::Other => Err(not_made(kind)),
        }
    }

    /// Takes a key in PKCS#8 DER.
    pub fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(Zeroizing::new(der))
    }

    /// PKCS#8 DER: for sealing and for the file of a device only.
    pub fn pkcs8(&self) -> &[u8] {
        &self.0
    }

    /// Ready to sign with `digest`, or with that of its curve where the curve has only one.
    pub(super) fn signer(&self, kind: KeyKind, digest: Digest) -> Result<Signer, PkiError> {
        match kind {
            KeyKind::Rsa(_) => {
                let pair = rsa::KeyPair::from_pkcs8(&self.0).map_err(|_| foreign(kind))?;
                Ok(Signer::Rsa(pair, digest))
            }
            KeyKind::Ecdsa(bits) => {
                let (algorithm, digest) = ecdsa(bits, digest)?;
                let pair =
                    EcdsaKeyPair::from_pkcs8(algorithm, &self.0).map_err(|_| foreign(kind))?;
                Ok(Signer::Ecdsa(pair, digest))
            }
            KeyKind::Other => Err(not_made(kind)),
        }
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[private key]")
    }
}

/// A key pair with the digest that it signs with.
pub(super) enum Signer {
    Rsa(rsa::KeyPair, Digest),
    Ecdsa(EcdsaKeyPair, Digest),
}

impl Signer {
    /// The SubjectPublicKeyInfo, DER.
    pub(super) fn public_key(&self) -> Result<Vec<u8>, PkiError> {
        let der = match self {
            Self::Rsa(pair, _) => pair.public_key().as_der(),
            Self::Ecdsa(pair, _) => pair.public_key().as_der(),
        };
        let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
            der.map_err(|_| PkiError("the public key cannot be written".to_owned()))?;
        Ok(der.as_ref().to_vec())
    }

    /// How it signs.
    pub(super) fn scheme(&self) -> Scheme {
        match self {
            Self::Rsa(_, digest) => Scheme::RsaPkcs1(*digest),
            Self::Ecdsa(_, digest) => Scheme::Ecdsa(*digest),
        }
    }

    /// The signature of `message`.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let unable = |_| PkiError("the key does not sign".to_owned());
        let nonces = SignatureNonces::default();
        match self {
            Self::Rsa(pair, digest) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding(*digest), &nonces, message, &mut signature)
                    .map_err(unable)?;
                Ok(signature)
            }
            Self::Ecdsa(pair, _) => {
                let signature = pair.sign(&nonces, message).map_err(unable)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

fn padding(digest: Digest) -> &'static dyn aws::RsaEncoding {
    match digest {
        Digest::Sha256 => &aws::RSA_PKCS1_SHA256,
        Digest::Sha384 => &aws::RSA_PKCS1_SHA384,
        Digest::Sha512 => &aws::RSA_PKCS1_SHA512,
    }
}

/// P-256 and P-384 sign with the digest of their own size only; what a request is signed with is of no meaning for the
/// certificate.
fn ecdsa(bits: u32, digest: Digest) -> Result<(&'static EcdsaSigningAlgorithm, Digest), PkiError> {
    match (bits, digest) {
        (256, _) => Ok((&aws::ECDSA_P256_SHA256_ASN1_SIGNING, Digest::Sha256)),
        (384, _) => Ok((&aws::ECDSA_P384_SHA384_ASN1_SIGNING, Digest::Sha384)),
        (521, Digest::Sha256) => Ok((&aws::ECDSA_P521_SHA256_ASN1_SIGNING, digest)),
        (521, Digest::Sha384) => Ok((&aws::ECDSA_P521_SHA384_ASN1_SIGNING, digest)),
        (521, Digest::Sha512) => Ok((&aws::ECDSA_P521_SHA512_ASN1_SIGNING, digest)),
        _ => Err(not_made(KeyKind::Ecdsa(bits))),
    }
}

fn rsa_size(bits: u32) -> Result<KeySize, PkiError> {
    match bits {
        2048 => Ok(KeySize::Rsa2048),
        3072 => Ok(KeySize::Rsa3072),
        4096 => Ok(KeySize::Rsa4096),
        _ => Err(not_made(KeyKind::Rsa(bits))),
    }
}

fn not_made(kind: KeyKind) -> PkiError {
    PkiError(format!(
        "renewd makes no key pairs of this kind: {kind}; it makes RSA 2048, 3072 and 4096 and ECDSA P-256, P-384 and P-521"
    ))
}

fn foreign(kind: KeyKind) -> PkiError {
    PkiError(format!("the private key is none of the kind {kind}"))
}
