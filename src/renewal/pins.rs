//! Certificates that a firewall is trusted by besides its configuration, and how their rows are authenticated.
//!
//! An attacker who can write the database could add a fingerprint and get every password. So each row carries a code
//! under the sealing key, over the firewall, the configured trust that it belongs to, and the fingerprints. A row that
//! does not verify is not trusted.

use super::state::Step;
use crate::inventory::{RenewalId, TrackedFirewall};
use crate::pki::Fingerprint;
use crate::seal::{SealError, Sealer};
use crate::store::PendingPin;

/// A pin as it is stored, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// SHA-256 of the certificate.
    pub fingerprint: Fingerprint,
    /// Whether it counts.
    pub standing: Standing,
    code: String,
}

/// Whether a pin counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// renewd stored it itself, for the configured trust.
    Verified,
    /// Its code does not verify: it is not trusted.
    Forged,
    /// It belongs to another configured trust: it is neither trusted nor reported.
    OfAnotherTrust,
}

/// The pins of a firewall.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Those that renewd stored itself, for the configured trust.
    pub trusted: Vec<Fingerprint>,
    /// The rows that renewd did not store, as one text; empty: there are none.
    pub forged: String,
}

/// Sorts what is stored of the firewall `known` under the configured `trust`. What belongs to another trust is neither.
///
/// # Errors
/// The sealing key cannot be read, so that nothing can be verified.
pub fn verify(
    sealer: &Sealer,
    known: &TrackedFirewall,
    pending: &[PendingPin],
    trust: &str,
) -> Result<Verified, SealError> {
    let mut verified = Verified::default();
    for pin in judge(sealer, known, pending, trust)? {
        match pin.standing {
            Standing::Verified => verified.trusted.push(pin.fingerprint),
            Standing::Forged => {
                let fingerprint = pin.fingerprint.to_string();
                verified
                    .forged
                    .extend([&*fingerprint, " ", &*pin.code, "\n"]);
            }
            Standing::OfAnotherTrust => {}
        }
    }
    Ok(verified)
}

/// Every stored pin of the firewall `known` under the configured `trust`.
///
/// # Errors
/// As `verify`.
pub fn judge(
    sealer: &Sealer,
    known: &TrackedFirewall,
    pending: &[PendingPin],
    trust: &str,
) -> Result<Vec<Pin>, SealError> {
    let is_authentic = |label, parts: &[String], code: &str| {
        let is_authentic = sealer.is_authentic(label, &borrowed(parts), code)?;
        Ok(if is_authentic {
            Standing::Verified
        } else {
            Standing::Forged
        })
    };
    let mut pins = Vec::new();
    if !known.pins.is_empty() {
        let code = known.pins_code.clone().unwrap_or_default();
        let parts = learned_parts(&known.name, trust, &known.pins);
        let standing = if known.pins_for.as_deref() == Some(trust) {
            is_authentic(LEARNED, &parts, &code)?
        } else {
            Standing::OfAnotherTrust
        };
        pins.extend(known.pins.iter().map(|fingerprint| Pin {
            fingerprint: *fingerprint,
            standing,
            code: code.clone(),
        }));
    }
    for pin in pending {
        let parts = pending_parts(&known.name, trust, &pin.renewal, pin.fingerprint);
        let standing = if pin.trust == trust || pin.code == FORMER {
            is_authentic(PENDING, &parts, &pin.code)?
        } else {
            Standing::OfAnotherTrust
        };
        pins.push(Pin {
            fingerprint: pin.fingerprint,
            standing,
            code: pin.code.clone(),
        });
    }
    Ok(pins)
}

/// The code of certificates that renewd bound to `firewall` and verified.
///
/// # Errors
/// The sealing key cannot be read or made.
pub fn authenticate(
    sealer: &Sealer,
    firewall: &str,
    trust: &str,
    fingerprints: &[Fingerprint],
) -> Result<String, SealError> {
    let parts = learned_parts(firewall, trust, fingerprints);
    sealer.authenticate(LEARNED, &borrowed(&parts))
}

/// The code of the certificate that `renewal` is about to bind.
///
/// # Errors
/// As `authenticate`.
pub fn authenticate_pending(
    sealer: &Sealer,
    firewall: &str,
    trust: &str,
    renewal: &RenewalId,
    fingerprint: Fingerprint,
) -> Result<String, SealError> {
    let parts = pending_parts(firewall, trust, renewal, fingerprint);
    sealer.authenticate(PENDING, &borrowed(&parts))
}

/// The mark by which the report of the rows `forged` of `known` is remembered; `None`: there are none, or they are reported.
pub fn unreported(known: &TrackedFirewall, forged: &str) -> Option<String> {
    let mark = Fingerprint::of(forged.as_bytes()).to_string();
    let is_reported = known.distrusted.as_deref() == Some(&*mark);
    (!forged.is_empty() && !is_reported).then_some(mark)
}

/// What an operator has to know of rows that renewd did not store.
pub fn advice(firewall: &str) -> String {
    format!(
        "a certificate that the database names as trusted for {firewall} was not stored there by this renewd: it is from a \
         version before 5, was stored under another sealing key, or was written by another program. It is not trusted, and \
         only `trust` in the configuration counts. If renewd has replaced the management certificate since, compare the \
         fingerprint that {firewall} shows (renewd probe) with the device itself and put it into `trust`"
    )
}

fn learned_parts(firewall: &str, trust: &str, fingerprints: &[Fingerprint]) -> Vec<String> {
    let fingerprints = fingerprints.iter().map(ToString::to_string);
    [firewall.to_owned(), trust.to_owned()]
        .into_iter()
        .chain(fingerprints)
        .collect()
}

fn pending_parts(
    firewall: &str,
    trust: &str,
    renewal: &RenewalId,
    fingerprint: Fingerprint,
) -> Vec<String> {
    vec![
        firewall.to_owned(),
        trust.to_owned(),
        renewal.0.clone(),
        Step::Bind.name().to_owned(),
        fingerprint.to_string(),
    ]
}

fn borrowed(parts: &[String]) -> Vec<&str> {
    parts.iter().map(String::as_str).collect()
}

/// In the place of the code of a row that an older renewd stored.
const FORMER: &str = "former";
const LEARNED: &str = "learned pins";
const PENDING: &str = "pending pin";
