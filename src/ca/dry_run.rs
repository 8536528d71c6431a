//! The CA of a dry run. The real CA is only asked what it would refuse and whether it has an order already. Orders are
//! reported instead of placed, and a temporary CA in memory signs in its place.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::Sender;

use super::{
    Issuance, Issuer, PreparedOrder, Previous, Reference, RenewalInfo, SigningRequest, local,
};
use crate::env::Env;
use crate::failure::Failure;
use crate::inventory::{Budget, RateLimit};
use crate::pki::{Certificate, KeyRequest};

/// One CA of a dry run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The CA itself.
    pub real: super::Settings,
    /// Gets a sentence for each thing that would be done.
    pub reported: Sender<String>,
}

/// The driver.
pub struct DryRun {
    settings: Settings,
    real: Arc<dyn Issuer>,
    env: Env,
}

impl DryRun {
    /// A dry run of the CA behind `real`.
    pub fn new(settings: Settings, real: Arc<dyn Issuer>, env: Env) -> Self {
        Self {
            settings,
            real,
            env,
        }
    }

    fn report(&self, words: String) {
        // After the end of the dry run the receiver is closed.
        let _ = self.settings.reported.try_send(words);
    }
}

#[async_trait]
impl Issuer for DryRun {
    async fn preflight(&self, wanted: &KeyRequest) -> Result<Vec<String>, Failure> {
        self.real.preflight(wanted).await
    }

    /// What the CA would refuse is refused here too; nothing is placed.
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        drop(self.real.prepare(request).await?);
        Ok(PreparedOrder::new(async {
            self.report(format!("order the certificate at {}", self.settings.name));
            Ok(Reference(request.client_reference.clone()))
        }))
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        self.real.find(request).await
    }

    fn reference_objection(&self, reference: &Reference) -> Option<String> {
        self.real.reference_objection(reference)
    }

    fn shows_every_order(&self, request: &SigningRequest) -> bool {
        self.real.shows_every_order(request)
    }

    fn visibility_delay(&self, request: &SigningRequest) -> SignedDuration {
        self.real.visibility_delay(request)
    }

    fn account(&self) -> String {
        self.real.account()
    }

    async fn poll(
        &self,
        _order: &Reference,
        request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        let name = &self.settings.name;
        self.report(format!(
            "fetch the certificate from {name}, once it is issued"
        ));
        let (leaf, authority) = local::sign_for_dry_run(&request.csr, &self.env)?;
        Ok(Issuance::Issued {
            leaf: Box::new(leaf),
            chain: vec![authority],
        })
    }

    fn rate_limits(&self, request: &SigningRequest, now: Timestamp) -> Vec<RateLimit> {
        self.real.rate_limits(request, now)
    }

    fn budget(&self) -> Option<Budget> {
        self.real.budget()
    }

    fn may_have_cost(&self, order: &Reference) -> bool {
        self.real.may_have_cost(order)
    }

    fn offers_windows(&self) -> bool {
        self.real.offers_windows()
    }

    async fn renewal_window(&self, certificate: &Certificate) -> Result<RenewalInfo, Failure> {
        self.real.renewal_window(certificate).await
    }

    async fn decommission(&self, _superseded: &Previous) -> Result<(), Failure> {
        let name = &self.settings.name;
        self.report(format!(
            "decommission the previous certificate at {name}, if that is configured"
        ));
        Ok(())
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        self.real.check().await
    }
}
