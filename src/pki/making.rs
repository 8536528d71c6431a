//! Makes a certificate signing request (RFC 2986) for a key of our own.
//!
//! Written out here because a subject may hold three organizational units, of which rcgen keeps the last alone.

use super::der::{self, element, sequence, set_of_one};
use super::private_key::PrivateKey;
use super::request::{AlternateName, Digest, KeyRequest, Subject};
use super::signature::Scheme;
use super::{Csr, PkiError, country_code};

impl Csr {
    /// Makes the request that `wanted` describes, signed by `key`. The CN stands among the alternate names too, where it
    /// is a host name: browsers look nowhere else.
    ///
    /// # Errors
    /// When something of `wanted` cannot be written, or `key` is of another kind.
    pub fn make(wanted: &KeyRequest, key: &PrivateKey) -> Result<Self, PkiError> {
        let signer = key.signer(wanted.key, wanted.digest)?;
        let subject = name(&wanted.subject)?;
        let names = wanted.host_names();
        let is_critical = wanted.subject == Subject::default();
        let attributes = match names.as_slice() {
            [] => Vec::new(),
            names => extension_request(names, is_critical)?,
        };
        let info = sequence(&[
            VERSION_1,
            &subject,
            &signer.public_key()?,
            &element(der::CONSTRUCTED_CONTEXT, &attributes),
        ]);
        let signature = der::bit_string(&signer.sign(&info)?);
        let request = sequence(&[&info, &algorithm(signer.scheme())?, &signature]);
        // Through the same door as a request from outside: what a CA would not understand is found out here.
        Self::parse(&request)
    }
}

/// A Name with one attribute in each part (RFC 5280, 4.1.2.4), in the order of [`Subject::parts`].
fn name(subject: &Subject) -> Result<Vec<u8>, PkiError> {
    let mut parts = Vec::new();
    for (attribute, value) in subject.parts() {
        let (oid, value) = attribute_value(attribute, value)?;
        let pair = sequence(&[&element(der::OBJECT_IDENTIFIER, oid), &value]);
        parts.extend(set_of_one(&pair));
    }
    Ok(sequence(&[&parts]))
}

/// The type of an attribute, and its value in the string type that RFC 5280, appendix A, asks for.
fn attribute_value(attribute: &str, value: &str) -> Result<(&'static [u8], Vec<u8>), PkiError> {
    let utf8 = |value: &str| element(der::UTF8_STRING, value.as_bytes());
    Ok(match attribute {
        "C" => {
            let code = country_code(value).ok_or_else(|| {
                PkiError(format!(
                    "country = \"{value}\": no two-letter code is known for it, which is what a request holds"
                ))
            })?;
            (COUNTRY, element(der::PRINTABLE_STRING, code.as_bytes()))
        }
        "serialNumber" if is_printable(value) => {
            (SERIAL, element(der::PRINTABLE_STRING, value.as_bytes()))
        }
        "emailAddress" if value.is_ascii() => (EMAIL, element(der::IA5_STRING, value.as_bytes())),
        "ST" => (STATE, utf8(value)),
        "L" => (LOCALITY, utf8(value)),
        "O" => (ORGANIZATION, utf8(value)),
        "OU" => (UNIT, utf8(value)),
        "CN" => (COMMON_NAME, utf8(value)),
        _ => {
            return Err(PkiError(format!(
                "{attribute} = \"{value}\" holds characters that a request cannot hold there"
            )));
        }
    })
}

/// The characters of a PrintableString (X.680, 41.4).
fn is_printable(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte))
}

/// The attribute that asks for alternate names (RFC 2985, 5.4.2; RFC 5280, 4.2.1.6).
fn extension_request(names: &[AlternateName], is_critical: bool) -> Result<Vec<u8>, PkiError> {
    let names: Vec<Vec<u8>> = names.iter().map(general_name).collect::<Result<_, _>>()?;
    let value = element(der::OCTET_STRING, &sequence(&[&names.concat()]));
    let critical = if is_critical { TRUE } else { &[] };
    let oid = element(der::OBJECT_IDENTIFIER, ALTERNATE_NAMES);
    let extension = sequence(&[&oid, critical, &value]);
    let oid = element(der::OBJECT_IDENTIFIER, EXTENSION_REQUEST);
    Ok(sequence(&[&oid, &set_of_one(&sequence(&[&extension]))]))
}

fn general_name(name: &AlternateName) -> Result<Vec<u8>, PkiError> {
    let (kind, value) = match name {
        AlternateName::Email(address) => (RFC822_NAME, address.as_bytes().to_vec()),
        AlternateName::Domain(domain) => (DNS_NAME, domain.as_bytes().to_vec()),
        AlternateName::Ip(std::net::IpAddr::V4(address)) => (IP_ADDRESS, address.octets().to_vec()),
        AlternateName::Ip(std::net::IpAddr::V6(address)) => (IP_ADDRESS, address.octets().to_vec()),
    };
    if !matches!(name, AlternateName::Ip(_)) && !value.is_ascii() {
        return Err(PkiError(format!("the alternate name {name} is not ASCII")));
    }
    Ok(element(der::PRIMITIVE_CONTEXT | kind, &value))
}

/// The AlgorithmIdentifier of a signature (RFC 4055, 5; RFC 5758, 3.2).
fn algorithm(scheme: Scheme) -> Result<Vec<u8>, PkiError> {
    let identifier = |oid: &[u8], parameters: &[u8]| {
        sequence(&[&element(der::OBJECT_IDENTIFIER, oid), parameters])
    };
    let number = |digest| match digest {
        Digest::Sha256 => 0,
        Digest::Sha384 => 1,
        Digest::Sha512 => 2,
    };
    match scheme {
        Scheme::RsaPkcs1(digest) => {
            let oid = [
                &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1][..],
                &[11 + number(digest)],
            ];
            Ok(identifier(&oid.concat(), NULL))
        }
        Scheme::Ecdsa(digest) => {
            let oid = [
                &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3][..],
                &[2 + number(digest)],
            ];
            Ok(identifier(&oid.concat(), &[]))
        }
        Scheme::RsaPss(_) | Scheme::RsaPssWithSalt(..) | Scheme::Ed25519 => Err(PkiError(format!(
            "renewd signs no requests with {scheme:?}"
        ))),
    }
}

/// INTEGER 0, which means version 1.
const VERSION_1: &[u8] = &[2, 1, 0];
const TRUE: &[u8] = &[1, 1, 0xff];
const NULL: &[u8] = &[5, 0];

/// Attribute types (RFC 5280, appendix A), as the content of their object identifiers.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SERIAL: &[u8] = &[0x55, 4, 5];
const COUNTRY: &[u8] = &[0x55, 4, 6];
const LOCALITY: &[u8] = &[0x55, 4, 7];
const STATE: &[u8] = &[0x55, 4, 8];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const UNIT: &[u8] = &[0x55, 4, 11];
const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
const ALTERNATE_NAMES: &[u8] = &[0x55, 0x1d, 17];

/// The kinds of GeneralName (RFC 5280, 4.2.1.6).
const RFC822_NAME: u8 = 1;
const DNS_NAME: u8 = 2;
const IP_ADDRESS: u8 = 7;
