//! The certificates to which the chains of a CA must lead, as the configuration names them. Read at each use, so that a
//! replaced file takes effect at once.

use crate::ca;
use crate::config::Config;
use crate::failure::Failure;
use crate::pki::Certificate;

/// Reads those of `ca`; none: its chains may lead anywhere.
///
/// # Errors
/// When a file cannot be read, or one of its certificates.
pub async fn of_ca(config: &Config, ca: &str) -> Result<Vec<Certificate>, Failure> {
    let mut roots = Vec::new();
    for path in config.chain_roots.get(ca).into_iter().flatten() {
        roots.extend(ca::read_certificates(path, "read chain_roots").await?);
    }
    Ok(roots)
}

/// Those that a chain issued by `ca` is compared with: none in a dry run, where another CA signs in its place.
///
/// # Errors
/// As [`of_ca`].
pub async fn to_compare(config: &Config, ca: &str) -> Result<Vec<Certificate>, Failure> {
    match config.cas.get(ca) {
        Some(ca::Settings::DryRun(_)) => Ok(Vec::new()),
        _ => of_ca(config, ca).await,
    }
}
