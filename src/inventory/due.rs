//! Must it be renewed now, and why? A chain of named rules over stored facts; the first that applies decides.
//!
//! Pure: asked twice with the same facts it says the same, so a missed or doubled tick changes nothing.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{ManagedCertificate, RenewalWindow, Rest};
use crate::pki::{self, Certificate};

/// What the rules are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What is wanted.
    pub wanted: &'a ManagedCertificate,
    /// What the services showed last; `None`: never seen.
    pub current: Option<&'a Certificate>,
    /// What the services present instead, where no certificate that renewd knows was ever served.
    pub unknown: Option<&'a str>,
    /// Whether an earlier renewal of ours was completed.
    pub renewed_before: bool,
    /// When an operator requested a renewal.
    pub requested_at: Option<Timestamp>,
    /// When the CA wants the shown certificate to be renewed.
    pub window: Option<&'a RenewalWindow>,
    /// The rest that our last renewal began, while its certificate is served.
    pub rest: Option<&'a Rest>,
}

/// Why a certificate is due. The same word is event field, log field and column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An operator requested it (`renewd renew`).
    Requested,
    /// The services show no certificate that renewd knows with the wanted names and key, and we never issued one.
    NotYetIssued,
    /// Names or key were changed in the configuration, or on the device.
    NamesOrKeyChanged,
    /// The last twentieth of the lifetime has begun.
    Emergency,
    /// The moment has come that was chosen in the window of the CA (RFC 9773).
    RenewalWindow,
    /// The configured share of the real lifetime is spent. Where the CA announced a window and no share is configured,
    /// the window applies instead.
    ShareOfLifetimeSpent,
}

impl Reason {
    /// Every rule, in the order in which they are asked.
    pub const ALL: [Self; 6] = [
        Self::Requested,
        Self::NotYetIssued,
        Self::NamesOrKeyChanged,
        Self::Emergency,
        Self::RenewalWindow,
        Self::ShareOfLifetimeSpent,
    ];

    /// The word in events, logs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::NotYetIssued => "not_yet_issued",
            Self::NamesOrKeyChanged => "names_or_key_changed",
            Self::Emergency => "emergency",
            Self::RenewalWindow => "renewal_window",
            Self::ShareOfLifetimeSpent => "share_of_lifetime_spent",
        }
    }

    /// The rule of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Whether time alone makes it apply: a renewal by it has to bring a certificate that is not due.
    pub const fn goes_by_time(self) -> bool {
        matches!(
            self,
            Self::Emergency | Self::RenewalWindow | Self::ShareOfLifetimeSpent
        )
    }

    /// Asks this rule alone; the answer is its words.
    fn applies(self, facts: &Facts<'_>, now: Timestamp) -> Option<String> {
        match self {
            Self::Requested => facts
                .requested_at
                .map(|at| format!("an operator requested it at {at:.0}")),
            // What is not known cannot be relied on; of a certificate that renewd installed it changes nothing.
            Self::NotYetIssued => (!facts.renewed_before)
                .then(|| mismatch(facts).or_else(|| facts.unknown.map(str::to_owned)))
                .flatten(),
            Self::NamesOrKeyChanged => facts.renewed_before.then(|| mismatch(facts)).flatten(),
            Self::Emergency => spent(facts, now, EMERGENCY_PERMILLE),
            Self::RenewalWindow => {
                let window = facts.window?;
                (window_moment(facts.current?, window) <= now).then(|| window_words(window))
            }
            Self::ShareOfLifetimeSpent => spent(facts, now, share_in_force(facts)?),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Renew now.
    Due {
        /// The rule that says so.
        reason: Reason,
        /// Its words for people.
        words: String,
    },
    /// Leave it alone.
    Rest {
        /// When to ask again; `None`: when something new is seen.
        until: Option<Timestamp>,
        /// The rule that will be the first to apply.
        rule: Option<Reason>,
        /// Why, for people.
        words: String,
    },
}

impl Decision {
    /// One line for `status` and `explain`.
    pub fn line(&self) -> String {
        match self {
            Self::Due { reason, words } => format!("{reason}: {words}"),
            Self::Rest { words, .. } => format!("rest: {words}"),
        }
    }
}

/// Asks every rule in turn.
pub fn decide(facts: &Facts<'_>, now: Timestamp) -> Decision {
    for reason in Reason::ALL {
        if let Some(words) = reason.applies(facts, now) {
            return match held_back(reason, facts, now) {
                Some(rest) => resting(rest, reason, &words),
                None => Decision::Due { reason, words },
            };
        }
    }
    let Some(current) = facts.current else {
        return Decision::Rest {
            until: None,
            rule: None,
            words: "no address has shown a certificate yet; the next probe checks again".to_owned(),
        };
    };
    let (until, rule, why) = next(facts, current);
    let rest = facts.rest.filter(|rest| rest.holds(now));
    let until = rest.map_or(until, |rest| until.max(rest.until));
    Decision::Rest {
        until: Some(until),
        rule: Some(rule),
        words: format!(
            "valid until {:.0}; due at {until:.0}, {why}",
            current.not_after
        ),
    }
}

/// The rest that holds this rule back.
fn held_back<'a>(reason: Reason, facts: &Facts<'a>, now: Timestamp) -> Option<&'a Rest> {
    facts
        .rest
        .filter(|rest| reason.goes_by_time() && rest.holds(now))
}

fn resting(rest: &Rest, rule: Reason, words: &str) -> Decision {
    let Rest {
        began_at, until, ..
    } = rest;
    Decision::Rest {
        until: Some(*until),
        rule: Some(rule),
        words: format!(
            "its last renewal ended at {began_at:.0}, and it is due already ({rule}: {words}): if that renewal succeeded, \
             is the clock right, and what does its CA issue? It is not renewed again before {until:.0}, except on request"
        ),
    }
}

/// Which rule will be the first to apply to what is shown, and when.
fn next(facts: &Facts<'_>, current: &Certificate) -> (Timestamp, Reason, String) {
    let by_share = |permille, rule| {
        let words = format!("when {} of its lifetime is spent", share_words(permille));
        (after_share(current, permille), rule, words)
    };
    let mut first = by_share(EMERGENCY_PERMILLE, Reason::Emergency);
    let share = share_in_force(facts).map(|share| by_share(share, Reason::ShareOfLifetimeSpent));
    let window = facts.window.map(|window| {
        let at = window_moment(current, window);
        (at, Reason::RenewalWindow, window_words(window))
    });
    for other in share.into_iter().chain(window) {
        if other.0 < first.0 {
            first = other;
        }
    }
    first
}

/// When a window makes a certificate due: at its chosen moment, but never right after its issue. A CA that wants all that
/// it has just issued to be renewed would be followed round and round.
fn window_moment(current: &Certificate, window: &RenewalWindow) -> Timestamp {
    let settled = (lifetime(current) / 20).min(SHORTEST_USE);
    let earliest = current.not_before.saturating_add(settled);
    window.chosen.max(earliest.unwrap_or(window.chosen))
}

fn window_words(window: &RenewalWindow) -> String {
    let explanation = window
        .explanation
        .as_deref()
        .map_or_else(String::new, |url| format!(" ({url} says why)"));
    format!(
        "in the window of its CA from {:.0} to {:.0}{explanation}",
        window.start, window.end
    )
}

/// When the last twentieth of a lifetime begins: from here on no window holds a renewal back.
pub fn emergency_at(certificate: &Certificate) -> Timestamp {
    after_share(certificate, EMERGENCY_PERMILLE)
}

/// The real lifetime of a certificate.
pub fn lifetime(certificate: &Certificate) -> SignedDuration {
    certificate
        .not_before
        .duration_until(certificate.not_after)
        .max(SignedDuration::ZERO)
}

fn mismatch(facts: &Facts<'_>) -> Option<String> {
    let differences = pki::differences_from_request(facts.current?, &facts.wanted.request);
    (!differences.is_empty()).then(|| differences.join("; "))
}

fn spent(facts: &Facts<'_>, now: Timestamp, permille: u16) -> Option<String> {
    let current = facts.current?;
    (after_share(current, permille) <= now).then(|| {
        format!(
            "{} of the lifetime to {:.0} is spent",
            share_words(permille),
            current.not_after
        )
    })
}

/// The share of the lifetime that decides; `None`: the CA's window does.
fn share_in_force(facts: &Facts<'_>) -> Option<u16> {
    if facts.window.is_some() && facts.wanted.policy.renew_after.is_none() {
        return None;
    }
    let lifetime = lifetime(facts.current?);
    let by_default = if lifetime < SHORT_LIFETIME {
        SHORT_LIVED_SHARE_PERMILLE
    } else {
        SHARE_PERMILLE
    };
    Some(facts.wanted.policy.renew_after.unwrap_or(by_default))
}

fn after_share(certificate: &Certificate, permille: u16) -> Timestamp {
    let spent_nanoseconds = lifetime(certificate).as_nanos() * i128::from(permille) / 1000;
    let spent = SignedDuration::from_nanos_i128(spent_nanoseconds);
    certificate
        .not_before
        .saturating_add(spent)
        .unwrap_or(certificate.not_after)
}

fn share_words(permille: u16) -> String {
    match permille {
        SHARE_PERMILLE => "two thirds".to_owned(),
        SHORT_LIVED_SHARE_PERMILLE => "half".to_owned(),
        EMERGENCY_PERMILLE => "all but a twentieth".to_owned(),
        other => format!("{}.{} %", other / 10, other % 10),
    }
}

/// Two thirds, as Let's Encrypt recommends (CA rules reference 3); never a number of days, since lifetimes shrink.
const SHARE_PERMILLE: u16 = 667;
/// A half, for lifetimes under ten days.
const SHORT_LIVED_SHARE_PERMILLE: u16 = 500;
/// The last twentieth overrides whatever else would hold a renewal back.
const EMERGENCY_PERMILLE: u16 = 950;
/// How long a certificate is used before its CA can have it renewed.
const SHORTEST_USE: SignedDuration = SignedDuration::from_hours(24);
const SHORT_LIFETIME: SignedDuration = SignedDuration::from_hours(240);

#[cfg(test)]
mod tests;
