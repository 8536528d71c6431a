//! Files of drivers: certificates that the configuration names, and which references of orders can be names of files in
//! which a driver keeps what it issued or received.

use std::path::Path;

use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, CertificateFile, certificates_of_file};

/// Reads every certificate of the file at `path`; `call` says for what.
///
/// # Errors
/// When the file cannot be read, or one of its certificates.
pub async fn read_certificates(
    path: &Path,
    call: &'static str,
) -> Result<Vec<Certificate>, Failure> {
    let problem = |words: String| {
        let words = format!("{}: {words}", path.display());
        Failure::new(FailureKind::Local, call, words)
    };
    let bytes = tokio::fs::read(path)
        .await
        .map_err(|error| problem(error.to_string()))?;
    certificates_of_file(&bytes)
        .and_then(CertificateFile::whole)
        .map_err(|error| problem(error.to_string()))
}

/// Why `reference` cannot be the name of a file; `None`: it can.
pub(super) fn objection(reference: &str) -> Option<String> {
    let is_safe = (1..=100).contains(&reference.len())
        && !reference.starts_with('.')
        && reference
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (!is_safe).then(|| format!("{reference:?} cannot be a file name, so it cannot be a reference"))
}
