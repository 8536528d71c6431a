//! The authority key identifier (RFC 5280, 4.2.1.1): which key, and which certificate, that of the issuer is.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER;

use super::super::der;
use super::super::name::{Comparable, comparable, general_name};

/// What a certificate says of its issuer's; all of it is optional.
#[derive(Default)]
pub(super) struct AuthorityKey<'a> {
    /// The subject key identifier of the issuer.
    pub key: Option<&'a [u8]>,
    /// The issuer of the issuer's certificate.
    pub issuer: Option<Comparable>,
    /// The serial number of the certificate of the issuer, as it stands in it.
    pub serial: Option<&'a [u8]>,
}

impl<'a> AuthorityKey<'a> {
    /// That of `certificate`, which is empty where the extension is not there; `None`: it cannot be read. x509-parser
    /// leaves out what it cannot read of it.
    pub fn of(certificate: &X509Certificate<'a>) -> Option<Self> {
        let mut extensions = certificate.iter_extensions();
        match extensions.find(|one| one.oid == OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER) {
            Some(extension) => Self::read(extension.value),
            None => Some(Self::default()),
        }
    }

    fn read(der: &'a [u8]) -> Option<Self> {
        let (whole, _) = der::first(der)?;
        let mut found = Self::default();
        for field in whole.children_of(der::SEQUENCE)? {
            match field.tag {
                KEY => found.key = Some(field.content),
                // The first directory name: an X.509 certificate has no issuer of another kind.
                ISSUER => {
                    for name in field.children()? {
                        if let GeneralName::DirectoryName(name) = general_name(&name)? {
                            found.issuer = Some(comparable(&name));
                            break;
                        }
                    }
                }
                SERIAL => found.serial = Some(field.content),
                _ => return None,
            }
        }
        Some(found)
    }
}

const KEY: u8 = 0x80;
const ISSUER: u8 = 0xa1;
const SERIAL: u8 = 0x82;
