//! A certificate, parsed once. Lenient where nothing depends on it: X.509 v1 and odd extensions are read,
//! because old firewalls show them and must be recognised.

use jiff::Timestamp;
use x509_parser::asn1_rs::Oid;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::allowance::{Allowance, check_size};
use super::der::is_sequence;
use super::path::Node;
use super::request::{AlternateName, KeyKind};
use super::{Fingerprint, PkiError, name, pem, signature};

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
    /// Subject alternative names of other kinds, in words.
    pub other_names: Vec<String>,
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
    /// Extended key usages, as dotted numbers.
    pub purposes: Vec<String>,
}

impl Certificate {
    /// Parses one certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        check_size(der, "the certificate")?;
        let parsed = parse(der)?;
        let subject = parsed.subject();
        let (alternate_names, other_names) = name::alternate_names(parsed.iter_extensions());
        let extensions = || {
            parsed
                .iter_extensions()
                .map(X509Extension::parsed_extension)
        };
        Ok(Self {
            der: der.to_vec(),
            fingerprint: Fingerprint::of(der),
            public_key: Fingerprint::of(parsed.public_key().raw),
            key: signature::key_kind(parsed.public_key()),
            subject: name::rfc4514(subject),
            issuer: name::rfc4514(parsed.issuer()),
            common_name: name::attributes(subject)
                .into_iter()
                .rfind(|(attribute, _)| attribute == "CN")
                .map(|(_, value)| value),
            alternate_names,
            other_names,
            serial: serial(parsed.raw_serial()),
            not_before: timestamp(parsed.validity().not_before),
            not_after: timestamp(parsed.validity().not_after),
            is_ca: extensions()
                .any(|e| matches!(e, ParsedExtension::BasicConstraints(limits) if limits.ca)),
            allows_server_auth: allows_server_auth(&parsed),
            purposes: extensions().flat_map(purposes).collect(),
        })
    }

    /// Parses the one certificate of a PEM text; text around it is skipped.
    pub fn from_pem(pem: &str) -> Result<Self, PkiError> {
        let mut all = Self::all_from_pem(pem)?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => Ok(one),
            (Some(_), others) => Err(PkiError(format!(
                "{} certificates where one is expected",
                others + 1
            ))),
            (None, _) => Err(PkiError(
                "there is no BEGIN CERTIFICATE in this text".to_owned(),
            )),
        }
    }

    /// Parses every certificate of a PEM text, in its order; other blocks and text are skipped. None is no error, more than
    /// one answer may hold is.
    pub fn all_from_pem(pem: &str) -> Result<Vec<Self>, PkiError> {
        let mut allowance = Allowance::of_an_answer();
        pem::blocks(pem)?
            .iter()
            .filter(|block| LABELS.contains(&block.label))
            .map(|block| allowance.read(&block.der))
            .collect()
    }

    /// Every CN of its subject, in their order: a client that trusts a CN may use any of them.
    pub fn common_names(&self) -> Vec<String> {
        let attributes = parse(&self.der).map(|parsed| name::attributes(parsed.subject()));
        let attributes = attributes.unwrap_or_default().into_iter();
        attributes
            .filter(|(attribute, _)| attribute == "CN")
            .map(|(_, value)| value)
            .collect()
    }

    /// The certificate as PEM.
    pub fn to_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.der)
    }

    /// Its subject key identifier (RFC 5280, 4.2.1.2), as it stands in it; `None`: it has none.
    pub fn subject_key_identifier(&self) -> Option<Vec<u8>> {
        let node = Node::new(self).ok()?;
        node.subject_key_identifier().map(<[u8]>::to_vec)
    }

    /// Verifies that `issuer`'s key signed this certificate and that its name is the one given as issuer (RFC 5280, 7.1).
    /// Says nothing about whether `issuer` may.
    pub fn verify_signed_by(&self, issuer: &Self) -> Result<(), PkiError> {
        let (own, by) = (Node::new(self)?, Node::new(issuer)?);
        if own.issuer != by.subject {
            return Err(PkiError(format!(
                "its issuer is {}, not {}",
                self.issuer, issuer.subject
            )));
        }
        own.verify_signed_by(&by).map_err(PkiError::from)
    }

    /// Whether it is signed by its own key: a root, or a device's own certificate.
    pub fn is_self_signed(&self) -> bool {
        self.verify_signed_by(self).is_ok()
    }
}

/// Parses `der`, which must hold one certificate and nothing else.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, PkiError> {
    if !is_sequence(der) {
        let words = "not an X.509 certificate: its outermost element is no SEQUENCE";
        return Err(PkiError(words.to_owned()));
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok((rest, _)) => Err(PkiError(format!(
            "{} bytes follow the certificate",
            rest.len()
        ))),
        Err(error) => Err(PkiError(format!("not an X.509 certificate: {error}"))),
    }
}

/// An extended key usage that is there but cannot be read allows nothing.
fn allows_server_auth(certificate: &X509Certificate<'_>) -> bool {
    certificate
        .iter_extensions()
        .filter(|extension| extension.oid == OID_X509_EXT_EXTENDED_KEY_USAGE)
        .all(|extension| {
            matches!(extension.parsed_extension(),
                ParsedExtension::ExtendedKeyUsage(usage) if usage.server_auth || usage.any)
        })
}

/// The extended key usages of `extension`, as dotted numbers.
pub(super) fn purposes(extension: &ParsedExtension<'_>) -> Vec<String> {
    let ParsedExtension::ExtendedKeyUsage(usage) = extension else {
        return Vec::new();
    };
    let named = [
        (usage.any, ANY_PURPOSE),
        (usage.server_auth, SERVER_AUTH),
        (usage.client_auth, CLIENT_AUTH),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let named = named.into_iter().filter(|(is_there, _)| *is_there);
    named
        .map(|(_, purpose)| purpose.to_owned())
        .chain(usage.other.iter().map(Oid::to_id_string))
        .collect()
}

/// Without the zero that only keeps the integer positive, as every other program shows it.
fn serial(raw: &[u8]) -> String {
    let digits = match raw {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => raw,
    };
    data_encoding::HEXLOWER.encode(digits)
}

/// The nearest `Timestamp`. "99991231235959Z", which marks a certificate that never expires (RFC 5280, 4.1.2.5), lies a
/// few hours after the greatest one.
fn timestamp(time: ASN1Time) -> Timestamp {
    let seconds = time.timestamp();
    let limit = if seconds < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_second(seconds).unwrap_or(limit)
}

/// Extended key usages (RFC 5280, 4.2.1.12).
const ANY_PURPOSE: &str = "2.5.29.37.0";
pub(super) const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
pub(super) const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

/// RFC 7468, 5.1, and an older label that some programs still write.
pub(super) const LABELS: [&str; 2] = ["CERTIFICATE", "X509 CERTIFICATE"];
