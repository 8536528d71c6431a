//! The certificates, requests and CAs on the device, and their removal (SonicOS reference 3).
//! A private key is generated here or imported in a PKCS#12 file. It is never exported.

mod authority;
mod countries;
mod export;
mod generate;
mod import;
mod key_pair;
mod keys;
mod listing;
mod subject;

use std::sync::Arc;

use data_encoding::BASE64;
use md5::{Digest as _, Md5};
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::{Duration, OffsetDateTime};

use super::device::Device;
use super::pending::ChangeKind;
use super::wire::{Handled, Refusal, Reply};
use super::{InitialCertificate, Replacement, ReplacementKey};

pub(super) use self::export::pem;
pub(super) use self::keys::DeviceKey;
use self::subject::Subject;

/// Name of the certificate that both services serve at the start.
pub(super) const INITIAL: &str = "fw-initial";

/// All rows, in the order of their arrival, and two certificates that are in no listing.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) rows: Vec<Row>,
    /// The certificate that `use_self_signed` serves (4.1).
    pub(super) built_in: Identity,
    /// The certificate that a faulty device serves instead of the bound one.
    pub(super) wrong: Identity,
}

/// One name in the one name space of certificates and requests (3.2).
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// When a new request shows up: not before this time and so many listings.
    pub(super) visible_from: OffsetDateTime,
    pub(super) hidden_listings: u32,
    /// Whether it has been served before: the faults of the proof concern new certificates only.
    pub(super) was_served: bool,
    /// Whether generate-signing-request generated its key.
    pub(super) born_here: bool,
}

/// The content of a row.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A key pair and the contents of its request.
    Request {
        key: Arc<DeviceKey>,
        subject: Arc<Subject>,
        /// DER, signed once: every export gives the same bytes.
        request: Vec<u8>,
    },
    /// A certificate with its key.
    Local { key: Arc<DeviceKey>, der: Vec<u8> },
    /// A CA certificate, imported or built in.
    Authority { der: Vec<u8>, built_in: bool },
}

/// A key and its certificate, for the wire.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) key: Arc<DeviceKey>,
    pub(super) der: Vec<u8>,
}

impl Store {
    /// The initial state of the device: one imported certificate, its CA, one built-in CA, the self-signed certificate.
    pub(super) fn new(
        initial: &InitialCertificate,
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        let (former_der, former_params, former_key) = self_signed("Former Office CA", now, true)?;
        let issuer = Issuer::from_params(&former_params, &former_key);
        let key = KeyPair::generate()?;
        // A name beyond ASCII is no domain (RFC 5280, 4.2.1.6).
        let names = Some(initial.common_name.clone()).filter(|name| name.is_ascii());
        let names = names.into_iter().chain(["127.0.0.1".to_owned()]);
        let mut params = CertificateParams::new(names.collect::<Vec<_>>())?;
        params
            .distinguished_name
            .push(DnType::CommonName, initial.common_name.as_str());
        (params.not_before, params.not_after) = (initial.not_before, initial.not_after);
        let der = params.signed_by(&key, &issuer)?.der().to_vec();
        let local = Kind::Local {
            key: Arc::new(DeviceKey::imported(key)),
            der,
        };
        let public_root = self_signed("Built-in Public Root CA", now, true)?.0;
        Ok(Self {
            rows: vec![
                Row::old(
                    "Built-in Public Root CA",
                    Kind::Authority {
                        der: public_root,
                        built_in: true,
                    },
                    now,
                ),
                Row::old(
                    "Former Office CA",
                    Kind::Authority {
                        der: former_der,
                        built_in: false,
                    },
                    now,
                ),
                Row {
                    was_served: true,
                    ..Row::old(INITIAL, local, now)
                },
            ],
            built_in: identity("192.168.168.168", now)?,
            wrong: identity("wrong.invalid", now)?,
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    pub(super) fn find_mut(&mut self, name: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.name == name)
    }

    pub(super) fn authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.iter().filter_map(|row| match &row.kind {
            Kind::Authority { der, .. } => Some(der.as_slice()),
            _ => None,
        })
    }
}

impl Row {
    /// A self-signed certificate that came with its key.
    pub(super) fn imported(
        replacement: &Replacement,
        now: OffsetDateTime,
    ) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(match replacement.key {
            ReplacementKey::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            ReplacementKey::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        })?;
        let mut params = CertificateParams::new(vec![replacement.common_name.clone()])?;
        params
            .distinguished_name
            .push(DnType::CommonName, replacement.common_name.as_str());
        (params.not_before, params.not_after) = (replacement.not_before, replacement.not_after);
        let der = params.self_signed(&key)?.der().to_vec();
        let kind = Kind::Local {
            key: Arc::new(DeviceKey::imported(key)),
            der,
        };
        Ok(Self::old(&replacement.name, kind, now))
    }

    fn old(name: &str, kind: Kind, now: OffsetDateTime) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            visible_from: now - Duration::days(1),
            hidden_listings: 0,
            was_served: false,
            born_here: false,
        }
    }

    pub(super) fn is_visible(&self, now: OffsetDateTime) -> bool {
        self.hidden_listings == 0 && now >= self.visible_from
    }

    /// The certificate, if it is one.
    pub(super) fn der(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Request { .. } => None,
            Kind::Local { der, .. } | Kind::Authority { der, .. } => Some(der),
        }
    }

    /// Subject public key information of the key behind the name.
    pub(super) fn public_key(&self) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Request { key, .. } | Kind::Local { key, .. } => Some(key.public_key()),
            Kind::Authority { der, .. } => authority::public_key(der),
        }
    }
}

impl Device {
    /// The row of this name, if the device shows it already.
    pub(super) fn visible_row(&self, name: &str) -> Result<&Row, Refusal> {
        let row = self
            .certificates
            .find(name)
            .filter(|row| row.is_visible(self.now()));
        row.ok_or_else(|| Refusal::new(400, self.variants.missing_name_text.clone()))
    }

    /// 3.7: removes a local certificate or a request; refused while bound.
    pub(super) fn delete_certificate(&mut self, name: &str) -> Handled {
        if matches!(self.visible_row(name)?.kind, Kind::Authority { .. }) {
            return Err(Refusal::new(400, self.variants.missing_name_text.clone()));
        }
        if self.is_bound(name) {
            return Err(Refusal::new(400, self.variants.in_use_text.clone()));
        }
        Ok(self.stage(
            self.variants.deletes_are_pending,
            ChangeKind::Delete(name.to_owned()),
        ))
    }

    /// 3.5: removes a CA by the `ca_hash` of its detail.
    pub(super) fn delete_authority(&mut self, hash: &str) -> Handled {
        let of_hash = |row: &&Row| matches!(&row.kind, Kind::Authority { der, .. } if authority_hash(der) == hash);
        let Some(name) = self
            .certificates
            .rows
            .iter()
            .find(of_hash)
            .map(|row| row.name.clone())
        else {
            return Err(Refusal::new(400, self.variants.missing_name_text.clone()));
        };
        Ok(self.stage(self.variants.deletes_are_pending, ChangeKind::Delete(name)))
    }

    /// 2: whether certificate operations are immediate or pending is a switch.
    fn stage(&mut self, pending: bool, change: ChangeKind) -> Reply {
        if pending {
            self.put_pending(change);
        } else {
            self.apply(change);
        }
        Reply::done("Success.")
    }
}

/// 3.5: base64 of sixteen bytes; guess: of MD5 over the certificate.
fn authority_hash(der: &[u8]) -> String {
    BASE64.encode(&Md5::digest(der))
}

fn identity(common_name: &str, now: OffsetDateTime) -> Result<Identity, rcgen::Error> {
    let (der, _, key) = self_signed(common_name, now, false)?;
    Ok(Identity {
        key: Arc::new(DeviceKey::imported(key)),
        der,
    })
}

fn self_signed(
    common_name: &str,
    now: OffsetDateTime,
    ca: bool,
) -> Result<(Vec<u8>, CertificateParams, KeyPair), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) =
        (now - Duration::days(3650), now + Duration::days(7300));
    if ca {
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    let der = params.self_signed(&key)?.der().to_vec();
    Ok((der, params, key))
}
