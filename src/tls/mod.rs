//! Verification of server certificates on TLS connections. There is no way to turn verification off.

mod chain;
mod handshake;
mod refusal;
mod trust;
mod verifier;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use crate::failure::{Failure, FailureKind};
use crate::pki::{self, Fingerprint};
use verifier::{Authorities, Verifier};

pub use chain::{Roots, is_trusted};
pub(crate) use handshake::{Handshake, Version};
pub use refusal::{refusal, root_cause};
pub use trust::{Accepted, Anchor, Trust};

/// A TLS client configuration that accepts `trust` or exactly one of `also` (certificates that renewd bound itself).
///
/// Sessions are not resumed: every connection proves anew which certificate is served. ALPN is the caller's.
/// Fails with [`FailureKind::Local`]: a file, a name or the system's root certificates.
pub fn client_config(trust: &Trust, also: &[Fingerprint]) -> Result<ClientConfig, Failure> {
    client_config_with(trust, &Accepted::of(also), &[])
}

/// The same with `accepted` certificates that may become more, and with keys (SHA-256 of their SubjectPublicKeyInfo) that are
/// refused whichever CA vouches for them. A pin in `trust` is stronger than `refused_keys`.
pub fn client_config_with(
    trust: &Trust,
    accepted: &Accepted,
    refused_keys: &[Fingerprint],
) -> Result<ClientConfig, Failure> {
    let mut pins: &[Fingerprint] = &[];
    let authorities = match &trust.anchor {
        Anchor::Pins(configured) => {
            pins = configured;
            None
        }
        Anchor::System => Some(Authorities {
            described: "the system's root certificates".to_owned(),
            verifier: system_roots()?,
            server_name: server_name(trust)?,
        }),
        Anchor::Ca(path) => Some(Authorities {
            described: format!("the CA in {}", path.display()),
            verifier: ca_file(path)?,
            server_name: server_name(trust)?,
        }),
    };
    if pins.is_empty() && accepted.all().is_empty() && authorities.is_none() {
        return Err(local(
            "no fingerprint is given, so no server can be trusted",
        ));
    }
    config(Arc::new(Verifier {
        pins: pins.to_vec(),
        accepted: accepted.clone(),
        refused_keys: refused_keys.to_vec(),
        authorities,
        handshake: Handshake::new(&provider()),
    }))
}

/// Makes aws-lc-rs the process's crypto provider for code that asks for the default one. May be called again.
pub fn install_provider() {
    // An error means that there is one already, and it can only be the same: no other is linked.
    let _ = provider().as_ref().clone().install_default();
}

/// A configuration that leaves the verdict to `verifier`.
pub(crate) fn config(
    verifier: Arc<dyn rustls::client::danger::ServerCertVerifier>,
) -> Result<ClientConfig, Failure> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(local)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The one crypto provider.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    Arc::clone(&PROVIDER)
}

fn system_roots() -> Result<Arc<dyn rustls::client::danger::ServerCertVerifier>, Failure> {
    let verifier = rustls_platform_verifier::Verifier::new(provider()).map_err(|error| {
        let words = match error {
            rustls::Error::General(words) => words,
            other => other.to_string(),
        };
        local(format!(
            "{words}: install the package ca-certificates, or trust a CA file or a SHA-256 fingerprint instead"
        ))
    })?;
    Ok(Arc::new(verifier))
}

fn ca_file(path: &Path) -> Result<Arc<WebPkiServerVerifier>, Failure> {
    let problem = |problem: String| local(format!("CA file {}: {problem}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    let file = pki::certificates_of_file(&bytes).map_err(|error| problem(error.to_string()))?;
    let mut skipped = file.skipped;
    let mut roots = RootCertStore::empty();
    for certificate in file.certificates {
        if let Err(error) = roots.add(CertificateDer::from(certificate.der)) {
            skipped.push(format!("{} is skipped: {error}", certificate.subject));
        }
    }
    if roots.is_empty() {
        return Err(problem(skipped.join("; ")));
    }
    for words in skipped {
        tracing::warn!(file = %path.display(), "{words}");
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| problem(error.to_string()))
}

fn server_name(trust: &Trust) -> Result<Option<ServerName<'static>>, Failure> {
    let parse = |name: &String| {
        ServerName::try_from(name.clone())
            .map_err(|_| local(format!("server_name {name:?} is no host name or address")))
    };
    trust.server_name.as_ref().map(parse).transpose()
}

fn local(detail: impl std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Local, "TLS settings", detail)
}
