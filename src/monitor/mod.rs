//! Probes the services between renewals, address by address. It reports a certificate that renewd does not know, and an
//! address that serves none any more. It changes nothing on a firewall and plans nothing; it only evaluates the due
//! rules.

mod address;
mod management;
mod panicked;
mod window;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, EventKind};
use crate::inventory::served::deciding;
use crate::inventory::{
    ManagedCertificate, Observation, ReportedCondition, Served, ServedCertificate,
    TrackedCertificate, TrackedFirewall, probe_schedule,
};
use crate::pki::{self, Certificate, Fingerprint};
use crate::probe::ProbeResult;
use crate::renewal::engine::PinsOf;
use crate::renewal::known::{Familiarity, Knowledge, cause_of_put_back};
use crate::renewal::step::probe_all;
use crate::renewal::{Engine, known_rows, pins};
use crate::seal::Sealer;
use crate::store::{KnownCertificate, ProbeRecord, Report, StoreError};

use address::Address;

pub use crate::store::PollKind;

pub use panicked::after_panic;
pub use window::ask;

/// Probes every address of a certificate once and stores the results.
///
/// # Errors
/// The store's; an unreachable address is not an error but a probe result.
pub async fn observe(engine: &Engine, row: &TrackedCertificate) -> Result<(), StoreError> {
    let Some(wanted) = engine.config.certificates.get(&row.name) else {
        return Ok(());
    };
    let started = engine.env.clock.now();
    let accepted_before = management::accepted(engine, wanted).await?;
    // Nothing but the network, so that no connection to the database is held while an address does not answer.
    let services = probe_all(engine.peers.as_ref(), wanted);
    let (results, page) = tokio::join!(services, management::probe(engine, wanted));
    let now = engine.env.clock.now();
    // Read again: a renewal may have gone on while we looked.
    let Some(row) = engine.store.certificate(&row.name).await? else {
        return Ok(());
    };
    if row.firewall != wanted.firewall {
        return Ok(());
    }
    let sealer = engine.sealer();
    let knowledge = Knowledge::of(&engine.store, &engine.config, wanted, &row, &sealer).await?;
    report_forged(engine, &row, knowledge.forged(), now).await?;
    let firewall = engine.config.firewalls.get(&wanted.firewall);
    let tracked = engine.store.firewall(&wanted.firewall).await?;
    let stored = engine.pins(&tracked).await?;
    report_forged_pins(engine, wanted, &tracked, &stored, now).await?;
    // Before and after: a bind may come between, and both certificates are right then.
    let pins = accepted_before
        .zip(management::accepted_of(engine, wanted, &stored))
        .map(|(before, after)| [before, after].concat());
    management::record(engine, wanted, &row, page, pins.as_deref()).await?;
    let cause = cause_of_put_back(&tracked);
    let address = Address {
        wanted,
        knowledge: &knowledge,
        cause_of_put_back: &cause,
        management: firewall.and_then(|firewall| firewall.settings.management()),
        pins,
        is_first: is_first(&row, &knowledge, &results, now),
        started,
        now,
    };
    let finding = Finding::of(&row, &address, &results);
    store(engine, &row, &finding, now).await
}

/// Stores the result of a probe, and when the next one is due.
async fn store(
    engine: &Engine,
    row: &TrackedCertificate,
    finding: &Finding,
    now: Timestamp,
) -> Result<(), StoreError> {
    let last = deciding(&finding.served);
    let known = last.and_then(ServedCertificate::certificate);
    let interval = engine.config.daemon.probe_interval;
    let regular = probe_schedule::next(&row.name, known.as_ref(), interval, now);
    let next_probe_at = match finding.look_again {
        Some(soon) => now.saturating_add(soon).unwrap_or(now).min(regular),
        None => regular,
    };
    let probe_record = ProbeRecord {
        observations: &finding.observations,
        forgotten: &finding.forgotten,
        verified_by_chain: &by_chain(&engine.sealer(), row, &finding.verified_by_chain, now),
        reported_condition: finding.condition,
        next_probe_at,
        due_check_at: finding.is_news.then_some(now),
        events: &finding.events,
    };
    engine
        .store
        .record_probe(&row.name, &probe_record, now)
        .await?;
    match last {
        Some(current) if window::is_to_be_asked(engine, row, current) => {
            engine.store.ask_for_window(&row.name, now).await
        }
        _ => Ok(()),
    }
}

/// Whether no address has ever served a certificate that renewd knows, nor serves one now, and renewd never installed one.
fn is_first(
    row: &TrackedCertificate,
    knowledge: &Knowledge<'_>,
    results: &[(String, ProbeResult)],
    now: Timestamp,
) -> bool {
    let is_known = |probed: &ProbeResult| {
        let judged = knowledge.judge(probed, now);
        judged.is_some_and(|(_, familiarity)| !matches!(familiarity, Familiarity::Unknown(_)))
    };
    row.alias.is_none()
        && row.current.is_none()
        && !results.iter().any(|(_, probed)| is_known(probed))
}

/// Reports rows that renewd did not store, each once.
async fn report_forged(
    engine: &Engine,
    row: &TrackedCertificate,
    forged: &[KnownCertificate],
    now: Timestamp,
) -> Result<(), StoreError> {
    let news = forged.iter().filter(|one| !one.is_reported);
    let news: Vec<KnownCertificate> = news.cloned().collect();
    if news.is_empty() {
        return Ok(());
    }
    let words = known_rows::advice(&row.name, &news);
    let event = event_of(EventKind::KnownCertificateNotAuthentic, &row.name, words);
    let fingerprints: Vec<Fingerprint> = news.iter().map(|one| one.fingerprint).collect();
    engine
        .store
        .record_forged_known(&row.name, &fingerprints, &[event], now)
        .await
}

/// Reports certificates that the database names as trusted for the firewall and that renewd did not store there, once: not
/// only when a renewal has to log in.
async fn report_forged_pins(
    engine: &Engine,
    wanted: &ManagedCertificate,
    tracked: &TrackedFirewall,
    stored: &PinsOf,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Without the sealing key the pins cannot be checked; the next login reports that.
    let forged = stored.as_ref().map_or("", |stored| &stored.forged);
    let Some(mark) = pins::unreported(tracked, forged) else {
        return Ok(());
    };
    let event = Event {
        firewall: Some(Arc::clone(&wanted.firewall)),
        ..event_of(
            EventKind::PinNotAuthentic,
            &wanted.name,
            pins::advice(&tracked.name),
        )
    };
    engine
        .store
        .record_distrust(&wanted.firewall, &mark, &[event], None, now)
        .await
}

/// What is known from now on. Without the sealing key nothing is stored, and the next probe finds the same.
fn by_chain(
    sealer: &Sealer,
    row: &TrackedCertificate,
    fingerprints: &[Fingerprint],
    now: Timestamp,
) -> Vec<KnownCertificate> {
    let known = fingerprints
        .iter()
        .map(|fingerprint| known_rows::authenticate(sealer, &row.name, *fingerprint, false, now));
    known.collect::<Result<_, _>>().unwrap_or_else(|problem| {
        tracing::warn!(certificate = &*row.name, %problem, "that a chain has verified what is served is not stored");
        Vec::new()
    })
}

/// The result of probing every address of a certificate.
#[derive(Debug, Default)]
struct Finding {
    /// Every address as it is stored from now on.
    served: Vec<Served>,
    observations: Vec<(Observation, Vec<Report>)>,
    forgotten: Vec<String>,
    verified_by_chain: Vec<Fingerprint>,
    /// What decides when a renewal is due is another one than at the last probe: the due rules must be asked.
    is_news: bool,
    /// What is wrong with the certificate as a whole, stored so that it is reported once.
    condition: Option<ReportedCondition>,
    events: Vec<Event>,
    look_again: Option<SignedDuration>,
}

impl Finding {
    fn of(row: &TrackedCertificate, look: &Address<'_>, results: &[(String, ProbeResult)]) -> Self {
        let mut finding = Self::default();
        for (address, probed) in results {
            let before = row.served.iter().find(|one| one.address == *address);
            let seen = look.at(address, probed, before);
            finding.verified_by_chain.extend(seen.verified_by_chain);
            finding.unseen(before, &seen.served);
            finding.served.push(merged(before, &seen.served));
            let observation = Observation::probed(seen.served);
            finding.observations.push((observation, seen.reports));
        }
        finding.forget(row);
        finding.is_news = is_news(row, &finding.served);
        finding.report_dates(row, look.now);
        finding
    }

    /// One probe may fall into a restart; an operator is notified only at the second.
    fn unseen(&mut self, before: Option<&Served>, seen: &Served) {
        if seen.unreachable.is_none() {
            return;
        }
        if before.is_some_and(|before| before.unreachable.is_some()) {
            self.condition = Some(ReportedCondition::Unreachable);
        } else {
            self.condition = self.condition.or(Some(ReportedCondition::UnreachableOnce));
            self.look_again = Some(SECOND_PROBE);
        }
    }

    /// Addresses that are no longer configured go once another one has shown a certificate that is known: until then
    /// theirs says when a renewal is due.
    fn forget(&mut self, row: &TrackedCertificate) {
        let is_gone = |one: &&Served| self.served.iter().all(|now| now.address != one.address);
        let gone: Vec<Served> = row.served.iter().filter(is_gone).cloned().collect();
        if deciding(&self.served).is_some() {
            self.forgotten = gone.into_iter().map(|one| one.address).collect();
        } else {
            self.served.extend(gone);
        }
    }

    /// Reports a deciding certificate that has expired, expires soon or is not valid yet.
    fn report_dates(&mut self, row: &TrackedCertificate, now: Timestamp) {
        let Some(worst) = deciding(&self.served).and_then(ServedCertificate::certificate) else {
            return;
        };
        if self.condition.is_none() && pki::is_not_yet_valid(worst.not_before, now) {
            self.condition = Some(ReportedCondition::NotYetValid);
            if row.reported_condition != self.condition {
                self.events.push(not_yet_valid(row, &worst, now));
            }
        }
        let mut endings = probe_schedule::endings(&worst)
            .into_iter()
            .zip([ReportedCondition::Expiring, ReportedCondition::Expired]);
        let reached = endings.rfind(|(at, _)| *at <= now);
        // Also where another address shows nothing: this is more urgent.
        let is_valid = self.condition != Some(ReportedCondition::NotYetValid);
        if let Some((_, ending)) = reached.filter(|_| is_valid) {
            self.condition = Some(ending);
            self.look_again = None;
            if row.reported_condition != self.condition {
                self.events.push(comes_to_its_end(row, &worst, now));
            }
        }
    }
}

/// What is stored after an observation: without a certificate that is known, the last one still counts.
fn merged(before: Option<&Served>, seen: &Served) -> Served {
    let mut merged = seen.clone();
    if let (None, Some(before)) = (&merged.known, before) {
        merged.known.clone_from(&before.known);
        merged.is_wanted = before.is_wanted;
    }
    merged
}

fn is_news(row: &TrackedCertificate, served: &[Served]) -> bool {
    let before = row.current.as_ref().map(|current| current.fingerprint);
    let now = deciding(served).map(|current| current.fingerprint);
    let is_unknown = |served: &[Served]| served.iter().any(|one| one.unknown.is_some());
    before != now || (now.is_none() && is_unknown(served) && !is_unknown(&row.served))
}

/// The clock of the CA, or ours, is wrong, and only an operator can find out which. A renewal under a wrong clock would
/// be wasted.
fn not_yet_valid(row: &TrackedCertificate, current: &Certificate, now: Timestamp) -> Event {
    let words = format!(
        "it is not valid before {:.0}, and it is {now:.0} here: is the clock right? If it is, `renewd renew {}`",
        current.not_before, row.name
    );
    event_of(EventKind::CertificateNotYetValid, &row.name, words)
}

/// Reported whatever delays the renewal, and whether or not that was reported already: this is the last chance to act.
fn comes_to_its_end(row: &TrackedCertificate, current: &Certificate, now: Timestamp) -> Event {
    let (name, end) = (&row.name, current.not_after);
    let (kind, when) = if end <= now {
        (EventKind::CertificateExpired, "expired")
    } else {
        (EventKind::CertificateExpiring, "expires")
    };
    let renewal = row.open_renewal.as_ref().map_or_else(
        || "no renewal is under way".to_owned(),
        |id| format!("the renewal {id} has not replaced it yet"),
    );
    let words =
        format!("what is served {when} at {end:.0}, and {renewal}: `renewd explain {name}`");
    event_of(kind, name, words)
}

fn event_of(kind: EventKind, certificate: &Arc<str>, words: String) -> Event {
    Event {
        detail: Some(words),
        ..Event::of_certificate(kind, certificate)
    }
}

/// How soon the second probe follows.
const SECOND_PROBE: SignedDuration = SignedDuration::from_mins(1);
