//! An order as the server tells it, driven on by one small piece at each look (RFC 8555, 7.1.6 and 7.4).
//!
//! Everything rests on what the server says now, nothing on what was done before: after a crash the next look goes on.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::challenge::{Authorization, Proofs};
use super::problem::{Class, INPUT_PAUSE, Problem};
use super::session::{Session, parsed};
use crate::ca::http::{Answer, nullable};
use crate::ca::{Issuance, SigningRequest};
use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, Csr};

/// An order. A status that is unknown is waited out; fields that are unknown are skipped.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    status: String,
    expires: Option<Timestamp>,
    #[serde(default, deserialize_with = "nullable")]
    authorizations: Vec<Url>,
    finalize: Option<Url>,
    certificate: Option<Url>,
    error: Option<Problem>,
}

/// Drives the order at `url` on.
pub(super) async fn drive(
    session: &mut Session,
    url: &Url,
    proofs: &Proofs<'_>,
    request: &SigningRequest,
) -> Result<Issuance, Failure> {
    let answer = match session.read(url).await {
        Ok(answer) => answer,
        Err(refusal) if matches!(refusal.status, 404 | 410) => {
            return Ok(void(
                format!("the order is gone: {}", refusal.problem),
                None,
            ));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let order: Order = parsed(&answer, "order")?;
    let pause = answer.retry_after(session.now);
    match order.status.as_str() {
        "pending" | "ready" if order.has_expired(session.now) => {
            proofs.withdraw_all(session, &order.authorizations).await;
            Ok(void("the order has expired".to_owned(), None))
        }
        "pending" => authorize(session, &order, proofs, pause).await,
        "ready" => finalize(session, &order, &answer, request).await,
        "processing" => Ok(pending("the certificate", pause)),
        "valid" => {
            proofs.withdraw_all(session, &order.authorizations).await;
            download(session, &order, &answer, request).await
        }
        "invalid" => ended(session, &order, proofs).await,
        other => Ok(pending(&format!("the end of the state {other:?}"), pause)),
    }
}

impl Order {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires < now)
    }
}

/// Proves control over what is not proven yet.
async fn authorize(
    session: &mut Session,
    order: &Order,
    proofs: &Proofs<'_>,
    pause: Option<SignedDuration>,
) -> Result<Issuance, Failure> {
    let mut waiting_for = Vec::new();
    let mut wait = pause;
    for url in &order.authorizations {
        let answer = session.read(url).await?;
        let authorization: Authorization = parsed(&answer, "authorization")?;
        if authorization.has_ended() {
            return ended(session, order, proofs).await;
        }
        if authorization.is_valid() {
            continue;
        }
        let step = proofs.advance(session, &authorization).await?;
        wait = [wait, step.wait, answer.retry_after(session.now)]
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
async fn finalize(
    session: &mut Session,
    order: &Order,
    answer: &Answer,
    request: &SigningRequest,
) -> Result<Issuance, Failure> {
    let url = order
        .finalize
        .as_ref()
        .ok_or_else(|| lacking(answer, "finalize"))?;
    let csr = data_encoding::BASE64URL_NOPAD.encode(&request.csr.der);
    match session.post(url, &json!({ "csr": csr })).await {
        Ok(answer) => {
            let pause = answer.retry_after(session.now).unwrap_or(AFTER_FINALIZE);
            Ok(pending("the certificate", Some(pause)))
        }
        Err(refusal) if refusal.problem.name() == "orderNotReady" => {
            Ok(pending("the order to become ready", None))
        }
        // It is about this CSR in this order, whose account was good enough to read it a moment ago.
        Err(refusal) if CSR_FAULTS.contains(&refusal.problem.name()) => {
            let reason = format!("the CA does not take the request: {}", refusal.problem);
            Ok(void(reason, Some(INPUT_PAUSE)))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// Fetches the certificate and the chain above it, as they are: the engine judges them.
async fn download(
    session: &mut Session,
    order: &Order,
    answer: &Answer,
    request: &SigningRequest,
) -> Result<Issuance, Failure> {
    let url = order
        .certificate
        .as_ref()
        .ok_or_else(|| lacking(answer, "certificate"))?;
    issued(&session.read(url).await?, &request.csr)
}

/// The certificate for `csr` in an answer, and the chain above it.
pub(super) fn issued(answer: &Answer, csr: &Csr) -> Result<Issuance, Failure> {
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
    // The leaf comes first (RFC 8555, 7.4.2); a server that sorts otherwise is understood all the same.
    let ours = |certificate: &Certificate| certificate.public_key == csr.public_key;
    let leaf = chain.remove(chain.iter().position(ours).unwrap_or(0));
    Ok(Issuance::Issued {
        leaf: Box::new(leaf),
        chain,
    })
}

/// The order came to nothing: why, and who has to act before another one makes sense.
async fn ended(
    session: &mut Session,
    order: &Order,
    proofs: &Proofs<'_>,
) -> Result<Issuance, Failure> {
    let mut problems: Vec<Problem> = order.error.iter().cloned().collect();
    for url in &order.authorizations {
        if let Ok(answer) = session.read(url).await
            && let Ok(authorization) = parsed::<Authorization>(&answer, "authorization")
        {
            problems.extend(authorization.problems());
            proofs.withdraw(session, &authorization).await;
        }
    }
    let mut words: Vec<String> = problems.iter().map(ToString::to_string).collect();
    words.dedup();
    if words.is_empty() {
        words.push("the order became invalid, and no reason was given".to_owned());
    }
    let is_input = problems
        .iter()
        .any(|problem| problem.class() == Class::Input);
    Ok(void(words.join("; "), is_input.then_some(INPUT_PAUSE)))
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

fn lacking(answer: &Answer, key: &str) -> Failure {
    let detail = format!("the order has no {key:?}: {}", answer.evidence());
    answer.failure(FailureKind::Unexpected, detail)
}

/// A CSR is signed in moments where the CA does not say otherwise.
const AFTER_FINALIZE: SignedDuration = SignedDuration::from_secs(1);
/// A server may say 0.
const SHORTEST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(24);
/// Problems of a finalization that no repetition mends.
const CSR_FAULTS: [&str; 6] = [
    "badCSR",
    "badPublicKey",
    "caa",
    "malformed",
    "rejectedIdentifier",
    "unauthorized",
];
