//! Key pairs and certificate signing requests (SonicOS reference 3.1; RFC 2986).
//!
//! The request is written field by field: rcgen keeps one value per kind of name, and the device may have three that
//! become OU. 1024 and 1536 bit keys and signatures with MD5 or SHA-1 are not implemented: the library refuses them.

use rcgen::{KeyPair, PublicKeyData, RsaKeySize, SignatureAlgorithm, SigningKey};
use yasna::models::ObjectIdentifier;
use yasna::{DERWriter, DERWriterSeq, Tag};

use super::subject::{AlternateName, Subject};

/// A private key on the device.
#[derive(Debug)]
pub(in crate::sonicos) struct DeviceKey {
    pair: KeyPair,
    kind: KeyKind,
}

/// The key types that a client may request and the library can generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa2048(Hash),
    Rsa4096(Hash),
    /// guess: the curve determines the hash of the self-signature, independently of the request.
    P256,
    P384,
    P521,
}

impl KeyKind {
    /// As strong, of the other type.
    pub(super) fn of_other_type(self) -> Self {
        match self {
            Self::Rsa2048(_) | Self::Rsa4096(_) => Self::P256,
            Self::P256 | Self::P384 | Self::P521 => Self::Rsa2048(Hash::Sha256),
        }
    }

    /// Of the same type.
    pub(super) fn of_other_size(self) -> Self {
        match self {
            Self::Rsa2048(hash) => Self::Rsa4096(hash),
            Self::Rsa4096(hash) => Self::Rsa2048(hash),
            Self::P256 => Self::P384,
            Self::P384 | Self::P521 => Self::P256,
        }
    }
}

/// A hash that signatures can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The algorithm identifier of the self-signature; RSA has a NULL parameter (RFC 4055 5, RFC 5758 3.2).
#[derive(Debug, Clone, Copy)]
struct Signature {
    oid: &'static [u64],
    null_parameter: bool,
}

impl DeviceKey {
    /// Generates a new key pair. RSA takes a while.
    pub(super) fn generate(kind: KeyKind) -> Result<Self, rcgen::Error> {
        let pair = match kind {
            KeyKind::Rsa2048(hash) => KeyPair::generate_rsa_for(rsa(hash), RsaKeySize::_2048)?,
            KeyKind::Rsa4096(hash) => KeyPair::generate_rsa_for(rsa(hash), RsaKeySize::_4096)?,
            KeyKind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
            KeyKind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?,
            KeyKind::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512)?,
        };
        Ok(Self { pair, kind })
    }

    /// A key that came with its certificate: it never signs a request.
    pub(super) fn imported(pair: KeyPair) -> Self {
        Self {
            pair,
            kind: KeyKind::P256,
        }
    }

    /// The key of an attacker, PKCS#8, of the kind that a request of this device would have.
    pub(super) fn of_attacker(pkcs8: &[u8], kind: KeyKind) -> Result<Self, rcgen::Error> {
        let pair = KeyPair::try_from(pkcs8)?;
        Ok(Self { pair, kind })
    }

    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Subject public key information, DER.
    pub(super) fn public_key(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    /// PKCS#8, only for the TLS ports of this device.
    pub(in crate::sonicos) fn private_key(&self) -> Vec<u8> {
        self.pair.serialize_der()
    }

    /// A request for `subject` with this key (RFC 2986 4), DER.
    pub(super) fn request(&self, subject: &Subject) -> Result<Vec<u8>, rcgen::Error> {
        let information = yasna::construct_der(|writer| self.write_information(writer, subject));
        let signature = self.pair.sign(&information)?;
        Ok(yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&information);
                algorithm(self.kind).write(writer.next());
                writer
                    .next()
                    .write_bitvec_bytes(&signature, signature.len() * 8);
            });
        }))
    }

    fn write_information(&self, writer: DERWriter<'_>, subject: &Subject) {
        writer.write_sequence(|writer| {
            writer.next().write_u8(0);
            writer
                .next()
                .write_sequence(|writer| write_name(writer, subject));
            writer.next().write_der(&self.public_key());
            writer
                .next()
                .write_tagged_implicit(Tag::context(0), |writer| {
                    writer.write_set(|writer| {
                        if let Some(name) = &subject.alternate_name {
                            write_extension_request(writer.next(), name);
                        }
                    });
                });
        });
    }
}

impl Signature {
    fn write(self, writer: DERWriter<'_>) {
        writer.write_sequence(|writer| {
            writer
                .next()
                .write_oid(&ObjectIdentifier::from_slice(self.oid));
            if self.null_parameter {
                writer.next().write_null();
            }
        });
    }
}

fn write_name(writer: &mut DERWriterSeq<'_>, subject: &Subject) {
    for (kind, value) in &subject.names {
        writer.next().write_set(|writer| {
            writer.next().write_sequence(|writer| {
                writer
                    .next()
                    .write_oid(&ObjectIdentifier::from_slice(kind.oid()));
                let writer = writer.next();
                match kind.text() {
                    super::subject::TextKind::Printable => writer.write_printable_string(value),
                    super::subject::TextKind::Ia5 => writer.write_ia5_string(value),
                    super::subject::TextKind::Utf8 => writer.write_utf8_string(value),
                }
            });
        });
    }
}

/// extensionRequest (RFC 2985 5.4.2) with subjectAltName (RFC 5280 4.2.1.6).
fn write_extension_request(writer: DERWriter<'_>, name: &AlternateName) {
    // All three kinds are implicitly tagged octets.
    let (tag, octets) = match name {
        AlternateName::Email(email) => (1, email.as_bytes().to_vec()),
        AlternateName::Domain(name) => (2, name.as_bytes().to_vec()),
        AlternateName::Address(address) => (7, address.octets().to_vec()),
    };
    let general_names = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            let writer = writer.next();
            writer.write_tagged_implicit(Tag::context(tag), |writer| writer.write_bytes(&octets));
        });
    });
    writer.write_sequence(|writer| {
        writer
            .next()
            .write_oid(&ObjectIdentifier::from_slice(EXTENSION_REQUEST));
        writer.next().write_set(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_sequence(|writer| {
                    writer
                        .next()
                        .write_oid(&ObjectIdentifier::from_slice(SUBJECT_ALTERNATIVE_NAME));
                    writer.next().write_bytes(&general_names);
                });
            });
        });
    });
}

const EXTENSION_REQUEST: &[u64] = &[1, 2, 840, 113_549, 1, 9, 14];
const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];

fn rsa(hash: Hash) -> &'static SignatureAlgorithm {
    match hash {
        Hash::Sha256 => &rcgen::PKCS_RSA_SHA256,
        Hash::Sha384 => &rcgen::PKCS_RSA_SHA384,
        Hash::Sha512 => &rcgen::PKCS_RSA_SHA512,
    }
}

fn algorithm(kind: KeyKind) -> Signature {
    let rsa = |oid| Signature {
        oid,
        null_parameter: true,
    };
    let ecdsa = |oid| Signature {
        oid,
        null_parameter: false,
    };
    match kind {
        KeyKind::Rsa2048(Hash::Sha256) | KeyKind::Rsa4096(Hash::Sha256) => {
            rsa(&[1, 2, 840, 113_549, 1, 1, 11])
        }
        KeyKind::Rsa2048(Hash::Sha384) | KeyKind::Rsa4096(Hash::Sha384) => {
            rsa(&[1, 2, 840, 113_549, 1, 1, 12])
        }
        KeyKind::Rsa2048(Hash::Sha512) | KeyKind::Rsa4096(Hash::Sha512) => {
            rsa(&[1, 2, 840, 113_549, 1, 1, 13])
        }
        KeyKind::P256 => ecdsa(&[1, 2, 840, 10045, 4, 3, 2]),
        KeyKind::P384 => ecdsa(&[1, 2, 840, 10045, 4, 3, 3]),
        KeyKind::P521 => ecdsa(&[1, 2, 840, 10045, 4, 3, 4]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use x509_parser::prelude::{FromDer, X509CertificationRequest};

    use super::super::subject::{AlternateName, NameKind, Subject};
    use super::{DeviceKey, Hash, KeyKind};

    #[test]
    fn a_request_verifies_itself_and_keeps_every_name() {
        let names = [
            (NameKind::Country, "US"),
            (NameKind::Department, "IT"),
            (NameKind::Department, "Network"),
            (NameKind::CommonName, "fw.example.com"),
        ];
        let subject = Subject {
            names: names.map(|(kind, text)| (kind, text.to_owned())).to_vec(),
            alternate_name: Some(AlternateName::Domain("fw.example.com".to_owned())),
        };
        for kind in [KeyKind::Rsa2048(Hash::Sha384), KeyKind::P256, KeyKind::P384] {
            let der = DeviceKey::generate(kind)
                .unwrap()
                .request(&subject)
                .unwrap();
            let (rest, request) = X509CertificationRequest::from_der(&der).unwrap();
            assert!(rest.is_empty());
            request.verify_signature().unwrap();
            assert_eq!(
                request.certification_request_info.subject.to_string(),
                "C=US, OU=IT, OU=Network, CN=fw.example.com"
            );
            assert_eq!(request.requested_extensions().unwrap().count(), 1);
        }
    }
}
