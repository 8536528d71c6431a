//! What only an operator may decide: it is held once, with what speaks against going on, and `renewd renew` goes on.
//!
//! A decision holds for its kind and for the state in which it was made.

use jiff::Timestamp;

use super::{REMEMBERED, StepError, Work};
use crate::ca::{Issuer, SigningRequest};
use crate::inventory::due::{self, Decision, Facts, Reason};
use crate::inventory::{DecisionKind, ManagedCertificate, Shown, State};
use crate::pki::{self, Certificate};
use crate::renewal::state::Step;

/// Holds another order where each costs money and the last ones ended without a certificate.
pub async fn on_another_order(work: &Work<'_>, issuer: &dyn Issuer) -> Result<(), StepError> {
    let renewal = work.renewal();
    let is_free = issuer.budget().is_none();
    let is_wanted =
        renewal.reason == Reason::Requested.name() || work.is_decided(DecisionKind::OrdersEnded);
    if is_free || is_wanted {
        return Ok(());
    }
    let past = work
        .store
        .renewals_of(&renewal.certificate, REMEMBERED)
        .await?;
    let since_success = past
        .iter()
        .filter(|past| past.id != renewal.id)
        .take_while(|past| past.state != State::Completed);
    let ended: Vec<&str> = since_success
        .filter(|past| past.state == State::Abandoned && past.ca == renewal.ca)
        .filter(|past| past.obtained.leaf_pem.is_none())
        .filter_map(|past| past.obtained.ca_reference.as_deref())
        .collect();
    if ended.len() < MOST_ENDED {
        return Ok(());
    }
    Err(StepError::Decision {
        kind: DecisionKind::OrdersEnded,
        words: format!(
            "the last {} orders of this certificate at {} ended without a certificate ({}), and each may cost money: \
             look into the account there",
            ended.len(),
            renewal.ca,
            ended.join(", ")
        ),
    })
}

/// Holds the repetition of an order that may have been paid although the CA does not show it.
pub async fn on_a_lost_order(
    work: &Work<'_>,
    issuer: &dyn Issuer,
    request: &SigningRequest,
) -> Result<(), StepError> {
    let renewal = work.renewal();
    let step = Step::Submit.name();
    if issuer.shows_every_order(request)
        || work.is_decided(DecisionKind::OrderAgain)
        || work.store.tries(&renewal.id, step).await? == 0
    {
        return Ok(());
    }
    Err(StepError::Decision {
        kind: DecisionKind::OrderAgain,
        words: format!(
            "the answer to an order at {ca} was lost, and {ca} does not show whether it was taken: it may have been paid. \
             Look there for a charge since {:.0}; a certificate of it is found by itself",
            renewal.state_since,
            ca = renewal.ca,
        ),
    })
}

/// Holds a certificate that is due again as soon as it is there: it would be followed by the next one at once, and so on.
pub fn on_the_dates_of(work: &Work<'_>, leaf: &Certificate) -> Result<(), StepError> {
    if work.is_decided(DecisionKind::AlreadyDue) {
        return Ok(());
    }
    let renewal = work.renewal();
    // Judged as of its issue: one that waited here until it is due is still better than what is served.
    let issued_at = renewal.state_since;
    // One that is not valid yet is of no use, whenever it ends.
    let served = work.tracked.shown.as_ref();
    let served = served.filter(|served| !pki::is_not_yet_valid(served.not_before, work.now));
    let reason = Reason::from_name(&renewal.reason);
    let words = already_due(work.wanted, leaf, issued_at)
        .or_else(|| ends_too_early(work.wanted, leaf, served, reason));
    match words {
        None => Ok(()),
        Some(words) => Err(StepError::Decision {
            kind: DecisionKind::AlreadyDue,
            words,
        }),
    }
}

/// What the due rules that go by time say of a certificate that was issued just now.
fn already_due(
    wanted: &ManagedCertificate,
    leaf: &Certificate,
    issued_at: Timestamp,
) -> Option<String> {
    let facts = Facts {
        wanted,
        shown: Some(leaf),
        unknown: None,
        renewed_before: true,
        requested_at: None,
        window: None,
        rest: None,
    };
    match due::decide(&facts, issued_at) {
        Decision::Due { reason, .. } if reason.goes_by_time() => Some(format!(
            "the issued certificate is already due: valid from {:.0} to {:.0}; is the clock right? It is {issued_at:.0} here",
            leaf.not_before, leaf.not_after
        )),
        _ => None,
    }
}

/// A renewal that goes by time has to bring a later end.
fn ends_too_early(
    wanted: &ManagedCertificate,
    leaf: &Certificate,
    served: Option<&Shown>,
    reason: Option<Reason>,
) -> Option<String> {
    let served = served.filter(|served| served.fingerprint != leaf.fingerprint)?;
    let certificate = served.certificate()?;
    // What is to be replaced because it is another one may be valid for as long as it wants.
    let is_wanted = pki::differences_from_request(&certificate, &wanted.request).is_empty();
    let ends_too_early = match reason {
        Some(Reason::Requested) => leaf.not_after < served.not_after,
        Some(reason) if reason.goes_by_time() => leaf.not_after <= served.not_after,
        _ => false,
    };
    (is_wanted && ends_too_early).then(|| {
        format!(
            "the issued certificate ends no later than the one that is served: valid from {:.0} to {:.0}, and the \
             served one until {:.0}; is the clock right?",
            leaf.not_before, leaf.not_after, served.not_after
        )
    })
}

/// Orders that ended without a certificate, before an operator has to decide.
const MOST_ENDED: usize = 2;
