//! Why a server's certificate was refused, and how that reason is found inside the errors of other libraries.

use std::error::Error as StdError;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

/// The verifier's own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

/// A refusal in `words`, as rustls carries it.
pub(super) fn refuse(words: String) -> rustls::Error {
    let refusal = OtherError(Arc::new(Refusal(words)));
    rustls::Error::InvalidCertificate(CertificateError::Other(refusal))
}

/// The TLS verifier's words, when `error` or anything under it is its refusal of the peer; `None`: something else failed.
///
/// Finds it under the errors of reqwest, hyper and `std::io`.
pub fn refusal(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(reason_words(reason));
        }
        // The source of an io::Error is the source of what it wraps, not what it wraps.
        next = match error.downcast_ref::<std::io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// What is at the bottom of an error: the layers above it only say that there is one.
pub fn root_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    // rustls ends some of its texts with the address of a manual.
    text.split(": https://")
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// Without the words "invalid peer certificate", which are wrong for a valid certificate of an untrusted CA.
pub(super) fn words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => reason_words(reason),
        other => other.to_string(),
    }
}

fn reason_words(reason: &CertificateError) -> String {
    match reason {
        CertificateError::Other(OtherError(error)) => match error.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => CA_AS_SERVER.to_owned(),
            _ => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// Devices generate such certificates themselves, and they are invalid under any CA.
const CA_AS_SERVER: &str = "it is a CA certificate (CA:TRUE), which no CA file can verify as a server: pin it with `trust = { sha256 = \"…\" }`";
