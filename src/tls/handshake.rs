//! The signature in a TLS handshake: the proof that the peer has the key of the certificate that it presents.
//! It is always verified, also for certificates that are trusted without their chain.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::CertificateDer;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::refusal::{refuse, words};
use crate::pki::{Certificate, Digest, Fingerprint, KeyKind, Scheme, verify_by_certificate};

/// The two versions of TLS in use; they differ in what a signature scheme means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

/// Verifies handshake signatures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Handshake(WebPkiSupportedAlgorithms);

impl Handshake {
    pub(crate) fn new(provider: &CryptoProvider) -> Self {
        Self(provider.signature_verification_algorithms)
    }

    /// The signature by a certificate that must be of today's kind: webpki's own verdict.
    pub(crate) fn verify(
        &self,
        version: Version,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki(version, message, certificate, signed)
            .map_err(|error| no_proof(certificate, &words(&error)))
    }

    /// The signature by a certificate that is known by its fingerprint, or only looked at. webpki reads no X.509 v1
    /// and takes no RSA key below 2048 bits, which old firewalls present: their signature is verified here anyway.
    pub(crate) fn verify_known(
        &self,
        version: Version,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki(version, message, certificate, signed)
            .or_else(|error| {
                verify_old(version, message, certificate, signed)
                    .map_err(|old| no_proof(certificate, &format!("{}; {old}", words(&error))))
            })
    }

    /// What is offered to the peer. RSASSA-PKCS1-v1_5 stands before PSS, because PSS with a short RSA key cannot be
    /// verified; TLS 1.3 knows only PSS, whatever the order.
    pub(crate) fn schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.0.supported_schemes();
        schemes.sort_by_key(|scheme| match scheme {
            SignatureScheme::RSA_PKCS1_SHA256 => 1,
            SignatureScheme::RSA_PKCS1_SHA512 => 2,
            SignatureScheme::RSA_PKCS1_SHA384 => 3,
            SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512 => 4,
            _ => 0,
        });
        schemes
    }

    fn webpki(
        &self,
        version: Version,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match version {
            Version::Tls12 => verify_tls12_signature(message, certificate, signed, &self.0),
            Version::Tls13 => verify_tls13_signature(message, certificate, signed, &self.0),
        }
    }
}

fn verify_old(
    version: Version,
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, String> {
    let scheme = scheme(signed.scheme)
        .filter(|scheme| version == Version::Tls12 || !matches!(scheme, Scheme::RsaPkcs1(_)))
        .ok_or_else(|| format!("signed with {:?}", signed.scheme))?;
    let key = Certificate::from_der(certificate)
        .map_err(|error| error.to_string())?
        .key;
    if version == Version::Tls13 && !is_curve_of(scheme, key) {
        return Err(format!("signed with {:?} by {key}", signed.scheme));
    }
    if matches!((scheme, key), (Scheme::RsaPss(_), KeyKind::Rsa(..2048))) {
        return Err(format!(
            "renewd cannot verify signatures of TLS 1.3 by a key as short as {key}: allow TLS 1.2 on the device or give it a longer key"
        ));
    }
    verify_by_certificate(certificate, scheme, message, signed.signature())
        .map_err(|error| error.to_string())?;
    Ok(HandshakeSignatureValid::assertion())
}

/// TLS 1.3 binds each ECDSA scheme to one curve (RFC 8446, 4.2.3).
fn is_curve_of(scheme: Scheme, key: KeyKind) -> bool {
    match scheme {
        Scheme::Ecdsa(Digest::Sha256) => key == KeyKind::Ecdsa(256),
        Scheme::Ecdsa(Digest::Sha384) => key == KeyKind::Ecdsa(384),
        Scheme::Ecdsa(Digest::Sha512) => key == KeyKind::Ecdsa(521),
        _ => true,
    }
}

fn scheme(scheme: SignatureScheme) -> Option<Scheme> {
    Some(match scheme {
        SignatureScheme::RSA_PKCS1_SHA256 => Scheme::RsaPkcs1(Digest::Sha256),
        SignatureScheme::RSA_PKCS1_SHA384 => Scheme::RsaPkcs1(Digest::Sha384),
        SignatureScheme::RSA_PKCS1_SHA512 => Scheme::RsaPkcs1(Digest::Sha512),
        SignatureScheme::RSA_PSS_SHA256 => Scheme::RsaPss(Digest::Sha256),
        SignatureScheme::RSA_PSS_SHA384 => Scheme::RsaPss(Digest::Sha384),
        SignatureScheme::RSA_PSS_SHA512 => Scheme::RsaPss(Digest::Sha512),
        SignatureScheme::ECDSA_NISTP256_SHA256 => Scheme::Ecdsa(Digest::Sha256),
        SignatureScheme::ECDSA_NISTP384_SHA384 => Scheme::Ecdsa(Digest::Sha384),
        SignatureScheme::ECDSA_NISTP521_SHA512 => Scheme::Ecdsa(Digest::Sha512),
        SignatureScheme::ED25519 => Scheme::Ed25519,
        _ => return None,
    })
}

fn no_proof(certificate: &CertificateDer<'_>, why: &str) -> Error {
    refuse(format!(
        "the firewall showed SHA-256 {} but did not prove that it has its key: {why}",
        Fingerprint::of(certificate)
    ))
}
