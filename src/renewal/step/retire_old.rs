//! Verified: remove what is no longer needed from the firewall.
//!
//! Only objects that renewd made itself are removed: the previous certificate if it was ours, and what earlier
//! renewals of this certificate left behind. What a person put there stays, and the history says so.

use super::{Outcome, StepError, Work, closed};
use crate::failure::FailureKind;
use crate::firewall::Firewall;
use crate::renewal::state::{Fact, Step};

pub async fn take(work: &Work<'_>) -> Result<Outcome, StepError> {
    let mut session = work.firewall().await?;
    let result = remove_leftovers(work, session.as_mut()).await;
    closed(session, result).await
}

async fn remove_leftovers(
    work: &Work<'_>,
    session: &mut dyn Firewall,
) -> Result<Outcome, StepError> {
    let bound: Vec<String> = session
        .bindings()
        .await?
        .into_iter()
        .filter_map(|binding| binding.alias)
        .collect();
    let installed = session.installed().await?;
    for past in work
        .store
        .renewals_of(&work.renewal().certificate, REMEMBERED)
        .await?
    {
        let is_leftover = past.id != work.renewal().id
            && past.firewall == work.renewal().firewall
            && past.state.is_end()
            && installed.iter().any(|object| object.alias == past.alias)
            && !bound.contains(&past.alias);
        if is_leftover {
            remove(session, &past.alias).await?;
        }
    }
    work.acted(Step::RetireOld);
    Ok(work.reached(Fact::OldRetired))
}

/// Removes `alias`; one that some other service still uses is left where it is.
async fn remove(session: &mut dyn Firewall, alias: &str) -> Result<(), StepError> {
    match session.remove(alias).await {
        Ok(()) => Ok(()),
        Err(failure) if failure.kind == FailureKind::Refused => {
            tracing::warn!(alias, error = %failure, "the firewall keeps an old certificate");
            Ok(())
        }
        Err(failure) => Err(failure.into()),
    }
}

/// How many past renewals of a certificate are looked at for leftovers.
const REMEMBERED: u32 = 50;
