//! What only an operator may decide: it is held once, with what speaks against going on, and `renewd renew` goes on.
//!
//! A decision holds for its kind and for the state in which it was made.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{REMEMBERED, StepError, Work};
use crate::ca::{Issuer, Reference};
use crate::failure::{Failure, FailureKind, readable};
use crate::inventory::due::{self, Decision, Facts, Reason};
use crate::inventory::{
    DecisionKind, ManagedCertificate, OrderBasis, Renewal, Shown, State, cause,
};
use crate::pki::{self, Certificate};
use crate::renewal::state::Step;
use crate::store::{EndedOrder, StoreError};

/// Holds another order where the last ones may have cost money and ended without a certificate that could be used. What was
/// refused twice in a row is refused again: something has to be changed before the next one is worth its price.
pub async fn on_another_order(work: &Work<'_>, issuer: &dyn Issuer) -> Result<(), StepError> {
    if is_wanted(work, DecisionKind::OrdersEnded) {
        return Ok(());
    }
    on_ended_orders(work, issuer, ended_by_the_ca(work).await?).await
}

/// The same within a renewal, whose first order was allowed already: the CA has ended it, and it may have cost money.
pub async fn on_an_order_after_one_that_ended(
    work: &Work<'_>,
    issuer: &dyn Issuer,
) -> Result<(), StepError> {
    // Whoever has just let it order once more need not be asked twice.
    if [DecisionKind::OrdersEnded, DecisionKind::OrderAgain]
        .iter()
        .any(|kind| work.is_decided(*kind))
    {
        return Ok(());
    }
    let ended = ended_by_the_ca(work).await?;
    if ended.iter().all(|one| one.renewal != work.renewal().id) {
        return Ok(());
    }
    on_ended_orders(work, issuer, ended).await
}

/// The orders at the CA of the renewal that it has ended since the last success, and that may have cost money.
async fn ended_by_the_ca(work: &Work<'_>) -> Result<Vec<EndedOrder>, StoreError> {
    let renewal = work.renewal();
    let step = Step::Submit.name();
    let mut ended = work.store.ended_orders(&renewal.certificate, step).await?;
    ended.retain(|one| *one.ca == *renewal.ca);
    Ok(ended)
}

/// Holds where too many came to nothing: those that the CA `ended`, and those of renewals that were given up.
async fn on_ended_orders(
    work: &Work<'_>,
    issuer: &dyn Issuer,
    ended: Vec<EndedOrder>,
) -> Result<(), StepError> {
    let renewal = work.renewal();
    let ended = ended.into_iter().map(|one| Reference(one.order));
    let past = since_success(work).await?;
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
        .map(|order| order.shown())
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
fn is_wanted(work: &Work<'_>, kind: DecisionKind) -> bool {
    work.renewal().reason == Reason::Requested.name() || work.is_decided(kind)
}

/// The renewals of the certificate before this one, newest first, back to the last that was completed.
async fn since_success(work: &Work<'_>) -> Result<Vec<Renewal>, StoreError> {
    let renewal = work.renewal();
    let mut past = work
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
    work: &Work<'_>,
    issuer: &dyn Issuer,
    basis: &OrderBasis,
) -> Result<(), StepError> {
    let renewal = work.renewal();
    let step = Step::Submit.name();
    if work.is_decided(DecisionKind::OrderAgain) {
        return Ok(());
    }
    on_a_forgotten_order(work, issuer).await?;
    if basis.is_shown || work.store.tries(&renewal.id, step).await? == 0 {
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
async fn on_a_forgotten_order(work: &Work<'_>, issuer: &dyn Issuer) -> Result<(), StepError> {
    if issuer.budget().is_none() {
        return Ok(());
    }
    let certificate = &work.renewal().certificate;
    let step = Step::Submit.name();
    match work.store.forgotten_order(certificate, step).await? {
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
pub fn issuer_of_an_order(work: &Work<'_>) -> Result<Arc<dyn Issuer>, StepError> {
    match work.issuer() {
        Err(StepError::Ca(failure)) => {
            let words = failure.to_string();
            if let Some(decision) = order_is_gone(work, &words, is_asked(work)) {
                return Err(decision);
            }
            Err(StepError::Ca(failure))
        }
        issuer => issuer,
    }
}

/// Holds an order that the CA does not show for a day, or that it does not show when an operator asks how it stands.
pub fn on_an_order_that_is_gone(work: &Work<'_>, reason: &str) -> StepError {
    let failure = Failure::new(FailureKind::Busy, "look for the order", reason);
    let renewal = work.renewal();
    let said = cause(failure.kind, &readable(&failure.to_string()));
    let is_said_again = renewal.cause.as_ref() == Some(&said) && renewal.same_cause >= MOST_LOOKS;
    let waited = renewal.state_since.duration_until(work.now);
    let is_for_long = is_said_again && waited >= A_DAY;
    order_is_gone(work, reason, is_for_long || is_asked(work)).unwrap_or(StepError::Ca(failure))
}

/// Holds an order that the CA has not issued for a week, once an operator asks how it stands; and gives it up where the
/// operator has decided so.
pub fn on_an_order_that_waits(work: &Work<'_>, words: &str) -> Result<(), StepError> {
    let waited = work.renewal().state_since.duration_until(work.now);
    order_is_gone(work, words, is_asked(work) && waited >= A_WEEK).map_or(Ok(()), Err)
}

/// The order is given up where an operator has decided so, and held where one `is_to_decide`.
fn order_is_gone(work: &Work<'_>, words: &str, is_to_decide: bool) -> Option<StepError> {
    if work.is_decided(DecisionKind::OrderGone) {
        let words = format!("the order was given up on request: {words}");
        return Some(StepError::Cancelled(words));
    }
    is_to_decide.then(|| StepError::Decision {
        kind: DecisionKind::OrderGone,
        words: format!(
            "{words}; it is not asked for again by itself: look into the account at {}",
            work.renewal().ca
        ),
    })
}

/// Whether this is the first look after an operator asked for the renewal in this state.
fn is_asked(work: &Work<'_>) -> bool {
    let renewal = work.renewal();
    renewal.decided.is_some() && renewal.attempts == 0 && renewal.polls == 0
}

/// Holds the next installation of a certificate that was rolled back twice: the same would happen each day.
pub async fn on_another_bind(work: &Work<'_>) -> Result<(), StepError> {
    if is_wanted(work, DecisionKind::BindAgain) {
        return Ok(());
    }
    let fingerprint = work.renewal().obtained.fingerprint;
    let rolled_back = since_success(work)
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

/// A renewal that goes by time has to bring a later end, and one on request no earlier one.
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
        // A reissue ends with the term that was paid, and has made what is served invalid: held, it would be of no use to
        // whoever asked. It causes no further order, because nobody asks for the next one.
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
const MOST_LOOKS: u32 = 4;
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// An approval may take days, and whoever has just given it asks whether it is there.
const A_WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
