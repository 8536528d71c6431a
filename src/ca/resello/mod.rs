//! The `/ssl-certificate` purchase API (Resello, on the HostControl platform): every order costs money.
//!
//! Much of it is undocumented, so everything is verified: an order counts as placed when the CA shows it, a certificate
//! as ours when it has our key, and an ambiguous answer is a failure. The driver keeps no important state: after a
//! restart it requests everything again.

mod api;
mod delivery;
mod details;
mod envelope;
mod find;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod order;
mod plan;
mod proof;
mod prove;
mod rules;
mod settings;

pub(crate) use rules::MAILBOXES;
pub use settings::{Applicant, Control, Download, Level, PlanChoice, RenewalMode, Settings};

use async_trait::async_trait;
use jiff::SignedDuration;

use super::{Exchange, Issuance, Issuer, PreparedOrder, Reference, SigningRequest};
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::inventory::Budget;
use crate::pki::{AlternateName, KeyRequest};
use api::Api;
use delivery::Delivery;
use order::{Order, Status};
use prove::Prover;

/// An account of the purchase API.
#[derive(Debug)]
pub struct Resello {
    settings: Settings,
    env: Env,
    prover: Prover,
}

impl Resello {
    /// A driver for `settings`; nothing is read or sent yet.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self {
            prover: Prover::new(&settings, &env),
            settings,
            env,
        }
    }

    fn api(&self) -> Result<Api<'_>, Failure> {
        Api::open(&self.settings, self.env.clock.now())
    }

    /// The state of the order, and its next action.
    async fn check(
        &self,
        api: &Api<'_>,
        id: &str,
        request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        let Some(order) = api.order(id).await? else {
            return Ok(Issuance::Gone {
                reason: format!("the CA shows no order {id}"),
            });
        };
        match order.status {
            Status::Active => self.collect(api, &order, request).await,
            Status::Pending => self.prover.advance(api, id, &request.csr).await,
            // Said of the certificate that is renewed: its successor may be under way.
            Status::Ended(word) if word == "expired" && is_renewal(id, request) => {
                Ok(needs_person(&word))
            }
            Status::Ended(word) => {
                self.prover.withdraw(id, &request.csr, Vec::new()).await;
                let reason = format!("the order {id} is {word}");
                Ok(Issuance::Refused { reason })
            }
            Status::Unknown(word) => Ok(needs_person(&word)),
        }
    }

    /// "active" may be said of the certificate before (purchase API reference 4.2): only our key proves that it is done.
    async fn collect(
        &self,
        api: &Api<'_>,
        order: &Order,
        request: &SigningRequest,
    ) -> Result<Issuance, Failure> {
        let form = self.settings.download;
        match delivery::fetch(api, &order.id, form, request.csr.public_key).await? {
            Delivery::Ours(leaf, chain) => {
                self.prover
                    .withdraw(&order.id, &request.csr, Vec::new())
                    .await;
                Ok(Issuance::Issued { leaf, chain })
            }
            Delivery::Nothing(words) => Ok(Issuance::Pending {
                retry_after: None,
                waiting_for: format!("the download of the certificate: {words}"),
                needs_person: false,
            }),
            Delivery::Foreign(other) => {
                let previous = request.previous.as_ref();
                let is_previous =
                    previous.is_some_and(|previous| previous.certificate.der == other.der);
                Ok(Issuance::Pending {
                    retry_after: None,
                    waiting_for: format!(
                        "the certificate of our key: the order still shows {}, valid until {}",
                        other.subject, other.not_after
                    ),
                    needs_person: !is_previous,
                })
            }
        }
    }
}

#[async_trait]
impl Issuer for Resello {
    async fn preflight(&self, wanted: &KeyRequest) -> Result<Vec<String>, Failure> {
        let mut problems = rules::preflight(wanted, &self.settings, self.prover.dcv_type());
        problems.extend(self.prover.preflight().map(str::to_owned));
        match self.api()?.plan().await {
            Ok(_) => {}
            Err(failure) if failure.kind == FailureKind::Refused => problems.push(failure.detail),
            Err(failure) => return Err(failure),
        }
        if problems.is_empty() {
            let names = wanted.host_names();
            let domains = names.iter().filter_map(|name| match name {
                AlternateName::Domain(domain) => Some(domain.as_str()),
                _ => None,
            });
            self.prover.rehearse(domains).await?;
        }
        Ok(problems)
    }

    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        let api = self.api()?;
        let plan = api.plan().await?;
        let kind = self.kind(&api, &plan, request).await?;
        // Paid for is paid for: a proof that cannot be given is found out now.
        let domains = proof::domains(&request.csr);
        self.prover
            .rehearse(domains.iter().map(String::as_str))
            .await?;
        let body = kind.body(&self.settings, self.prover.dcv_type(), &plan.id, request);
        Ok(PreparedOrder::new(async move {
            api.place(&kind, &body).await.map(Reference)
        }))
    }

    fn tolerated_names(&self, wanted: &KeyRequest) -> Vec<AlternateName> {
        rules::added_names(wanted)
    }

    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        self.search(request).await.map_err(in_doubt)
    }

    /// A renewal may keep the order's reference and request, and its status may lag behind for as long as it likes: then
    /// nothing shows that it was paid (purchase API reference 4.2, 6).
    fn shows_every_order(&self, request: &SigningRequest) -> bool {
        let previous = request.previous.as_ref();
        previous.is_none_or(|previous| previous.order.is_none())
            || self.settings.renewal_mode == RenewalMode::Buy
    }

    /// Orders are made asynchronously: how long that takes is in no document, and asking too late is cheaper than
    /// ordering twice.
    fn visibility_delay(&self, request: &SigningRequest) -> SignedDuration {
        let previous = request.previous.as_ref();
        if previous.is_some_and(|previous| previous.order.is_some()) {
            RENEWAL_SETTLES
        } else {
            PURCHASE_SETTLES
        }
    }

    fn account(&self) -> String {
        format!("{} at {}", self.settings.user, self.settings.url)
    }

    async fn poll(&self, order: &Reference, request: &SigningRequest) -> Result<Issuance, Failure> {
        let api = self.api()?;
        self.check(&api, &order.0, request).await.map_err(in_doubt)
    }

    fn budget(&self) -> Option<Budget> {
        Some(self.settings.budget)
    }

    async fn cancel(&self, order: &Reference) -> Result<String, Failure> {
        let id = &order.0;
        Ok(if self.api()?.delete(id).await? {
            format!(
                "the order {id} is deleted and its certificate disabled; the CA refunds it if the grace period of its plan has not passed: look at the account"
            )
        } else {
            format!("the CA has no order {id} any more")
        })
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        let api = self.api()?;
        let plans = api.plans().await?;
        let offered = plan::in_words(&plans);
        let plan = plan::choose(plans, &self.settings.plan)?;
        let mut facts = vec![
            ("account".to_owned(), self.settings.user.clone()),
            ("plan".to_owned(), plan.to_string()),
            ("plans offered".to_owned(), offered),
            (
                "renewals".to_owned(),
                rules::renewals_in_words(&self.settings, &plan),
            ),
            ("validation".to_owned(), self.prover.dcv_type().to_owned()),
            (
                "order budget".to_owned(),
                rules::budget_in_words(&self.settings),
            ),
        ];
        facts.extend(self.prover.check().await?);
        Ok(facts)
    }

    async fn probe(&self) -> Result<Vec<Exchange>, Failure> {
        self.api()?.probe().await
    }
}

const PURCHASE_SETTLES: SignedDuration = SignedDuration::from_mins(15);
/// A renewal that was paid may show itself by nothing but the status of its order, which may lag (purchase API reference
/// 4.2, 6): there is time, and another one costs money again.
const RENEWAL_SETTLES: SignedDuration = SignedDuration::from_hours(24);

fn is_renewal(id: &str, request: &SigningRequest) -> bool {
    let previous = request.previous.as_ref();
    previous.is_some_and(|previous| previous.order.as_ref().is_some_and(|order| order.0 == id))
}

fn needs_person(word: &str) -> Issuance {
    Issuance::Pending {
        retry_after: None,
        waiting_for: format!(
            "an operator to look into the account: the order has the status {word:?}, which renewd does not know"
        ),
        needs_person: true,
    }
}

/// Where money was spent, or may have been, a no about a look is no reason to give up and order again.
fn in_doubt(mut failure: Failure) -> Failure {
    if failure.kind == FailureKind::Refused {
        failure.kind = FailureKind::Unexpected;
    }
    failure
}
