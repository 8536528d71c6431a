//! A certificate signing request as a CA reads it (RFC 2986). Nothing of it but its key and its names ever gets into a
//! certificate.

use std::net::IpAddr;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::error::X509Error;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// A request with a valid self-signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Csr {
    /// The whole request.
    pub der: Vec<u8>,
    /// Subject public key information, DER.
    pub public_key: Vec<u8>,
    /// The kind of that key.
    pub key: KeyType,
    /// Attributes of the subject by the short names of RFC 4514, such as `CN` and `O`, in their order.
    pub subject: Vec<(String, String)>,
    /// Subject alternative names, in their order.
    pub names: Vec<Name>,
}

/// The kind of a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// RSA with so many bits.
    Rsa(u32),
    /// A curve by its NIST bit length: 256, 384, 521.
    Ec(u32),
    /// Anything else.
    Other,
}

/// A subject alternative name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// dNSName.
    Dns(String),
    /// iPAddress.
    Ip(IpAddr),
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
}

impl Csr {
    /// Reads PEM, also with the label `NEW CERTIFICATE REQUEST`. The error states the problem.
    pub fn from_pem(text: &str) -> Result<Self, String> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes())
            .map_err(|error| format!("not PEM: {error}"))?;
        match pem.label.as_str() {
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::from_der(&pem.contents),
            other => Err(format!("{other} is not a certificate request")),
        }
    }

    /// Reads DER, and checks the self-signature wherever the library behind can.
    pub fn from_der(der: &[u8]) -> Result<Self, String> {
        let (rest, request) = X509CertificationRequest::from_der(der)
            .map_err(|error| format!("not a certificate request: {error}"))?;
        if !rest.is_empty() {
            return Err("something follows the certificate request".to_owned());
        }
        match request.verify_signature() {
            Ok(()) | Err(X509Error::SignatureUnsupportedAlgorithm) => {}
            Err(error) => return Err(format!("its self-signature is wrong: {error}")),
        }
        let information = &request.certification_request_info;
        Ok(Self {
            der: der.to_vec(),
            public_key: information.subject_pki.raw.to_vec(),
            key: KeyType::of(&information.subject_pki),
            subject: subject(&request),
            names: names(&request),
        })
    }

    /// The first CN; empty when there is none.
    pub fn common_name(&self) -> &str {
        self.attribute("CN").unwrap_or_default()
    }

    /// The first subject attribute of this short name.
    pub fn attribute(&self, short_name: &str) -> Option<&str> {
        self.subject
            .iter()
            .find(|(name, _)| name == short_name)
            .map(|(_, value)| value.as_str())
    }

    /// All alternate names that are domains.
    pub fn dns_names<'a>(&'a self) -> Vec<&'a str> {
        let dns = |name: &'a Name| match name {
            Name::Dns(text) => Some(text.as_str()),
            _ => None,
        };
        self.names.iter().filter_map(dns).collect()
    }

    /// The request as PEM, 64 columns.
    pub fn pem(&self) -> String {
        pem("CERTIFICATE REQUEST", &self.der)
    }
}

impl KeyType {
    fn of(key: &SubjectPublicKeyInfo<'_>) -> Self {
        let bits = |bits: usize| u32::try_from(bits).unwrap_or(u32::MAX);
        match key.parsed() {
            Ok(PublicKey::RSA(rsa)) => Self::Rsa(bits(rsa.key_size())),
            Ok(PublicKey::EC(point)) => Self::Ec(match bits(point.key_size()) {
                // The point of P-521 fills 66 bytes.
                528 => 521,
                other => other,
            }),
            _ => Self::Other,
        }
    }
}

impl Name {
    /// The name as text.
    pub fn text(&self) -> String {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => text.clone(),
            Self::Ip(address) => address.to_string(),
        }
    }
}

/// PEM with lines of 64 columns (RFC 7468 2).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

fn subject(request: &X509CertificationRequest<'_>) -> Vec<(String, String)> {
    let attributes = request.certification_request_info.subject.iter_attributes();
    attributes
        .filter_map(|attribute| {
            let oid = attribute.attr_type().to_id_string();
            let (_, short) = SHORT_NAMES.iter().find(|(known, _)| *known == oid)?;
            Some(((*short).to_owned(), attribute.as_str().ok()?.to_owned()))
        })
        .collect()
}

fn names(request: &X509CertificationRequest<'_>) -> Vec<Name> {
    let extensions = request.requested_extensions().into_iter().flatten();
    extensions
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(name)
        .collect()
}

fn name(name: &GeneralName<'_>) -> Option<Name> {
    match name {
        GeneralName::DNSName(text) => Some(Name::Dns((*text).to_owned())),
        GeneralName::RFC822Name(text) => Some(Name::Email((*text).to_owned())),
        GeneralName::URI(text) => Some(Name::Uri((*text).to_owned())),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*octets).map(IpAddr::from);
            v4.or(v6).ok().map(Name::Ip)
        }
        _ => None,
    }
}

/// RFC 4514 3.
const SHORT_NAMES: [(&str, &str); 7] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.5", "serialNumber"),
];
