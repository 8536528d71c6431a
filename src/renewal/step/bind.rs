//! Imported: inside the maintenance window, point the services at the new certificate and commit.
//!
//! What was bound before is stored first, so that it can be bound again. The answer to the commit may be lost: the
//! next run finds the binding there, and goes on, though the window has closed meanwhile: what is bound has to be proven.

use jiff::{SignedDuration, Timestamp};

use super::{Outcome, REMEMBERED, StepContext, StepError, Until, Wait, decision};
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::firewall::{Binding, Firewall, ObjectKind};
use crate::inventory::{
    Intent, Obtained, Renewal, RenewalWindow, Served, ServedCertificate, Service, Urgent,
    WaitReason, due,
};
use crate::pki::Certificate;
use crate::probe::ProbeResult;
use crate::renewal::known::{Familiarity, Knowledge, PreviousServed};
use crate::renewal::state::{Fact, Step};
use crate::schedule::MaintenanceWindow;

pub async fn take(context: &StepContext<'_>) -> Result<Outcome, StepError> {
    if begun(context).await?.is_none() {
        decision::on_another_bind(context).await?;
    }
    let opening = match opening(context).await? {
        Opening::Shut(waiting) if begun(context).await?.is_none() => {
            return wait_for_window(context, waiting).await;
        }
        opening => opening,
    };
    let mut session = match context.firewall().await {
        Err(StepError::Firewall(failure))
            if may_be_bound_already(context, &opening, &failure).await? =>
        {
            context
                .intend_new_management(context.leaf()?.fingerprint)
                .await?;
            return Ok(Outcome::wait(
                FIRST_CHECK,
                WaitReason::ConfirmingBind,
                format!(
                    "checking whether the management page serves the new certificate already: {failure}"
                ),
            ));
        }
        session => session?,
    };
    let result = check_then_bind(context, &mut *session, opening).await;
    drop(session);
    if let Ok(Outcome::Wait(waiting)) = &result
        && waiting.kind == WaitReason::ConfirmingBind
    {
        // Whether this session still exists is as open as whether the commit was done: a new one shows both.
        context.session.close().await;
    }
    result
}

fn bindings_of_new(context: &StepContext<'_>) -> Vec<Binding> {
    let binding = |service: &Service| Binding {
        service: *service,
        alias: Some(context.renewal().alias.clone()),
    };
    context.wanted.services.iter().map(binding).collect()
}

fn binds_management(context: &StepContext<'_>) -> bool {
    context.wanted.services.contains(&Service::WebManagement)
}

/// Whether an administrator may have bound the new certificate before renewd stored its own intent, so that the management
/// page serves what is not trusted yet. The firewall has confirmed the import: from the intent to bind on, it is trusted.
async fn may_be_bound_already(
    context: &StepContext<'_>,
    opening: &Opening,
    failure: &Failure,
) -> Result<bool, StepError> {
    Ok(failure.kind == FailureKind::Untrusted
        && binds_management(context)
        && !matches!(opening, Opening::Shut(_))
        && begun(context).await?.is_none())
}

async fn check_then_bind(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    opening: Opening,
) -> Result<Outcome, StepError> {
    let wanted = bindings_of_new(context);
    let present = session.bindings().await?;
    let is_ours = wanted.iter().all(|binding| present.contains(binding));
    if is_ours && session.pending_changes_of_others().await?.is_none() {
        if binds_management(context) && begun(context).await?.is_none() {
            // An administrator has bound it: it is trusted as if renewd had bound it.
            context
                .intend_new_management(context.leaf()?.fingerprint)
                .await?;
        }
        return Ok(context.reached(Fact::Committed));
    }
    match opening {
        Opening::Open => {}
        Opening::Forced(words) | Opening::Urgent(words) => report_override(context, words).await?,
        Opening::Shut(waiting) => return wait_for_window(context, waiting).await,
    }
    context.valid_leaf()?;
    let installed = context.listed(session).await?;
    let mut certificates = installed
        .iter()
        .filter(|object| object.kind == ObjectKind::Certificate);
    if !certificates.any(|object| object.alias == context.renewal().alias) {
        // Another administrator removed it: the device would refuse every bind.
        let call = "look for the certificate to bind";
        return Err(context.gone_from_device(session, call).await);
    }
    let (obtained, silent) = remember_previous(context, &present).await?;
    match silent {
        Some(waiting) => Ok(Outcome::Wait(waiting)),
        None => bind(context, session, &wanted, obtained).await,
    }
}

async fn bind(
    context: &StepContext<'_>,
    session: &mut dyn Firewall,
    wanted: &[Binding],
    obtained: Obtained,
) -> Result<Outcome, StepError> {
    let intent = if binds_management(context) {
        let fingerprint = context.leaf()?.fingerprint;
        let intent = context.intend_new_management(fingerprint).await?;
        session.also_accept(fingerprint);
        intent
    } else {
        context.intend(Step::Bind, &context.renewal().alias).await?
    };
    match session.bind(wanted).await {
        // A device may cut the connection when its management certificate changes (SonicOS reference 2): that is no
        // failure yet, but a reason to look.
        Err(failure) if failure.kind == FailureKind::OutcomeUnknown && intent.tries == 1 => {
            context.acted(Step::Bind).await;
            return Ok(Outcome::wait(
                FIRST_CHECK,
                WaitReason::ConfirmingBind,
                format!("checking whether it was done: {failure}"),
            ));
        }
        // Nothing was bound: the first answer that is lost later is still the first.
        Err(failure) if failure.is_surely_not_done() => {
            context.withdraw(Step::Bind).await?;
            return Err(failure.into());
        }
        outcome => outcome?,
    }
    context.acted(Step::Bind).await;
    // The device has shown in which way it takes a binding.
    context.record_identity(session).await?;
    Ok(Outcome::Reached(Fact::Committed, Box::new(obtained)))
}

/// Stores what the services use and show now: anew in each attempt, since weeks may lie between two of them. Not once an
/// attempt has bound one of them: it would otherwise remember itself. With the wait for addresses that do not answer.
async fn remember_previous(
    context: &StepContext<'_>,
    present: &[Binding],
) -> Result<(Obtained, Option<Wait>), StepError> {
    let mut obtained = context.renewal().obtained.clone();
    let concerned: Vec<&Binding> = present
        .iter()
        .filter(|binding| context.wanted.services.contains(&binding.service))
        .collect();
    let stored = context.previous_bindings()?;
    let is_bound_since = |binding: &&Binding| {
        binding.alias.as_ref() == Some(&context.renewal().alias) && !stored.contains(binding)
    };
    if obtained.previous_bindings.is_some() && concerned.iter().any(is_bound_since) {
        return Ok((obtained, None));
    }
    let json = serde_json::to_string(&concerned).map_err(|error| {
        StepError::Permanent(format!("the bindings cannot be stored as JSON: {error}"))
    })?;
    let results = context.results().await;
    let before = obtained.previous_served.as_deref();
    let before = before.and_then(|json| PreviousServed::parse_all(json).ok());
    let before = before.unwrap_or_default();
    let served: Vec<PreviousServed> = results
        .iter()
        .map(|(address, probed)| {
            let mut rows = context.tracked.served.iter();
            let row = rows.find(|row| row.address == *address);
            let before = before.iter().find(|before| before.address == *address);
            previous_served(address, probed, row, before, context.now)
        })
        .collect();
    let json_of_served = serde_json::to_string(&served).map_err(|error| {
        StepError::Permanent(format!("what is served cannot be stored as JSON: {error}"))
    })?;
    obtained.previous_bindings = Some(json);
    obtained.previous_served = Some(json_of_served);
    obtained.previous_fingerprint = served.iter().find_map(PreviousServed::fingerprint);
    context.store.keep(context.lease, &obtained).await?;
    Ok((obtained, silent(&served, context.now)))
}

/// What `address` serves before the bind, of which `row` is stored, and `before` of an earlier look of this renewal. One that
/// the last probe reached and that does not answer now may only be restarting: since when it does not is remembered.
fn previous_served(
    address: &str,
    probed: &ProbeResult,
    row: Option<&Served>,
    before: Option<&PreviousServed>,
    now: Timestamp,
) -> PreviousServed {
    let reached = row.filter(|row| row.unreachable.is_none() && row.known.is_some());
    let silent_since = match (probed, reached) {
        (ProbeResult::Unreachable(_), Some(row)) => {
            let since = before.and_then(|before| before.silent_since);
            // A probe has reached it since, or the clock was set back.
            let since = since.filter(|since| (row.probed_at..=now).contains(since));
            Some(since.unwrap_or(now))
        }
        _ => None,
    };
    PreviousServed::of(address.to_owned(), probed).silent_since(silent_since)
}

/// Waits for addresses that do not answer only since a moment ago: one that serves again is verified like the others. One
/// that does not counts as serving nothing: what is not served before the bind rolls nothing back after it.
fn silent(served: &[PreviousServed], now: Timestamp) -> Option<Wait> {
    let until = |one: &PreviousServed| {
        let until = one.silent_since?.saturating_add(SECOND_PROBE).ok()?;
        (until > now).then_some(until)
    };
    let silent = served.iter().filter(|one| until(one).is_some());
    let addresses: Vec<&str> = silent.map(|one| one.address.as_str()).collect();
    Some(Wait {
        until: Until::Moment(served.iter().filter_map(until).max()?),
        kind: WaitReason::EndpointCheck,
        words: format!(
            "{} does not answer, and did at the last probe: it is probed once more before the bind",
            addresses.join(", ")
        ),
    })
}

enum Opening {
    Open,
    Shut(Wait),
    /// The end of what is served comes before the next window.
    Forced(String),
    /// An operator decided not to wait.
    Urgent(String),
}

/// Whether a bind is allowed now. Where the last look says that the window cannot be waited for, the services are looked at
/// again: that look may be days old, and another administrator may have installed a certificate that can wait.
async fn opening(context: &StepContext<'_>) -> Result<Opening, StepError> {
    let Some(window) = context.window else {
        return Ok(Opening::Open);
    };
    let current = context
        .tracked
        .current
        .as_ref()
        .and_then(ServedCertificate::certificate);
    let opening = opening_before_the_end_of(current.as_ref(), window, context.now);
    let opening = in_view_of_urgency(context, opening);
    if !matches!(opening, Opening::Forced(_)) {
        return Ok(opening);
    }
    let knowledge = context.knowledge().await?;
    let results = context.results().await;
    Ok(match first_to_end(&knowledge, &results, context.now) {
        Some(current) => opening_before_the_end_of(Some(current), window, context.now),
        None => opening,
    })
}

/// An operator may bind at any time, and so may the CA that wants a certificate to be replaced at once, where that is
/// configured.
fn in_view_of_urgency(context: &StepContext<'_>, opening: Opening) -> Opening {
    let Opening::Shut(mut waiting) = opening else {
        return opening;
    };
    if context.renewal().bind_now {
        return Opening::Urgent("an operator asked for it (renewd renew --now)".to_owned());
    }
    let Some(window) = urgent_window(context) else {
        return Opening::Shut(waiting);
    };
    let ca = &context.renewal().ca;
    let why = window
        .explanation
        .as_deref()
        .map_or_else(String::new, |url| format!(", explained at {url}"));
    let wants = format!(
        "{ca} wants the certificate that is served to be replaced by {:.0}{why}",
        window.end
    );
    match context.wanted.policy.urgent {
        Urgent::Bind => return Opening::Urgent(wants),
        Urgent::Ask => {
            let name = &context.renewal().certificate;
            waiting.words = format!(
                "{}; {wants}: to bind now: renewd renew {name} --now",
                waiting.words
            );
        }
        Urgent::Wait => waiting.words = format!("{}; {wants}", waiting.words),
    }
    Opening::Shut(waiting)
}

/// The window of a CA that wants what is served to be replaced at once.
fn urgent_window<'a>(context: &StepContext<'a>) -> Option<&'a RenewalWindow> {
    let window = context.tracked.window_of_current();
    window.filter(|window| window.is_urgent())
}

/// Waits for the maintenance window. Where an operator may bind before it opens, one is asked: the window may have been open
/// when the CA announced its own, or the configuration was another one.
async fn wait_for_window(context: &StepContext<'_>, waiting: Wait) -> Result<Outcome, StepError> {
    let asks = context.wanted.policy.urgent == Urgent::Ask && urgent_window(context).is_some();
    if asks && !was_asked(context).await? {
        let event = Event {
            detail: Some(waiting.words.clone()),
            ..context.event(EventKind::RenewalUrgent)
        };
        context
            .store
            .record_under(context.lease, std::slice::from_ref(&event), context.now)
            .await?;
    }
    Ok(Outcome::Wait(waiting))
}

/// Whether an operator was asked since the renewal before this one ended: also when the CA announced its window.
async fn was_asked(context: &StepContext<'_>) -> Result<bool, StepError> {
    let Renewal {
        id, certificate, ..
    } = context.renewal();
    let kind = EventKind::RenewalUrgent;
    let Some(asked) = context.store.last_event(certificate, kind).await? else {
        return Ok(false);
    };
    let past = context.store.renewals_of(certificate, REMEMBERED).await?;
    let past = past.iter().filter(|past| past.id != *id);
    let ended = past.map(|past| past.state_since).max();
    Ok(ended.is_none_or(|ended| ended <= asked.at))
}

/// Of what the addresses serve; `None` where one of them serves nothing, or nothing that is known: an unknown
/// certificate is no reason to wait.
fn first_to_end<'a>(
    knowledge: &Knowledge<'_>,
    results: &'a [(String, ProbeResult)],
    now: Timestamp,
) -> Option<&'a Certificate> {
    let known = results
        .iter()
        .map(|(_, probed)| match knowledge.judge(probed, now)? {
            (_, Familiarity::Unknown(_)) => None,
            (certificate, _) => Some(certificate),
        });
    let known: Vec<&Certificate> = known.collect::<Option<_>>()?;
    known
        .into_iter()
        .min_by_key(|certificate| certificate.not_after)
}

/// A certificate that would expire before the next window opens is not waited with.
fn opening_before_the_end_of(
    current: Option<&Certificate>,
    window: &MaintenanceWindow,
    now: Timestamp,
) -> Opening {
    if window.current(now).is_some() {
        return Opening::Open;
    }
    let Some(current) = current else {
        return Opening::Forced(
            "no address shows a certificate that could wait for the window".to_owned(),
        );
    };
    let last_moment = due::emergency_at(current);
    match window.next(now) {
        Some(span) if span.start < last_moment && now < last_moment => Opening::Shut(Wait {
            until: Until::Moment(span.start),
            kind: WaitReason::MaintenanceWindow,
            words: format!(
                "the window \"{}\" opens at {:.0}",
                window.expression(),
                span.start
            ),
        }),
        _ => Opening::Forced(format!(
            "no window \"{}\" opens before {last_moment:.0}, the last twentieth of the lifetime",
            window.expression()
        )),
    }
}

/// An earlier run was about to bind: it may be bound already.
async fn begun(context: &StepContext<'_>) -> Result<Option<Intent>, StepError> {
    let renewal = &context.renewal().id;
    Ok(context.store.intent(renewal, Step::Bind.name()).await?)
}

/// Once for each override: further tries belong to it until a window opens again.
async fn report_override(context: &StepContext<'_>, words: String) -> Result<(), StepError> {
    let Renewal {
        id, certificate, ..
    } = context.renewal();
    let kind = EventKind::MaintenanceWindowOverridden;
    let reported = context.store.last_event(certificate, kind).await?;
    let reported = reported.filter(|reported| reported.renewal.as_ref() == Some(id));
    let has_opened_since = |reported: Timestamp| {
        let next = context.window.and_then(|window| window.next(reported));
        next.is_some_and(|span| span.start <= context.now)
    };
    if reported.is_some_and(|reported| !has_opened_since(reported.at)) {
        return Ok(());
    }
    let event = Event {
        detail: Some(words),
        ..context.event(kind)
    };
    context
        .store
        .record_under(context.lease, std::slice::from_ref(&event), context.now)
        .await?;
    Ok(())
}

/// The device needs a moment to take its new certificate.
const FIRST_CHECK: SignedDuration = SignedDuration::from_secs(1);
/// A service that restarts answers again by then.
const SECOND_PROBE: SignedDuration = SignedDuration::from_mins(1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;
    use crate::inventory::Unreachable;
    use crate::pki::testing::Authority;

    const ADDRESS: &str = "vpn.example.com:443";

    fn at(minute: i64) -> Timestamp {
        let noon: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        noon + SignedDuration::from_mins(minute)
    }

    fn probe(
        probed: &ProbeResult,
        row: &Served,
        before: Option<&PreviousServed>,
        minute: i64,
    ) -> PreviousServed {
        previous_served(ADDRESS, probed, Some(row), before, at(minute))
    }

    #[test]
    fn an_address_that_does_not_answer_is_probed_once_more_and_then_counts_as_serving_nothing() {
        let old = Authority::root("old").certificate;
        let nothing = ProbeResult::Unreachable("refused".to_owned());
        let mut row = Served::known(ADDRESS.to_owned(), ServedCertificate::of(&old, at(0)));
        let first = probe(&nothing, &row, None, 10);
        let waiting = silent(std::slice::from_ref(&first), at(10)).unwrap();
        assert_eq!(waiting.until, Until::Moment(at(11)));
        assert!(waiting.words.contains(ADDRESS), "{}", waiting.words);
        // It has restarted: it has to serve the new certificate as well.
        let current = ProbeResult::Served(Box::new(old.clone()), Vec::new());
        let again = probe(&current, &row, Some(&first), 11);
        assert_eq!(again.fingerprint(), Some(old.fingerprint));
        assert!(silent(&[again], at(11)).is_none());
        // It has not; a further attempt waits no more.
        for minute in [11, 500] {
            let again = probe(&nothing, &row, Some(&first), minute);
            assert_eq!(again.fingerprint(), None);
            assert!(silent(&[again], at(minute)).is_none());
        }
        // A probe has reached it since.
        row.probed_at = at(20);
        let later = probe(&nothing, &row, Some(&first), 30);
        assert!(silent(&[later], at(30)).is_some());
        // The clock was set back.
        row.probed_at = at(-50);
        let earlier = probe(&nothing, &row, Some(&first), -40);
        let waiting = silent(&[earlier], at(-40)).unwrap();
        assert_eq!(waiting.until, Until::Moment(at(-39)));
        // The last probe did not reach it either.
        row.unreachable = Some(Unreachable {
            since: at(0),
            words: "refused".to_owned(),
        });
        let known = probe(&nothing, &row, None, 10);
        assert!(silent(&[known], at(10)).is_none());
    }
}
