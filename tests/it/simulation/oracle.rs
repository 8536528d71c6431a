//! What may never be, and whose fault it was: certificates that were served after their end, alerts that did not come,
//! renewals without progress.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use renewd::event::{EventKind, Level};
use renewd::inventory::{Renewal, Service, State as Stage};
use renewd::pki::Certificate;
use renewd::store::Store;

use super::driver::{DOWN, Driver, FIREWALL_DOWN};
use super::world::{Expiry, Obstacle, Scope};

/// What is known when a simulation has ended, besides the books of the world.
#[derive(Debug, Default)]
pub struct Verdicts {
    pub crashes: u32,
    pub clock_steps: u32,
    pub recalled: usize,
    /// How often an operator resumed a held renewal.
    pub let_go_on: u32,
    /// Hours for which certificates were served after their end, by what made it impossible to renew them.
    pub expired_hours: BTreeMap<&'static str, i64>,
    pub expired: u32,
    /// Ended renewals by state, and those that are open.
    pub renewals: BTreeMap<Stage, u64>,
    pub alerts: u64,
    /// To so many violations their tale was added.
    pub tales: usize,
    pub steps: u64,
}

impl Driver {
    /// Judges what was served after its end since the last time.
    pub async fn judge_expiries(&mut self) {
        let expiries = self.world.with(|state| std::mem::take(&mut state.expiries));
        for expiry in expiries {
            self.judge_expiry(&expiry).await;
        }
    }

    async fn judge_expiry(&mut self, expiry: &Expiry) {
        let hours = expiry.from.duration_until(expiry.until).as_hours();
        let obstacles = self.world.with(|state| state.obstacles_of(expiry));
        let from = opportunity(expiry, &obstacles);
        if let Some(gap) = free_gap(&obstacles, from, expiry) {
            let words = format!(
                "{} was served {hours} h after its end at {:.0} (due since {from:.0}), though nothing was in the way \
                 from {:.0} to {:.0}{}",
                expiry.managed.certificate,
                expiry.leaf.not_after,
                gap.0,
                gap.1,
                listed(&obstacles)
            );
            self.world.with(|state| state.violation(words));
            return;
        }
        let longest = obstacles
            .iter()
            .max_by_key(|o| o.from.duration_until(o.until));
        let why = longest.map_or("an operator installed an expired one, or it was new", |o| {
            o.why
        });
        self.verdicts.expired += 1;
        *self.verdicts.expired_hours.entry(why).or_default() += hours;
        let (earliest, latest) = time_to_tell(expiry, from, &obstacles);
        if longest.is_some()
            && !was_blind(&obstacles, earliest.max(last_moment(&expiry.leaf)), latest)
            && !self.was_reported(expiry, earliest, latest).await
        {
            let words = format!(
                "{} expired at {:.0} (due since {from:.0}) and no alert was raised from {earliest:.0} to {latest:.0} \
                 ({why}){}",
                expiry.managed.certificate,
                expiry.leaf.not_after,
                listed(&obstacles)
            );
            self.world.with(|state| state.violation(words));
        }
    }

    /// Adds to each violation what the history says of the certificates that it names, or of those on the firewall.
    pub async fn tell_tales(&mut self) {
        let reported = self.verdicts.tales;
        let new: Vec<String> = self
            .world
            .with(|state| state.books.violations[reported..].to_vec());
        for (place, violation) in (reported..).zip(new) {
            let mut words = violation.clone();
            for wanted in self.config.certificates.values() {
                if violation.contains(&*wanted.name) || violation.contains(&*wanted.firewall) {
                    words.push_str(&self.tale(&wanted.name).await);
                }
            }
            eprintln!("violation: {words}");
            self.world
                .with(|state| state.books.violations[place] = words);
            self.verdicts.tales += 1;
        }
    }

    /// What the history says of a certificate in the time before now, an event a line; a repeated event takes one line.
    async fn tale(&self, certificate: &str) -> String {
        let Some(store) = self.store() else {
            return String::new();
        };
        let history = store.history(certificate, 1000).await.unwrap();
        let mut lines: Vec<(String, String, u32)> = Vec::new();
        for event in &history {
            let field = |name| event.fields.get(name).and_then(|value| value.as_str());
            let [state, detail] = [field("state"), field("detail")].map(Option::unwrap_or_default);
            let words = format!("{} {state} {detail}", event.name);
            let at = format!("{:.0}", event.at);
            match lines.last_mut() {
                Some((first, last, times)) if *last == words => (*first, *times) = (at, *times + 1),
                _ => lines.push((at, words, 1)),
            }
            if lines.len() == LONGEST_TALE {
                break;
            }
        }
        let mut tale = String::new();
        for (at, words, times) in lines.iter().rev() {
            let _ = write!(tale, "\n    {at} {times} x {words}");
        }
        tale
    }

    /// Whether an alert about the certificate came in this time.
    async fn was_reported(&self, expiry: &Expiry, earliest: Timestamp, latest: Timestamp) -> bool {
        let Some(store) = self.store() else {
            return true;
        };
        if expiry.until < latest {
            // It was over before an alert was due.
            return true;
        }
        let error = self.world.with(|state| state.clock_error);
        let earliest = earliest - SignedDuration::from_hours(36);
        let history = store
            .history(&expiry.managed.certificate, 2000)
            .await
            .unwrap();
        history.iter().any(|event| {
            let at = event.at - error;
            event.level == Level::Alert && earliest <= at && at <= latest
        })
    }

    /// Compares the store with what must be true at any time.
    pub async fn audit(&mut self) {
        let Some(store) = self.store() else {
            return;
        };
        let now = self.time_of_daemon();
        let was_disturbed = self.world.with(|state| {
            let calm = SignedDuration::from_hours(50);
            state.last_clock_step_at + calm > state.now
                || state
                    .obstacles
                    .iter()
                    .any(|o| o.why == DOWN && o.until + calm > state.now)
        });
        let mut found = Vec::new();
        for renewal in store.open_renewals().await.unwrap() {
            found.extend(
                self.audit_renewal(&store, &renewal, now, was_disturbed)
                    .await,
            );
        }
        for row in store.certificates().await.unwrap() {
            let late =
                |at: Option<Timestamp>, by| at.is_some_and(|at| at + by < now) && !was_disturbed;
            let patience = SignedDuration::from_hours(30);
            if late(row.probe_at, patience) || late(row.due_check_at, patience) {
                found.push(format!("{} is not probed any more: {row:?}", row.name));
            }
            if row.open_renewal.is_none() && row.current.is_some() && row.due_check_at.is_none() {
                found.push(format!("the rules are never asked of {}", row.name));
            }
        }
        self.world.with(|state| {
            for words in found {
                state.violation(words);
            }
            let old = state.now - SignedDuration::from_hours(24 * 400);
            state.obstacles.retain(|obstacle| obstacle.until > old);
        });
    }

    async fn audit_renewal(
        &self,
        store: &Store,
        renewal: &Renewal,
        now: Timestamp,
        was_disturbed: bool,
    ) -> Option<String> {
        let Some(next) = renewal.next_attempt_at else {
            let reported = self
                .alerts_since(store, renewal, EventKind::RenewalHeld)
                .await;
            return (!reported).then(|| format!("{} is held, and no alert was raised", renewal.id));
        };
        let is_late = next + SignedDuration::from_hours(30) < now && !was_disturbed;
        if is_late && renewal.refused_logins < 2 {
            let words = format!(
                "{} waits for nothing since {next:.0}: {renewal:?}",
                renewal.id
            );
            return Some(words);
        }
        // A refusal by a firewall is reported once, with the renewal that got it, and holds the others as well.
        let open = store.open_renewals().await.unwrap();
        let is_held_too = open
            .iter()
            .any(|other| other.firewall == renewal.firewall && other.next_attempt_at.is_none());
        if is_late
            && !is_held_too
            && !self
                .alerts_since(store, renewal, EventKind::RenewalHeld)
                .await
        {
            let words = "its firewall refuses logins, and no alert was raised";
            return Some(format!(
                "{} of {}: {words}",
                renewal.id, renewal.certificate
            ));
        }
        None
    }

    /// Whether this event came since the renewal began.
    async fn alerts_since(&self, store: &Store, renewal: &Renewal, kind: EventKind) -> bool {
        let history = store.history(&renewal.certificate, 2000).await.unwrap();
        let mut history = history.iter();
        history
            .any(|event| event.name == kind.name() && event.renewal.as_ref() == Some(&renewal.id))
    }

    /// Settles all accounts.
    pub async fn finish(&mut self) {
        self.world.with(|state| {
            let places: Vec<(Arc<str>, Service)> = state.managed.keys().cloned().collect();
            for (firewall, service) in places {
                state.settle(&firewall, service);
            }
        });
        if self.daemon.is_none() {
            self.start_daemon().await;
        }
        self.judge_expiries().await;
        self.tell_tales().await;
        let store = self.store().unwrap();
        let names: Vec<Arc<str>> = self.config.certificates.keys().cloned().collect();
        for name in names {
            for renewal in store.renewals_of(&name, 100_000).await.unwrap() {
                *self.verdicts.renewals.entry(renewal.state).or_default() += 1;
            }
            for event in store.history(&name, 1_000_000).await.unwrap() {
                self.verdicts.alerts += u64::from(event.level == Level::Alert);
                self.verdicts.steps += u64::from(event.fields.get("next_state").is_some());
            }
        }
    }
}

impl super::world::State {
    /// Everything that stood in the way of renewing it.
    fn obstacles_of(&self, expiry: &Expiry) -> Vec<Obstacle> {
        let concerned = |scope: &Scope| match scope {
            Scope::Everything => true,
            Scope::Device(name) => *name == expiry.device,
            Scope::Ca(name) => *name == expiry.managed.ca.name(),
            Scope::Name(name) => name.starts_with(&*expiry.managed.certificate),
        };
        let by_hand = expiry.managed.changed_by_hand_at;
        let opportunity = opportunity(expiry, &[]);
        let from = if by_hand + NOTICED < opportunity {
            opportunity
        } else {
            by_hand
        };
        let until = expiry.until;
        let obstacles = self.obstacles.iter().filter(|obstacle| {
            concerned(&obstacle.scope) && obstacle.from < until && obstacle.until > from
        });
        obstacles.cloned().collect()
    }
}

/// One a line.
fn listed(obstacles: &[Obstacle]) -> String {
    let lines = obstacles.iter().map(|o| {
        format!(
            "\n    in the way from {:.0} to {:.0}: {}",
            o.from, o.until, o.why
        )
    });
    lines.collect()
}

/// From when on renewd could have renewed it: since it was due, known, and outside any window that holds it back.
fn opportunity(expiry: &Expiry, obstacles: &[Obstacle]) -> Timestamp {
    let leaf = &expiry.leaf;
    let life = leaf.not_before.duration_until(leaf.not_after);
    let due = if life < SignedDuration::from_hours(240) {
        leaf.not_before + life / 2
    } else {
        leaf.not_before + life * 2 / 3
    };
    let managed = &expiry.managed;
    let noticed_at = noticed_at(managed.changed_by_hand_at, obstacles);
    let from = due.max(managed.since).max(expiry.bound_at).max(noticed_at);
    match managed.window_oracle {
        Some(_) => from.max(last_moment(leaf)),
        None => from,
    }
}

/// Its last twentieth begins: an alert is raised in any case.
fn last_moment(leaf: &Certificate) -> Timestamp {
    leaf.not_after - leaf.not_before.duration_until(leaf.not_after) / 20
}

/// When what was changed on a device was seen at the latest. A failed probe is repeated soon once, and then at the
/// usual interval.
pub fn noticed_at<'a>(
    changed_at: Timestamp,
    obstacles: impl IntoIterator<Item = &'a Obstacle>,
) -> Timestamp {
    let mut noticed_at = changed_at + NOTICED;
    let blinds = |o: &&Obstacle| o.scope == Scope::Everything || o.why == FIREWALL_DOWN;
    let mut obstacles: Vec<_> = obstacles.into_iter().filter(blinds).collect();
    obstacles.sort_unstable_by_key(|o| o.from);
    for obstacle in obstacles {
        if obstacle.from < noticed_at && changed_at < obstacle.until {
            noticed_at = noticed_at.max(obstacle.until + NOTICED);
        }
    }
    noticed_at
}

/// When an alert is due: before its expiry; for one that had expired when an operator installed it, as soon as a probe
/// could see it.
fn time_to_tell(
    expiry: &Expiry,
    from: Timestamp,
    obstacles: &[Obstacle],
) -> (Timestamp, Timestamp) {
    let by_hand = expiry.managed.changed_by_hand_at.max(expiry.managed.since);
    let seen = noticed_at(by_hand, obstacles);
    let earliest = if seen < from { from } else { by_hand };
    (earliest, seen.max(expiry.leaf.not_after))
}

/// Whether renewd was down or did not know the time all the while, or so long that its first probe came too late.
fn was_blind(obstacles: &[Obstacle], from: Timestamp, end: Timestamp) -> bool {
    let mut sees_from = from;
    let is_blind = |o: &&Obstacle| o.scope == Scope::Everything;
    let mut obstacles: Vec<_> = obstacles.iter().filter(is_blind).collect();
    obstacles.sort_unstable_by_key(|o| o.from);
    for obstacle in obstacles {
        if sees_from + ONE_LOOK < obstacle.from.min(end) {
            return false;
        }
        sees_from = sees_from.max(obstacle.until);
    }
    sees_from + ONE_LOOK >= end
}

/// A span without obstacles that was long enough to renew it, before its end or after.
fn free_gap(
    obstacles: &[Obstacle],
    from: Timestamp,
    expiry: &Expiry,
) -> Option<(Timestamp, Timestamp)> {
    let (end, last) = (expiry.leaf.not_after, expiry.until);
    let mut spans: Vec<_> = obstacles.iter().map(|o| (o.from, o.until)).collect();
    spans.push((last, last));
    spans.sort_unstable();
    let mut free_from = from;
    for (start, until) in spans {
        let start = start.min(last);
        if free_from + needed(free_from, end) < start {
            return Some((free_from, start));
        }
        free_from = free_from.max(until);
    }
    None
}

/// Until the next attempt, whatever went wrong before, and for everything from the request to the proof. The nearer to
/// the end, on either side, the sooner it is tried again.
fn needed(at: Timestamp, end: Timestamp) -> SignedDuration {
    let distance = at.duration_until(end).abs();
    (distance / 3).min(SignedDuration::from_hours(27)) + PROCESSING
}

/// More than the time within which a start probes everything that is due.
const ONE_LOOK: SignedDuration = SignedDuration::from_mins(30);
/// In lines.
const LONGEST_TALE: usize = 60;
/// More than all waits for a CA that has the certificate ready already.
const PROCESSING: SignedDuration = SignedDuration::from_hours(3);
/// More than the interval of probes.
const NOTICED: SignedDuration = SignedDuration::from_hours(100);
