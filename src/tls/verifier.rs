//! Verifies the certificate that a peer presents: pinned by its fingerprint, issued by a trusted CA, or refused.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::handshake::{Handshake, Version};
use super::refusal::{refuse, words};
use super::trust::Accepted;
use crate::pki::{Certificate, Fingerprint};

/// The rule of one connection.
#[derive(Debug)]
pub(super) struct Verifier {
    /// Certificates that are accepted as they are: expired, self-signed, under another name.
    pub pins: Vec<Fingerprint>,
    /// The same, besides the configured trust.
    pub accepted: Accepted,
    /// Keys that are refused even with a certificate of a trusted CA, by the SHA-256 of their SubjectPublicKeyInfo.
    pub refused_keys: Vec<Fingerprint>,
    /// The CAs that may issue any other certificate.
    pub authorities: Option<Authorities>,
    /// Verifies the proof of the key.
    pub handshake: Handshake,
}

/// CAs, and the name that they must have certified.
#[derive(Debug)]
pub(super) struct Authorities {
    /// Where they come from, in words.
    pub described: String,
    /// Verifies chain, name, dates and purpose.
    pub verifier: Arc<dyn ServerCertVerifier>,
    /// The name in place of the one in the URL.
    pub server_name: Option<ServerName<'static>>,
}

impl Verifier {
    fn knows(&self, certificate: &CertificateDer<'_>) -> bool {
        let fingerprint = Fingerprint::of(certificate);
        self.pins.contains(&fingerprint) || self.accepted.all().contains(&fingerprint)
    }

    /// Whether its key is one of those that the firewall has not confirmed. A certificate that cannot be read is taken for
    /// one where there are any.
    fn is_unconfirmed(&self, leaf: &CertificateDer<'_>) -> bool {
        if self.refused_keys.is_empty() {
            return false;
        }
        Certificate::from_der(leaf).map_or(true, |certificate| {
            self.refused_keys.contains(&certificate.public_key)
        })
    }

    fn verify_signature(
        &self,
        version: Version,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.knows(certificate) {
            self.handshake
                .verify_known(version, message, certificate, signed)
        } else {
            self.handshake.verify(version, message, certificate, signed)
        }
    }

    /// "…, expected …": what would have been accepted; empty where no certificate would have been as it is.
    fn expected(&self) -> String {
        let mut known = self.accepted.all();
        known.extend(&self.pins);
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        match known.as_slice() {
            [] => String::new(),
            known => format!("SHA-256 {}", known.join(" or ")),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.knows(leaf) {
            return Ok(ServerCertVerified::assertion());
        }
        let shown = Fingerprint::of(leaf);
        let showed = format!("the firewall showed SHA-256 {shown}");
        if self.is_unconfirmed(leaf) {
            return Err(refuse(format!("{showed}, {UNCONFIRMED}")));
        }
        let Some(authorities) = &self.authorities else {
            return Err(refuse(format!("{showed}, expected {}", self.expected())));
        };
        let name = authorities.server_name.as_ref().unwrap_or(server_name);
        authorities
            .verifier
            .verify_server_cert(leaf, intermediates, name, ocsp_response, now)
            .map_err(|error| {
                let or = match self.expected() {
                    known if known.is_empty() => known,
                    known => format!(" or {known}"),
                };
                refuse(format!(
                    "{showed}, expected a certificate for {} from {}{or}: {}",
                    name.to_str(),
                    authorities.described,
                    words(&error)
                ))
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(Version::Tls12, message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(Version::Tls13, message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.handshake.schemes()
    }
}

const UNCONFIRMED: &str = "whose key a certificate was requested for, but the firewall has not confirmed that it has this key: \
                           an attacker may be answering. When you know that it is the firewall, pin this fingerprint in `trust`";
