//! Certificates that renewd knows although it did not bind them, and how their rows are authenticated.
//!
//! Such a certificate decides when a renewal is due, and may end one. So each row carries a code under the sealing key, over
//! the certificate's name, the fingerprint, why it is known and since when. What does not verify is not known.

use jiff::Timestamp;

use crate::pki::Fingerprint;
use crate::seal::{SealError, Sealer};
use crate::store::KnownCertificate;

/// A certificate of `name` that is known from `known_at` on: an operator accepted it, or a chain verified it.
///
/// # Errors
/// The sealing key cannot be read or made.
pub fn authenticate(
    sealer: &Sealer,
    name: &str,
    fingerprint: Fingerprint,
    is_adopted: bool,
    known_at: Timestamp,
) -> Result<KnownCertificate, SealError> {
    let mut known = KnownCertificate {
        fingerprint,
        is_adopted,
        known_at,
        code: String::new(),
        is_reported: false,
    };
    let parts = parts(name, &known);
    known.code = sealer.authenticate(LABEL, &parts.each_ref().map(String::as_str))?;
    Ok(known)
}

/// Those of `rows` that renewd stored itself, and those that it did not.
///
/// # Errors
/// The sealing key cannot be read, so that nothing can be verified.
pub fn verify(
    sealer: &Sealer,
    name: &str,
    rows: Vec<KnownCertificate>,
) -> Result<(Vec<KnownCertificate>, Vec<KnownCertificate>), SealError> {
    let (mut known, mut forged) = (Vec::new(), Vec::new());
    for row in rows {
        let parts = parts(name, &row);
        let parts = parts.each_ref().map(String::as_str);
        if sealer.is_authentic(LABEL, &parts, &row.code)? {
            known.push(row);
        } else {
            forged.push(row);
        }
    }
    Ok((known, forged))
}

/// What an operator has to know of rows that renewd did not store.
pub fn advice(name: &str, forged: &[KnownCertificate]) -> String {
    let fingerprints: Vec<String> = forged
        .iter()
        .map(|row| row.fingerprint.to_string())
        .collect();
    format!(
        "the database names SHA-256 {} as known for {name}, and this renewd did not store that: it is from a version before \
         6, was stored under another sealing key, or was written by another program. It is not known. Find out who can write \
         the database; if an address serves that certificate and it is right: renewd adopt {name}",
        fingerprints.join(", ")
    )
}

fn parts(name: &str, known: &KnownCertificate) -> [String; 4] {
    [
        name.to_owned(),
        known.fingerprint.to_string(),
        known.basis().to_owned(),
        known.known_at.as_microsecond().to_string(),
    ]
}

const LABEL: &str = "known certificate";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::sync::Arc;

    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn a_row_is_known_as_it_was_stored_and_in_no_other_way() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::new(None, folder.path(), Arc::new(SeededRandom::new(7)));
        let now: Timestamp = "2026-11-22T10:00:00.123456789Z".parse().unwrap();
        let print = Fingerprint::of(b"seen");
        let ours = authenticate(&sealer, "portal", print, true, now).unwrap();
        let is_known = |name: &str, row: &KnownCertificate| {
            let (known, forged) = verify(&sealer, name, vec![row.clone()]).unwrap();
            assert_eq!(known.len() + forged.len(), 1);
            known.len() == 1
        };
        // As it is read back: microseconds.
        let read = KnownCertificate {
            known_at: Timestamp::from_microsecond(now.as_microsecond()).unwrap(),
            ..ours.clone()
        };
        assert!(is_known("portal", &read));
        assert!(!is_known("vpn", &ours));
        let later = KnownCertificate {
            known_at: now + jiff::SignedDuration::from_secs(1),
            ..ours.clone()
        };
        let by_chain = KnownCertificate {
            is_adopted: false,
            ..ours.clone()
        };
        let other = KnownCertificate {
            fingerprint: Fingerprint::of(b"attacker"),
            ..ours.clone()
        };
        for code in ["", "former", "mac-1:AAAA"] {
            let forged = KnownCertificate {
                code: code.to_owned(),
                ..ours.clone()
            };
            assert!(!is_known("portal", &forged), "{code}");
        }
        for forged in [later, by_chain, other] {
            assert!(!is_known("portal", &forged), "{forged:?}");
        }
    }
}
