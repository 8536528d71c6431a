//! What only an operator may decide: it is held once, with what speaks against going on, and `renewd renew` goes on.
//!
//! A decision holds for its kind and for the state in which it was made.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{REMEMBERED, StepContext, StepError};
use crate::ca::{Issuer, Reference};
use crate::failure::{Failure, FailureKind, readable};
use crate::inventory::due::{self, Decision, Facts, Reason};
use crate::inventory::{
    DecisionKind, ManagedCertificate, OrderBasis, Renewal, ServedCertificate, State, cause,
};
use crate::pki::{self, Certificate};
use crate::renewal::state::Step;
use crate::store::{EndedOrder, StoreError};

/// Holds another order where the last ones may have cost money and ended without a certificate that could be used. What was
/// refused twice in a row is refused again: something has to be changed before the next one is worth its price.
pub async fn on_another_order(
    context: &StepContext<'_>,
    issuer: &dyn Issuer,
) -> Result<(), StepError> {
    if is_wanted(context, DecisionKind::OrdersEnded) {
        return Ok(());
    }
    on_ended_orders(context, issuer, ended_by_the_ca(context).await?).await
}

/// The same within a renewal, whose first order was allowed already: the CA has ended it, and it may have cost money.
pub async fn on_an_order_after_one_that_ended(
    context: &StepContext<'_>,
    issuer: &dyn Issuer,
) -> Result<(), StepError> {
    // An operator who has just allowed another order is not asked twice.
    if [DecisionKind::OrdersEnded, DecisionKind::OrderAgain]
        .iter()
        .any(|kind| context.is_decided(*kind))
    {
        return Ok(());
    }
    let ended = ended_by_the_ca(context).await?;
    if ended.iter().all(|one| one.renewal != context.renewal().id) {
        return Ok(());
    }
    on_ended_orders(context, issuer, ended).await
}

/// The orders at the CA of the renewal that it has ended since the last success, and that may have cost money.
async fn ended_by_the_ca(context: &StepContext<'_>) -> Result<Vec<EndedOrder>, StoreError> {
    let renewal = context.renewal();
    let step = Step::Submit.name();
    let mut ended = context
        .store
        .ended_orders(&renewal.certificate, step)
        .await?;
    ended.retain(|one| *one.ca == *renewal.ca);
    Ok(ended)
}

/// Holds where too many came to nothing: those that the CA `ended`, and those of renewals that were given up.
async fn on_ended_orders(
    context: &StepContext<'_>,
    issuer: &dyn Issuer,
    ended: Vec<EndedOrder>,
) -> Result<(), StepError> {
    let renewal = context.renewal();
    let ended = ended.into_iter().map(|one| Reference(one.order));
    let past = since_success(context).await?;
    let given_up = past
        .iter()
        .filter(|past| {
            matches!(past.state, State::Failed | State::Cancelled) && past.ca == renewal.ca
        })
        .filter(|past| past.obtained.leaf_pem.is_none())
        .filter_map(|past| past.obtained.ca_reference.clone().map(Reference))
        .filter(|order| issuer.may_have_cost(order));
    // A renewal may have been given up after the CA had ended its order.
    let mut seen = HashSet::new();
    let ended: Vec<String> = ended
        .chain(given_up)
        .map(|order| order.display())
        .filter(|order| seen.insert(order.clone()))
        .collect();
    if ended.len() < MOST_ENDED {
        return Ok(());
    }
    Err(StepError::Decision {
        kind: DecisionKind::OrdersEnded,
        words: format!(
            "the last {} orders of this certificate at {} ended without a certificate that could be used ({}), and each may \
             cost money: look into the account there, and why they ended (renewd show {})",
            ended.len(),
            renewal.ca,
            ended.join(", "),
            renewal.certificate
        ),
    })
}

/// Whether an operator asked for this renewal, or decided this for it.
fn is_wanted(context: &StepContext<'_>, kind: DecisionKind) -> bool {
    context.renewal().reason == Reason::Requested.name() || context.is_decided(kind)
}

/// The renewals of the certificate before this one, newest first, back to the last that was completed.
async fn since_success(context: &StepContext<'_>) -> Result<Vec<Renewal>, StoreError> {
    let renewal = context.renewal();
    let mut past = context
        .store
        .renewals_of(&renewal.certificate, REMEMBERED)
        .await?;
    past.retain(|past| past.id != renewal.id);
    let since = past.iter().position(|past| past.state == State::Completed);
    past.truncate(since.unwrap_or(past.len()));
    Ok(past)
}

/// Holds the repetition of an order that may have been paid although the CA does not show it.
pub async fn on_a_lost_order(
    context: &StepContext<'_>,
    issuer: &dyn Issuer,
    basis: &OrderBasis,
) -> Result<(), StepError> {
    let renewal = context.renewal();
    let step = Step::Submit.name();
    if context.is_decided(DecisionKind::OrderAgain) {
        return Ok(());
    }
    on_a_forgotten_order(context, issuer).await?;
    if basis.is_shown || context.store.tries(&renewal.id, step).await? == 0 {
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

/// The same for an order of an earlier renewal that ended before it was known what became of its order. The CA knows that
/// order by another reference and another key: nothing that this renewal can ask for shows it.
async fn on_a_forgotten_order(
    context: &StepContext<'_>,
    issuer: &dyn Issuer,
) -> Result<(), StepError> {
    if issuer.budget().is_none() {
        return Ok(());
    }
    let certificate = &context.renewal().certificate;
    let step = Step::Submit.name();
    match context.store.forgotten_order(certificate, step).await? {
        None => Ok(()),
        Some(order) => Err(StepError::Decision {
            kind: DecisionKind::OrderAgain,
            words: format!(
                "renewal {id} may have placed an order at {ca} at {at:.0}, and ended before it was known what became of \
                 it: it may have been paid. Look at {ca} for an order with the reference {reference}",
                id = order.renewal,
                ca = order.ca,
                at = order.tried_at,
                reference = order.reference,
            ),
        }),
    }
}

/// The driver of the CA at which an order was placed, or may have been. One that left the configuration is waited for, until
/// an operator gives the order up.
pub fn issuer_of_an_order(context: &StepContext<'_>) -> Result<Arc<dyn Issuer>, StepError> {
    match context.issuer() {
        Err(StepError::Ca(failure)) => {
            let words = failure.to_string();
            if let Some(decision) = order_is_gone(context, &words, is_asked(context)) {
                return Err(decision);
            }
            Err(StepError::Ca(failure))
        }
        issuer => issuer,
    }
}

/// Holds an order that the CA does not show for a day, or that it does not show when an operator asks how it stands.
pub fn on_an_order_that_is_gone(context: &StepContext<'_>, reason: &str) -> StepError {
    let failure = Failure::new(FailureKind::Busy, "look for the order", reason);
    let renewal = context.renewal();
    let said = cause(failure.kind, &readable(&failure.to_string()));
    let is_said_again = renewal.cause.as_ref() == Some(&said) && renewal.same_cause >= MOST_CHECKS;
    let waited = renewal.state_since.duration_until(context.now);
    let is_for_long = is_said_again && waited >= A_DAY;
    order_is_gone(context, reason, is_for_long || is_asked(context))
        .unwrap_or(StepError::Ca(failure))
}

/// Holds an order that the CA has not issued for a week, once an operator asks how it stands; and gives it up where the
/// operator has decided so.
pub fn on_an_order_that_waits(context: &StepContext<'_>, words: &str) -> Result<(), StepError> {
    let waited = context.renewal().state_since.duration_until(context.now);
    order_is_gone(context, words, is_asked(context) && waited >= A_WEEK).map_or(Ok(()), Err)
}

/// The order is given up where an operator has decided so, and held where one `is_to_decide`.
fn order_is_gone(context: &StepContext<'_>, words: &str, is_to_decide: bool) -> Option<StepError> {
    if context.is_decided(DecisionKind::OrderGone) {
        let words = format!("the order was given up on request: {words}");
        return Some(StepError::Cancelled(words));
    }
    is_to_decide.then(|| StepError::Decision {
        kind: DecisionKind::OrderGone,
        words: format!(
            "{words}; it is not asked for again by itself: look into the account at {}",
            context.renewal().ca
        ),
    })
}

/// Whether this is the first look after an operator asked for the renewal in this state.
fn is_asked(context: &StepContext<'_>) -> bool {
    let renewal = context.renewal();
    renewal.decided.is_some() && renewal.attempts == 0 && renewal.polls == 0
}

/// Holds the next installation of a certificate that was rolled back twice: the same would happen each day.
pub async fn on_another_bind(context: &StepContext<'_>) -> Result<(), StepError> {
    if is_wanted(context, DecisionKind::BindAgain) {
        return Ok(());
    }
    let fingerprint = context.renewal().obtained.fingerprint;
    let rolled_back = since_success(context)
        .await?
        .iter()
        .filter(|past| matches!(past.state, State::RolledBack | State::NotRolledBack))
        .filter(|past| past.obtained.fingerprint == fingerprint)
        .count();
    if rolled_back < MOST_ROLLED_BACK {
        return Ok(());
    }
    Err(StepError::Decision {
        kind: DecisionKind::BindAgain,
        words: format!(
            "this certificate was bound {rolled_back} times, and each time an address did not serve it and the previous one \
             was bound again: does each address in `endpoints` belong to a service of this certificate?"
        ),
    })
}

/// Holds a certificate that is due again as soon as it is there: it would be followed by the next one at once, and so on.
pub fn on_the_dates_of(context: &StepContext<'_>, leaf: &Certificate) -> Result<(), StepError> {
    if context.is_decided(DecisionKind::AlreadyDue) {
        return Ok(());
    }
    let renewal = context.renewal();
    // Judged as of its issue: one that waited here until it is due is still better than what is served.
    let issued_at = renewal.state_since;
    // One that is not valid yet is of no use, whenever it ends.
    let served = context.tracked.current.as_ref();
    let served = served.filter(|served| !pki::is_not_yet_valid(served.not_before, context.now));
    let reason = Reason::from_name(&renewal.reason);
    let words = already_due(context.wanted, leaf, issued_at)
        .or_else(|| ends_too_early(context.wanted, leaf, served, reason));
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
        current: Some(leaf),
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

/// A renewal that goes by time has to bring a later end, and one on request no earlier one.
fn ends_too_early(
    wanted: &ManagedCertificate,
    leaf: &Certificate,
    served: Option<&ServedCertificate>,
    reason: Option<Reason>,
) -> Option<String> {
    let served = served.filter(|served| served.fingerprint != leaf.fingerprint)?;
    let certificate = served.certificate()?;
    // What is to be replaced because it is another one may be valid for as long as it wants.
    let is_wanted = pki::differences_from_request(&certificate, &wanted.request).is_empty();
    let ends_too_early = match reason {
        // A reissue ends with the term that was paid, and has made what is served invalid: held, it would be of no use to
        // the operator. It causes no further order, because no operator requests the next one.
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

/// Orders that ended so, before an operator has to decide.
const MOST_ENDED: usize = 2;
/// Installations of one certificate that were rolled back, before an operator has to decide.
const MOST_ROLLED_BACK: usize = 2;
/// Looks for an order that the CA does not show, before an operator has to decide: by then the retry table waits for a day.
const MOST_CHECKS: u32 = 4;
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// An approval may take days, and an operator who has just given it asks for the result.
const A_WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
