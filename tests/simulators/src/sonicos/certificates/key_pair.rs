//! PKCS#12 files: a certificate that comes with its key (SonicOS reference 3.6; RFC 7292).
//!
//! The file is opened by a library of its own, and its content is verified: the key has to match the certificate.
//! Only a test gets its password, to search for it where it must not appear.

use std::sync::Arc;

use p12_keystore::Pkcs12Archive;
use rcgen::KeyPair;

use super::authority::{parse, public_key};
use super::keys::DeviceKey;
use super::{Kind, Row};
use crate::multipart;
use crate::sonicos::Profile;
use crate::sonicos::device::Device;
use crate::sonicos::pending::ChangeKind;
use crate::sonicos::switch::{KeyPairEncryption, KeyPairForm};
use crate::sonicos::wire::{Handled, Refusal, Request, unknown_call};

impl Device {
    /// 3.6, 7.0: the file is the body, its password a segment of the path.
    pub(in crate::sonicos) fn import_key_pair_by_path(
        &mut self,
        request: &Request,
        name: &str,
        password: &str,
    ) -> Handled {
        if !matches!(self.key_pair_form(), KeyPairForm::Path | KeyPairForm::Both) {
            return Err(unknown_call());
        }
        self.import_key_pair(name, password, &request.body)
    }

    /// 3.6, newer: a form with the password (`certPasswd`) and the file (`certificate.exp`).
    pub(in crate::sonicos) fn import_key_pair_by_form(
        &mut self,
        request: &Request,
        name: &str,
    ) -> Handled {
        match self.key_pair_form() {
            KeyPairForm::Multipart | KeyPairForm::Both => {}
            // The path continues where the password is part of it.
            KeyPairForm::Path => return Err(Refusal::incomplete()),
            KeyPairForm::Neither => return Err(unknown_call()),
        }
        let parts =
            multipart::parts(request.header("content-type"), &request.body).ok_or_else(bad_file)?;
        let content = |field: &str, is_file: bool| {
            let part = parts
                .iter()
                .find(|part| part.name == field && part.is_file == is_file);
            part.map(|part| part.content.as_slice())
                .ok_or_else(|| Refusal::unreasonable(field))
        };
        let password = String::from_utf8_lossy(content("certPasswd", false)?).into_owned();
        self.import_key_pair(name, &password, content("certificate.exp", true)?)
    }

    /// Takes in a PKCS#12 file, however it came here. Afterwards there is a local certificate of this name.
    pub(in crate::sonicos) fn import_key_pair(
        &mut self,
        name: &str,
        password: &str,
        file: &[u8],
    ) -> Handled {
        self.check_new_name(name)?;
        self.check_encryption(file)?;
        self.file_passwords.push(password.to_owned());
        let (key, der, others) = open(file, password, &self.variants.wrong_file_password_text)?;
        if key.public_key() != public_key(&der).unwrap_or_default() {
            return Err(Refusal::new(400, self.variants.key_mismatch_text.clone()));
        }
        if self
            .certificates
            .rows
            .iter()
            .any(|row| row.der() == Some(&der))
        {
            return Err(Refusal::new(400, "Duplicate local certificate"));
        }
        self.counters.key_pair_imports += 1;
        if self.variants.key_pair_brings_authorities {
            self.take_authorities(others);
        }
        let kind = Kind::Local {
            key: Arc::new(key),
            der,
        };
        let row = Row::old(name, kind, self.now());
        let reply = self.stage(
            self.variants.imports_are_pending,
            ChangeKind::ImportKeyPair(Box::new(row)),
        );
        Ok(reply.saying("Successfully loaded certificate and key pair"))
    }

    /// The reference does not state how the chain in the file is used, so there is a switch.
    fn take_authorities(&mut self, certificates: Vec<Vec<u8>>) {
        for der in certificates {
            // A certificate that exists already or is not a CA is skipped.
            if let Ok(name) = self.check_authority(&der) {
                let kind = Kind::Authority {
                    der,
                    built_in: false,
                };
                let row = Row::old(&name, kind, self.now());
                self.apply(ChangeKind::ImportAuthority(Box::new(row)));
            }
        }
    }

    fn key_pair_form(&self) -> KeyPairForm {
        self.variants
            .key_pair_form
            .unwrap_or(match self.settings.profile {
                // guess: 6.5 only fetches such a file itself.
                Profile::V6_5 => KeyPairForm::Neither,
                Profile::V7_0 => KeyPairForm::Path,
                Profile::V7_X | Profile::V8 => KeyPairForm::Multipart,
            })
    }

    /// Old firmware opens only the old ciphers, hardened firmware only the new ones.
    fn check_encryption(&self, file: &[u8]) -> Result<(), Refusal> {
        let has = |oid: &[u8]| file.windows(oid.len()).any(|window| window == oid);
        let refused = match self.variants.key_pair_encryption {
            KeyPairEncryption::Any => false,
            KeyPairEncryption::LegacyOnly => has(PBES2),
            KeyPairEncryption::ModernOnly => has(PKCS12_PBE),
        };
        if refused { Err(bad_file()) } else { Ok(()) }
    }
}

/// The key, its certificate, and the other certificates of the file.
type Opened = (DeviceKey, Vec<u8>, Vec<Vec<u8>>);

fn open(file: &[u8], password: &str, wrong_password: &str) -> Result<Opened, Refusal> {
    // A file that is not PKCS#12 is distinguished from one that does not open with this password.
    if file.first() != Some(&DER_SEQUENCE) {
        return Err(bad_file());
    }
    let archive = Pkcs12Archive::from_pkcs12(file, password)
        .map_err(|_| Refusal::new(400, wrong_password))?;
    let [bag] = archive.keys.as_slice() else {
        return Err(bad_file());
    };
    let pair = KeyPair::try_from(bag.key.as_der()).map_err(|_| bad_file())?;
    let key = DeviceKey::imported(pair);
    let mut certificates: Vec<Vec<u8>> = archive
        .certs
        .iter()
        .map(|bag| bag.cert.as_der().to_vec())
        .collect();
    let is_leaf = |der: &Vec<u8>| parse(der).is_some_and(|certificate| !certificate.is_ca());
    let of_key = |der: &Vec<u8>| public_key(der).as_deref() == Some(key.public_key().as_slice());
    let leaf = certificates
        .iter()
        .position(of_key)
        .or_else(|| certificates.iter().position(is_leaf))
        .ok_or_else(bad_file)?;
    let der = certificates.remove(leaf);
    Ok((key, der, certificates))
}

/// A text of the event list of 3.4.
fn bad_file() -> Refusal {
    Refusal::new(400, "Invalid certificate format")
}

const DER_SEQUENCE: u8 = 0x30;

/// 1.2.840.113549.1.5.13 (RFC 8018 A.4), DER.
const PBES2: &[u8] = &[
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d,
];

/// The arc 1.2.840.113549.1.12.1 of the old ciphers (RFC 7292 C), as it begins in DER.
const PKCS12_PBE: &[u8] = &[
    0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01,
];
