//! What must hold whatever breaks: one function over what renewd has stored and reported, what its peers have counted,
//! and what the services show. The list stands in ARCHITECTURE.md.
//!
//! It looks at facts that are gathered first, so that each invariant can be broken by hand; the tests below do.

use std::fmt;

use renewd::event::{EventKind, Level};
use renewd::firewall::Binding;
use renewd::inventory::{Renewal, State};
use renewd::pki::{Certificate, Csr};
use renewd::renewal::Step;
use renewd::renewal::retry::REFUSED_LOGIN_LIMIT;

pub use super::facts::{CaFacts, DeviceFacts, Facts, Served, When};

/// An invariant that does not hold.
#[derive(Debug)]
pub struct Broken {
    /// Its words in ARCHITECTURE.md.
    pub invariant: &'static str,
    pub what: String,
    /// The last that was asked of each peer.
    pub tail: String,
}

type Check = fn(&Facts) -> Result<(), String>;

/// Every invariant, in the order and the words of ARCHITECTURE.md.
pub const INVARIANTS: [(&str, Check); 11] = [
    (
        "at most one chargeable order per renewal",
        at_most_one_order,
    ),
    (
        "no service shows a certificate whose key its firewall lacks",
        served_with_its_key,
    ),
    (
        "no service shows a certificate that was not checked",
        served_only_what_was_checked,
    ),
    (
        "what was bound before stays on the firewall until the new one is proven",
        old_one_is_kept,
    ),
    (
        "no change of another administrator is committed or discarded",
        foreign_changes_are_left_alone,
    ),
    (
        "sessions and configuration mode are given back",
        device_is_given_back,
    ),
    ("a stored state is true", states_are_facts),
    (
        "every renewal has ended, continues at a time, or waits for an operator who got an alert",
        every_renewal_continues,
    ),
    (
        "every failure that needs an operator is reported",
        failures_are_reported,
    ),
    (
        "no secret is in a log, an error, the history or the database",
        no_secret_is_reported,
    ),
    ("budgets and limits hold", budgets_and_limits_hold),
];

impl Facts {
    /// That every invariant holds.
    pub fn hold(&self) -> Result<(), Broken> {
        for (invariant, check) in INVARIANTS {
            check(self).map_err(|what| Broken {
                invariant,
                what,
                tail: self.tail(),
            })?;
        }
        Ok(())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            invariant,
            what,
            tail,
        } = self;
        write!(f, "broken: {invariant}: {what}\n{tail}")
    }
}

/// A renewal may order from the moment at which its intent is stored.
fn at_most_one_order(facts: &Facts) -> Result<(), String> {
    for ca in &facts.cas {
        let may_have_ordered = facts
            .renewals
            .iter()
            .filter(|it| *it.ca == *ca.name && facts.was_tried(it, Step::Submit))
            .count();
        let allowed = u64::try_from(may_have_ordered).unwrap_or(u64::MAX);
        let CaFacts {
            name,
            orders,
            duplicates,
            spent_cents,
            price_cents,
            ..
        } = ca;
        if *duplicates > 0 || *orders > allowed || *spent_cents > price_cents * allowed {
            return Err(format!(
                "{name} has {orders} orders for {allowed} renewals, {duplicates} of them for a key that had one, and \
                 took {spent_cents} cents at {price_cents} each"
            ));
        }
    }
    Ok(())
}

fn served_with_its_key(facts: &Facts) -> Result<(), String> {
    for device in &facts.devices {
        for served in &device.served {
            if !device.has_key(&served.public_key) {
                return Err(format!("{} shows {served:?}", device.name));
            }
        }
    }
    Ok(())
}

fn served_only_what_was_checked(facts: &Facts) -> Result<(), String> {
    for device in &facts.devices {
        for served in &device.served {
            let is_checked = device.first.contains(&served.fingerprint)
                || facts
                    .renewals_at(device)
                    .any(|renewal| may_be_served(facts, renewal, served));
            if !is_checked {
                return Err(format!("{} shows {served:?}", device.name));
            }
        }
    }
    Ok(())
}

/// Its certificate was stored after it was checked, is for the key of its request, and was to be bound.
fn may_be_served(facts: &Facts, renewal: &Renewal, served: &Served) -> bool {
    let obtained = &renewal.obtained;
    let leaf = obtained.leaf_pem.as_deref().map(Certificate::from_pem);
    let csr = obtained.csr_pem.as_deref();
    let csr = csr.map(|pem| Csr::parse(pem.as_bytes()));
    let (Some(Ok(leaf)), Some(Ok(csr))) = (leaf, csr) else {
        return false;
    };
    leaf.fingerprint.to_string() == served.fingerprint
        && leaf.public_key == csr.public_key
        && facts.was_tried(renewal, Step::Bind)
}

fn old_one_is_kept(facts: &Facts) -> Result<(), String> {
    for device in &facts.devices {
        if !device.has(FIRST_NAME) {
            return Err(format!(
                "{} lost what renewd did not make: {:?}",
                device.name, device.names
            ));
        }
        for renewal in facts.renewals_at(device) {
            let is_proven = matches!(renewal.state, State::Verified | State::Completed);
            let previous = renewal.obtained.previous_bindings.as_deref();
            let Some(previous) = previous.filter(|_| !is_proven) else {
                continue;
            };
            let previous: Vec<Binding> =
                serde_json::from_str(previous).map_err(|e| e.to_string())?;
            let mut aliases = previous.into_iter().filter_map(|binding| binding.alias);
            if let Some(gone) = aliases.find(|alias| !device.has(alias)) {
                return Err(format!(
                    "{gone} is gone from {} while {} is {}",
                    device.name, renewal.id, renewal.state
                ));
            }
        }
    }
    Ok(())
}

fn foreign_changes_are_left_alone(facts: &Facts) -> Result<(), String> {
    for device in &facts.devices {
        let (commits, discards) = (
            device.commits_of_foreign_changes,
            device.discards_of_foreign_changes,
        );
        if commits + discards > 0 {
            return Err(format!(
                "{}: {commits} committed, {discards} discarded",
                device.name
            ));
        }
    }
    Ok(())
}

/// After a crash a session may be open: the next daemon takes it over, or the device ends it.
fn device_is_given_back(facts: &Facts) -> Result<(), String> {
    if facts.when == When::AfterCrash {
        return Ok(());
    }
    for device in &facts.devices {
        let pending: Vec<&String> = device
            .pending
            .iter()
            .filter(|line| is_of_renewd(line))
            .collect();
        if device.sessions_open > 0 || device.holds_configuration_mode || !pending.is_empty() {
            return Err(format!(
                "{}: {} sessions, configuration mode {}, pending {pending:?}",
                device.name, device.sessions_open, device.holds_configuration_mode
            ));
        }
    }
    Ok(())
}

/// Whether a change that waits is one that renewd could have made.
fn is_of_renewd(line: &str) -> bool {
    line.contains("certificate")
}

/// The device is as the state says, as long as no other administrator changes it.
fn states_are_facts(facts: &Facts) -> Result<(), String> {
    for device in &facts.devices {
        for renewal in facts.renewals_at(device) {
            is_fact(device, renewal).map_err(|what| {
                format!(
                    "{} is {} on {}, but {what}",
                    renewal.id, renewal.state, device.name
                )
            })?;
        }
    }
    for renewal in &facts.renewals {
        let obtained = &renewal.obtained;
        let has = match renewal.state {
            State::Planned
            | State::CsrGenerated
            | State::Failed
            | State::Cancelled
            | State::Superseded => true,
            State::CsrExported => obtained.csr_pem.is_some(),
            State::Submitted => obtained.csr_pem.is_some() && obtained.ca_reference.is_some(),
            _ => obtained.leaf_pem.is_some() && obtained.fingerprint.is_some(),
        };
        if !has {
            return Err(format!("{} is {} without it", renewal.id, renewal.state));
        }
        if obtained.sealed_key.is_some() && !renewal.state.needs_key() {
            return Err(format!("{} keeps a key as {}", renewal.id, renewal.state));
        }
    }
    Ok(())
}

fn is_fact(device: &DeviceFacts, renewal: &Renewal) -> Result<(), String> {
    let is_own_key = renewal.obtained.sealed_key.is_some();
    let is_bound = || {
        let alias = Some(renewal.alias.as_str());
        let mut served = device.served.iter();
        served.any(|served| served.bound.as_deref() == alias)
    };
    match renewal.state {
        State::CsrGenerated | State::CsrExported | State::Submitted | State::Issued
            if !is_own_key && !device.has(&renewal.alias) =>
        {
            Err(format!("there is no {}", renewal.alias))
        }
        State::Imported if !device.has(&renewal.alias) => {
            Err(format!("there is no {}", renewal.alias))
        }
        State::Bound | State::Verified if !is_bound() => {
            Err(format!("{:?} is served", device.served))
        }
        _ => Ok(()),
    }
}

fn every_renewal_continues(facts: &Facts) -> Result<(), String> {
    for renewal in facts.renewals.iter().filter(|it| !it.state.is_end()) {
        let is_held = renewal.next_attempt_at.is_none();
        if is_held && !facts.is_reported(renewal, &[EventKind::RenewalHeld, EventKind::KeyMismatch])
        {
            return Err(format!("{} stands still: {renewal:?}", renewal.id));
        }
    }
    Ok(())
}

fn failures_are_reported(facts: &Facts) -> Result<(), String> {
    for renewal in &facts.renewals {
        let wanted: &[EventKind] = match renewal.state {
            State::Failed => &[EventKind::RenewalFailed],
            State::Cancelled => &[EventKind::RenewalCancelled],
            State::RolledBack => &[EventKind::RenewalRolledBack],
            State::NotRolledBack => &[EventKind::RenewalNotRolledBack],
            State::VerificationFailed => &[EventKind::VerificationFailed],
            state if !state.is_end() && renewal.is_failing() => &[
                EventKind::StepFailed,
                EventKind::AttentionNeeded,
                EventKind::RenewalHeld,
                EventKind::KeyMismatch,
            ],
            _ => continue,
        };
        if !facts.is_reported(renewal, wanted) {
            return Err(format!("no alert was raised for {renewal:?}"));
        }
    }
    let silent = facts.history.iter().find(|past| {
        let kind = EventKind::ALL.iter().find(|kind| kind.name() == past.name);
        past.level < Level::Alert && kind.is_some_and(|kind| kind.level() == Level::Alert)
    });
    silent.map_or(Ok(()), |past| {
        Err(format!("{past:?} is not reported as an alert"))
    })
}

fn no_secret_is_reported(facts: &Facts) -> Result<(), String> {
    let history = facts.history.iter().map(|past| {
        let name = format!("the history: {}", past.name);
        (name, past.fields.to_string().into_bytes())
    });
    let errors = facts.renewals.iter().filter_map(|it| {
        let error = it.last_error.clone()?;
        Some((format!("the error of {}", it.id), error.into_bytes()))
    });
    let texts = facts.texts.iter().cloned().chain(history).chain(errors);
    for (place, text) in texts {
        let text = String::from_utf8_lossy(&text);
        let secrets = facts.secrets.iter().map(String::as_str);
        let mut forbidden = secrets.chain([PRIVATE_KEY]).filter(|it| !it.is_empty());
        if let Some(secret) = forbidden.find(|secret| text.contains(secret)) {
            let start: String = secret.chars().take(4).collect();
            return Err(format!("{place} holds a secret that begins with {start}"));
        }
    }
    Ok(())
}

fn budgets_and_limits_hold(facts: &Facts) -> Result<(), String> {
    for ca in &facts.cas {
        if ca.budget.is_some_and(|budget| ca.orders > budget) {
            return Err(format!(
                "{} orders at {}, of {:?} allowed",
                ca.orders, ca.name, ca.budget
            ));
        }
    }
    if let Some(device) = facts.devices.iter().find(|it| it.locked_out > 0) {
        return Err(format!("locked out of {}", device.name));
    }
    let limit = REFUSED_LOGIN_LIMIT;
    let refused = facts.renewals.iter().find(|it| it.refused_logins > limit);
    refused.map_or(Ok(()), |it| {
        Err(format!("{} logins were refused", it.refused_logins))
    })
}

/// The name of what a simulated device serves at the start.
const FIRST_NAME: &str = "fw-initial";
const PRIVATE_KEY: &str = "PRIVATE KEY";
