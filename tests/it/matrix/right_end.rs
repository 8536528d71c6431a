//! What must be true of a renewal that ended as is right for its site: what each service serves, and what was reported of
//! the addresses.

use jiff::SignedDuration;
use renewd::event::EventKind;
use renewd::inventory::{Renewal, State};
use renewd::store::PastEvent;

use super::facts::Facts;
use super::fixture::Fixture;
use super::site::{BY_HAND, Before};

/// What is not as it must be.
pub fn check(fixture: &Fixture, renewal: &Renewal, facts: &Facts) -> Result<(), String> {
    services(fixture, renewal, facts)?;
    let events = Events { facts, renewal };
    before_the_order(fixture, &events)?;
    match renewal.state {
        State::RolledBack => rolled_back(fixture, &events),
        _ => completed(fixture, &events),
    }
}

/// How long a roll-back took, from the failed verification to its end; `None`: there was none.
pub fn time_of_roll_back(renewal: &Renewal, facts: &Facts) -> Option<SignedDuration> {
    let events = Events { facts, renewal };
    let failed = events.first(EventKind::VerificationFailed)?;
    let ended = events.first(EventKind::RenewalRolledBack)?;
    Some(failed.at.duration_until(ended.at))
}

/// Each serves the new certificate, or each its own of before.
fn services(fixture: &Fixture, renewal: &Renewal, facts: &Facts) -> Result<(), String> {
    let device = &facts.devices[0];
    let new = renewal.obtained.fingerprint.map(|print| print.to_string());
    for (served, before) in device.served.iter().zip(&fixture.before) {
        let wanted = match renewal.state {
            State::RolledBack => Some(before),
            _ => new.as_ref(),
        };
        if Some(&served.fingerprint) != wanted {
            return Err(format!("{served:?} is served, and not {wanted:?}"));
        }
    }
    if fixture.site.before == Before::Different && !device.has(BY_HAND) {
        return Err(format!("{BY_HAND} is gone: {:?}", device.names));
    }
    Ok(())
}

/// An address that serves nothing, or an unknown certificate, is reported before the first state is left.
fn before_the_order(fixture: &Fixture, events: &Events<'_>) -> Result<(), String> {
    let Some(address) = fixture.neighbours.address.as_deref() else {
        return Ok(());
    };
    if !fixture.site.before.is_reported() {
        return Ok(());
    }
    let reported = events.first_of(EventKind::EndpointNotReady, address)?;
    let left = events.first(EventKind::StateReached);
    if left.is_some_and(|left| left.id < reported.id) {
        return Err(format!("{left:?} was before {reported:?}"));
    }
    Ok(())
}

fn completed(fixture: &Fixture, events: &Events<'_>) -> Result<(), String> {
    let unwanted = [
        EventKind::VerificationFailed,
        EventKind::RenewalRolledBack,
        EventKind::RenewalNotRolledBack,
    ];
    if let Some(event) = unwanted.into_iter().find_map(|kind| events.first(kind)) {
        return Err(format!("it is completed, but {event:?}"));
    }
    match fixture.neighbours.address.as_deref() {
        Some(dead) if fixture.site.before == Before::Dead => {
            events.first_of(EventKind::EndpointNotUpdated, dead)?;
        }
        _ => {}
    }
    Ok(())
}

/// Both alerts say which address is the cause, and the last one that every address is as before.
fn rolled_back(fixture: &Fixture, events: &Events<'_>) -> Result<(), String> {
    let foreign = fixture.neighbours.address.as_deref();
    let foreign = foreign.filter(|_| fixture.site.before == Before::Foreign);
    let cause = foreign.map_or_else(
        || fixture.bed.simulator.ssl_vpn().to_string(),
        str::to_owned,
    );
    let cause = match fixture.site.before {
        // It stands before the service.
        Before::Nothing => fixture.neighbours.address.clone().unwrap_or(cause),
        _ => cause,
    };
    for kind in [EventKind::VerificationFailed, EventKind::RenewalRolledBack] {
        events.first_of(kind, &cause)?;
    }
    events.first_of(EventKind::RenewalRolledBack, AS_BEFORE)?;
    Ok(())
}

/// The events of one renewal.
struct Events<'a> {
    facts: &'a Facts,
    renewal: &'a Renewal,
}

impl<'a> Events<'a> {
    fn all(&self, kind: EventKind) -> impl Iterator<Item = &'a PastEvent> {
        let renewal = Some(self.renewal.id.clone());
        let history = self.facts.history.iter();
        history.filter(move |past| past.renewal == renewal && past.name == kind.name())
    }

    fn first(&self, kind: EventKind) -> Option<&'a PastEvent> {
        self.all(kind).min_by_key(|past| past.id)
    }

    /// The first that says these words.
    fn first_of(&self, kind: EventKind, words: &str) -> Result<&'a PastEvent, String> {
        let says = |past: &&PastEvent| past.fields.to_string().contains(words);
        let all: Vec<&PastEvent> = self.all(kind).collect();
        let found = self.all(kind).filter(says).min_by_key(|past| past.id);
        found.ok_or_else(|| format!("no {} says {words:?}: {all:#?}", kind.name()))
    }
}

const AS_BEFORE: &str = "every address serves again what it served before";
