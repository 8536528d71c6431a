//! Why is this certificate in its state, what happens next and when, and which rule says so?

use jiff::Timestamp;
use serde::Serialize;

use super::{Health, Standing, findings, meaning, standing};
use crate::config::Config;
use crate::inventory::due::Decision;
use crate::inventory::{ManagedCertificate, Renewal, State, TrackedCertificate};
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::renewal::{Step, remedy};
use crate::schedule::MaintenanceWindow;
use crate::scheduler;
use crate::store::{Store, StoreError};

/// An explanation, a sentence an entry.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// How it stands.
    pub standing: Standing,
    /// What is so, and why.
    pub now: Vec<String>,
    /// What happens next, when, and by which rule.
    pub next: Vec<String>,
    /// What an operator can or must do; empty: nothing.
    pub to_do: Vec<String>,
}

/// Explains `wanted`; `None` when the daemon has not met it yet.
///
/// # Errors
/// The store's.
pub async fn explain(
    store: &Store,
    config: &Config,
    wanted: &ManagedCertificate,
    now: Timestamp,
) -> Result<Option<Explanation>, StoreError> {
    let Some(row) = store.certificate(&wanted.name).await? else {
        return Ok(None);
    };
    let renewal = match &row.open_renewal {
        Some(id) => store.renewal(id).await?,
        None => None,
    };
    let refused = store.firewall(&wanted.firewall).await?.refused_logins;
    let standing = standing(wanted, &row, renewal.as_ref(), refused, now);
    let mut explanation = Explanation {
        standing,
        now: std::iter::once(current(&row))
            .chain(findings(&row).into_iter().map(|one| one.words))
            .collect(),
        next: Vec::new(),
        to_do: Vec::new(),
    };
    if let Some(renewal) = &renewal {
        under_way(&mut explanation, renewal, refused);
    } else {
        let last = store.renewals_of(&wanted.name, 1).await?.pop();
        let last = last.map(|renewal| renewal.state);
        at_rest(&mut explanation, wanted, &row, last, now);
    }
    for found in findings(&row) {
        if !explanation.to_do.contains(&found.remedy) {
            explanation.to_do.push(found.remedy);
        }
    }
    if let Some(window) = config
        .firewalls
        .get(&wanted.firewall)
        .and_then(|firewall| firewall.window.as_ref())
    {
        explanation
            .next
            .push(window_words(&wanted.firewall, window, now));
    }
    Ok(Some(explanation))
}

fn window_words(firewall: &str, window: &MaintenanceWindow, now: Timestamp) -> String {
    let opens = match (window.current(now), window.next(now)) {
        (Some(span), _) => format!("is open until {:.0}", span.end),
        (None, Some(span)) => format!("opens at {:.0}", span.start),
        (None, None) => "never opens".to_owned(),
    };
    format!(
        "the maintenance window of {firewall} (\"{}\", {:#}, {}) {opens}; a bind waits for it, unless the \
         certificate would reach the last twentieth of its lifetime first",
        window.expression(),
        window.duration(),
        window.time_zone().iana_name().unwrap_or("UTC"),
    )
}

fn current(row: &TrackedCertificate) -> String {
    match &row.current {
        Some(current) => format!(
            "its services showed SHA-256 {} at {:.0}; valid from {:.0} to {:.0}",
            current.fingerprint.short(),
            current.seen_at,
            current.not_before,
            current.not_after
        ),
        None => "no address has shown a certificate yet".to_owned(),
    }
}

fn at_rest(
    explanation: &mut Explanation,
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
    last: Option<State>,
    now: Timestamp,
) {
    if let Some(failure) = &row.last_failure {
        let remedy = last.and_then(|state| remedy::of_end(state, &wanted.name));
        let why = remedy::apart(failure, remedy.as_deref().unwrap_or_default());
        explanation
            .now
            .push(format!("the last renewal failed: {why}"));
        explanation.to_do.extend(remedy);
    }
    match scheduler::decide(wanted, row, now) {
        Decision::Due { reason, words } => {
            let when = row.due_check_at.filter(|at| *at > now);
            explanation
                .now
                .push(format!("it is due by the rule {reason}: {words}"));
            explanation.next.push(match when {
                Some(at) => format!(
                    "a new renewal is planned at {at:.0}: the last one failed, or the daemon has not read this \
                     configuration yet"
                ),
                None => "a renewal is planned when the daemon checks next".to_owned(),
            });
            if when.is_some() {
                explanation
                    .to_do
                    .push(format!("to renew sooner: renewd renew {}", wanted.name));
            }
        }
        Decision::Rest { words, until, rule } => {
            explanation
                .now
                .push(format!("no rule says that it is due: {words}"));
            if let (Some(until), Some(rule)) = (until, rule) {
                explanation
                    .next
                    .push(format!("the rule {rule} renews it at {until:.0}"));
            }
        }
    }
    if let (Some(window), Some(at)) = (row.window_of_current(), row.window_poll_at) {
        explanation.next.push(format!(
            "{} wants it to be renewed from {:.0} to {:.0}; it is asked again at {at:.0}",
            wanted.ca, window.start, window.end
        ));
    }
    if let Some(probe_at) = row.probe_at {
        explanation.next.push(format!(
            "its addresses are looked at again at {probe_at:.0}"
        ));
    }
}

fn under_way(explanation: &mut Explanation, renewal: &Renewal, refused_logins: u32) {
    explanation.now.push(format!(
        "renewal {} was planned at {:.0} by the rule {}; on the firewall it is called {}",
        renewal.id, renewal.planned_at, renewal.reason, renewal.alias
    ));
    explanation.now.push(format!(
        "it is {} since {:.0}: {}",
        renewal.state,
        renewal.state_since,
        meaning(renewal.state)
    ));
    if let Some(error) = &renewal.last_error {
        let what = if renewal.is_failing() {
            "the last attempt failed"
        } else {
            "it waits"
        };
        let kind = renewal.last_error_kind.as_deref().unwrap_or("unexpected");
        let error = remedy::apart(error, &remedy::of_open(renewal, refused_logins));
        explanation.now.push(format!("{what} ({kind}): {error}"));
    }
    if let Some(words) = &renewal.obtained.verification_failure {
        explanation
            .now
            .push(format!("the new certificate was not served: {words}"));
    }
    let remedy = remedy::of_open(renewal, refused_logins);
    if !remedy.starts_with(NOTHING) || remedy.contains("renewd renew") {
        explanation.to_do.push(remedy);
    }
    let step = Step::leaving(renewal.state).map_or("nothing", Step::name);
    match renewal.next_attempt_at {
        _ if explanation.standing.health == Health::Held => {
            hold(explanation, renewal, refused_logins);
        }
        Some(at) => {
            // What waits for a window or a CA cannot be hurried; what failed can be tried again.
            let sooner = if renewal.is_failing() {
                format!("; sooner: renewd renew {}", renewal.certificate)
            } else {
                String::new()
            };
            let words = format!("the step {step} is taken at {at:.0}{sooner}");
            explanation.next.push(words);
        }
        None => hold(explanation, renewal, refused_logins),
    }
}

fn hold(explanation: &mut Explanation, renewal: &Renewal, refused_logins: u32) {
    if refused_logins >= REFUSED_LOGIN_LIMIT {
        explanation.now.push(format!(
            "{} refused our login {refused_logins} times in a row; nothing is tried there, so that the account is \
             not locked",
            renewal.firewall
        ));
    }
    explanation
        .next
        .push("nothing, until an operator requests a renewal".to_owned());
}

/// So begins a remedy where there is nothing to do.
const NOTHING: &str = "nothing";
