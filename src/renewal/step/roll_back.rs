//! Unproven: bind the previous certificate again, commit, and prove that.

use jiff::SignedDuration;

use super::verify::{doubts, new_fingerprint};
use super::{Outcome, StepError, Work};
use crate::firewall::Firewall;
use crate::probe::{Sight, Verdict};
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let new = new_fingerprint(work)?;
    if !is_begun(work).await? && doubts(&work.verdicts(&new, None).await).is_empty() {
        return Ok(work.reached(Fact::Proven));
    }
    let mut session = work.firewall().await?;
    look_then_bind_previous(work, &mut *session).await?;
    drop(session);
    // The proof may take long, and it ends the renewal.
    work.session.close().await;
    work.acted(Step::RollBack).await;
    prove_previous(work).await
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
) -> Result<(), StepError> {
    let previous = work.previous_bindings()?;
    let present = session.bindings().await?;
    let is_back = previous.iter().all(|binding| present.contains(binding));
    if is_back && session.foreign_changes().await?.is_none() {
        return Ok(());
    }
    work.intend(Step::RollBack, &work.renewal().alias).await?;
    session.bind(&previous).await?;
    Ok(())
}

async fn prove_previous(work: &Work<'_>) -> Result<Outcome, StepError> {
    let doubts = match &work.renewal().obtained.previous_fingerprint {
        Some(previous) => doubts(&work.verdicts(previous, None).await),
        // Nothing was seen before the bind: whatever answers is as good as it was.
        None => unreachable_ones(work).await,
    };
    if doubts.is_empty() {
        return Ok(work.reached(Fact::PreviousProven));
    }
    Ok(Outcome::wait(
        LOOK_INTERVAL,
        "proof_of_previous",
        doubts.join("; "),
    ))
}

async fn unreachable_ones(work: &Work<'_>) -> Vec<String> {
    let unreachable = |(place, sight): (String, Sight)| match sight {
        Sight::Shown(_) => None,
        Sight::Unreachable(why) => Some((place, Verdict::Unreachable(why))),
    };
    doubts(
        &work
            .sights()
            .await
            .into_iter()
            .filter_map(unreachable)
            .collect::<Vec<_>>(),
    )
}

const LOOK_INTERVAL: SignedDuration = SignedDuration::from_secs(5);
