//! An order as the server reports it. Each poll advances it by one step (RFC 8555, 7.1.6 and 7.4).
//!
//! The latest answer decides. Only a denial is compared with earlier answers: a single denial is not conclusive.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use url::Url;

use super::challenge::{Authorization, Proofs};
use super::names::Identifier;
use super::object::{self, Object};
use super::problem::{Class, INPUT_PAUSE, Problem, Refusal};
use super::record::{Doubt, Record};
use super::session::Session;
use crate::ca::http::Response;
use crate::ca::{Issuance, SigningRequest};
use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, Csr};

/// An order. A status that is unknown is waited out; members that are unknown are skipped.
#[derive(Debug)]
pub(super) struct Order {
    status: String,
    expires: Option<Timestamp>,
    /// `None`: missing or unreadable.
    identifiers: Option<Vec<Identifier>>,
    authorizations: Result<Vec<Url>, Failure>,
    finalize: Result<Url, Failure>,
    certificate: Result<Url, Failure>,
    error: Option<Problem>,
}

/// One poll of an order.
pub(super) struct OrderCheck<'a> {
    pub session: &'a mut Session,
    pub proofs: Proofs<'a>,
    pub request: &'a SigningRequest,
    /// The names that were asked for.
    pub names: &'a [Identifier],
    /// Is brought up to date.
    pub record: &'a mut Record,
    /// Since when the CA denied at the look before what it made.
    pub unknown_since: Option<Timestamp>,
}

/// The consequence of a confirmed denial.
#[derive(Clone, Copy)]
enum Loss {
    /// The order can be placed again.
    Order(Option<SignedDuration>),
    /// There is a certificate that cannot be fetched.
    Certificate,
}

impl Order {
    /// Reads what came from `called`, as the answer to a request for `count` names.
    pub fn read(answer: &Response, called: &Url, count: usize) -> Result<Self, Failure> {
        let object = Object::of(answer, called, "order")?;
        let identifiers = object.member("identifiers").and_then(|list| {
            let list = list.as_array()?.iter();
            list.map(Identifier::read).collect::<Option<Vec<_>>>()
        });
        Ok(Self {
            status: object.text("status")?,
            expires: object::moment(object.member("expires")),
            identifiers,
            authorizations: object.urls("authorizations", most_authorizations(count)),
            finalize: object.url("finalize"),
            certificate: object.url("certificate"),
            error: object.member("error").and_then(Problem::read),
        })
    }

    /// Whether its time is over. One that ended before it was asked for is no time.
    fn has_expired(&self, planned_at: Timestamp, now: Timestamp) -> bool {
        self.expires
            .is_some_and(|expires| planned_at < expires && expires < now)
    }

    /// Fails where the order is for other names than `asked`.
    fn must_be_for(&self, asked: &[Identifier], call: &str) -> Result<(), Failure> {
        let Some(identifiers) = &self.identifiers else {
            return Ok(());
        };
        let is_same = identifiers.iter().all(|name| asked.contains(name))
            && asked.iter().all(|name| identifiers.contains(name));
        if is_same {
            return Ok(());
        }
        let listed = |names: &[Identifier]| {
            let names = names.iter().take(LISTED).map(|name| name.value.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let words = format!(
            "the CA's order is for {}, but {} was asked for",
            listed(identifiers),
            listed(asked)
        );
        Err(Failure::new(FailureKind::Unexpected, call, words))
    }
}

impl OrderCheck<'_> {
    /// Drives the order on.
    pub async fn drive(mut self) -> Result<Issuance, Failure> {
        let url = self.record.order.clone();
        let answer = match self.session.read(&url).await {
            Ok(answer) => answer,
            Err(refusal) if is_denial(&refusal) => {
                return self.denied("the order", &refusal, Loss::Order(None));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let order = Order::read(&answer, &url, self.names.len())?;
        order.must_be_for(self.names, &answer.call)?;
        let pause = answer.retry_after(self.session.now);
        match order.status.as_str() {
            "pending" | "ready" if order.has_expired(self.request.planned_at, self.session.now) => {
                self.withdraw_all(&order).await;
                Ok(void("the order has expired".to_owned(), None))
            }
            "pending" => self.authorize(&order, pause).await,
            "ready" => self.finalize(order).await,
            "processing" => Ok(pending("the certificate", pause)),
            "valid" => {
                self.withdraw_all(&order).await;
                self.download(order).await
            }
            "invalid" => Ok(self.ended(&order).await),
            other => Ok(pending(&format!("the end of the state {other:?}"), pause)),
        }
    }

    /// Proves control over what is not proven yet.
    async fn authorize(
        &mut self,
        order: &Order,
        pause: Option<SignedDuration>,
    ) -> Result<Issuance, Failure> {
        let mut waiting_for = Vec::new();
        let mut wait = pause;
        for url in order.authorizations.clone()? {
            let answer = match self.session.read(&url).await {
                Ok(answer) => answer,
                Err(refusal) if is_denial(&refusal) => {
                    return self.denied("an authorization", &refusal, Loss::Order(None));
                }
                Err(refusal) => return Err(refusal.into()),
            };
            let authorization = Authorization::read(&answer, &url, self.names)?;
            if authorization.has_ended() {
                return Ok(self.ended(order).await);
            }
            if authorization.is_valid() {
                continue;
            }
            let step = self.proofs.advance(self.session, &authorization).await?;
            wait = [wait, step.wait, answer.retry_after(self.session.now)]
                .into_iter()
                .flatten()
                .max();
            waiting_for.push(step.waiting_for);
        }
        if waiting_for.is_empty() {
            return Ok(pending("the order to become ready", wait));
        }
        Ok(pending(&waiting_for.join(", "), wait))
    }

    /// Hands in the CSR. Whether it was taken is seen at the next look: an order is finalized only while it is ready.
    async fn finalize(&mut self, order: Order) -> Result<Issuance, Failure> {
        let url = order.finalize?;
        let csr = data_encoding::BASE64URL_NOPAD.encode(&self.request.csr.der);
        match self.session.post(&url, &json!({ "csr": csr })).await {
            Ok(answer) => {
                self.record.finalized = true;
                let pause = answer.retry_after(self.session.now);
                Ok(pending(
                    "the certificate",
                    Some(pause.unwrap_or(AFTER_FINALIZE)),
                ))
            }
            Err(refusal) if refusal.problem.name() == "orderNotReady" => {
                Ok(pending("the order to become ready", None))
            }
            Err(refusal) if CSR_FAULTS.contains(&refusal.problem.name()) || is_denial(&refusal) => {
                self.not_finalized(refusal).await
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// The CA refused the CSR, although the same account could read the order a moment ago. It may have taken the CSR
    /// before: the order's status decides.
    async fn not_finalized(&mut self, refusal: Refusal) -> Result<Issuance, Failure> {
        let url = self.record.order.clone();
        let answer = match self.session.read(&url).await {
            Ok(answer) => answer,
            Err(refusal) if is_denial(&refusal) => {
                return self.denied("the order", &refusal, Loss::Order(None));
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let order = Order::read(&answer, &url, self.names.len())?;
        let reason = format!("the CA does not take the request: {}", refusal.problem);
        match order.status.as_str() {
            "processing" | "valid" => Ok(pending("the certificate", Some(AFTER_FINALIZE))),
            "invalid" => Ok(self.ended(&order).await),
            _ if is_denial(&refusal) || PASSING_FAULTS.contains(&refusal.problem.name()) => {
                self.denied("the request", &refusal, Loss::Order(Some(INPUT_PAUSE)))
            }
            _ => Ok(void(reason, Some(INPUT_PAUSE))),
        }
    }

    /// Fetches the certificate and the chain above it, as they are: the engine judges them.
    async fn download(&mut self, order: Order) -> Result<Issuance, Failure> {
        let url = order.certificate?;
        let answer = match self.session.read(&url).await {
            Ok(answer) => answer,
            Err(refusal) if is_denial(&refusal) => {
                return self.denied("the certificate", &refusal, Loss::Certificate);
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let issuance = issued(&answer, &self.request.csr)?;
        if let Issuance::Issued { leaf, .. } = &issuance {
            if leaf.public_key == self.request.csr.public_key {
                // Also where the answer to the finalization was lost.
                self.record.finalized = true;
            } else if !self.record.finalized {
                let reason = "the CA gave the same order to another request for these names, which was finalized first";
                return Ok(void(reason.to_owned(), None));
            }
        }
        Ok(issuance)
    }

    /// The order failed: the reason, and whether an operator has to act before another order makes sense.
    async fn ended(&mut self, order: &Order) -> Issuance {
        let mut problems: Vec<Problem> = order.error.iter().cloned().collect();
        for authorization in self.authorizations(order).await {
            problems.extend(authorization.problems());
            self.proofs.withdraw(self.session, &authorization).await;
        }
        let mut words: Vec<String> = problems.iter().map(ToString::to_string).collect();
        words.dedup();
        if words.is_empty() {
            words.push("the order became invalid, and no reason was given".to_owned());
        }
        let is_input = problems
            .iter()
            .any(|problem| problem.class() == Class::Input);
        void(words.join("; "), is_input.then_some(INPUT_PAUSE))
    }

    /// Takes the proofs of the order away.
    async fn withdraw_all(&mut self, order: &Order) {
        for authorization in self.authorizations(order).await {
            self.proofs.withdraw(self.session, &authorization).await;
        }
    }

    /// The authorizations of an order that needs no more proofs. What cannot be read is reported, and holds up nothing.
    async fn authorizations(&mut self, order: &Order) -> Vec<Authorization> {
        let mut authorizations = Vec::new();
        for url in order.authorizations.iter().flatten() {
            let read = match self.session.read(url).await {
                Ok(answer) => Authorization::read(&answer, url, self.names),
                Err(refusal) => Err(refusal.into()),
            };
            match read {
                Ok(authorization) => authorizations.push(authorization),
                Err(failure) => tracing::warn!(%failure, "a proof of control may be left behind"),
            }
        }
        authorizations
    }

    /// The CA denies `what` it created. The denial is confirmed when the CA repeats it for minutes.
    fn denied(&mut self, what: &str, refusal: &Refusal, loss: Loss) -> Result<Issuance, Failure> {
        let now = self.session.now;
        let reason = format!(
            "the CA does not know {what} that it made: {}",
            refusal.problem
        );
        match self.record.doubt(self.unknown_since, now) {
            Doubt::AskAgain(wait) => {
                tracing::info!(reason = %refusal.failure, wait = wait.as_secs(), "the CA denies {what}; renewd asks again");
                Ok(pending(
                    &format!("{what} to be known again: {reason}"),
                    Some(wait),
                ))
            }
            Doubt::Confirmed => match loss {
                Loss::Order(retry_after) => Ok(void(reason, retry_after)),
                Loss::Certificate => Err(Failure {
                    kind: FailureKind::Refused,
                    ..refusal.failure.clone()
                }),
            },
        }
    }
}

/// Whether the CA says that it has no such thing.
fn is_denial(refusal: &Refusal) -> bool {
    matches!(refusal.status, 404 | 410)
}

/// More than one for each name is unusual: a CA may list those of a parent domain as well.
fn most_authorizations(names: usize) -> usize {
    names.saturating_mul(2).max(4)
}

/// The certificate for `csr` in an answer, and the chain above it.
pub(super) fn issued(answer: &Response, csr: &Csr) -> Result<Issuance, Failure> {
    let text = String::from_utf8_lossy(&answer.body);
    let mut chain = Certificate::all_from_pem(&text).map_err(|error| {
        let detail = format!(
            "this is no certificate chain ({error}): {}",
            answer.evidence()
        );
        answer.failure(FailureKind::Unexpected, detail)
    })?;
    if chain.is_empty() {
        let detail = format!("there is no certificate in it: {}", answer.evidence());
        return Err(answer.failure(FailureKind::Unexpected, detail));
    }
    // The leaf comes first (RFC 8555, 7.4.2); a server with another order is accepted too.
    let ours = |certificate: &Certificate| certificate.public_key == csr.public_key;
    let leaf = chain.remove(chain.iter().position(ours).unwrap_or(0));
    Ok(Issuance::Issued {
        leaf: Box::new(leaf),
        chain,
    })
}

fn pending(waiting_for: &str, retry_after: Option<SignedDuration>) -> Issuance {
    Issuance::Pending {
        retry_after: retry_after.map(|wait| wait.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)),
        waiting_for: waiting_for.to_owned(),
        needs_person: false,
    }
}

fn void(reason: String, retry_after: Option<SignedDuration>) -> Issuance {
    Issuance::Void {
        reason,
        retry_after,
    }
}

/// A CSR is signed in moments where the CA does not say otherwise.
const AFTER_FINALIZE: SignedDuration = SignedDuration::from_secs(1);
/// A server may say 0.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(24);
/// Names in a message.
const LISTED: usize = 10;
/// Problems of a finalization that a retry cannot fix.
const CSR_FAULTS: [&str; 6] = [
    "badCSR",
    "badPublicKey",
    "caa",
    "malformed",
    "rejectedIdentifier",
    "unauthorized",
];
/// Those of them that a server also gives for an order that it does not know yet, or not any more as it was.
const PASSING_FAULTS: [&str; 2] = ["malformed", "unauthorized"];
