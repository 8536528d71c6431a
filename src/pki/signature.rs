//! Public keys and signatures by them: for requests, for chains, and for the handshakes of old devices.
//!
//! x509-parser itself verifies neither P-521 nor RSA below 2048 bits, and webpki reads no X.509 v1; all three are
//! met on firewalls. Signatures over SHA-1 or MD5 are never accepted.

use aws_lc_rs::signature::{
    self as aws, RsaParameters, RsaPssSaltLength, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::asn1_rs::Any;
use x509_parser::oid_registry as oids;
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::PkiError;
use super::request::{Digest, KeyKind};

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(Digest),
    /// RSASSA-PSS with a salt as long as the digest.
    RsaPss(Digest),
    /// RSASSA-PSS with a salt of so many bytes.
    RsaPssWithSalt(Digest, u16),
    /// ECDSA; the curve is the key's.
    Ecdsa(Digest),
    /// Ed25519.
    Ed25519,
}

impl Scheme {
    /// The scheme of a certificate's or request's signature (RFC 3279, RFC 5758, RFC 4055).
    pub(super) fn of(algorithm: &AlgorithmIdentifier<'_>) -> Result<Self, PkiError> {
        let oid = &algorithm.algorithm;
        if let Some((_, scheme)) = SCHEMES.iter().find(|(known, _)| known == oid) {
            return Ok(*scheme);
        }
        if *oid == oids::OID_PKCS1_RSASSAPSS {
            return pss(algorithm);
        }
        let dotted = oid.to_id_string();
        if let Some((_, name)) = WEAK.iter().find(|(known, _)| *known == dotted) {
            return Err(PkiError(format!(
                "signed with {name}, which can be forged: have it signed with SHA-256 or better"
            )));
        }
        Err(PkiError(format!(
            "signed with an algorithm that renewd cannot verify ({dotted})"
        )))
    }
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SignatureFault {
    /// Another key made it, or it was made over something else.
    Mismatch,
    /// It proves nothing, whichever key made it: it cannot be verified, or it could be forged.
    Unreliable(PkiError),
}

impl From<SignatureFault> for PkiError {
    fn from(fault: SignatureFault) -> Self {
        match fault {
            SignatureFault::Mismatch => Self("the signature does not belong to the key".to_owned()),
            SignatureFault::Unreliable(why) => why,
        }
    }
}

/// The kind of a public key.
pub(super) fn key_kind(key: &SubjectPublicKeyInfo<'_>) -> KeyKind {
    if key.algorithm.algorithm == oids::OID_KEY_TYPE_EC_PUBLIC_KEY {
        return curve_bits(key).map_or(KeyKind::Other, KeyKind::Ecdsa);
    }
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => modulus_bits(rsa.modulus).map_or(KeyKind::Other, KeyKind::Rsa),
        _ => KeyKind::Other,
    }
}

/// Verifies `signature` over `message` by `key`.
pub(super) fn verify(
    key: &SubjectPublicKeyInfo<'_>,
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureFault> {
    let kind = key_kind(key);
    let bytes = key.subject_public_key.data.as_ref();
    let verified = if let (KeyKind::Rsa(2048..=LONGEST_RSA), Scheme::RsaPssWithSalt(digest, salt)) =
        (kind, scheme)
    {
        rsa_pss(digest)
            .with_pss_salt_length(RsaPssSaltLength::Custom(salt))
            .verify_sig(bytes, message, signature)
    } else {
        let algorithm = algorithm(kind, scheme).ok_or_else(|| {
            SignatureFault::Unreliable(PkiError(format!(
                "the signature ({scheme:?}) cannot be verified with its key ({kind})"
            )))
        })?;
        UnparsedPublicKey::new(algorithm, bytes).verify(message, signature)
    };
    verified.map_err(|_| SignatureFault::Mismatch)
}

/// Verifies `signature` over `message` by the key of the certificate `der`, of whatever X.509 version.
pub(crate) fn verify_by_certificate(
    der: &[u8],
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
) -> Result<(), PkiError> {
    let certificate = super::certificate::parse(der)?;
    verify(
        &certificate.tbs_certificate.subject_pki,
        scheme,
        message,
        signature,
    )
    .map_err(PkiError::from)
}

fn algorithm(kind: KeyKind, scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    match (kind, scheme) {
        (KeyKind::Rsa(bits), Scheme::RsaPkcs1(digest)) => rsa_pkcs1(bits, digest),
        (KeyKind::Rsa(2048..=LONGEST_RSA), Scheme::RsaPss(digest)) => Some(match digest {
            Digest::Sha256 => &aws::RSA_PSS_2048_8192_SHA256,
            Digest::Sha384 => &aws::RSA_PSS_2048_8192_SHA384,
            Digest::Sha512 => &aws::RSA_PSS_2048_8192_SHA512,
        }),
        (KeyKind::Ecdsa(bits), Scheme::Ecdsa(digest)) => ecdsa(bits, digest),
        // The key's own algorithm is Ed25519 too, or aws-lc-rs does not take the key.
        (KeyKind::Other, Scheme::Ed25519) => Some(&aws::ED25519),
        _ => None,
    }
}

fn rsa_pkcs1(bits: u32, digest: Digest) -> Option<&'static dyn VerificationAlgorithm> {
    match (digest, bits) {
        (Digest::Sha256, 2048..=LONGEST_RSA) => Some(&aws::RSA_PKCS1_2048_8192_SHA256),
        (Digest::Sha384, 2048..=LONGEST_RSA) => Some(&aws::RSA_PKCS1_2048_8192_SHA384),
        (Digest::Sha512, 2048..=LONGEST_RSA) => Some(&aws::RSA_PKCS1_2048_8192_SHA512),
        (Digest::Sha256, 1024..2048) => Some(&aws::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        (Digest::Sha512, 1024..2048) => Some(&aws::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        _ => None,
    }
}

fn rsa_pss(digest: Digest) -> RsaParameters {
    match digest {
        Digest::Sha256 => aws::RSA_PSS_2048_8192_SHA256,
        Digest::Sha384 => aws::RSA_PSS_2048_8192_SHA384,
        Digest::Sha512 => aws::RSA_PSS_2048_8192_SHA512,
    }
}

fn ecdsa(bits: u32, digest: Digest) -> Option<&'static dyn VerificationAlgorithm> {
    match (bits, digest) {
        (256, Digest::Sha256) => Some(&aws::ECDSA_P256_SHA256_ASN1),
        (256, Digest::Sha384) => Some(&aws::ECDSA_P256_SHA384_ASN1),
        (256, Digest::Sha512) => Some(&aws::ECDSA_P256_SHA512_ASN1),
        (384, Digest::Sha256) => Some(&aws::ECDSA_P384_SHA256_ASN1),
        (384, Digest::Sha384) => Some(&aws::ECDSA_P384_SHA384_ASN1),
        (384, Digest::Sha512) => Some(&aws::ECDSA_P384_SHA512_ASN1),
        (521, Digest::Sha256) => Some(&aws::ECDSA_P521_SHA256_ASN1),
        (521, Digest::Sha384) => Some(&aws::ECDSA_P521_SHA384_ASN1),
        (521, Digest::Sha512) => Some(&aws::ECDSA_P521_SHA512_ASN1),
        _ => None,
    }
}

fn pss(algorithm: &AlgorithmIdentifier<'_>) -> Result<Scheme, PkiError> {
    let scheme = algorithm.parameters.as_ref().and_then(pss_scheme);
    scheme.ok_or_else(|| {
        PkiError("signed with RSA-PSS with parameters that renewd cannot verify".to_owned())
    })
}

/// aws-lc-rs takes the digest of the message for the mask as well, which is what RFC 4055, 3.1 recommends.
fn pss_scheme(parameters: &Any<'_>) -> Option<Scheme> {
    let parameters = RsaSsaPssParams::try_from(parameters).ok()?;
    let digest_oid = parameters.hash_algorithm_oid();
    let dotted = digest_oid.to_id_string();
    let (_, digest, length) = PSS_DIGESTS.iter().find(|(oid, ..)| *oid == dotted)?;
    let mask = parameters.mask_gen_algorithm().ok()?;
    if mask.mgf.to_id_string() != MGF1
        || mask.hash != *digest_oid
        || parameters.trailer_field() != 1
    {
        return None;
    }
    let salt = u16::try_from(parameters.salt_length()).ok()?;
    Some(if salt == *length {
        Scheme::RsaPss(*digest)
    } else {
        Scheme::RsaPssWithSalt(*digest, salt)
    })
}

fn curve_bits(key: &SubjectPublicKeyInfo<'_>) -> Option<u32> {
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    if curve == oids::OID_EC_P256 {
        Some(256)
    } else if curve == oids::OID_NIST_EC_P384 {
        Some(384)
    } else if curve == oids::OID_NIST_EC_P521 {
        Some(521)
    } else {
        None
    }
}

fn modulus_bits(modulus: &[u8]) -> Option<u32> {
    let first = modulus.iter().position(|byte| *byte != 0)?;
    let bytes = modulus.get(first..)?;
    let bits = u32::try_from(bytes.len()).ok()?.checked_mul(8)?;
    Some(bits - bytes.first()?.leading_zeros())
}

const SCHEMES: [(oids::Oid<'static>, Scheme); 7] = [
    (
        oids::OID_PKCS1_SHA256WITHRSA,
        Scheme::RsaPkcs1(Digest::Sha256),
    ),
    (
        oids::OID_PKCS1_SHA384WITHRSA,
        Scheme::RsaPkcs1(Digest::Sha384),
    ),
    (
        oids::OID_PKCS1_SHA512WITHRSA,
        Scheme::RsaPkcs1(Digest::Sha512),
    ),
    (
        oids::OID_SIG_ECDSA_WITH_SHA256,
        Scheme::Ecdsa(Digest::Sha256),
    ),
    (
        oids::OID_SIG_ECDSA_WITH_SHA384,
        Scheme::Ecdsa(Digest::Sha384),
    ),
    (
        oids::OID_SIG_ECDSA_WITH_SHA512,
        Scheme::Ecdsa(Digest::Sha512),
    ),
    (oids::OID_SIG_ED25519, Scheme::Ed25519),
];

/// Digests of RSASSA-PSS (RFC 4055, 2.1), and their lengths in bytes.
const PSS_DIGESTS: [(&str, Digest, u16); 3] = [
    ("2.16.840.1.101.3.4.2.1", Digest::Sha256, 32),
    ("2.16.840.1.101.3.4.2.2", Digest::Sha384, 48),
    ("2.16.840.1.101.3.4.2.3", Digest::Sha512, 64),
];

/// The mask generation function of RSASSA-PSS (RFC 4055, 2.2).
const MGF1: &str = "1.2.840.113549.1.1.8";

/// What aws-lc-rs takes, in bits.
const LONGEST_RSA: u32 = 8192;

const WEAK: [(&str, &str); 4] = [
    ("1.2.840.113549.1.1.4", "MD5"),
    ("1.2.840.113549.1.1.5", "SHA-1"),
    ("1.3.14.3.2.29", "SHA-1"),
    ("1.2.840.10045.4.1", "SHA-1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_moduli_are_measured_in_bits() {
        assert_eq!(modulus_bits(&[0, 0x80, 0, 0]), Some(24));
        assert_eq!(modulus_bits(&[0x01, 0]), Some(9));
        assert_eq!(modulus_bits(&[0]), None);
    }

    #[test]
    fn rsa_below_1024_bits_is_never_verified() {
        assert!(rsa_pkcs1(1023, Digest::Sha256).is_none());
        assert!(rsa_pkcs1(1024, Digest::Sha256).is_some());
    }
}
