//! The verification failed: bind the previous certificate again, commit, and prove that. Only where the services still use
//! ours: what another administrator has bound meanwhile stays, and what has ended is not bound again.
//!
//! A session is opened to bind, and no more: whether it is served again is seen without one. The proof is bounded in time,
//! because an address may never serve again what it served before; then an operator gets an alert with the differences.

use jiff::{SignedDuration, Timestamp};

use super::endpoints::Previous;
use super::verify::{FEWEST_PROBES, new_fingerprint};
use super::{Outcome, StepContext, StepError};
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind, readable};
use crate::firewall::{Binding, Firewall, PendingChangesOfOthers};
use crate::inventory::{Service, State, WaitReason, cause};
use crate::renewal::known::cause_of_put_back;
use crate::renewal::remedy;
use crate::renewal::retry::REFUSALS;
use crate::renewal::state::{Fact, Step};

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    let new = new_fingerprint(context)?;
    let previous = Previous::of(context)?;
    if let Some(previous_bound_at) = context.renewal().obtained.previous_bound_at {
        let differences = previous.differences(&context.results().await, &new);
        context.acted(Step::RollBack).await;
        let waited = previous_bound_at.duration_until(context.now);
        return Ok(outcome(context, &differences, waited));
    }
    if !is_begun(context).await? {
        let proof = previous.proof(&context.results().await, &new);
        if proof.against.is_empty() {
            return Ok(Outcome::Proven(proof));
        }
    }
    let bindings = context.previous_bindings()?;
    if bindings.is_empty() || !context.is_firewall_configured() {
        return Ok(not_rolled_back(context, &bindings));
    }
    let mut session = context.firewall().await?;
    let not_bound = check_then_bind_previous(context, &mut *session, &bindings, &previous).await?;
    drop(session);
    if let Some(end) = not_bound {
        return Ok(end);
    }
    // The proof may take long, and it ends the renewal.
    context.session.close().await;
    let mut obtained = context.renewal().obtained.clone();
    obtained.previous_bound_at = Some(context.now);
    context.store.keep(context.lease, &obtained).await?;
    context.acted(Step::RollBack).await;
    let differences = previous.differences(&context.results().await, &new);
    Ok(match outcome(context, &differences, SignedDuration::ZERO) {
        Outcome::Explained(fact, _, words) => Outcome::Explained(fact, Box::new(obtained), words),
        other => other,
    })
}

/// Once the previous certificate was asked for again, a late probe result with the new one no longer counts.
async fn is_begun(context: &StepContext<'_>) -> Result<bool, StepError> {
    Ok(context
        .store
        .intent(&context.renewal().id, Step::RollBack.name())
        .await?
        .is_some())
}

/// Binds again what was bound before, for each service that uses ours. Where there is none of which that may be done: how
/// the renewal ends.
async fn check_then_bind_previous(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    previous: &[Binding],
    served: &Previous,
) -> Result<Option<Outcome>, StepError> {
    let present = session.bindings().await?;
    let is_back = previous.iter().all(|binding| present.contains(binding));
    if is_back && !is_begun(context).await? {
        report_put_back(context).await?;
    }
    let alias = Some(&context.renewal().alias);
    let uses_ours = |service: Service| {
        let mut bindings = present.iter();
        bindings.any(|one| one.service == service && one.alias.as_ref() == alias)
    };
    let ours = previous
        .iter()
        .filter(|before| before.alias.as_ref() != alias && uses_ours(before.service));
    let ours: Vec<(&Binding, Option<Timestamp>)> = ours
        .map(|before| (before, end_of(context, served, before.service)))
        .collect();
    let good = ours.iter().filter(|(_, ended)| ended.is_none());
    let good: Vec<Binding> = good.map(|(before, _)| (*before).clone()).collect();
    if good.is_empty() {
        // What was read may be an uncommitted change of another administrator.
        if let Some(foreign) = session.pending_changes_of_others().await? {
            return Err(not_committed(&foreign));
        }
        let ended = ours.iter().filter_map(|(_, ended)| *ended).max();
        return Ok(match ended {
            Some(ended) => Some(stays_bound(context, ended)),
            None => (!is_back).then(|| bound_by_others(context, &present)),
        });
    }
    bind_back(context, session, good).await
}

/// Points the services back at `good`. Where the firewall has none of them any more, or refuses it each time: how the
/// renewal ends.
async fn bind_back(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    mut good: Vec<Binding>,
) -> Result<Option<Outcome>, StepError> {
    loop {
        context
            .intend(Step::RollBack, &context.renewal().alias)
            .await?;
        let failure = match session.bind(&good).await {
            Ok(()) => return Ok(None),
            Err(failure) => failure,
        };
        if !failure.is_surely_not_done() || !is_untouched(context, session, &good, &failure).await {
            return Err(failure.into());
        }
        // The services still use the new certificate: until they do not, a late probe result with it counts.
        context.withdraw(Step::RollBack).await?;
        if failure.kind != FailureKind::Refused {
            return Err(failure.into());
        }
        let gone = missing(session, &good).await?;
        if gone.is_empty() && is_said_again(context, &failure) {
            return Ok(Some(not_bindable(context, &words_of_refusal(&failure))));
        }
        if gone.is_empty() {
            return Err(failure.into());
        }
        // What the firewall has is bound back without the others, which are not there to go back to.
        good.retain(|one| one.alias.as_ref().is_none_or(|alias| !gone.contains(alias)));
        if good.is_empty() {
            let why = format!("the firewall no longer has {}", gone.join(", "));
            return Ok(Some(not_bindable(context, &why)));
        }
    }
}

/// Whether every one of these services still uses ours after a bind that failed. A device that commits each change by itself
/// may have bound the first of two.
async fn is_untouched(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    bindings: &[Binding],
    failure: &Failure,
) -> bool {
    if failure.before_request || bindings.len() == 1 {
        return true;
    }
    let alias = Some(&context.renewal().alias);
    session.bindings().await.is_ok_and(|present| {
        let still_ours = |service: Service| {
            let mut present = present.iter();
            present.any(|now| now.service == service && now.alias.as_ref() == alias)
        };
        bindings.iter().all(|before| still_ours(before.service))
    })
}

/// Which of these certificates the firewall itself says that it does not have.
async fn missing(
    session: &mut dyn Firewall,
    bindings: &[Binding],
) -> Result<Vec<String>, StepError> {
    let mut aliases: Vec<&String> = bindings
        .iter()
        .filter_map(|one| one.alias.as_ref())
        .collect();
    aliases.sort();
    aliases.dedup();
    let mut missing = Vec::new();
    for alias in aliases {
        if session.is_absent(alias).await? {
            missing.push(alias.clone());
        }
    }
    Ok(missing)
}

/// Whether the firewall has refused with the same message so often that a retry is useless.
fn is_said_again(context: &StepContext<'_>, refusal: &Failure) -> bool {
    let renewal = context.renewal();
    let said = cause(refusal.kind, &readable(&refusal.to_string()));
    renewal.cause.as_ref() == Some(&said) && renewal.same_cause.saturating_add(1) >= REFUSALS
}

fn words_of_refusal(refusal: &Failure) -> String {
    format!("the firewall refuses to bind what was bound before ({refusal})")
}

/// When that ended which `service` served before the bind; `None`: it has not, or that is not known.
fn end_of(context: &StepContext<'_>, served: &Previous, service: Service) -> Option<Timestamp> {
    let firewall = context.config.firewalls.get(&context.renewal().firewall);
    let management = firewall.and_then(|firewall| firewall.settings.management());
    let management = management.map(|endpoint| endpoint.to_string());
    served.ended(service, management.as_deref(), context.now)
}

/// Nothing is concluded from bindings that may not be those in force.
fn not_committed(foreign: &PendingChangesOfOthers) -> StepError {
    let words = format!(
        "changes of another administrator are pending: {}",
        foreign.summary
    );
    let failure = Failure::new(FailureKind::Busy, "look at what is bound", words);
    failure.waiting_for(&foreign.by).into()
}

/// Another administrator has bound the services since: that is theirs.
fn bound_by_others(context: &StepContext<'_>, present: &[Binding]) -> Outcome {
    let (failed, alias) = (reason(context), &context.renewal().alias);
    let remedy = remedy_after(context, State::NotRolledBack);
    let bindings: Vec<String> = present
        .iter()
        .filter(|binding| context.wanted.services.contains(&binding.service))
        .map(|binding| {
            let alias = binding.alias.as_deref();
            let alias = alias.unwrap_or("the device's own certificate");
            format!("{}: {alias}", binding.service.name())
        })
        .collect();
    context.reached(Fact::BoundByOthers).because(format!(
        "the new certificate is not served everywhere: {failed}; another administrator has bound other certificates than {alias} \
         meanwhile ({}), so nothing was bound back{remedy}",
        bindings.join(", ")
    ))
}

/// A valid certificate is not replaced by one that has ended.
fn stays_bound(context: &StepContext<'_>, ended: Timestamp) -> Outcome {
    let why = format!("what was bound before ended at {ended:.0}");
    nothing_bound_back(context, Fact::PreviousEnded, &why)
}

/// The roll-back would be refused as long as the renewal is open, and no other could begin.
fn not_bindable(context: &StepContext<'_>, why: &str) -> Outcome {
    nothing_bound_back(context, Fact::PreviousNotBindable, why)
}

/// The new certificate stays bound; why.
fn nothing_bound_back(context: &StepContext<'_>, fact: Fact, why: &str) -> Outcome {
    let (failed, alias) = (reason(context), &context.renewal().alias);
    let remedy = remedy_after(context, State::NotRolledBack);
    context.reached(fact).because(format!(
        "the new certificate is not served everywhere: {failed}; {why}, so nothing was bound back and the services still \
         use {alias}{remedy}"
    ))
}

/// renewd has bound the new certificate and has not bound the previous one yet: another administrator has.
async fn report_put_back(context: &StepContext<'_>) -> Result<(), StepError> {
    let firewall = context.store.firewall(&context.renewal().firewall).await?;
    let event = Event {
        detail: Some(format!(
            "the services use the previous certificate again before renewd has bound it back: an older binding was put \
             back, {}",
            cause_of_put_back(&firewall)
        )),
        ..context.event(EventKind::BindingPutBack)
    };
    context
        .store
        .record_under(context.lease, std::slice::from_ref(&event), context.now)
        .await?;
    Ok(())
}

/// What the looks so long after the previous certificate was bound again come to.
fn outcome(context: &StepContext<'_>, differences: &[String], waited: SignedDuration) -> Outcome {
    let failed = reason(context);
    let remedy = remedy_after(context, State::RolledBack);
    if differences.is_empty() {
        let words = format!(
            "the new certificate was not served: {failed}; every address serves again what it served before{remedy}"
        );
        return context.reached(Fact::PreviousProven).because(words);
    }
    let differences = differences.join("; ");
    let is_over = waited >= context.wanted.policy.verify_timeout.max(SHORTEST_GRACE);
    if !is_over || context.renewal().polls < FEWEST_PROBES {
        return Outcome::wait(
            PROBE_INTERVAL,
            WaitReason::RollbackVerification,
            differences,
        );
    }
    context.reached(Fact::PreviousNotProven).because(format!(
        "the new certificate was not served: {failed}; the previous one is bound again, but not everything is as \
         before: {differences}{remedy}"
    ))
}

/// There is nothing that could be bound again: the new certificate stays, and an operator gets an alert.
fn not_rolled_back(context: &StepContext<'_>, bindings: &[Binding]) -> Outcome {
    let why = if bindings.is_empty() {
        "what was bound before is not known".to_owned()
    } else {
        format!("{} is not configured any more", context.renewal().firewall)
    };
    nothing_bound_back(context, Fact::PreviousUnknown, &why)
}

/// What an operator does after an end in `state`, to be put behind the words.
fn remedy_after(context: &StepContext<'_>, state: State) -> String {
    let remedy = remedy::of_end(state, &context.wanted.name);
    remedy.map_or_else(String::new, |remedy| format!("; {remedy}"))
}

/// Why the verification failed.
fn reason<'a>(context: &'a StepContext<'_>) -> &'a str {
    let verification_failure = context.renewal().obtained.verification_failure.as_deref();
    verification_failure.unwrap_or("not every address served it in time")
}

const PROBE_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
/// However short the configured time is, a service gets this long to restart with its previous certificate.
const SHORTEST_GRACE: SignedDuration = SignedDuration::from_secs(30);
