//! The built-in private CA. Its key is on this machine, and the issued certificates are in a folder.
//!
//! Only the public key of a request is signed; everything else in the certificate is filled in here. Files are read
//! at each use, in a blocking thread, so that a replaced CA takes effect at once.

mod authority;
mod init;
mod ledger;
mod policy;
mod settings;
mod sign;

#[cfg(test)]
mod tests;

pub use init::init;
pub use settings::{Purpose, Settings};

use async_trait::async_trait;

use super::{Issuance, Issuer, PreparedOrder, Reference, SigningRequest};
use crate::env::Env;
use crate::failure::Failure;
use crate::pki::{AlternateName, Certificate, Csr, KeyRequest};
use authority::Authority;
use ledger::Ledger;
use sign::Content;

/// A CA whose key is on this machine.
#[derive(Debug)]
pub struct LocalCa {
    settings: Settings,
    env: Env,
}

impl LocalCa {
    /// A driver for `settings`; its files are read at each use.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self { settings, env }
    }

    /// Runs `work`, which reads and writes files, on a thread where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Settings, &Env) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let settings = self.settings.clone();
        let env = self.env.clone();
        tokio::task::spawn_blocking(move || work(&settings, &env))
            .await
            .unwrap_or_else(|error| Err(Failure::local("local CA", error)))
    }
}

#[async_trait]
impl Issuer for LocalCa {
    async fn preflight(&self, wanted: &KeyRequest) -> Result<Vec<String>, Failure> {
        let wanted = wanted.clone();
        self.blocking(move |settings, env| preflight(&wanted, settings, env))
            .await
    }

    /// It is our own.
    fn may_have_cost(&self, _order: &Reference) -> bool {
        false
    }

    /// Whether the request would be signed. Placed, it is signed unless it is in the folder of issued certificates.
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        let wanted = request.clone();
        self.blocking(move |settings, env| signed(settings, env, &wanted.csr).map(drop))
            .await?;
        let request = request.clone();
        Ok(PreparedOrder::new(self.blocking(move |settings, env| {
            place(settings, env, &request)
        })))
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        let request = request.clone();
        self.blocking(move |settings, _| Ledger::new(settings).find(&request))
            .await
    }

    async fn poll(
        &self,
        reference: &Reference,
        _request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        let reference = reference.clone();
        self.blocking(move |settings, _| {
            let (leaf, chain) = Ledger::new(settings).read(&reference.0)?.ok_or_else(|| {
                Failure::local(
                    "local CA: poll",
                    format!(
                        "{} holds no certificate for {}: was the folder moved or emptied?",
                        settings.issued.display(),
                        reference.0
                    ),
                )
            })?;
            Ok(Issuance::Issued {
                leaf: Box::new(leaf),
                chain,
            })
        })
        .await
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        self.blocking(check).await
    }
}

/// A certificate for `csr` and the certificate of the CA that signed it. That CA exists for this call only. For a dry
/// run, in the place of any other CA.
pub(super) fn sign_for_dry_run(
    csr: &Csr,
    env: &Env,
) -> Result<(Certificate, Certificate), Failure> {
    let authority = Authority::in_memory(env)?;
    let settings = Settings::unrestricted();
    let mut names = csr.alternate_names.clone();
    let common_name = csr.common_name().and_then(AlternateName::from_common_name);
    names.extend(common_name.filter(|name| !names.iter().any(|known| known.is_same(name))));
    let content = Content::of_request(csr, names);
    let leaf = sign::sign(&authority, &content, &settings, env)?;
    Ok((leaf, authority.certificate().clone()))
}

fn place(settings: &Settings, env: &Env, request: &SigningRequest) -> Result<Reference, Failure> {
    let ledger = Ledger::new(settings);
    let _lock = ledger.lock()?;
    if let Some(reference) = ledger.find(request)? {
        return Ok(reference);
    }
    let (leaf, authority) = signed(settings, env, &request.csr)?;
    let random = env.random.as_ref();
    ledger.write(&request.client_reference, &leaf, &authority.chain, random)?;
    Ok(Reference(request.client_reference.clone()))
}

/// The certificate for `csr`, which is recorded nowhere yet, and the CA that signed it.
fn signed(settings: &Settings, env: &Env, csr: &Csr) -> Result<(Certificate, Authority), Failure> {
    let names = policy::names(csr, settings)?;
    policy::check_key(csr.key)?;
    let authority = Authority::load(settings, env)?;
    let content = Content::of_request(csr, names);
    let leaf = sign::sign(&authority, &content, settings, env)?;
    Ok((leaf, authority))
}

/// What forbids the names of `wanted`: the configuration, or the certificates of the CA and of those above it.
fn preflight(wanted: &KeyRequest, settings: &Settings, env: &Env) -> Result<Vec<String>, Failure> {
    let authority = Authority::load(settings, env)?;
    let problems = policy::preflight(wanted, settings);
    if !problems.is_empty() {
        return Ok(problems);
    }
    let key = init::throwaway_key()?;
    let content = Content::of_key(&key).named(wanted);
    let leaf = sign::sign_unchecked(&authority, &content, settings, env)?;
    let now = env.clock.now();
    Ok(sign::faults(&authority, &leaf, &content, now))
}

fn check(settings: &Settings, env: &Env) -> Result<Vec<(String, String)>, Failure> {
    let authority = Authority::load(settings, env)?;
    let now = env.clock.now();
    let certificate = authority.certificate();
    let left = now.duration_until(certificate.not_after).as_hours() / 24;
    let issued = Ledger::new(settings).count()?;
    Ok(vec![
        ("subject".to_owned(), certificate.subject.clone()),
        ("key".to_owned(), certificate.key.to_string()),
        ("days left".to_owned(), left.to_string()),
        ("issued".to_owned(), issued.to_string()),
    ])
}
