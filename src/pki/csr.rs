//! A certificate signing request (RFC 2986), its self-signature verified at the door.
//!
//! A CA may read more in a request than renewd compares. So whatever is in it that renewd does not know is counted as a
//! difference: attributes, extensions and purposes go by lists of what is allowed.

use x509_parser::asn1_rs::Oid;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Version;

use super::allowance::check_size;
use super::certificate::{SERVER_AUTH, purposes};
use super::der::{self, Element, is_sequence};
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
    /// What else it holds that a CA may act on, in words.
    pub extras: Vec<String>,
}

impl Csr {
    /// Parses DER or PEM (either header) and verifies the self-signature.
    pub fn parse(bytes: &[u8]) -> Result<Self, PkiError> {
        let der = der(bytes)?;
        check_size(&der, "the certificate signing request")?;
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
        let attributes = strict_attributes(request.as_raw())?;
        let requested = Requested::read(&attributes);
        let mut extras = requested.extras;
        if info.version != X509Version::V1 {
            extras.push(format!("it is of version {}", info.version));
        }
        if info.subject.iter_rdn().any(|rdn| rdn.iter().count() > 1) {
            extras.push("its subject joins several attributes to one part".to_owned());
        }
        Ok(Self {
            der: request.as_raw().to_vec(),
            public_key_der: info.subject_pki.raw.to_vec(),
            public_key: Fingerprint::of(info.subject_pki.raw),
            key: signature::key_kind(&info.subject_pki),
            subject: name::attributes(&info.subject),
            alternate_names: requested.alternate_names,
            other_names: requested.other_names,
            asks_for_ca: requested.asks_for_ca,
            extras,
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

/// What the attributes of a request ask for.
#[derive(Default)]
struct Requested {
    alternate_names: Vec<AlternateName>,
    other_names: Vec<String>,
    asks_for_ca: bool,
    extras: Vec<String>,
}

impl Requested {
    /// One extensionRequest with one value is read; more of it, and any attribute that is not harmless, is an extra.
    fn read(attributes: &[Attribute<'_>]) -> Self {
        let mut requested = Self::default();
        let mut is_first = true;
        for Attribute { kind, values } in attributes {
            if HARMLESS_ATTRIBUTES.contains(&kind.as_str()) {
                continue;
            }
            if kind != EXTENSION_REQUEST {
                let extra = format!("it carries an attribute that was not asked for ({kind})");
                requested.extras.push(extra);
                continue;
            }
            if !std::mem::take(&mut is_first) || values.len() != 1 {
                let extra = "it asks for extensions in more than one place".to_owned();
                requested.extras.push(extra);
            }
            for value in values {
                requested.read_extensions(value);
            }
        }
        requested
    }

    fn read_extensions(&mut self, value: &Element<'_>) {
        let parsed = value
            .children_of(der::SEQUENCE)
            .and_then(|elements| elements.iter().map(extension).collect::<Option<Vec<_>>>());
        let Some(extensions) = parsed else {
            self.extras
                .push("it asks for extensions that cannot be read".to_owned());
            return;
        };
        let (known, unknown) = name::alternate_names(extensions.iter());
        self.alternate_names.extend(known);
        self.other_names.extend(unknown);
        let mut seen: Vec<&Oid<'_>> = Vec::new();
        for extension in &extensions {
            if seen.contains(&&extension.oid) {
                let extra = format!("it asks twice for the extension {}", extension.oid);
                self.extras.push(extra);
            }
            seen.push(&extension.oid);
            self.read_extension(extension);
        }
    }

    fn read_extension(&mut self, extension: &X509Extension<'_>) {
        let oid = extension.oid.to_id_string();
        if !KNOWN_EXTENSIONS.contains(&oid.as_str()) {
            self.extras.push(format!(
                "it asks for an extension that was not asked for ({oid})"
            ));
            return;
        }
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(limits) => self.asks_for_ca |= limits.ca,
            ParsedExtension::KeyUsage(usage) if usage.key_cert_sign() || usage.crl_sign() => {
                let extra = "it asks for the right to sign certificates or their revocation";
                self.extras.push(extra.to_owned());
            }
            ParsedExtension::ExtendedKeyUsage(_) => {
                let others = purposes(extension.parsed_extension());
                let others = others.into_iter().filter(|purpose| purpose != SERVER_AUTH);
                self.extras
                    .extend(others.map(|purpose| format!("it asks for the purpose {purpose}")));
            }
            ParsedExtension::ParseError { .. } => {
                let extra = format!("it asks for an extension that cannot be read ({oid})");
                self.extras.push(extra);
            }
            _ => {}
        }
    }
}

fn extension<'a>(element: &Element<'a>) -> Option<X509Extension<'a>> {
    match X509Extension::from_der(element.whole) {
        Ok(([], extension)) => Some(extension),
        _ => None,
    }
}

/// An attribute of a request.
struct Attribute<'a> {
    /// Its type, in dotted numbers.
    kind: String,
    values: Vec<Element<'a>>,
}

/// The attributes of the request `der`, of which every program reads the same: all of it must be DER, because BER leaves
/// more than one way to write a value, and to overlook one.
fn strict_attributes(der: &[u8]) -> Result<Vec<Attribute<'_>>, PkiError> {
    let words =
        "the certificate signing request is not DER: programs may read different things in it";
    let refused = || PkiError(words.to_owned());
    let whole = der::only(der).filter(Element::is_strict);
    let parts = whole.and_then(|whole| whole.children_of(der::SEQUENCE));
    let info = parts.filter(|parts| parts.len() == 3);
    let fields = info
        .and_then(|parts| parts.first()?.children_of(der::SEQUENCE))
        .ok_or_else(refused)?;
    // Version, subject, key; the attributes may be left out by a mistake of old programs.
    let attributes = match fields.as_slice() {
        [_, _, _] => Vec::new(),
        [_, _, _, attributes] => attributes
            .children_of(der::CONSTRUCTED_CONTEXT)
            .ok_or_else(refused)?,
        _ => return Err(refused()),
    };
    attributes
        .iter()
        .map(|attribute| {
            let parts = attribute.children_of(der::SEQUENCE)?;
            let [kind, values] = parts.as_slice() else {
                return None;
            };
            let (_, kind) = Oid::from_der(kind.whole).ok()?;
            Some(Attribute {
                kind: kind.to_id_string(),
                values: values.children_of(der::SET)?,
            })
        })
        .collect::<Option<Vec<_>>>()
        .ok_or_else(refused)
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
    let info = &request.certification_request_info;
    let scheme = Scheme::of(&request.signature_algorithm).map_err(said)?;
    signature::verify(
        &info.subject_pki,
        scheme,
        info.raw,
        request.signature_value.data.as_ref(),
    )
    .map_err(|fault| said(fault.into()))
}

/// RFC 7468, 7, and the label of older programs.
const LABELS: [&str; 2] = ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];

/// id-extensionRequest (RFC 2985, 5.4.2).
const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";

/// A password for revoking, and a name without structure (RFC 2985, 5.4.1 and 5.3.1): openssl's prompts offer both, devices
/// built on it may send them, and no CA puts either into a certificate.
const HARMLESS_ATTRIBUTES: [&str; 2] = ["1.2.840.113549.1.9.7", "1.2.840.113549.1.9.2"];

/// What may be asked for: each of them is read, but for the identifier of the key, which follows from it, and Netscape's
/// comment, which means nothing.
const KNOWN_EXTENSIONS: [&str; 6] = [
    "2.5.29.14",              // subject key identifier
    "2.5.29.15",              // key usage
    "2.5.29.17",              // subject alternative name
    "2.5.29.19",              // basic constraints
    "2.5.29.37",              // extended key usage
    "2.16.840.1.113730.1.13", // comment
];
