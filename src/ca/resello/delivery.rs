//! The certificates that an order delivers (purchase API reference 4.5), in whichever form they are fetched. They
//! are verified elsewhere.

use std::io::{Cursor, Read};

use super::api::{Api, File};
use super::settings::Download;
use crate::failure::{Failure, FailureKind};
use crate::pki::{self, Allowance, Certificate, Fingerprint, PkiError};

/// What an order delivers now.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The certificate of our key, and the others that came with it.
    Ours(Box<Certificate>, Vec<Certificate>),
    /// A certificate of another key.
    Foreign(Box<Certificate>),
    /// Nothing; the CA's words.
    Nothing(String),
}

/// Fetches what the order delivers; ours is the certificate of the key `ours`.
pub(super) async fn fetch(
    api: &Api<'_>,
    id: &str,
    form: Download,
    ours: Fingerprint,
) -> Result<Delivery, Failure> {
    let name = match form {
        Download::Crt => "download-crt",
        Download::Pkcs7 => "download-pkcs7",
        Download::Zip => "download-zip",
    };
    let mut certificates = match api.download(id, name).await? {
        File::NotYet(words) => return Ok(Delivery::Nothing(words)),
        File::Bytes(bytes) => read(name, &bytes, form)?,
    };
    let Some(at) = certificates.iter().position(|one| one.public_key == ours) else {
        let leaf = certificates
            .iter()
            .position(|one| !one.is_ca)
            .unwrap_or_default();
        return Ok(if certificates.is_empty() {
            Delivery::Nothing("there is no certificate in the download".to_owned())
        } else {
            Delivery::Foreign(Box::new(certificates.swap_remove(leaf)))
        });
    };
    let leaf = certificates.remove(at);
    // Whether the certificate comes alone is not known (purchase API reference 4.5).
    if form == Download::Crt {
        certificates.extend(authorities(api, id).await?);
    }
    Ok(Delivery::Ours(Box::new(leaf), certificates))
}

/// A CA that has no such file now does not keep the certificate from us: the firewall may know the rest.
async fn authorities(api: &Api<'_>, id: &str) -> Result<Vec<Certificate>, Failure> {
    let name = "download-ca";
    match api.download(id, name).await? {
        File::Bytes(bytes) => read(name, &bytes, Download::Crt),
        File::NotYet(words) => {
            tracing::warn!(
                order = id,
                answer = words,
                "the CA gives no certificates of its own"
            );
            Ok(Vec::new())
        }
    }
}

pub(super) fn read(call: &str, bytes: &[u8], form: Download) -> Result<Vec<Certificate>, Failure> {
    let read = match form {
        Download::Zip => unpacked(bytes),
        Download::Crt | Download::Pkcs7 => pki::certificates_in(bytes),
    };
    read.map_err(|error| Failure::new(FailureKind::Unexpected, call, error))
}

/// The certificates in every file of an archive; what holds none is skipped.
fn unpacked(bytes: &[u8]) -> Result<Vec<Certificate>, PkiError> {
    let problem = |error: &dyn std::fmt::Display| PkiError(format!("the archive: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| problem(&error))?;
    let mut certificates: Vec<Certificate> = Vec::new();
    let mut allowance = Allowance::of_an_answer();
    for at in 0..archive.len().min(MOST_FILES) {
        let file = archive.by_index(at).map_err(|error| problem(&error))?;
        let mut text = Vec::new();
        file.take(LARGEST_FILE)
            .read_to_end(&mut text)
            .map_err(|error| problem(&error))?;
        let read = pki::certificates_within(&text, &mut allowance);
        for certificate in read.unwrap_or_default() {
            if !certificates.contains(&certificate) {
                certificates.push(certificate);
            }
        }
        allowance.check().map_err(|error| problem(&error))?;
    }
    Ok(certificates)
}

const MOST_FILES: usize = 50;
/// Bytes; a certificate has two thousand.
const LARGEST_FILE: u64 = 1 << 20;
