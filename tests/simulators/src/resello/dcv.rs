//! Domain control validation: the record or file for a request, and the comparison (purchase API reference 5).
//! Computes and compares; `look.rs` fetches.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use sha2::Sha256;

/// How a name is proved (4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The subscriber follows a link in a mail.
    Email,
    /// A file on the name's web server.
    File,
    /// A CNAME record.
    Dns,
}

impl Method {
    /// The documented words only; guess: in upper case only.
    pub(super) fn read(word: &str) -> Option<Self> {
        match word {
            "EMAIL" => Some(Self::Email),
            "FILE" => Some(Self::File),
            "DNS" => Some(Self::Dns),
            _ => None,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Email => "EMAIL",
            Self::File => "FILE",
            Self::Dns => "DNS",
        }
    }
}

/// The hashes of a request, the source of every record and file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proof {
    md5: String,
    sha256: String,
    /// Distinguishes this use of the request from an earlier one.
    unique: Option<String>,
    /// `sectigo.com`, formerly `comodoca.com`.
    host: String,
}

impl Proof {
    pub(super) fn new(request_der: &[u8], unique: Option<String>, host: &str) -> Self {
        Self {
            md5: HEXLOWER.encode(&Md5::digest(request_der)),
            sha256: HEXLOWER.encode(&Sha256::digest(request_der)),
            unique,
            host: host.to_owned(),
        }
    }

    /// `_<MD5>.<fqdn>`; a wildcard is proved at the name below the star.
    pub(super) fn record(&self, name: &str) -> String {
        format!("_{}.{}", self.md5, name.trim_start_matches("*."))
    }

    /// `<first 32 of SHA-256>.<last 32>.[<unique>.]sectigo.com`: two labels, because one holds at most 63 characters.
    pub(super) fn cname(&self) -> String {
        let (first, last) = self.sha256.split_at(32);
        let unique = self.unique.iter().map(|value| format!("{value}."));
        format!("{first}.{last}.{}{}", unique.collect::<String>(), self.host)
    }

    /// `/.well-known/pki-validation/<MD5 upper>.txt`.
    pub(super) fn path(&self) -> String {
        format!(
            "/.well-known/pki-validation/{}.txt",
            self.md5.to_uppercase()
        )
    }

    /// The file's lines.
    pub(super) fn contents(&self) -> String {
        let mut lines = vec![self.sha256.as_str(), self.host.as_str()];
        lines.extend(self.unique.as_deref());
        lines.join("\n")
    }
}

/// The expected record or file for one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// This CNAME.
    Record { name: String, value: String },
    /// This file on the host's web server.
    File {
        host: String,
        path: String,
        contents: String,
    },
}

/// The records and files that tests published instead of a DNS zone and a web server.
#[derive(Debug, Default)]
pub(super) struct Published {
    records: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl Published {
    pub(super) fn record(&mut self, name: &str, value: &str) {
        self.records.insert(plain(name), value.to_owned());
    }

    /// `location` is host and path, as validation-details shows it.
    pub(super) fn file(&mut self, location: &str, contents: &str) {
        let location = location.trim_start_matches("http://");
        self.files.insert(location.to_owned(), contents.to_owned());
    }

    pub(super) fn look(&self, wanted: &Wanted) -> Result<(), String> {
        match wanted {
            Wanted::Record { name, .. } => {
                wanted.compare(self.records.get(&plain(name)).map(String::as_str))
            }
            Wanted::File { host, path, .. } => {
                let found = self.files.get(&format!("{host}{path}"));
                wanted.compare(found.map(String::as_str))
            }
        }
    }
}

impl Wanted {
    /// Compares the record that was found with the expected one. The error is for display.
    pub(super) fn compare(&self, found: Option<&str>) -> Result<(), String> {
        match (self, found) {
            (Self::Record { name, .. }, None) => Err(format!("{name} has no CNAME")),
            (Self::File { host, path, .. }, None) => Err(format!("http://{host}{path} is missing")),
            (Self::Record { name, value }, Some(found)) => (plain(value) == plain(found))
                .then_some(())
                .ok_or_else(|| format!("{name} is a CNAME of {found}")),
            (Self::File { contents, .. }, Some(found)) => lines(contents)
                .eq(lines(found))
                .then_some(())
                .ok_or_else(|| "the file holds something else".to_owned()),
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// DNS names are compared without case and without a final dot.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::{Proof, Published, Wanted};

    fn proof(unique: Option<&str>) -> Proof {
        Proof::new(b"abc", unique.map(str::to_owned), "sectigo.com")
    }

    #[test]
    fn records_and_files_are_made_of_both_hashes_of_the_request() {
        assert_eq!(
            proof(None).record("fw01.example.com"),
            "_900150983cd24fb0d6963f7d28e17f72.fw01.example.com"
        );
        assert_eq!(
            proof(Some("u1")).cname(),
            "ba7816bf8f01cfea414140de5dae2223.b00361a396177a9cb410ff61f20015ad.u1.sectigo.com"
        );
        assert_eq!(
            proof(None).path(),
            "/.well-known/pki-validation/900150983CD24FB0D6963F7D28E17F72.txt"
        );
        assert_eq!(
            proof(Some("u1")).contents(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nsectigo.com\nu1"
        );
    }

    #[test]
    fn a_wildcard_is_proved_at_the_name_below_the_star() {
        let record = proof(None).record("*.example.com");
        assert_eq!(record, "_900150983cd24fb0d6963f7d28e17f72.example.com");
    }

    #[test]
    fn a_record_is_compared_without_case_and_last_dot() {
        let wanted = Wanted::Record {
            name: "_a.example.com".to_owned(),
            value: "b.sectigo.com".to_owned(),
        };
        let mut published = Published::default();
        assert!(published.look(&wanted).is_err());
        published.record("_A.example.com.", "B.sectigo.com.");
        assert_eq!(published.look(&wanted), Ok(()));
        published.record("_a.example.com", "c.sectigo.com");
        assert!(
            published
                .look(&wanted)
                .unwrap_err()
                .contains("c.sectigo.com")
        );
    }
}
