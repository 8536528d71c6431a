//! Unproven: bind the previous certificate again, commit, and prove that.
//!
//! A session is opened to bind, and no more: whether it is served again is seen without one. The proof is bounded in time,
//! because an address may never serve again what it served before; then a person is told what differs.

use jiff::SignedDuration;

use super::endpoints::Previous;
use super::verify::{FEWEST_LOOKS, new_fingerprint};
use super::{Outcome, StepError, Work};
use crate::firewall::{Binding, Firewall};
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let new = new_fingerprint(work)?;
    let previous = Previous::of(work)?;
    if let Some(bound_back_at) = work.renewal().obtained.bound_back_at {
        let differences = previous.differences(&work.sights().await, &new);
        work.acted(Step::RollBack).await;
        let waited = bound_back_at.duration_until(work.now);
        return Ok(outcome(work, &differences, waited));
    }
    if !is_begun(work).await? {
        let proof = previous.proof(&work.sights().await, &new);
        if proof.against.is_empty() {
            return Ok(Outcome::Proven(proof));
        }
    }
    let bindings = work.previous_bindings()?;
    if bindings.is_empty() || !work.is_firewall_configured() {
        return Ok(not_rolled_back(work, &bindings));
    }
    let mut session = work.firewall().await?;
    look_then_bind_previous(work, &mut *session, &bindings).await?;
    drop(session);
    // The proof may take long, and it ends the renewal.
    work.session.close().await;
    let mut obtained = work.renewal().obtained.clone();
    obtained.bound_back_at = Some(work.now);
    work.store.keep(work.lease, &obtained).await?;
    work.acted(Step::RollBack).await;
    let differences = previous.differences(&work.sights().await, &new);
    Ok(match outcome(work, &differences, SignedDuration::ZERO) {
        Outcome::Explained(fact, _, words) => Outcome::Explained(fact, Box::new(obtained), words),
        other => other,
    })
}

/// Once the previous certificate was asked for again, a late sight of the new one no longer counts.
async fn is_begun(work: &Work<'_>) -> Result<bool, StepError> {
    Ok(work
        .store
        .intent(&work.renewal().id, Step::RollBack.name())
        .await?
        .is_some())
}

async fn look_then_bind_previous(
    work: &Work<'_>,
    session: &mut dyn Firewall,
    previous: &[Binding],
) -> Result<(), StepError> {
    let present = session.bindings().await?;
    let is_back = previous.iter().all(|binding| present.contains(binding));
    if is_back && session.foreign_changes().await?.is_none() {
        return Ok(());
    }
    work.intend(Step::RollBack, &work.renewal().alias).await?;
    session.bind(previous).await?;
    Ok(())
}

/// What the looks so long after the previous certificate was bound again come to.
fn outcome(work: &Work<'_>, differences: &[String], waited: SignedDuration) -> Outcome {
    let failed = reason(work);
    let name = &work.wanted.name;
    if differences.is_empty() {
        let words = format!(
            "the new certificate was not served: {failed}; every address serves again what it served before; check the \
             addresses and the service, then: renewd renew {name}"
        );
        return work.reached(Fact::PreviousProven).because(words);
    }
    let differences = differences.join("; ");
    let is_over = waited >= work.wanted.policy.proof_grace.max(SHORTEST_GRACE);
    if !is_over || work.renewal().polls < FEWEST_LOOKS {
        return Outcome::wait(LOOK_INTERVAL, "proof_of_previous", differences);
    }
    work.reached(Fact::PreviousNotProven).because(format!(
        "the new certificate was not served: {failed}; the previous one is bound again, but not everything is as \
         before: {differences}; check these addresses, then: renewd renew {name}"
    ))
}

/// There is nothing that could be bound again: the new certificate stays, and a person is told.
fn not_rolled_back(work: &Work<'_>, bindings: &[Binding]) -> Outcome {
    let (failed, alias, name) = (reason(work), &work.renewal().alias, &work.wanted.name);
    let why = if bindings.is_empty() {
        "what was bound before is not known".to_owned()
    } else {
        format!("{} is not configured any more", work.renewal().firewall)
    };
    work.reached(Fact::PreviousUnknown).because(format!(
        "the new certificate is not served everywhere: {failed}; {why}, so nothing was bound back and the services still \
         use {alias}; check the addresses and what the services use, then: renewd renew {name}"
    ))
}

/// Why the verification failed.
fn reason<'a>(work: &'a Work<'_>) -> &'a str {
    let not_proven = work.renewal().obtained.not_proven.as_deref();
    not_proven.unwrap_or("not every address served it in time")
}

const LOOK_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
/// However short the configured time is, a service gets this long to restart with its previous certificate.
const SHORTEST_GRACE: SignedDuration = SignedDuration::from_secs(30);
