//! The steps: one verb per file. Each looks before it acts, so that repeating it is harmless.
//!
//! A step does not change the renewal's state, does not wait and does not decide about retries: it returns an
//! [`Outcome`], and the engine stores it.

mod bind;
mod decision;
mod endpoints;
mod export_csr;
mod generate_csr;
mod import;
mod poll_issuance;
mod retire_old;
mod roll_back;
mod submit;
mod verify;

use std::sync::Arc;

pub use endpoints::Proof;
use jiff::{SignedDuration, Timestamp};

use super::checkpoint::{Checkpoint, Moment};
use super::known::Knowledge;
use super::peers::Peers;
use super::pins;
use super::session::{OpenSession, SessionSlot};
use super::state::{Fact, Step};
use crate::ca::{Issuer, Previous, Reference, SigningRequest, Window};
use crate::config::Config;
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::firewall::{Binding, Firewall, InstalledObject, KnownDevice};
use crate::inventory::{
    Budget, DecisionKind, Intent, ManagedCertificate, Obtained, OrderBasis, Renewal, State,
    TrackedCertificate, WaitReason,
};
use crate::pki::{AlternateName, Certificate, Csr, Fingerprint, PrivateKey, is_dns_name};
use crate::probe::ProbeResult;
use crate::schedule::MaintenanceWindow;
use crate::seal::{SealError, Sealer};
use crate::store::{Lease, REMEMBERED, Store, StoreError};

/// Everything that a step may use.
#[derive(Debug)]
pub struct StepContext<'a> {
    /// The claim on the renewal; every write names it.
    pub lease: &'a Lease,
    /// What is wanted.
    pub wanted: &'a ManagedCertificate,
    /// What was seen.
    pub tracked: &'a TrackedCertificate,
    /// The firewall's trust in the configuration, as text.
    pub trust: &'a str,
    /// The whole configuration.
    pub config: &'a Config,
    /// The firewall's maintenance window.
    pub window: Option<&'a MaintenanceWindow>,
    /// How many orders may be placed at the CA, where its driver has no budget of its own.
    pub order_budget: Option<Budget>,
    /// What is known of the firewall from before.
    pub known: KnownDevice<'a>,
    /// The outside world.
    pub peers: &'a dyn Peers,
    /// The session with the firewall, which the steps of one piece of work share.
    pub session: &'a SessionSlot<'a>,
    /// The store.
    pub store: &'a Store,
    /// Seals and opens the private keys that renewd made.
    pub sealer: &'a Sealer,
    /// Called at every moment.
    pub checkpoint: &'a dyn Checkpoint,
    /// The moment at which the step began.
    pub now: Timestamp,
}

/// What came of a step.
#[derive(Debug)]
pub enum Outcome {
    /// Something is true now.
    Reached(Fact, Box<Obtained>),
    /// The same, with the reason in words.
    Explained(Fact, Box<Obtained>, String),
    /// The new certificate is served wherever it has to be.
    Proven(Proof),
    /// Nothing failed, but it cannot go on yet.
    Wait(Wait),
    /// The CA ended the order without a certificate.
    OrderVoid {
        /// The CA's words.
        words: String,
        /// Its reference, where it may have cost money.
        may_have_cost: Option<Reference>,
        /// When another one may be placed; `None`: as after a failure.
        retry_after: Option<SignedDuration>,
    },
}

impl Outcome {
    /// A fact that was reached, with its reason.
    fn because(self, words: String) -> Self {
        match self {
            Self::Reached(fact, obtained) => Self::Explained(fact, obtained, words),
            other => other,
        }
    }

    fn wait(how_long: SignedDuration, kind: WaitReason, words: impl Into<String>) -> Self {
        Self::Wait(Wait {
            until: Until::After(how_long),
            kind,
            words: words.into(),
        })
    }
}

/// For what a renewal waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// When to look again.
    pub until: Until,
    /// For what.
    pub kind: WaitReason,
    /// For what, in words.
    pub words: String,
}

/// Until when a renewal waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// This moment.
    Moment(Timestamp),
    /// So long after the step has ended: what a peer asks for counts from its answer, which may have been slow to come.
    After(SignedDuration),
}

impl Until {
    /// The moment, for a step that has ended at `finished`.
    pub fn moment(self, finished: Timestamp) -> Timestamp {
        match self {
            Self::Moment(moment) => moment,
            Self::After(wait) => finished.saturating_add(wait).unwrap_or(Timestamp::MAX),
        }
    }
}

/// Why a step did not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The firewall failed; the retry table decides.
    #[error(transparent)]
    Firewall(#[from] Failure),
    /// The CA failed; the retry table decides.
    #[error(transparent)]
    Ca(Failure),
    /// The CA failed at an order that was tried so many times already; the retry table decides.
    #[error("{0}")]
    Order(Failure, u32),
    /// Only an operator may decide whether it goes on.
    #[error("{words}")]
    Decision {
        /// What is to be decided.
        kind: DecisionKind,
        /// What speaks against it.
        words: String,
    },
    /// It can never succeed.
    #[error("{0}")]
    Permanent(String),
    /// An operator has decided against it.
    #[error("{0}")]
    Cancelled(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes the step that leaves the renewal's state.
pub async fn take(step: Step, context: &StepContext<'_>) -> Result<Outcome, StepError> {
    match step {
        Step::GenerateCsr => generate_csr::take(context).await,
        Step::ExportCsr => export_csr::take(context).await,
        Step::Submit => submit::take(context).await,
        Step::PollIssuance => poll_issuance::take(context).await,
        Step::Import => import::take(context).await,
        Step::Bind => bind::take(context).await,
        Step::Verify => verify::take(context).await,
        Step::RetireOld => retire_old::take(context).await,
        Step::RollBack => roll_back::take(context).await,
    }
}

impl StepContext<'_> {
    /// Whether the firewall of the renewal can be logged in to at all.
    fn is_firewall_configured(&self) -> bool {
        self.config.firewalls.contains_key(&self.renewal().firewall)
    }

    /// The renewal.
    pub fn renewal(&self) -> &Renewal {
        &self.lease.renewal
    }

    /// Whether an operator decided in this state to go on in spite of `kind`.
    fn is_decided(&self, kind: DecisionKind) -> bool {
        self.renewal().decided.as_deref() == Some(kind.name())
    }

    fn event(&self, kind: EventKind) -> Event {
        Event::of_renewal(kind, self.renewal())
    }

    /// The session with the renewal's firewall. The engine closes it; a step that goes on without it for a while does.
    async fn firewall(&self) -> Result<OpenSession<'_>, StepError> {
        Ok(self.session.open(&self.known).await?)
    }

    /// What is on the firewall now.
    async fn installed(
        &self,
        session: &mut dyn Firewall,
    ) -> Result<Vec<InstalledObject>, StepError> {
        let objects = session.installed().await?;
        self.session.remember_listed(&objects);
        Ok(objects)
    }

    /// What was on the firewall when it was listed last in this session, a moment ago; else now. Only where a change
    /// since then does no harm: the firewall itself refuses what it lacks.
    async fn listed(&self, session: &mut dyn Firewall) -> Result<Vec<InstalledObject>, StepError> {
        match self.session.listed() {
            Some(objects) => Ok(objects),
            None => self.installed(session).await,
        }
    }

    /// Stores that `step` is about to act on `reference`, so that a crash leaves a trace.
    async fn intend(&self, step: Step, reference: &str) -> Result<Intent, StepError> {
        let intent = self
            .store
            .intend(self.lease, step.name(), reference, self.now)
            .await?;
        self.intended(step).await;
        Ok(intent)
    }

    /// The same for a bind that changes the management certificate, which is trusted from then on.
    async fn intend_new_management(&self, fingerprint: Fingerprint) -> Result<Intent, StepError> {
        let Renewal {
            id,
            firewall,
            alias,
            ..
        } = self.renewal();
        let pinned = pins::authenticate_pending(self.sealer, firewall, self.trust, id, fingerprint);
        let code = pinned.map_err(|error| sealing("authenticate the new pin", &error))?;
        let (step, pin) = (Step::Bind, (self.trust, code.as_str()));
        let intent = self
            .store
            .intend_pinned(self.lease, step.name(), alias, pin, self.now)
            .await?;
        self.intended(step).await;
        Ok(intent)
    }

    /// What the intent of `step` was stored for was certainly not carried out this time.
    async fn withdraw(&self, step: Step) -> Result<(), StepError> {
        self.store
            .withdraw(self.lease, step.name(), self.now)
            .await?;
        Ok(())
    }

    /// Reports to the checkpoint that the intent of `step` is stored.
    async fn intended(&self, step: Step) {
        self.checkpoint.pass(Moment::Intended(step)).await;
    }

    /// Reports to the checkpoint that the effect of `step` has happened.
    async fn acted(&self, step: Step) {
        self.checkpoint.pass(Moment::Acted(step)).await;
    }

    /// Stores what the firewall says of itself, for `renewd show`.
    async fn record_identity(&self, session: &mut dyn Firewall) -> Result<(), StepError> {
        let identity = session.identify().await?.bounded();
        let json = serde_json::to_string(&identity).map_err(|error| {
            StepError::Permanent(format!("the identity cannot be stored as JSON: {error}"))
        })?;
        self.store
            .record_identity(self.lease, &json, self.now)
            .await?;
        Ok(())
    }

    /// The outcome `fact` with nothing new obtained.
    fn reached(&self, fact: Fact) -> Outcome {
        Outcome::Reached(fact, Box::new(self.renewal().obtained.clone()))
    }

    /// The outcome `fact` with what `add` puts to what was obtained so far.
    fn reached_with(&self, fact: Fact, add: impl FnOnce(&mut Obtained)) -> Outcome {
        let mut obtained = self.renewal().obtained.clone();
        add(&mut obtained);
        Outcome::Reached(fact, Box::new(obtained))
    }

    /// The firewall does not list what the renewal put there. Without it only a new key pair with a new order helps, so that
    /// it is gone must be sure: it is looked for again, and at last given up.
    async fn gone_from_device(&self, session: &mut dyn Firewall, call: &str) -> StepError {
        let alias = &self.renewal().alias;
        let (words, enough) = match session.is_absent(alias).await {
            Err(failure) => return failure.into(),
            Ok(true) => {
                let gone = format!("{alias} is no longer on the firewall, and its key with it");
                (gone, LISTINGS)
            }
            Ok(false) => {
                let doubt =
                    format!("the firewall does not list {alias}, but does not say that it is gone");
                (doubt, SUSPECT_LISTINGS)
            }
        };
        if self.renewal().is_failing() && self.renewal().attempts >= enough {
            return StepError::Permanent(words);
        }
        refused(call, &[words])
    }

    fn csr(&self) -> Result<Csr, StepError> {
        let pem = obtained(self.renewal().obtained.csr_pem.as_deref(), "CSR")?;
        Csr::parse(pem.as_bytes())
            .map_err(|error| StepError::Permanent(format!("the stored CSR: {error}")))
    }

    /// The private key, where renewd made it. Opened only where it is used at once.
    fn private_key(&self) -> Result<Option<PrivateKey>, SealError> {
        let sealed = self.renewal().obtained.sealed_key.as_ref();
        sealed
            .map(|sealed| self.sealer.open(sealed, &self.renewal().id.0))
            .transpose()
    }

    fn leaf(&self) -> Result<Certificate, StepError> {
        let pem = obtained(self.renewal().obtained.leaf_pem.as_deref(), "certificate")?;
        Certificate::from_pem(pem)
            .map_err(|error| StepError::Permanent(format!("the stored certificate: {error}")))
    }

    /// The leaf, which has to be installed while it is valid: one that waited for its firewall until its end is of no use
    /// any more, and another one is ordered.
    fn valid_leaf(&self) -> Result<Certificate, StepError> {
        let leaf = self.leaf()?;
        if leaf.not_after <= self.now {
            return Err(StepError::Permanent(format!(
                "the certificate ended at {:.0}, before it could be installed",
                leaf.not_after
            )));
        }
        Ok(leaf)
    }

    fn chain(&self) -> Result<Vec<Certificate>, StepError> {
        let pem = self
            .renewal()
            .obtained
            .chain_pem
            .as_deref()
            .unwrap_or_default();
        Certificate::all_from_pem(pem)
            .map_err(|error| StepError::Permanent(format!("the stored chain: {error}")))
    }

    /// The driver of the renewal's CA.
    fn issuer(&self) -> Result<Arc<dyn Issuer>, StepError> {
        self.peers.issuer(&self.renewal().ca).map_err(StepError::Ca)
    }

    /// On what the order was placed that is looked for or followed; `None`: none is. Once a CA has ended it, another one may
    /// be placed on something else.
    async fn order_basis(&self) -> Result<Option<OrderBasis>, StoreError> {
        let (id, step) = (&self.renewal().id, Step::Submit.name());
        let intent = if self.renewal().state == State::CsrExported {
            self.store.intent(id, step).await?
        } else {
            self.store.last_intent(id, step).await?
        };
        Ok(intent.and_then(|intent| intent.basis))
    }

    async fn signing_request(&self) -> Result<SigningRequest, StepError> {
        let current = self.tracked.current.as_ref();
        let previous = match (self.order_basis().await?, current) {
            (Some(basis), _) => previous_of(&basis),
            (None, Some(current)) => self.previous(current.fingerprint, &current.pem).await?,
            (None, None) => None,
        };
        // What the CA says of another certificate than the one that is replaced is no word on this order.
        let is_of_shown = previous.as_ref().is_none_or(|previous| {
            current.is_some_and(|current| current.fingerprint == previous.certificate.fingerprint)
        });
        let window = self.tracked.window_of_current().filter(|_| is_of_shown);
        Ok(SigningRequest {
            client_reference: self.renewal().id.to_string(),
            csr: self.csr()?,
            planned_at: if self.renewal().planned_ahead {
                Timestamp::UNIX_EPOCH
            } else {
                self.renewal().planned_at
            },
            previous,
            window: window.map(|window| Window {
                start: window.start,
                end: window.end,
            }),
        })
    }

    /// A certificate whose place ours takes, with the order at our CA that it came from.
    async fn previous(
        &self,
        fingerprint: Fingerprint,
        pem: &str,
    ) -> Result<Option<Previous>, StepError> {
        let Ok(certificate) = Certificate::from_pem(pem) else {
            return Ok(None);
        };
        let renewal = self.renewal();
        let past = self
            .store
            .renewals_of(&renewal.certificate, REMEMBERED)
            .await?;
        let order = past
            .into_iter()
            .filter(|past| past.ca == renewal.ca && past.id != renewal.id)
            .find(|past| past.obtained.fingerprint == Some(fingerprint))
            .and_then(|past| past.obtained.ca_reference);
        Ok(Some(Previous {
            certificate,
            order: order.map(Reference),
        }))
    }

    /// What was bound before us, as stored by the bind step. Nothing, where another administrator bound our
    /// certificate: what to go back to is unknown then.
    fn previous_bindings(&self) -> Result<Vec<Binding>, StepError> {
        let Some(json) = self.renewal().obtained.previous_bindings.as_deref() else {
            return Ok(Vec::new());
        };
        serde_json::from_str(json)
            .map_err(|error| StepError::Permanent(format!("the stored previous bindings: {error}")))
    }

    /// Which certificates are known at these addresses.
    async fn knowledge(&self) -> Result<Knowledge<'_>, StoreError> {
        Knowledge::of(
            self.store,
            self.config,
            self.wanted,
            self.tracked,
            self.sealer,
        )
        .await
    }

    /// Looks at every address of the certificate, all at once.
    async fn results(&self) -> Vec<(String, ProbeResult)> {
        probe_all(self.peers, self.wanted).await
    }
}

/// Looks at every address of `wanted`, all at once.
pub async fn probe_all(
    peers: &dyn Peers,
    wanted: &ManagedCertificate,
) -> Vec<(String, ProbeResult)> {
    let name = server_name(wanted);
    let looks = wanted.endpoints.iter().map(|endpoint| {
        let name = name.as_deref();
        async move { (endpoint.to_string(), peers.probe(endpoint, name).await) }
    });
    futures_util::future::join_all(looks).await
}

/// The host name for SNI: the first alternative name that is one, else a CN that is one. A wildcard is the name of no host:
/// where there is nothing else, the address is asked for its own name.
pub fn server_name(wanted: &ManagedCertificate) -> Option<Arc<str>> {
    let is_host = |name: &str| !name.starts_with("*.") && is_dns_name(name);
    let domains = wanted
        .request
        .alternate_names
        .iter()
        .filter_map(|name| match name {
            AlternateName::Domain(name) => Some(name.as_str()),
            _ => None,
        });
    let common_name = wanted.request.subject.common_name.as_deref();
    domains
        .chain(common_name.filter(|name| name.contains('.')))
        .find(|name| is_host(name))
        .map(Arc::from)
}

/// The certificate that an order was to follow.
fn previous_of(basis: &OrderBasis) -> Option<Previous> {
    let certificate = Certificate::from_pem(basis.previous_pem.as_deref()?).ok()?;
    Some(Previous {
        certificate,
        order: basis.previous_order.clone().map(Reference),
    })
}

fn obtained<'a>(value: Option<&'a str>, what: &str) -> Result<&'a str, StepError> {
    value.ok_or_else(|| StepError::Permanent(format!("the store holds no {what} for this state")))
}

/// One listing may be wrong. After this many, minutes apart, the key pair counts as gone, and a new one with a new order
/// is needed.
const LISTINGS: u32 = 2;
/// The same where the listings may have been cut off: an operator is alerted each time, and has some days.
const SUSPECT_LISTINGS: u32 = 6;

/// A "no" of our own, with its reasons.
fn refused(call: &str, reasons: &[String]) -> StepError {
    StepError::Ca(Failure::new(FailureKind::Refused, call, reasons.join("; ")))
}

/// A step that cannot continue without the sealing key; an operator can fix that.
fn sealing(call: &str, error: &SealError) -> StepError {
    StepError::Firewall(Failure::new(FailureKind::Local, call, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{KeyOrigin, RenewalPolicy, Service, Urgent};
    use crate::pki::{Digest, KeyKind, KeyRequest, Subject};

    fn asked_for(common_name: Option<&str>, domains: &[&str]) -> Option<String> {
        let domains = domains.iter().map(|name| (*name).to_owned());
        let wanted = ManagedCertificate {
            key_origin: KeyOrigin::Firewall,
            name: "hq".into(),
            firewall: "hq".into(),
            ca: "office".into(),
            request: KeyRequest {
                subject: Subject {
                    common_name: common_name.map(str::to_owned),
                    ..Subject::default()
                },
                alternate_names: domains.map(AlternateName::Domain).collect(),
                key: KeyKind::Rsa(2048),
                digest: Digest::Sha256,
            },
            services: vec![Service::WebManagement],
            endpoints: Vec::new(),
            policy: RenewalPolicy {
                renew_after: None,
                verify_timeout: SignedDuration::from_mins(2),
                urgent: Urgent::Ask,
            },
        };
        server_name(&wanted).map(|name| name.to_string())
    }

    #[test]
    fn a_service_is_asked_for_a_name_that_a_host_can_have() {
        let vpn = Some("vpn.example.com".to_owned());
        for (common_name, domains) in [
            (None, &["vpn.example.com"][..]),
            (None, &["*.example.com", "vpn.example.com"]),
            (Some("Ver. 2"), &["vpn.example.com", "www.example.com"]),
            (Some("vpn.example.com"), &["*.example.com"]),
        ] {
            assert_eq!(
                asked_for(common_name, domains),
                vpn,
                "{common_name:?} {domains:?}"
            );
        }
        for (common_name, domains) in [
            (Some("*.example.com"), &["*.example.com"][..]),
            (Some("Ver. 2"), &[]),
            (Some("firewall"), &[]),
            (None, &[]),
        ] {
            assert_eq!(
                asked_for(common_name, domains),
                None,
                "{common_name:?} {domains:?}"
            );
        }
    }
}
