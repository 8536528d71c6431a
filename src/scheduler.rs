//! What is to be done now? `tick(now)` decides from stored facts alone; a missed or doubled tick changes nothing.
//!
//! It plans renewals, claims those that are ready, and names the certificates to probe. It does not do the work,
//! does not sleep, and uses only the store.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, EventKind};
use crate::inventory::due::{self, Decision, Facts, Reason};
use crate::inventory::{
    AddressProblem, ManagedCertificate, Obtained, Renewal, RenewalId, Served, ServedCertificate,
    State, TrackedCertificate,
};
use crate::pki::Certificate;
use crate::random::Random;
use crate::renewal::Engine;
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::store::{self, Lease, NextDue, PollKind, REMEMBERED, StoreError};

/// What a tick found to do.
#[derive(Debug, Default)]
pub struct Tick {
    /// How many renewals it planned.
    pub planned: usize,
    /// Renewals to work on; each claim must be handed to the engine.
    pub claimed: Vec<Lease>,
    /// Certificates whose services are to be probed.
    pub to_probe: Vec<TrackedCertificate>,
    /// Certificates about whose renewal their CA is to be asked.
    pub to_ask: Vec<TrackedCertificate>,
    /// When something is due again; `None`: not before something else happens.
    pub wake: Option<Timestamp>,
}

/// How much may be under way beside what is under way already.
#[derive(Debug, Clone, Copy)]
pub struct Capacity<'a> {
    /// Renewals.
    pub renewals: usize,
    /// Of these, renewals whose last attempt did not reach the peer.
    pub suspect_renewals: usize,
    /// Probes.
    pub probes: usize,
    /// Of these, probes where the last one saw nothing.
    pub suspect_probes: usize,
    /// Questions to CAs.
    pub questions: usize,
    /// Certificates that are being probed at this moment.
    pub probing: &'a HashSet<Arc<str>>,
    /// Certificates about which a CA is being asked at this moment.
    pub asking: &'a HashSet<Arc<str>>,
}

/// Decides what is to be done at `now`.
///
/// # Errors
/// The store's.
pub async fn tick(
    engine: &Engine,
    owner: &str,
    capacity: Capacity<'_>,
    now: Timestamp,
) -> Result<Tick, StoreError> {
    let due = engine.store.next_due(REFUSED_LOGIN_LIMIT).await?;
    if !is_due(due.first(), now) {
        return Ok(Tick {
            wake: due.first(),
            ..Tick::default()
        });
    }
    let mut tick = Tick::default();
    if is_due(due.due_check_at, now) {
        tick.planned = plan_due(engine, now).await?;
    }
    match fill(&mut tick, engine, owner, capacity, due, now).await {
        // A claim without a worker would block its firewall. What was claimed is handed out anyway, and the store fails
        // again at the next tick.
        Err(_) if !tick.claimed.is_empty() => {
            tick.wake = Some(now);
            Ok(tick)
        }
        Err(error) => Err(error),
        Ok(()) => Ok(tick),
    }
}

async fn fill(
    tick: &mut Tick,
    engine: &Engine,
    owner: &str,
    capacity: Capacity<'_>,
    due: NextDue,
    now: Timestamp,
) -> Result<(), StoreError> {
    if tick.planned > 0 || is_due(due.attempt_at, now) {
        claim(tick, engine, owner, capacity, now).await?;
    }
    let until = now.saturating_add(LOOK).unwrap_or(now);
    let store = &engine.store;
    if is_due(due.probe_at, now) {
        let due = to_probe(engine, capacity, now).await?;
        tick.to_probe = store
            .first_come(PollKind::Services, due, now, until)
            .await?;
    }
    if capacity.questions > 0 && is_due(due.window_at, now) {
        let limit = limit(capacity.questions, capacity.asking);
        let due = store.due_for_window(now, limit).await?;
        let due = others(due, capacity.asking, capacity.questions);
        tick.to_ask = store.first_come(PollKind::Window, due, now, until).await?;
    }
    tick.wake = store.next_due(REFUSED_LOGIN_LIMIT).await?.first();
    if store.tell_left(now).await? {
        // It is due until the other daemon has done it.
        let soonest = now.saturating_add(LEFT).unwrap_or(now);
        tick.wake = tick.wake.map(|wake| wake.max(soonest));
    }
    Ok(())
}

fn is_due(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now)
}

/// Peers that were reached at the last attempt, or never tried, come first. The slots of the others are limited.
async fn claim(
    tick: &mut Tick,
    engine: &Engine,
    owner: &str,
    capacity: Capacity<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let store = &engine.store;
    let until = now
        .saturating_add(store.lease_policy().lease)
        .unwrap_or(now);
    while tick.claimed.len() < capacity.renewals {
        let claim = store.claim_reachable(owner, now, until, REFUSED_LOGIN_LIMIT);
        match claim.await? {
            Some(lease) => tick.claimed.push(lease),
            None => break,
        }
    }
    let most = capacity
        .renewals
        .min(tick.claimed.len() + capacity.suspect_renewals);
    while tick.claimed.len() < most {
        match store.claim(owner, now, until, REFUSED_LOGIN_LIMIT).await? {
            Some(lease) => tick.claimed.push(lease),
            None => break,
        }
    }
    Ok(())
}

/// The same for probes.
async fn to_probe(
    engine: &Engine,
    capacity: Capacity<'_>,
    now: Timestamp,
) -> Result<Vec<TrackedCertificate>, StoreError> {
    let mut found = Vec::new();
    for (is_seen, places) in [(true, capacity.probes), (false, capacity.suspect_probes)] {
        let places = places.min(capacity.probes - found.len());
        if places > 0 {
            let limit = limit(places, capacity.probing);
            let due = engine.store.due_for_probe(now, is_seen, limit).await?;
            found.extend(others(due, capacity.probing, places));
        }
    }
    Ok(found)
}

/// So many rows hold `places` that are not busy, if there are any.
fn limit(places: usize, busy: &HashSet<Arc<str>>) -> u32 {
    u32::try_from(places + busy.len()).unwrap_or(u32::MAX)
}

/// The first `capacity` of `due` that are not `busy`.
fn others(
    due: Vec<TrackedCertificate>,
    busy: &HashSet<Arc<str>>,
    capacity: usize,
) -> Vec<TrackedCertificate> {
    due.into_iter()
        .filter(|row| !busy.contains(&row.name))
        .take(capacity)
        .collect()
}

/// Asks the due rules about every certificate whose time to be asked has come.
async fn plan_due(engine: &Engine, now: Timestamp) -> Result<usize, StoreError> {
    let mut planned = 0;
    loop {
        let rows = engine.store.due_for_check(now, BATCH).await?;
        let mut rests = Vec::new();
        for row in &rows {
            let wanted = engine.config.certificates.get(&row.name);
            // The row may be ahead of this configuration; the next synchronisation settles it.
            let decision = wanted.map_or_else(not_configured, |wanted| decide(wanted, row, now));
            match (decision, wanted) {
                (Decision::Due { .. }, Some(_)) if planned >= PLANNED_AT_ONCE => {}
                (Decision::Due { reason, words }, Some(wanted)) => {
                    match beginning(engine, wanted, row, reason, now).await? {
                        Beginning::Rest(rest) => rests.push((row, rest)),
                        Beginning::Order => {
                            let renewal = new_renewal(engine, wanted, reason, now).await?;
                            planned += usize::from(plan(engine, &renewal, words, None).await?);
                        }
                        Beginning::InstallAgain(good) => {
                            let again = installed_otherwise(row, &good);
                            let mut renewal = new_renewal(engine, wanted, reason, now).await?;
                            install_again(&mut renewal, *good);
                            planned += usize::from(plan(engine, &renewal, words, again).await?);
                        }
                    }
                }
                (decision, _) => rests.push((row, decision)),
            }
        }
        record_rests(engine, &rests, now).await?;
        // The rest is due still, and follows at the next turn: the loop has other duties, and each plan is a commit.
        if rows.len() < BATCH as usize || planned >= PLANNED_AT_ONCE {
            return Ok(planned);
        }
    }
}

fn not_configured() -> Decision {
    Decision::Rest {
        until: None,
        rule: None,
        words: "not in this configuration".to_owned(),
    }
}

/// Plans a renewal; `false` when there is one already. `alert`: why it orders nothing, where an operator is to know.
async fn plan(
    engine: &Engine,
    renewal: &Renewal,
    words: String,
    alert: Option<String>,
) -> Result<bool, StoreError> {
    let planned = Event {
        reason: Some(renewal.reason.clone()),
        detail: Some(words),
        ..Event::of_renewal(EventKind::RenewalPlanned, renewal)
    };
    let alert = alert.map(|words| Event {
        detail: Some(words),
        ..Event::of_renewal(EventKind::CertificateMismatch, renewal)
    });
    let events: Vec<Event> = alert.into_iter().chain([planned]).collect();
    engine.store.plan(renewal, &events).await
}

/// Stores what the rules said of certificates that rest, in one commit: a commit waits for the disk, and a new fleet
/// rests ten thousand times.
async fn record_rests(
    engine: &Engine,
    rests: &[(&TrackedCertificate, Decision)],
    now: Timestamp,
) -> Result<(), StoreError> {
    if rests.is_empty() {
        return Ok(());
    }
    let latest = now.saturating_add(LONGEST_REST).unwrap_or(now);
    let lines: Vec<String> = rests.iter().map(|(_, decision)| decision.line()).collect();
    let decisions: Vec<store::Decision<'_>> = std::iter::zip(rests, &lines)
        .map(|((row, decision), line)| store::Decision {
            name: &row.name,
            due_check_at: match decision {
                Decision::Rest {
                    until: Some(until), ..
                } => latest.min(*until),
                _ => latest,
            },
            decision: line,
            was_due_at: row.due_check_at,
        })
        .collect();
    engine.store.record_decisions(&decisions).await
}

/// Whether an address serves a certificate again that renewd has replaced.
fn is_put_back(row: &TrackedCertificate) -> bool {
    let is_it = |served: &Served| matches!(served.problem(), Some(AddressProblem::PutBack(_)));
    row.served.iter().any(is_it)
}

/// What a renewal that is due begins with.
enum Beginning {
    /// A new key pair and an order.
    Order,
    /// What this one obtained, which is as good as a new one.
    InstallAgain(Box<Renewal>),
    /// Nothing yet.
    Rest(Decision),
}

/// Nothing is ordered while the last certificate that was obtained is as good as a new one, whatever an address serves
/// instead: an older binding that was put back, or another machine behind the same name, would be followed by order after
/// order. It is installed again, at most once a day: another program that replaces it may do so again and again, and
/// each bind is a commit. A request of an operator is not delayed.
async fn beginning(
    engine: &Engine,
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
    reason: Reason,
    now: Timestamp,
) -> Result<Beginning, StoreError> {
    let is_requested = reason == Reason::Requested;
    if is_requested && !is_put_back(row) {
        return Ok(Beginning::Order);
    }
    let past = engine.store.renewals_of(&row.name, REMEMBERED).await?;
    let Some(good) = installable(wanted, row, &past, now) else {
        return Ok(Beginning::Order);
    };
    let until = bound_again(&past).and_then(|last| last.checked_add(BETWEEN_BINDS).ok());
    match until.filter(|until| now < *until && !is_requested) {
        Some(until) => Ok(Beginning::Rest(resting(row, good, reason, until))),
        None => Ok(Beginning::InstallAgain(Box::new(good.clone()))),
    }
}

/// When the last renewal ended, if it installed again what the one before it had obtained.
fn bound_again(past: &[Renewal]) -> Option<Timestamp> {
    let [last, before, ..] = past else {
        return None;
    };
    let is_again = last.state == State::Completed
        && last.obtained.fingerprint.is_some()
        && last.obtained.fingerprint == before.obtained.fingerprint;
    is_again.then_some(last.state_since)
}

fn resting(row: &TrackedCertificate, good: &Renewal, rule: Reason, until: Timestamp) -> Decision {
    let instead = match installed_otherwise(row, good) {
        Some(words) => format!("{words}; it was installed again already, and is"),
        None => "an older binding was put back although the renewed certificate was bound again: find out what puts it \
                 back; it is"
            .to_owned(),
    };
    Decision::Rest {
        until: Some(until),
        rule: Some(rule),
        words: format!("{instead} bound again at {until:.0}, or on request"),
    }
}

/// The addresses that serve something else than what `good` obtained and completed, in words; `None`: it was never
/// completed, or it is an older binding that was put back, which is reported as such.
fn installed_otherwise(row: &TrackedCertificate, good: &Renewal) -> Option<String> {
    if good.state != State::Completed || is_put_back(row) {
        return None;
    }
    let other = |served: &Served| {
        let known = served.known.as_ref();
        let known = known.filter(|known| Some(known.fingerprint) != good.obtained.fingerprint)?;
        Some(format!(
            "{} serves SHA-256 {}, valid until {:.0}",
            served.address, known.fingerprint, known.not_after
        ))
    };
    let others: Vec<String> = row.served.iter().filter_map(other).collect();
    Some(format!(
        "{}, and not what renewal {} installed, which is as good as a new one: nothing is ordered, and it is installed \
         again. Does that address lead to another machine, such as a second record in the DNS or a failover site? Then \
         name the address of the firewall in `endpoints`",
        others.join("; "),
        good.id
    ))
}

/// The last renewal that installed something, if its certificate is as good as a new one: a failed installation, or
/// something else at an address, never leads to another order by itself.
fn installable<'a>(
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
    past: &'a [Renewal],
    now: Timestamp,
) -> Option<&'a Renewal> {
    let was_installed = |past: &Renewal| {
        matches!(
            past.state,
            State::Completed | State::RolledBack | State::NotRolledBack
        )
    };
    let (later, rest) = past.split_at(past.iter().position(was_installed)?);
    let good = rest.first()?;
    let is_again = |later: &Renewal| later.obtained.fingerprint == good.obtained.fingerprint;
    // One that could not be installed again, such as one whose key is gone, is not tried once more.
    if later.iter().any(is_again) || good.firewall != wanted.firewall || good.ca != wanted.ca {
        return None;
    }
    let leaf = Certificate::from_pem(good.obtained.leaf_pem.as_deref()?).ok()?;
    let is_shown = |current: &ServedCertificate| current.fingerprint == leaf.fingerprint;
    let facts = Facts {
        wanted,
        current: Some(&leaf),
        unknown: None,
        renewed_before: true,
        requested_at: None,
        window: row
            .window_of_current()
            .filter(|_| row.current.as_ref().is_some_and(is_shown)),
        rest: None,
    };
    let decision = due::decide(&facts, now);
    matches!(decision, Decision::Rest { until: Some(_), .. }).then_some(good)
}

/// Lets `renewal` begin with what `past` obtained; the import step checks whether it is still on the device.
fn install_again(renewal: &mut Renewal, past: Renewal) {
    renewal.state = State::Issued;
    renewal.alias = past.alias;
    renewal.obtained = Obtained {
        previous_bindings: None,
        previous_fingerprint: None,
        previous_served: None,
        verification_failure: None,
        previous_bound_at: None,
        // Destroyed with the end of `past`; the firewall has it.
        sealed_key: None,
        ..past.obtained
    };
}

/// What the due rules say of a stored row.
pub fn decide(wanted: &ManagedCertificate, row: &TrackedCertificate, now: Timestamp) -> Decision {
    let current = row
        .current
        .as_ref()
        .and_then(ServedCertificate::certificate);
    let unknown = row.unknown_words();
    let facts = Facts {
        wanted,
        current: current.as_ref(),
        unknown: unknown.as_deref(),
        renewed_before: row.alias.is_some(),
        requested_at: row.requested_at,
        window: row.window_of_current(),
        rest: row.rest.as_ref().filter(|rest| rest.is_of(&row.served)),
    };
    due::decide(&facts, now)
}

async fn new_renewal(
    engine: &Engine,
    wanted: &Arc<ManagedCertificate>,
    reason: Reason,
    now: Timestamp,
) -> Result<Renewal, StoreError> {
    let random = engine.env.random.as_ref();
    let mut renewal = fresh_renewal(wanted, reason, random, now);
    for _ in 0..OTHER_IDS {
        if engine.store.renewal(&renewal.id).await?.is_none() {
            break;
        }
        renewal = fresh_renewal(wanted, reason, random, now);
    }
    Ok(renewal)
}

fn fresh_renewal(
    wanted: &Arc<ManagedCertificate>,
    reason: Reason,
    random: &dyn Random,
    now: Timestamp,
) -> Renewal {
    let id = new_id(random, now);
    Renewal {
        alias: alias(&wanted.name, &id),
        id,
        certificate: Arc::clone(&wanted.name),
        firewall: Arc::clone(&wanted.firewall),
        ca: Arc::clone(&wanted.ca),
        reason: reason.name().to_owned(),
        state: State::Planned,
        planned_at: now,
        state_since: now,
        attempts: 0,
        polls: 0,
        cause: None,
        same_cause: 0,
        decided: None,
        planned_ahead: false,
        bind_now: false,
        refused_logins: 0,
        next_attempt_at: Some(now),
        last_error_kind: None,
        last_error: None,
        obtained: Obtained::default(),
    }
}

/// The day and fifty random bits: sorts by day, and an operator can read it aloud. Ten thousand of one day meet once in
/// sixty thousand years; the alias, whose length devices limit, still has room for a name.
fn new_id(random: &dyn Random, now: Timestamp) -> RenewalId {
    let mut bytes = [0; 7];
    random.fill(&mut bytes);
    let tail: String = data_encoding::BASE32_NOPAD
        .encode(&bytes)
        .to_ascii_lowercase()
        .chars()
        .take(10)
        .collect();
    RenewalId(format!("{}-{tail}", now.strftime("%y%m%d")))
}

/// The name on the device: as much of the certificate's name as fits, and the id, so that it is found again after a
/// crash. At most 31 characters of `a-z 0-9 -`, since the device's own limit is not published (SonicOS reference 3.1).
fn alias(name: &str, id: &RenewalId) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let capacity = LONGEST_ALIAS.saturating_sub(id.0.len() + 1);
    let stem: String = plain.trim_matches('-').chars().take(capacity).collect();
    match stem.trim_end_matches('-') {
        "" => id.to_string(),
        stem => format!("{stem}-{id}"),
    }
}

/// A probe that another daemon started has ended by then; if not, it is repeated.
const LOOK: SignedDuration = SignedDuration::from_mins(5);
/// Where work is left to another daemon, due work is checked no more often than this.
const LEFT: SignedDuration = SignedDuration::from_secs(5);
const LONGEST_ALIAS: usize = 31;
const BATCH: u32 = 500;
/// Some seconds on a slow disk, far less than a watchdog waits.
const PLANNED_AT_ONCE: usize = 200;
/// A certificate that is replaced repeatedly is bound again no more often than this.
const BETWEEN_BINDS: SignedDuration = SignedDuration::from_hours(24);
/// How often a new id is drawn when the id is taken already.
const OTHER_IDS: u32 = 8;
/// However far away the next due time is, the rules are asked once a day: a clock that was wrong is found out.
const LONGEST_REST: SignedDuration = SignedDuration::from_hours(24);

#[cfg(test)]
mod planning;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    #[test]
    fn an_alias_is_short_plain_and_ends_with_the_renewals_id() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let id = new_id(&SeededRandom::new(7), now);
        for name in [
            "hq-portal",
            "Ünïcode name (very long indeed, longer than any device allows)",
            "---",
            "",
        ] {
            let alias = alias(name, &id);
            assert!(alias.len() <= LONGEST_ALIAS, "{alias}");
            assert!(
                alias
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{alias}"
            );
            assert!(alias.ends_with(&id.0) && !alias.starts_with('-'), "{alias}");
        }
    }

    #[test]
    fn ids_of_one_day_share_the_day_and_differ() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let random = SeededRandom::new(1);
        let ids: HashSet<RenewalId> = (0..1000).map(|_| new_id(&random, now)).collect();
        assert_eq!(ids.len(), 1000);
        assert!(
            ids.iter()
                .all(|id| id.0.starts_with("261122-") && id.0.len() == 17)
        );
    }
}
