//! TLS Protect Cloud, formerly Venafi as a Service, now CyberArk Certificate Manager, SaaS: a service between us and the CA
//! behind it, with rules, approvals and an inventory.
//!
//! The service does not recognise a repeated request, so the only protection from a second certificate is a search by
//! the CSR before each request. The issued certificate is always compared with the request.

mod api;
mod check;
mod find;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod order;
mod rules;
mod settings;
mod target;
mod token;
mod wire;

#[cfg(test)]
mod tests;

pub use settings::{Login, Settings, Target};

use async_trait::async_trait;
use jiff::SignedDuration;

use super::{Issuance, Issuer, PreparedOrder, Previous, Reference, SigningRequest, beyond};
use crate::env::Env;
use crate::failure::Failure;
use crate::pki::KeyRequest;

/// One application and template of a TLS Protect Cloud.
#[derive(Debug)]
pub struct VenafiCa {
    settings: Settings,
    env: Env,
    tokens: token::Tokens,
    seen: find::RequestCache,
}

impl VenafiCa {
    /// A driver for `settings`; nothing is read or sent yet.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self {
            settings,
            env,
            tokens: token::Tokens::default(),
            seen: find::RequestCache::default(),
        }
    }
}

#[async_trait]
impl Issuer for VenafiCa {
    async fn preflight(&self, wanted: &KeyRequest) -> Result<Vec<String>, Failure> {
        let rules = self.session().await?.rules(&self.settings).await?;
        Ok(rules.map_or_else(Vec::new, |rules| rules::preflight(&rules, wanted)))
    }

    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        let session = self.session().await?;
        let body = session.order(self, request).await?;
        Ok(PreparedOrder::new(
            async move { session.place(&body).await },
        ))
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        self.session().await?.existing(self, request).await
    }

    /// The index behind the search is written after the answer is given (TLS Protect Cloud reference 7).
    fn visibility_delay(&self, _request: &SigningRequest) -> SignedDuration {
        beyond(self.settings.timeout, SignedDuration::from_mins(2))
    }

    /// A search sees the requests to one application and template. Whether a name and an id mean the same is not known here.
    fn account(&self) -> String {
        let Settings {
            url,
            application,
            template,
            ..
        } = &self.settings;
        format!("{application:?}, {template:?} at {url}")
    }

    async fn poll(&self, order: &Reference, request: &SigningRequest) -> Result<Issuance, Failure> {
        self.session().await?.standing(self, order, request).await
    }

    async fn decommission(&self, superseded: &Previous) -> Result<(), Failure> {
        if !self.settings.decommission_superseded {
            return Ok(());
        }
        self.session()
            .await?
            .decommission(&superseded.certificate)
            .await
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        self.session().await?.facts(self).await
    }
}
