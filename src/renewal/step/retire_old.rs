//! Verified: remove what is no longer needed from the firewall.
//!
//! Only objects that renewd made itself are removed: the previous certificate if it was ours, and what earlier
//! renewals of this certificate left behind. What an operator put there stays, and the history says so.

use super::{Outcome, REMEMBERED, StepContext, StepError};
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::firewall::{Firewall, InstalledObject};
use crate::inventory::Renewal;
use crate::renewal::state::{Fact, Step};

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    if !context.is_firewall_configured() {
        let words = format!(
            "{} is not configured any more: what was bound before stays on it",
            context.renewal().firewall
        );
        return Ok(context.reached(Fact::OldRetired).because(words));
    }
    let mut session = context.firewall().await?;
    let outcome = remove_leftovers(context, &mut *session).await?;
    drop(session);
    context.session.close().await;
    notify_the_ca(context).await?;
    Ok(outcome)
}

/// Lets the CA know that the previous certificate is no longer used. That is optional: where it fails, it is logged, and
/// the renewal is not delayed for it, because it would delay the next one.
async fn notify_the_ca(context: &StepContext<'_>) -> Result<(), StepError> {
    let past = context
        .store
        .renewals_of(&context.renewal().certificate, REMEMBERED)
        .await?;
    let obtained = &context.renewal().obtained;
    // An address may have served our own before the bind, where it is installed again.
    let previous = obtained
        .previous_fingerprint
        .filter(|previous| Some(*previous) != obtained.fingerprint);
    let pem = past
        .iter()
        .find(|past| past.obtained.fingerprint.is_some() && past.obtained.fingerprint == previous)
        .and_then(|past| past.obtained.leaf_pem.as_deref());
    let (Some(pem), Some(fingerprint)) = (pem, previous) else {
        return Ok(());
    };
    let Some(superseded) = context.previous(fingerprint, pem).await? else {
        return Ok(());
    };
    let reported = match context.peers.issuer(&context.renewal().ca) {
        Ok(issuer) => issuer.decommission(&superseded).await,
        Err(failure) => Err(failure),
    };
    match reported {
        Ok(()) => Ok(()),
        Err(failure) if is_worth_another_try(&failure, context.renewal()) => {
            Err(StepError::Ca(failure))
        }
        Err(failure) => {
            tracing::warn!(ca = &*context.renewal().ca, error = %failure, "the CA does not retire the previous certificate");
            Ok(())
        }
    }
}

/// What may pass by itself is tried again a few times.
fn is_worth_another_try(failure: &Failure, renewal: &Renewal) -> bool {
    let may_pass = matches!(
        failure.kind,
        FailureKind::Unreachable | FailureKind::Busy | FailureKind::OutcomeUnknown
    );
    may_pass && (!renewal.is_failing() || renewal.attempts < NOTIFICATIONS)
}

async fn remove_leftovers(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
) -> Result<Outcome, StepError> {
    let bound: Vec<String> = session
        .bindings()
        .await?
        .into_iter()
        .filter_map(|binding| binding.alias)
        .collect();
    let installed = context.listed(session).await?;
    let past = context
        .store
        .renewals_of(&context.renewal().certificate, REMEMBERED)
        .await?;
    for past in &past {
        let is_leftover = past.id != context.renewal().id
            && past.firewall == context.renewal().firewall
            && past.state.is_end()
            // What a former renewal could not install is installed again under its alias.
            && past.alias != context.renewal().alias
            && installed.iter().any(|object| object.alias == past.alias)
            && !bound.contains(&past.alias);
        if is_leftover {
            remove(session, &past.alias).await?;
        }
    }
    report_kept(context, &past, &installed).await?;
    context.acted(Step::RetireOld).await;
    Ok(context.reached(Fact::OldRetired))
}

/// Says that the previous certificate stays, if it is not ours to remove.
async fn report_kept(
    context: &StepContext<'_>,
    past: &[Renewal],
    installed: &[InstalledObject],
) -> Result<(), StepError> {
    let mut kept: Vec<String> = context
        .previous_bindings()?
        .into_iter()
        .filter_map(|binding| binding.alias)
        .filter(|alias| installed.iter().any(|object| object.alias == *alias))
        .filter(|alias| past.iter().all(|past| past.alias != *alias))
        .collect();
    kept.sort();
    kept.dedup();
    if kept.is_empty() {
        return Ok(());
    }
    let event = Event {
        detail: Some(format!(
            "{} stays on the firewall: renewd did not make it",
            kept.join(", ")
        )),
        ..context.event(EventKind::PreviousCertificateKept)
    };
    context
        .store
        .record_under(context.lease, std::slice::from_ref(&event), context.now)
        .await?;
    Ok(())
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

/// How many failed notifications of the CA are retried: the short waits of the retry table, and no more.
const NOTIFICATIONS: u32 = 3;
