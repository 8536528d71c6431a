//! CsrExported: order at the CA, once.
//!
//! The intent is stored before the order. Whatever is lost after that, the CA is asked whether it has the order
//! before another one is placed: at most one chargeable order per renewal.

use jiff::{SignedDuration, Timestamp};

use super::{Outcome, StepError, Work};
use crate::ca::{Issuer, Reference, SigningRequest};
use crate::failure::FailureKind;
use crate::inventory::Intent;
use crate::renewal::retry;
use crate::renewal::state::{Fact, Step};
use crate::store::Permission;

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let issuer = work.issuer()?;
    let request = work.signing_request().await?;
    // Only a positive "no" of the CA lets us order.
    if let Some(reference) = issuer.find(&request).await.map_err(StepError::Ca)? {
        return Ok(ordered(work, reference));
    }
    let earlier = work
        .store
        .intent(&work.renewal().id, Step::Submit.name())
        .await?;
    if let Some(until) =
        earlier.and_then(|intent| settled_at(&intent, issuer.settling_time(&request)))
        && until > work.now
    {
        let words = format!(
            "an order may have been placed whose answer was lost; {} may still come to know it",
            work.renewal().ca
        );
        return Ok(work.wait(work.now.duration_until(until), "order_settling", words));
    }
    if let Some(waits) = limited(work, issuer.as_ref(), &request).await? {
        return Ok(waits);
    }
    match issuer.submit(&request).await {
        Ok(reference) => {
            work.acted(Step::Submit).await;
            Ok(ordered(work, reference))
        }
        Err(failure) => {
            if is_surely_not_placed(failure.kind) {
                work.store
                    .withdraw_order(work.lease, Step::Submit.name(), work.now)
                    .await?;
            }
            Err(StepError::Ca(failure))
        }
    }
}

/// Whether a failed order was surely not taken, so that there is nothing to wait for and nothing to pay.
const fn is_surely_not_placed(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Unreachable
        | FailureKind::Busy
        | FailureKind::Unauthorized
        | FailureKind::Untrusted
        | FailureKind::Refused
        | FailureKind::Local => true,
        FailureKind::OutcomeUnknown | FailureKind::Unexpected => false,
    }
}

/// When an order of an earlier try would have shown itself.
fn settled_at(intent: &Intent, settling_time: SignedDuration) -> Option<Timestamp> {
    // A driver that is quick to know is still not asked twice in the same moment.
    let wait = settling_time.max(retry::backoff(intent.tries, None).min(LONGEST_PAUSE));
    intent.tried_at.saturating_add(wait).ok()
}

/// Waits for the CA's limits and for the budget; else the intent to order is stored, and counted.
async fn limited(
    work: &Work<'_>,
    issuer: &dyn Issuer,
    request: &SigningRequest,
) -> Result<Option<Outcome>, StepError> {
    let limits = issuer.rate_limits(request, work.now);
    let slot = work.store.reserve(work.lease, &limits, work.now).await?;
    if slot > work.now {
        let words = format!(
            "its turn within the limits of {}: {}",
            work.renewal().ca,
            listed(&limits)
        );
        let wait = work.now.duration_until(slot);
        return Ok(Some(work.wait(wait, "order_limit", words)));
    }
    let permission = work
        .store
        .intend_order(
            work.lease,
            Step::Submit.name(),
            &request.client_reference,
            issuer.budget(),
            work.now,
        )
        .await?;
    match permission {
        Permission::Granted(_) => {
            work.intended(Step::Submit).await;
            Ok(None)
        }
        Permission::Exhausted { until, budget } => {
            let words = format!(
                "the budget of {} is spent: {} orders in {:#}; to order sooner, raise `order_budget` of this CA",
                work.renewal().ca,
                budget.orders,
                budget.within
            );
            let wait = work.now.duration_until(until);
            Ok(Some(work.wait(wait, "order_budget", words)))
        }
    }
}

fn listed(limits: &[crate::inventory::RateLimit]) -> String {
    let words: Vec<String> = limits.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn ordered(work: &Work<'_>, reference: Reference) -> Outcome {
    work.reached_with(Fact::Ordered, |obtained| {
        obtained.ca_reference = Some(reference.0);
    })
}

/// Between two orders of the same renewal, when the first was surely not taken.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(1);
