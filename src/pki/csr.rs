//! A certificate signing request (RFC 2986), its self-signature verified at the door.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_PKCS1_RSASSAPSS;
use x509_parser::prelude::FromDer;

use super::der::is_sequence;
use super::request::{AlternateName, KeyKind};
use super::signature::{self, Scheme};
use super::{Fingerprint, PkiError, name, pem};

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
    /// Subject alternative names of kinds that renewd does not know, in words.
    pub other_names: Vec<String>,
    /// Whether basic constraints CA=true is asked for; never granted.
    pub asks_for_ca: bool,
}

impl Csr {
    /// Parses DER or PEM (either header) and verifies the self-signature.
    pub fn parse(bytes: &[u8]) -> Result<Self, PkiError> {
        let der = der(bytes)?;
        if !is_sequence(&der) {
            let words = "not a certificate signing request: its outermost element is no SEQUENCE";
            return Err(PkiError(words.to_owned()));
        }
        let (rest, request) = X509CertificationRequest::from_der(&der)
            .map_err(|error| PkiError(format!("not a certificate signing request: {error}")))?;
        if !rest.iter().all(u8::is_ascii_whitespace) {
            return Err(PkiError(format!(
                "{} bytes follow the certificate signing request",
                rest.len()
            )));
        }
        verify(&request)?;
        let info = &request.certification_request_info;
        let extensions = || request.requested_extensions().into_iter().flatten();
        let (alternate_names, other_names) = name::alternate_names(extensions());
        Ok(Self {
            der: request.as_raw().to_vec(),
            public_key_der: info.subject_pki.raw.to_vec(),
            public_key: Fingerprint::of(info.subject_pki.raw),
            key: signature::key_kind(&info.subject_pki),
            subject: name::attributes(&info.subject),
            alternate_names,
            other_names,
            asks_for_ca: extensions()
                .any(|e| matches!(e, ParsedExtension::BasicConstraints(limits) if limits.ca)),
        })
    }

    /// The subject's last CN.
    pub fn common_name(&self) -> Option<&str> {
        self.subject
            .iter()
            .rfind(|(attribute, _)| attribute == "CN")
            .map(|(_, value)| value.as_str())
    }

    /// The request as PEM.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE REQUEST", &self.der)
    }
}

fn der(bytes: &[u8]) -> Result<Vec<u8>, PkiError> {
    if is_sequence(bytes) {
        return Ok(bytes.to_vec());
    }
    let text = String::from_utf8_lossy(bytes);
    let blocks = pem::blocks(&text)?;
    if let Some(block) = blocks.iter().find(|block| LABELS.contains(&block.label)) {
        return Ok(block.der.clone());
    }
    Err(PkiError(match blocks.first() {
        Some(block) => format!(
            "a BEGIN {} where a BEGIN CERTIFICATE REQUEST is expected",
            block.label
        ),
        None => format!(
            "neither DER nor PEM of a certificate signing request; it begins with {:?}",
            text.chars().take(40).collect::<String>()
        ),
    }))
}

fn verify(request: &X509CertificationRequest<'_>) -> Result<(), PkiError> {
    let said = |error: PkiError| PkiError(format!("the certificate signing request: {error}"));
    if request.signature_algorithm.algorithm == OID_PKCS1_RSASSAPSS {
        // Usual tools take the longest salt, which aws-lc-rs does not verify.
        return Err(said(PkiError(
            "signed with RSA-PSS, which renewd cannot verify: have it signed with sha256WithRSAEncryption".to_owned(),
        )));
    }
    let info = &request.certification_request_info;
    let scheme = Scheme::of(&request.signature_algorithm).map_err(said)?;
    signature::verify(
        &info.subject_pki,
        scheme,
        info.raw,
        request.signature_value.data.as_ref(),
    )
    .map_err(said)
}

/// RFC 7468, 7, and the label of older programs.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
