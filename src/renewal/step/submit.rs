//! CsrExported: order at the CA, once.
//!
//! The order is prepared first, which is refused where it would be refused later and touches nothing. Limits, budget and
//! intent are taken for the one call that places it; the intent is stored before that call. Whatever is lost after that,
//! the CA is asked whether it has the order before another one is placed: at most one chargeable order per renewal.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Outcome, StepContext, StepError, Until, Wait, decision};
use crate::ca::{Issuer, Reference, SigningRequest};
use crate::failure::{Failure, FailureKind};
use crate::inventory::{Intent, OrderBasis, Renewal, State, WaitReason};
use crate::renewal::retry;
use crate::renewal::state::{Fact, Step};
use crate::sanitize::bounded;
use crate::store::Permission;

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    let issuer = decision::issuer_of_an_order(context)?;
    let request = context.signing_request().await?;
    // Only a positive "no" of the CA lets us order.
    if let Some(reference) = issuer.find(&request).await.map_err(StepError::Ca)? {
        return match unusable(issuer.as_ref(), &reference) {
            Some(words) => Err(StepError::Ca(Failure::new(
                FailureKind::Unexpected,
                "look for the order",
                words,
            ))),
            None => Ok(ordered(context, reference)),
        };
    }
    let basis = basis(issuer.as_ref(), &request).after(context.order_basis().await?.as_ref());
    let visibility_delay = basis.visibility_delay();
    if let Some(waits) = lost(context, visibility_delay).await? {
        return Ok(waits);
    }
    decision::on_a_lost_order(context, issuer.as_ref(), &basis).await?;
    if let Some(waits) = moved(context).await? {
        return Ok(waits);
    }
    decision::on_an_order_after_one_that_ended(context, issuer.as_ref()).await?;
    let order = issuer.prepare(&request).await.map_err(StepError::Ca)?;
    if let Some(waits) = limited(context, issuer.as_ref(), &request, &basis).await? {
        return Ok(waits);
    }
    let placed = within(longest_order(visibility_delay), order.place()).await;
    match placed.and_then(|reference| usable(issuer.as_ref(), reference)) {
        Ok(reference) => {
            context.acted(Step::Submit).await;
            if let Some(waits) = shared(context, &reference).await? {
                return Ok(waits);
            }
            Ok(ordered(context, reference))
        }
        Err(failure) => {
            if failure.is_surely_not_done() {
                context
                    .store
                    .withdraw_order(context.lease, Step::Submit.name(), context.now)
                    .await?;
            }
            let step = Step::Submit.name();
            let tries = context.store.tries(&context.renewal().id, step).await?;
            Err(StepError::Order(failure, tries))
        }
    }
}

/// On what an order for `request` is placed now.
fn basis(issuer: &dyn Issuer, request: &SigningRequest) -> OrderBasis {
    let previous = request.previous.as_ref();
    OrderBasis {
        previous_pem: previous.map(|previous| previous.certificate.to_pem()),
        previous_order: previous.and_then(|previous| previous.order.clone().map(|order| order.0)),
        account: issuer.account(),
        settling_seconds: issuer.visibility_delay(request).as_secs(),
        is_shown: issuer.shows_every_order(request),
    }
}

/// Waits where an order may have been placed whose answer was lost, and which the CA may still come to know.
async fn lost(
    context: &StepContext<'_>,
    visibility_delay: SignedDuration,
) -> Result<Option<Outcome>, StepError> {
    let renewal = context.renewal();
    let step = Step::Submit.name();
    let Some(mut intent) = context.store.intent(&renewal.id, step).await? else {
        return Ok(None);
    };
    if !visibility_delay.is_zero() {
        intent = context.store.missed(context.lease, step).await?;
    }
    let again = check_again(
        &intent,
        visibility_delay,
        pause(context).await?,
        context.now,
    );
    if again > context.now {
        let words = format!(
            "an order may have been placed whose answer was lost; {} may still come to know it, and is asked again at \
             {again:.0}",
            renewal.ca
        );
        return Ok(Some(wait(again, WaitReason::OrderLookup, words)));
    }
    // The CA does not have it: its limits were not used up.
    context
        .store
        .return_turn(context.lease, context.now)
        .await?;
    Ok(None)
}

/// The certificate moved to another CA while an order at this one was looked for. There is none: no other is placed here.
async fn moved(context: &StepContext<'_>) -> Result<Option<Outcome>, StepError> {
    let ca = &context.renewal().ca;
    if context.wanted.ca == *ca {
        return Ok(None);
    }
    context
        .store
        .withdraw_order(context.lease, Step::Submit.name(), context.now)
        .await?;
    let words = format!("{ca} has no order, and the configuration names another CA by now");
    Ok(Some(wait(context.now, WaitReason::OrderLookup, words)))
}

/// Waits where the CA gave an order that another renewal drives on: whichever of the two finalized it would take it from
/// the other, since an order has one certificate (CA rules reference 5). No order was placed then. It is not waited for
/// without end: the other may be held.
async fn shared(
    context: &StepContext<'_>,
    reference: &Reference,
) -> Result<Option<Outcome>, StepError> {
    let renewal = context.renewal();
    if renewal.state_since.duration_until(context.now) >= LONGEST_SHARED {
        return Ok(None);
    }
    let open = context.store.open_renewals().await?;
    let is_theirs = |other: &&Renewal| {
        let theirs = other.obtained.ca_reference.clone().map(Reference);
        other.id != renewal.id
            && other.ca == renewal.ca
            && other.state == State::Submitted
            && theirs.is_some_and(|theirs| theirs.is_same_order(reference))
    };
    let Some(other) = open.iter().find(is_theirs) else {
        return Ok(None);
    };
    context
        .store
        .withdraw_order(context.lease, Step::Submit.name(), context.now)
        .await?;
    let words = format!(
        "{} gave the order that renewal {} of {} drives on ({}): both are for the same names, and an order has one \
         certificate",
        renewal.ca,
        other.id,
        other.certificate,
        reference.display()
    );
    let again = later(context.now, SHARED_CHECK);
    Ok(Some(wait(again, WaitReason::OrderShared, words)))
}

/// Between two orders of the same renewal, of which the first was lost: as after failures, and longer each time.
async fn pause(context: &StepContext<'_>) -> Result<SignedDuration, StepError> {
    let step = Step::Submit.name();
    let tries = context.store.tries(&context.renewal().id, step).await?;
    let served = context.tracked.current.as_ref();
    let lifetime = served.map(|served| served.not_before.duration_until(served.not_after));
    let left = served.map(|served| context.now.duration_until(served.not_after));
    Ok(retry::capped_by_expiry(
        retry::backoff(tries, lifetime),
        left,
    ))
}

/// Lets an order take no longer than `longest`: what settles later than that is waited for.
async fn within(
    longest: Option<Duration>,
    order: impl Future<Output = Result<Reference, Failure>>,
) -> Result<Reference, Failure> {
    let Some(longest) = longest else {
        return order.await;
    };
    tokio::time::timeout(longest, order)
        .await
        .unwrap_or_else(|_| {
            let words = format!("no answer within {} s", longest.as_secs());
            Err(Failure::new(FailureKind::OutcomeUnknown, "order", words))
        })
}

/// An order whose reference cannot be stored was placed anyway: it is looked up.
fn usable(issuer: &dyn Issuer, reference: Reference) -> Result<Reference, Failure> {
    match unusable(issuer, &reference) {
        Some(words) => Err(Failure::new(FailureKind::OutcomeUnknown, "order", words)),
        None => Ok(reference),
    }
}

pub(super) fn unusable(issuer: &dyn Issuer, reference: &Reference) -> Option<String> {
    let problem = issuer.reference_objection(reference)?;
    let beginning = bounded(&reference.0, SHOWN);
    Some(format!(
        "the reference that the CA gave for the order {problem}, so it cannot be used: it begins with {beginning:?}"
    ))
}

/// How long an order may be under way where it settles only some time after that; `None`: it is known at once.
fn longest_order(visibility_delay: SignedDuration) -> Option<Duration> {
    let longest = visibility_delay.min(LONGEST_ORDER).unsigned_abs();
    (!longest.is_zero()).then_some(longest)
}

/// When to look next for an order of an earlier try; `now`: it would have shown itself, and another one may be placed.
///
/// It may have reached the CA as late as its last moment, and shows itself `visibility_delay` after that. No single look
/// decides: the waits between the looks, which double, must come to that time too. A clock that jumps ahead ends one of
/// them, which is about half of the time at most.
fn check_again(
    intent: &Intent,
    visibility_delay: SignedDuration,
    pause: SignedDuration,
    now: Timestamp,
) -> Timestamp {
    let wait = visibility_delay.saturating_add(visibility_delay.min(LONGEST_ORDER));
    let by_the_clock = later(intent.tried_at, wait.max(pause));
    if visibility_delay.is_zero() {
        return by_the_clock;
    }
    let doubled = 2_i32.saturating_pow(intent.misses.saturating_sub(1));
    let next = SOONEST_CHECK.saturating_mul(doubled);
    let left = wait.saturating_sub(next.saturating_sub(SOONEST_CHECK));
    if left.is_positive() {
        later(now, next.min(left))
    } else {
        by_the_clock.min(later(now, next))
    }
}

/// Waits for the CA's limits and for the budget; else the intent to order is stored, and counted.
async fn limited(
    context: &StepContext<'_>,
    issuer: &dyn Issuer,
    request: &SigningRequest,
    basis: &OrderBasis,
) -> Result<Option<Outcome>, StepError> {
    let limits = issuer.rate_limits(request, context.now);
    let slot = context
        .store
        .reserve(context.lease, &limits, context.now)
        .await?;
    if slot > context.now {
        let words = format!(
            "its turn within the limits of {}: {}",
            context.renewal().ca,
            listed(&limits)
        );
        return Ok(Some(wait(slot, WaitReason::OrderLimit, words)));
    }
    let permission = context
        .store
        .intend_order(
            context.lease,
            Step::Submit.name(),
            &request.client_reference,
            Some(basis),
            issuer.budget().or(context.order_budget),
            context.now,
        )
        .await?;
    match permission {
        Permission::Granted(_) => {
            context.intended(Step::Submit).await;
            Ok(None)
        }
        Permission::Exhausted { until, budget } => {
            let words = format!(
                "the budget of {} is spent: {} orders in {:#}; to order sooner, raise `order_budget` of this CA",
                context.renewal().ca,
                budget.orders,
                budget.within
            );
            Ok(Some(wait(until, WaitReason::OrderBudget, words)))
        }
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.saturating_add(by).unwrap_or(Timestamp::MAX)
}

fn wait(until: Timestamp, kind: WaitReason, words: String) -> Outcome {
    Outcome::Wait(Wait {
        until: Until::Moment(until),
        kind,
        words,
    })
}

fn listed(limits: &[crate::inventory::RateLimit]) -> String {
    let words: Vec<String> = limits.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn ordered(context: &StepContext<'_>, reference: Reference) -> Outcome {
    context.reached_with(Fact::Ordered, |obtained| {
        obtained.ca_reference = Some(reference.0);
    })
}

/// Characters of a reference that cannot be used.
const SHOWN: usize = 60;
/// Between two tries to get an order of our own.
const SHARED_CHECK: SignedDuration = SignedDuration::from_secs(30);
/// As long as this another renewal may need for an order that we were given too.
const LONGEST_SHARED: SignedDuration = SignedDuration::from_hours(1);
/// Between two looks for an order that was lost.
const SOONEST_CHECK: SignedDuration = SignedDuration::from_mins(1);
/// For all exchanges of one order, where the CA does not show it at once.
const LONGEST_ORDER: SignedDuration = SignedDuration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(count: i64) -> SignedDuration {
        SignedDuration::from_mins(count)
    }

    #[test]
    fn an_order_may_take_as_long_as_it_settles_but_not_longer_than_a_quarter_of_an_hour() {
        let longest =
            |settles| longest_order(minutes(settles)).map(|longest| longest.as_secs() / 60);
        assert_eq!(
            [0, 2, 15, 600].map(longest),
            [None, Some(2), Some(15), Some(15)]
        );
    }

    fn intent(tried_at: Timestamp, tries: u32) -> Intent {
        Intent {
            step: Step::Submit.name().to_owned(),
            reference: "renewd-r1".to_owned(),
            opened_at: tried_at,
            tried_at,
            tries,
            misses: 0,
            basis: None,
        }
    }

    #[tokio::test]
    async fn an_order_that_takes_longer_may_have_been_taken() {
        let never = std::future::pending();
        let failure = within(Some(Duration::from_millis(1)), never)
            .await
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::OutcomeUnknown);
        assert!(!failure.is_surely_not_done());
    }

    #[tokio::test]
    async fn an_order_that_is_answered_in_time_is_an_order() {
        for longest in [None, Some(Duration::from_mins(1))] {
            let order = async { Ok(Reference("7".to_owned())) };
            assert_eq!(within(longest, order).await.unwrap().0, "7");
        }
    }

    /// The minutes after a try at which it is looked for; the last one is when another order is placed. `jump`: the clock
    /// jumps ahead by a day in the wait after that look.
    fn looks(settles: i64, jump: Option<u32>) -> Vec<i64> {
        let tried_at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut intent = intent(tried_at, 1);
        let (mut now, mut jumped) = (tried_at, SignedDuration::ZERO);
        let mut looks = Vec::new();
        loop {
            intent.misses += 1;
            looks.push((tried_at.duration_until(now) - jumped).as_mins());
            let again = check_again(&intent, minutes(settles), retry::backoff(1, None), now);
            if again <= now {
                return looks;
            }
            now = again;
            if jump == Some(intent.misses) {
                // The wait was over at once.
                now += minutes(24 * 60);
                jumped = tried_at.duration_until(now) - minutes(*looks.last().unwrap());
            }
        }
    }

    #[test]
    fn what_was_lost_is_looked_for_soon_and_then_ever_more_seldom() {
        // Cut off at its second minute, it settles two minutes after that.
        assert_eq!(looks(2, None), [0, 1, 3, 4]);
        assert_eq!(
            looks(600, None),
            [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 615]
        );
    }

    #[test]
    fn a_clock_that_jumps_does_not_place_another_order_before_the_first_shows_itself() {
        for settles in [1, 2, 10, 60, 600] {
            let undisturbed = looks(settles, None);
            for jump in 1..undisturbed.len() {
                let looks = looks(settles, Some(u32::try_from(jump).unwrap()));
                assert!(looks.len() >= undisturbed.len(), "{settles}: {looks:?}");
                let last = *looks.last().unwrap();
                assert!(2 * last >= settles, "{settles}, jump {jump}: {looks:?}");
            }
        }
    }

    #[test]
    fn what_is_known_at_once_is_repeated_as_seldom_as_any_failure() {
        let tried_at: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let waits = |tries| {
            let pause = retry::backoff(tries, None);
            let again = check_again(&intent(tried_at, tries), minutes(0), pause, tried_at);
            tried_at.duration_until(again).as_mins()
        };
        assert_eq!([1, 2, 3, 4, 9].map(waits), [1, 10, 100, 24 * 60, 24 * 60]);
    }
}
