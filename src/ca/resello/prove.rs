//! Proves control over the domains of a pending order: publishes the proof, verifies its visibility, asks the CA to
//! check it, and withdraws it. Each step is harmless when it is repeated, and none of them waits.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::super::Issuance;
use super::api::Api;
use super::details::{Details, Domain};
use super::proof::{self, Proven};
use super::settings::{Control, Settings};
use crate::dcv::{Method, Proof, Validator};
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::pki::Csr;

/// Proves control over domains, unattended or by mail.
#[derive(Debug)]
pub(super) struct Prover {
    validator: Option<Validator>,
    host: String,
    /// What this process published for an order: a record with a value that only the CA knows cannot be computed when
    /// it is to be taken away. Forgotten in a restart, after which such a record stays where it is.
    published: Mutex<BTreeMap<String, Vec<Proof>>>,
    /// When the CA was asked to check an order's proofs. Lost in a restart, after which the CA is asked once more.
    reported: Mutex<BTreeMap<String, Timestamp>>,
    env: Env,
}

/// What is to be proven, and how.
struct Task {
    domain: String,
    proof: Proof,
    /// The CA's words about its last look.
    message: Option<String>,
}

impl Prover {
    /// A prover for `settings`; nothing is opened or sent yet.
    pub fn new(settings: &Settings, env: &Env) -> Self {
        let validator = match &settings.control {
            Control::Published(dcv) => Some(Validator::new(dcv.clone(), env.clone())),
            Control::Mail => None,
        };
        Self {
            validator,
            host: settings.proof_host.clone(),
            published: Mutex::default(),
            reported: Mutex::default(),
            env: env.clone(),
        }
    }

    /// The API's word for how control is proven (purchase API reference 4.1).
    pub fn dcv_type(&self) -> &'static str {
        match self.validator.as_ref().map(Validator::method) {
            Some(Method::Http) => "FILE",
            Some(Method::Dns) => "DNS",
            None => "EMAIL",
        }
    }

    /// Checks whether proofs could be published. Returns facts for display.
    pub async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        let Some(validator) = &self.validator else {
            return Ok(Vec::new());
        };
        if let Some(words) = self.preflight() {
            let call = "prove control over a domain";
            return Err(Failure::new(FailureKind::Refused, call, words));
        }
        validator.check().await
    }

    /// Why the configured method can never give a proof.
    pub fn preflight(&self) -> Option<&'static str> {
        let validator = self.validator.as_ref()?;
        let is_unable = validator.method() == Method::Dns && !validator.gives_cnames();
        is_unable.then_some(NO_CNAMES)
    }

    /// Checks that a proof for each of `names` could be published, without publishing one: before anything is paid.
    pub async fn rehearse(&self, names: impl Iterator<Item = &str>) -> Result<(), Failure> {
        let Some(validator) = &self.validator else {
            return Ok(());
        };
        for name in names {
            let proof = proof::rehearsal(name, validator.method(), &self.host);
            validator.rehearse(&proof).await?;
        }
        Ok(())
    }

    /// Does what a pending order needs next.
    pub async fn advance(&self, api: &Api<'_>, id: &str, csr: &Csr) -> Result<Issuance, Failure> {
        let details = api.validation_details(id).await?;
        let details = details.map_or_else(Details::not_yet, |value| Details::read(&value));
        let Some(validator) = &self.validator else {
            return Ok(by_mail(&details));
        };
        let (domains, open) = match details {
            Details::Strange => {
                let tasks = self.computed(csr, validator.method());
                return self.publish(validator, api, id, tasks).await;
            }
            Details::Known { domains, open } => (domains, open),
        };
        if domains.is_empty() {
            return Ok(waiting(None, "the CA to state the proof to publish"));
        }
        let (proven, unproven): (Vec<_>, Vec<_>) =
            domains.into_iter().partition(|domain| domain.is_valid);
        if unproven.is_empty() {
            let (ours, request) = (proof::domains(csr), self.proven(csr));
            let reported = proven
                .iter()
                .filter(|domain| proof::is_among(&domain.name, &ours))
                .filter_map(|domain| domain.proof(request, validator.method()));
            self.withdraw(id, csr, reported.filter_map(Result::ok).collect())
                .await;
            return Ok(proven_waits_for(&open));
        }
        if let Some(domain) = unproven
            .iter()
            .find(|domain| domain.lacks(validator.method()))
        {
            return self.switch_method(api, id, domain).await;
        }
        let tasks = reported(unproven, self.proven(csr), validator.method())?;
        self.publish(validator, api, id, tasks).await
    }

    /// Takes away what proves control for this order: what was published, what could be computed, and `reported`. What
    /// cannot be taken away is only a line in the log: the certificate is there.
    pub async fn withdraw(&self, id: &str, csr: &Csr, reported: Vec<Proof>) {
        let Some(validator) = &self.validator else {
            return;
        };
        let computed = self.computed(csr, validator.method());
        let mut proofs = self.published().remove(id).unwrap_or_default();
        self.reported
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        proofs.extend(computed.into_iter().map(|task| task.proof));
        proofs.extend(reported);
        for (at, proof) in proofs.iter().enumerate() {
            if proofs.iter().position(|other| other == proof) != Some(at) {
                continue;
            }
            if let Err(failure) = validator.withdraw(proof).await {
                tracing::warn!(order = id, error = %failure, "a proof of control over a domain could not be withdrawn");
            }
        }
    }

    async fn publish(
        &self,
        validator: &Validator,
        api: &Api<'_>,
        id: &str,
        tasks: Vec<Task>,
    ) -> Result<Issuance, Failure> {
        let mut unseen = Vec::new();
        for Task { proof, .. } in &tasks {
            self.remember(id, proof);
            validator.present(proof).await?;
            unseen.extend(validator.missing(proof).await?);
        }
        if !unseen.is_empty() {
            let words = format!("the proof to be seen everywhere: {}", unseen.join("; "));
            return Ok(waiting(Some(UNTIL_SEEN), &words));
        }
        let is_to_be_reported = self.may_report(id);
        let mut words = Vec::new();
        for Task {
            domain, message, ..
        } in &tasks
        {
            let answer = if is_to_be_reported {
                api.validate(id, domain, self.dcv_type()).await
            } else {
                Ok(())
            };
            let said = not_wanted(answer)?.or_else(|| message.clone());
            words.push(said.map_or_else(|| domain.clone(), |said| format!("{domain} ({said})")));
        }
        let words = format!(
            "the CA to see the proof of control over {}",
            words.join(", ")
        );
        Ok(waiting(None, &words))
    }

    /// Whether the CA may be asked to check the proofs of an order now. If so, the time is recorded.
    fn may_report(&self, id: &str) -> bool {
        let now = self.env.clock.now();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = reported.get(id).is_some_and(|at| {
            (SignedDuration::ZERO..BETWEEN_CHECKS).contains(&at.duration_until(now))
        });
        if !is_recent {
            reported.insert(id.to_owned(), now);
        }
        !is_recent
    }

    /// The order has another validation method than is configured: changes it to the configured one.
    async fn switch_method(
        &self,
        api: &Api<'_>,
        id: &str,
        domain: &Domain,
    ) -> Result<Issuance, Failure> {
        let ours = self.dcv_type();
        if domain
            .dcv_type
            .as_deref()
            .is_none_or(|theirs| theirs.eq_ignore_ascii_case(ours))
        {
            return Ok(waiting(None, "the CA to state the proof to publish"));
        }
        not_wanted(api.validate(id, &domain.name, ours).await)?;
        let words = format!(
            "the CA to take {ours} for the proof of control over {}",
            domain.name
        );
        Ok(waiting(Some(BETWEEN_CHECKS), &words))
    }

    fn computed(&self, csr: &Csr, method: Method) -> Vec<Task> {
        proof::domains(csr)
            .into_iter()
            .map(|domain| Task {
                proof: proof::computed(self.proven(csr), &domain, method),
                domain,
                message: None,
            })
            .collect()
    }

    fn proven<'a>(&'a self, csr: &'a Csr) -> Proven<'a> {
        Proven {
            csr,
            host: &self.host,
        }
    }

    fn remember(&self, id: &str, proof: &Proof) {
        let mut published = self.published();
        let proofs = published.entry(id.to_owned()).or_default();
        if !proofs.contains(proof) {
            proofs.push(proof.clone());
        }
    }

    fn published(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<Proof>>> {
        self.published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The proofs that the CA stated and that may be published.
fn reported(
    domains: Vec<Domain>,
    proven: Proven<'_>,
    method: Method,
) -> Result<Vec<Task>, Failure> {
    let ours = proof::domains(proven.csr);
    let strange = |words: String| {
        Failure::new(
            FailureKind::Unexpected,
            "read what proves control over the domain",
            words,
        )
    };
    let mut tasks = Vec::new();
    for domain in domains {
        if !proof::is_among(&domain.name, &ours) {
            let words = format!(
                "the CA wants a proof for {:?}, which is not in the request",
                domain.name
            );
            return Err(strange(words));
        }
        if let Some(proof) = domain.proof(proven, method) {
            tasks.push(Task {
                proof: proof.map_err(strange)?,
                domain: domain.name,
                message: domain.message,
            });
        }
    }
    Ok(tasks)
}

/// The answer of a CA that refuses another check now. That is no failure, because the CA also checks by itself.
fn not_wanted(answer: Result<(), Failure>) -> Result<Option<String>, Failure> {
    match answer {
        Ok(()) => Ok(None),
        Err(failure) if failure.kind == FailureKind::Refused => Ok(Some(failure.detail)),
        Err(failure) => Err(failure),
    }
}

fn by_mail(details: &Details) -> Issuance {
    match details {
        Details::Known { domains, open }
            if !domains.is_empty() && domains.iter().all(|domain| domain.is_valid) =>
        {
            proven_waits_for(open)
        }
        _ => Issuance::Pending {
            retry_after: None,
            waiting_for: "the recipient to follow the link in the mail to `approver_email_address`"
                .to_owned(),
            needs_person: true,
        },
    }
}

fn proven_waits_for(open: &[String]) -> Issuance {
    let waiting_for = match open {
        [] => "the CA to issue the certificate".to_owned(),
        open => format!("the CA to look at: {}", open.join(", ")),
    };
    Issuance::Pending {
        retry_after: None,
        waiting_for,
        // The CA sends documents and calls to the contact of the order.
        needs_person: !open.is_empty(),
    }
}

fn waiting(retry_after: Option<SignedDuration>, waiting_for: &str) -> Issuance {
    Issuance::Pending {
        retry_after,
        waiting_for: waiting_for.to_owned(),
        needs_person: false,
    }
}

const NO_CNAMES: &str = "the CA wants to see a CNAME record, and `validation.dns` with `provider.exec` can set TXT records only: choose another provider, or `validation.http`";
const UNTIL_SEEN: SignedDuration = SignedDuration::from_secs(30);
/// The minimum time between two requests to check the proofs. The documents state no limit, and a fault of renewd
/// should not look like an attack.
const BETWEEN_CHECKS: SignedDuration = SignedDuration::from_mins(3);
