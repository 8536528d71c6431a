//! A SHA-256 fingerprint: of a certificate's DER, or of a public key (SubjectPublicKeyInfo).

use std::fmt;
use std::str::FromStr;

use super::PkiError;

/// A SHA-256 digest, written as 64 hexadecimal digits; read with or without colons.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest.as_ref());
        Self(fingerprint)
    }

    /// The first eight digits, enough to distinguish two certificates in a message.
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Fingerprint {
    type Err = PkiError;

    fn from_str(text: &str) -> Result<Self, PkiError> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .map_err(|_| {
                PkiError("a SHA-256 fingerprint is written in hexadecimal digits".to_owned())
            })?;
        let length = bytes.len();
        <[u8; 32]>::try_from(bytes).map(Self).map_err(|_| {
            PkiError(format!(
                "a SHA-256 fingerprint has 64 hexadecimal digits, not {}",
                length * 2
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    #[test]
    fn a_fingerprint_is_read_with_and_without_colons_in_either_case() {
        let plain = Fingerprint::of(b"a certificate").to_string();
        let pairs: Vec<String> = plain
            .as_bytes()
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
            .collect();
        let read: Fingerprint = pairs.join(":").parse().unwrap();
        assert_eq!(read, Fingerprint::of(b"a certificate"));
        assert_eq!(read, plain.parse().unwrap());
        assert_eq!(read.short(), plain[..8]);
    }

    #[test]
    fn an_invalid_fingerprint_is_reported_with_the_reason() {
        let error = "5f:ab".parse::<Fingerprint>().unwrap_err();
        assert_eq!(
            error.0,
            "a SHA-256 fingerprint has 64 hexadecimal digits, not 4"
        );
        let error = "SHA1".parse::<Fingerprint>().unwrap_err();
        assert_eq!(
            error.0,
            "a SHA-256 fingerprint is written in hexadecimal digits"
        );
    }
}
