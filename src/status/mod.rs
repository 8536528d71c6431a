//! The state of every certificate, read from the store alone: for `renewd status`, `show` and `explain`.

mod address;
mod explain;

pub use explain::{Explanation, explain};

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::config::Config;
use crate::inventory::due::Decision;
use crate::inventory::{
    AddressProblem, ManagedCertificate, Renewal, RenewalId, Served, State, TrackedCertificate,
};
use crate::pki;
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::scheduler;
use crate::store::{Store, StoreError};

/// The state of one certificate. The field names are a promise to scripts (docs/json.md).
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// The certificate's name in the configuration.
    pub certificate: String,
    /// Its firewall.
    pub firewall: String,
    /// Its CA.
    pub ca: String,
    /// In one word.
    pub health: Health,
    /// The state of the open renewal; absent when none is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// The open renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal: Option<String>,
    /// End of validity of what the services showed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// SHA-256 of what the services showed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// When the open renewal continues, or the next one begins; absent when it waits for an operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Timestamp>,
    /// What each address serves.
    pub addresses: Vec<AddressStanding>,
    /// The reason for its state, in words.
    pub reason: String,
}

/// What one address serves.
#[derive(Debug, Clone, Serialize)]
pub struct AddressStanding {
    /// `HOST:PORT`.
    pub address: String,
    /// SHA-256 of the last certificate there that renewd knows.
    pub sha256: Option<String>,
    /// End of its validity.
    pub not_after: Option<Timestamp>,
    /// When it was seen there.
    pub seen_at: Option<Timestamp>,
    /// SHA-256 of the certificate that it presents instead.
    pub unknown_sha256: Option<String>,
    /// Since when it serves nothing.
    pub unreachable_since: Option<Timestamp>,
    /// What is wrong with it, in words.
    pub problem: Option<String>,
}

impl AddressStanding {
    fn of(served: &Served) -> Self {
        let known = served.known.as_ref();
        Self {
            address: served.address.clone(),
            sha256: known.map(|known| known.fingerprint.to_string()),
            not_after: known.map(|known| known.not_after),
            seen_at: known.map(|known| known.seen_at),
            unknown_sha256: served
                .unknown
                .as_ref()
                .map(|unknown| unknown.fingerprint.to_string()),
            unreachable_since: served.unreachable.as_ref().map(|outage| outage.since),
            problem: served.problem().map(address::words),
        }
    }
}

/// What is wrong at an address of a certificate, and what an operator does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The address, and what is wrong there.
    pub words: String,
    /// What to do.
    pub remedy: String,
}

/// What is wrong at each address of a certificate.
pub fn findings(row: &TrackedCertificate) -> Vec<Finding> {
    let page = row.management_untrusted.map(|fingerprint| Finding {
        words: address::untrusted_page(&row.firewall, &fingerprint),
        remedy: address::trust_remedy(&row.firewall, &fingerprint),
    });
    let served = row.served.iter();
    served
        .filter_map(|served| {
            let problem = served.problem()?;
            Some(Finding {
                words: format!("{} {}", served.address, address::words(problem)),
                remedy: address::remedy(problem, row),
            })
        })
        .chain(page)
        .collect()
}

/// The state of a certificate, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Valid and not due.
    Ok,
    /// A renewal is under way.
    Renewing,
    /// The renewal's last step failed, or the whole renewal; it will be tried again.
    Failing,
    /// It waits for an operator.
    Held,
    /// What the services show has expired.
    Expired,
    /// What the services show is not valid yet.
    NotYetValid,
    /// An address showed no certificate at the last look.
    Unreachable,
    /// An address serves a certificate that renewd does not know.
    UnknownCertificate,
    /// An address serves a certificate that renewd has replaced: an older binding was put back.
    PutBack,
    /// The management page serves a certificate that no pin accepts: no login is possible there.
    Untrusted,
}

impl Health {
    /// The word in the table and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Renewing => "renewing",
            Self::Failing => "failing",
            Self::Held => "held",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Unreachable => "unreachable",
            Self::UnknownCertificate => "unknown_certificate",
            Self::PutBack => "put_back",
            Self::Untrusted => "untrusted",
        }
    }

    /// Whether an operator should check it.
    pub const fn is_bad(self) -> bool {
        matches!(
            self,
            Self::Failing
                | Self::Held
                | Self::Expired
                | Self::NotYetValid
                | Self::Unreachable
                | Self::UnknownCertificate
                | Self::PutBack
                | Self::Untrusted
        )
    }
}

/// The state of every configured certificate, by name.
///
/// # Errors
/// The store's.
pub async fn overview(
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Standing>, StoreError> {
    let open = store.open_renewals().await?;
    let open: HashMap<&RenewalId, &Renewal> =
        open.iter().map(|renewal| (&renewal.id, renewal)).collect();
    let rows = store.certificates().await?;
    let mut standings = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(wanted) = config.certificates.get(&row.name) else {
            continue;
        };
        let renewal = row
            .open_renewal
            .as_ref()
            .and_then(|id| open.get(id).copied());
        let refused = match renewal {
            Some(renewal) => store.firewall(&renewal.firewall).await?.refused_logins,
            None => 0,
        };
        standings.push(standing(wanted, row, renewal, refused, now));
    }
    Ok(standings)
}

/// Since when the daemon that should be at work is silent; `None`: it is not, or none should be.
///
/// # Errors
/// The store's.
pub async fn silent_since(store: &Store, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let beat = store.last_beat().await?;
    // A clock that was set back puts the last sign of life into the future; the next one is there within a minute.
    Ok(beat.filter(|beat| beat.duration_until(now).abs() > LONGEST_SILENCE))
}

/// A daemon stores a sign of life every minute; a busy one, or one whose database was locked for a moment, comes late.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_mins(5);

/// The state of one certificate.
pub fn standing(
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
    renewal: Option<&Renewal>,
    refused_logins: u32,
    now: Timestamp,
) -> Standing {
    let rest = rest(wanted, row, now);
    let health = health(row, renewal, &rest, refused_logins, now);
    Standing {
        certificate: row.name.to_string(),
        firewall: row.firewall.to_string(),
        ca: row.ca.to_string(),
        health,
        state: renewal.map(|renewal| renewal.state.name()),
        renewal: renewal.map(|renewal| renewal.id.to_string()),
        not_after: row.current.as_ref().map(|current| current.not_after),
        sha256: row
            .current
            .as_ref()
            .map(|current| current.fingerprint.to_string()),
        seen_at: row.current.as_ref().map(|current| current.seen_at),
        next_at: match renewal {
            _ if health == Health::Held => None,
            Some(renewal) => renewal.next_attempt_at,
            None => rest.next_at,
        },
        addresses: row.served.iter().map(AddressStanding::of).collect(),
        reason: reason(row, renewal, &rest, health, refused_logins),
    }
}

/// The reason for its state; problems come first.
fn reason(
    row: &TrackedCertificate,
    renewal: Option<&Renewal>,
    rest: &Rest,
    health: Health,
    refused_logins: u32,
) -> String {
    let known = match (renewal, &row.last_failure) {
        (Some(renewal), _) => reason_of(renewal, refused_logins),
        (None, Some(failure)) => format!("the last renewal failed: {failure}; {}", rest.words),
        (None, None) => rest.words.clone(),
    };
    let problems: Vec<String> = findings(row).into_iter().map(|one| one.words).collect();
    let is_of_addresses = matches!(
        health,
        Health::UnknownCertificate | Health::Unreachable | Health::PutBack | Health::Untrusted
    );
    if problems.is_empty() || !is_of_addresses {
        return known;
    }
    format!("{}; {known}", problems.join("; "))
}

/// The state of a certificate without an open renewal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// Whether it is due, but the next renewal was put off, since the last one failed.
    pub is_put_off: bool,
    /// When its next renewal begins, by what is known today.
    pub next_at: Option<Timestamp>,
    /// The same, or why there is nothing to do, in words.
    pub words: String,
}

/// What the due rules say of a certificate without an open renewal, and when the daemon follows them.
pub fn rest(wanted: &ManagedCertificate, row: &TrackedCertificate, now: Timestamp) -> Rest {
    let (reason, why) = match scheduler::decide(wanted, row, now) {
        Decision::Due { reason, words } => (reason, words),
        Decision::Rest { words, until, .. } => {
            return Rest {
                is_put_off: false,
                next_at: until,
                words: format!("nothing to do: {words}"),
            };
        }
    };
    let put_off_until = row.due_check_at.filter(|at| *at > now);
    let when = put_off_until.map_or_else(
        || "a renewal is planned when the daemon checks next".to_owned(),
        |at| {
            format!(
                "the next renewal begins at {at:.0}, since the last one failed or the daemon has not read this \
                 configuration yet"
            )
        },
    );
    Rest {
        is_put_off: put_off_until.is_some(),
        next_at: row.due_check_at,
        words: format!("due ({reason}: {why}); {when}"),
    }
}

/// The reason for the state of an open renewal.
pub fn reason_of(renewal: &Renewal, refused_logins: u32) -> String {
    match &renewal.last_error {
        Some(error) => error.clone(),
        None if refused_logins >= REFUSED_LOGIN_LIMIT => format!(
            "{} refused our login {refused_logins} times in a row",
            renewal.firewall
        ),
        None => format!("planned by the rule {}", renewal.reason),
    }
}

/// The description of a state, for operators.
pub const fn meaning(state: State) -> &'static str {
    match state {
        State::Planned => "it was decided, nothing was done yet",
        State::CsrGenerated => "key pair and request exist on the firewall",
        State::CsrExported => "the CSR was fetched and checked",
        State::Submitted => "the CA has the order",
        State::Issued => "the certificate was issued and checked",
        State::Imported => "the certificate is on the firewall, unused",
        State::Bound => "the services point at it, committed; the proof is due",
        State::Verified => "handshakes proved it on every address",
        State::VerificationFailed => {
            "an address did not show it; the previous certificate is being bound again"
        }
        State::Completed => "proven on every address, and the old one retired",
        State::RolledBack => "the previous certificate is bound again",
        State::NotRolledBack => "an address did not show it, and nothing was bound back",
        State::Failed => "it could not succeed and was given up before the bind",
        State::Cancelled => {
            "it was cancelled: its certificate left the configuration, or an operator decided against it"
        }
        State::Superseded => "the certificate was replaced outside renewd",
    }
}

/// Whether something of this kind is wrong at an address.
fn has(row: &TrackedCertificate, is_it: impl Fn(AddressProblem<'_>) -> bool) -> bool {
    let mut problems = row.served.iter().filter_map(Served::problem);
    problems.any(is_it)
}

fn health(
    row: &TrackedCertificate,
    renewal: Option<&Renewal>,
    rest: &Rest,
    refused_logins: u32,
    now: Timestamp,
) -> Health {
    if row
        .current
        .as_ref()
        .is_some_and(|current| current.not_after <= now)
    {
        return Health::Expired;
    }
    let is_early = row
        .current
        .as_ref()
        .is_some_and(|current| pki::is_not_yet_valid(current.not_before, now));
    match renewal {
        Some(renewal)
            if renewal.next_attempt_at.is_none() || refused_logins >= REFUSED_LOGIN_LIMIT =>
        {
            Health::Held
        }
        Some(renewal) if renewal.is_failing() || renewal.state == State::VerificationFailed => {
            Health::Failing
        }
        _ if row.unknown().next().is_some() => Health::UnknownCertificate,
        _ if row.management_untrusted.is_some()
            || has(row, |problem| {
                matches!(problem, AddressProblem::Untrusted(_))
            }) =>
        {
            Health::Untrusted
        }
        _ if has(row, |problem| matches!(problem, AddressProblem::PutBack(_))) => Health::PutBack,
        Some(_) => Health::Renewing,
        None if rest.is_put_off || row.last_failure.is_some() => Health::Failing,
        None if row.current.is_none()
            || row.is_unseen()
            || has(row, |problem| {
                matches!(problem, AddressProblem::Unreachable(_))
            }) =>
        {
            Health::Unreachable
        }
        None if is_early => Health::NotYetValid,
        None => Health::Ok,
    }
}
