//! Limits on the certificates that are read from one peer's answer. Without them a peer could exhaust memory and time.

use super::{Certificate, PkiError};

/// What may still be read.
#[derive(Debug)]
pub struct Allowance {
    certificates: usize,
    bytes: usize,
    is_exceeded: bool,
}

impl Allowance {
    /// For everything in one answer of a peer.
    pub fn of_an_answer() -> Self {
        Self {
            certificates: MOST_SENT,
            bytes: MOST_SENT_BYTES,
            is_exceeded: false,
        }
    }

    /// For a file that the operator keeps: the roots of a whole system are in one, and no peer wrote it.
    pub(super) fn of_a_file() -> Self {
        Self {
            certificates: usize::MAX,
            bytes: usize::MAX,
            is_exceeded: false,
        }
    }

    /// Reads one certificate.
    pub(super) fn read(&mut self, der: &[u8]) -> Result<Certificate, PkiError> {
        let certificates = self.certificates.checked_sub(1);
        let bytes = self.bytes.checked_sub(der.len());
        let (Some(certificates), Some(bytes)) = (certificates, bytes) else {
            self.is_exceeded = true;
            return Err(exceeded());
        };
        (self.certificates, self.bytes) = (certificates, bytes);
        Certificate::from_der(der)
    }

    /// An error when more came than is read: what was wanted may be behind it.
    ///
    /// # Errors
    /// Then.
    pub fn check(&self) -> Result<(), PkiError> {
        if self.is_exceeded {
            return Err(exceeded());
        }
        Ok(())
    }
}

fn exceeded() -> PkiError {
    PkiError(format!(
        "it holds more than {MOST_SENT} certificates, or more than {MOST_SENT_BYTES} bytes of them: no chain does"
    ))
}

/// Refuses what is too large for a certificate or a request before it is parsed.
pub(super) fn check_size(der: &[u8], what: &str) -> Result<(), PkiError> {
    if der.len() <= LARGEST_BYTES {
        return Ok(());
    }
    Err(PkiError(format!(
        "{what} has {} bytes, and none of more than {LARGEST_BYTES} is read",
        der.len()
    )))
}

/// Those of a whole system, which a program may give as the roots of its CA, are fewer.
const MOST_SENT: usize = 200;
const MOST_SENT_BYTES: usize = 256 << 10;
/// The largest of today have some kilobytes; signatures that withstand a quantum computer have up to 50.
const LARGEST_BYTES: usize = 64 << 10;
