//! ManageEngine PAM360 and Key Manager Plus: a CSR is imported, signed there by a CA of the product or by a Microsoft CA,
//! and the certificate is fetched (PAM360 reference).
//!
//! The interface has no idempotency key and answers at once or not at all. A lost certificate is found by our public
//! key among the stored certificates. Certificates are addressed by common name and serial number, so a request needs a
//! common name.

mod content;
mod envelope;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod order;
mod probe;
mod session;
mod settings;
mod stored;
mod stored_csr;

pub(super) use order::display;
pub use settings::{Dialect, Encoding, InputData, MicrosoftCa, Product, Settings, Signer};

use std::path::Path;

use async_trait::async_trait;
use jiff::SignedDuration;

use super::file::read_certificates;
use super::{Exchange, Issuance, Issuer, PreparedOrder, Reference, SigningRequest, beyond};
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, KeyRequest};
use order::Order;
use session::Session;
use stored::{Fetched, Search};

/// One PAM360 or Key Manager Plus.
#[derive(Debug)]
pub struct Pam360 {
    settings: Settings,
    env: Env,
}

impl Pam360 {
    /// A driver for `settings`; nothing is read or sent yet.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self { settings, env }
    }

    fn session(&self) -> Result<Session<'_>, Failure> {
        Session::new(&self.settings, self.env.clock.now())
    }

    /// The certificate that `request` led to, among what came, and the certificates around it.
    async fn issued(
        &self,
        order: &Order,
        request: &SigningRequest,
        mut found: Vec<Certificate>,
    ) -> Result<Issuance, Failure> {
        let ours = found
            .iter()
            .position(|one| one.public_key == request.csr.public_key)
            .or_else(|| found.iter().position(|one| order.has_serial_number(one)))
            .unwrap_or_default();
        let leaf = Box::new(found.remove(ours));
        if let Some(path) = &self.settings.chain {
            found.extend(chain(path).await?);
        }
        Ok(Issuance::Issued { leaf, chain: found })
    }
}

#[async_trait]
impl Issuer for Pam360 {
    async fn preflight(&self, wanted: &KeyRequest) -> Result<Vec<String>, Failure> {
        let mut problems = Vec::new();
        if wanted.subject.common_name.is_none() {
            problems.push(format!(
                "{} finds a certificate by its common name: give the subject a `common_name`",
                self.settings.product.name()
            ));
        }
        // Needed only when the certificate is there, which is too late to find out.
        if let Some(path) = &self.settings.chain
            && let Err(failure) = chain(path).await
        {
            problems.push(failure.to_string());
        }
        Ok(problems)
    }

    /// Checks whether the CSR is stored already. To store it costs nothing, but changes the server: that is left to the
    /// placing.
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        let session = self.session()?;
        let stored = stored_csr::listed(&session, &request.csr).await?;
        Ok(PreparedOrder::new(async move {
            let csr_id = match stored {
                Some(id) => id,
                None => stored_csr::store(&session, request)
                    .await
                    .map_err(Failure::before_request)?,
            };
            let (answer, envelope) = session.sign_csr(&csr_id).await?;
            Ok(order::signed(&csr_id, &request.csr, &answer, &envelope)?.to_reference())
        }))
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        let session = self.session()?;
        match stored::find(&session, &request.csr, request.planned_at).await? {
            Search::Found(address, _) => Ok(Some(Order::of(address).to_reference())),
            Search::Nothing => Ok(None),
            Search::Doubt(words) => Err(Failure::new(FailureKind::Busy, stored::CALL, words)),
        }
    }

    /// How long others wait for a certificate to appear (PAM360 reference 5), twice. A request that waits for an approval
    /// shows nowhere: when the answer to that is lost, the Microsoft CA's manager will see it twice.
    fn visibility_delay(&self, _request: &SigningRequest) -> SignedDuration {
        let longest_call = self.settings.timeout + self.settings.agents_limit();
        beyond(longest_call, SignedDuration::from_mins(2))
    }

    fn account(&self) -> String {
        let organization = self.settings.organization.as_deref();
        format!(
            "{} at {}",
            organization.unwrap_or_default(),
            self.settings.url
        )
    }

    async fn poll(
        &self,
        reference: &Reference,
        request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        let order = Order::parse(reference)?;
        let session = self.session()?;
        let words = match order.address() {
            Some(address) => match stored::fetch(&session, &address).await? {
                Fetched::Here(found) => return self.issued(&order, request, found).await,
                Fetched::NotYet => return Ok(order.pending("")),
                Fetched::Missing(words) => words,
            },
            None => order.words().to_owned(),
        };
        // The server may have stored it under other names than it reported.
        match stored::find(&session, &request.csr, request.planned_at).await? {
            Search::Found(_, found) => self.issued(&order, request, found).await,
            Search::Nothing => Ok(order.pending(&words)),
            Search::Doubt(words) => Ok(order.pending(&words)),
        }
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        probe::check(&self.session()?).await
    }

    async fn probe(&self) -> Result<Vec<Exchange>, Failure> {
        probe::probe(&self.session()?).await
    }
}

/// The configured CA certificates.
async fn chain(path: &Path) -> Result<Vec<Certificate>, Failure> {
    read_certificates(path, "read the configured chain").await
}
