//! Asks the CAs for the renewal window of the served certificate (RFC 9773), and chooses the time of the renewal in it.
//!
//! The moment is chosen once and kept as long as the window holds it. It is stored, so that it is met however long the
//! pause between two questions is.

use jiff::{SignedDuration, Timestamp};

use crate::ca::{RenewalInfo, Window};
use crate::event::{Event, EventKind};
use crate::failure::{Failure, FailureKind};
use crate::inventory::{
    ManagedCertificate, RenewalWindow, ServedCertificate, TrackedCertificate, Urgent,
};
use crate::pki::Certificate;
use crate::random::Random;
use crate::renewal::Engine;
use crate::store::StoreError;

/// Asks the CA of a certificate once, and stores what it said.
///
/// # Errors
/// The store's; a CA that does not answer is asked again.
pub async fn ask(engine: &Engine, row: &TrackedCertificate) -> Result<(), StoreError> {
    let (Some(wanted), Some(current)) = (
        engine.config.certificates.get(&row.name),
        row.current.as_ref(),
    ) else {
        return Ok(());
    };
    let info = match current.certificate() {
        Some(certificate) => info(engine, &wanted.ca, &certificate).await,
        None => Ok(RenewalInfo::default()),
    };
    let now = engine.env.clock.now();
    let heard = Heard::of(info, row, engine.env.random.as_ref(), now);
    let ask_again_at = heard
        .ask_again
        .map(|wait| now.saturating_add(wait).unwrap_or(now))
        .filter(|at| *at < current.not_after);
    let is_news = heard.window.as_ref() != row.window_of_current();
    let news = heard.window.as_ref().filter(|_| is_news);
    let mut events: Vec<Event> = news
        .map(|window| window_event(row, window))
        .into_iter()
        .collect();
    let asked = news.and_then(|window| urgent(engine, wanted, window, now));
    events.extend(asked);
    engine
        .store
        .record_window(
            &row.name,
            current.fingerprint,
            heard.window.as_ref(),
            ask_again_at,
            is_news.then_some(now),
            &events,
            now,
        )
        .await?;
    Ok(())
}

/// Whether the CA is to be asked about `current` now: it was not asked yet, and it has something to say.
pub(super) fn is_to_be_asked(
    engine: &Engine,
    row: &TrackedCertificate,
    current: &ServedCertificate,
) -> bool {
    row.window_for != Some(current.fingerprint)
        && engine
            .config
            .certificates
            .get(&row.name)
            .and_then(|wanted| engine.peers.issuer(&wanted.ca).ok())
            .is_some_and(|issuer| issuer.offers_windows())
}

async fn info(
    engine: &Engine,
    ca: &str,
    certificate: &Certificate,
) -> Result<RenewalInfo, Failure> {
    engine.peers.issuer(ca)?.renewal_window(certificate).await
}

/// The consequence of an answer.
struct Heard {
    window: Option<RenewalWindow>,
    ask_again: Option<SignedDuration>,
}

impl Heard {
    fn of(
        info: Result<RenewalInfo, Failure>,
        row: &TrackedCertificate,
        random: &dyn Random,
        now: Timestamp,
    ) -> Self {
        let known = row.window_of_current();
        let failure = match info {
            Ok(info) => return Self::of_advice(info, known, random, now),
            Err(failure) => failure,
        };
        tracing::debug!(certificate = &*row.name, error = %failure, "the CA did not report its renewal window");
        Self {
            // What is known stays in force.
            window: known.cloned(),
            ask_again: Some(after(&failure)),
        }
    }

    fn of_advice(
        info: RenewalInfo,
        known: Option<&RenewalWindow>,
        random: &dyn Random,
        now: Timestamp,
    ) -> Self {
        let ask_again = info.ask_again;
        let window = info.window.filter(|window| window.start < window.end);
        Self {
            window: window.map(|window| RenewalWindow {
                start: window.start,
                end: window.end,
                chosen: chosen(window, known, random, now),
                explanation: info.explanation,
            }),
            ask_again: ask_again.map(|wait| wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)),
        }
    }
}

/// The moment that was chosen before, if the window holds it; else one at random, and now where the window is past
/// (RFC 9773, 4.2).
fn chosen(
    window: Window,
    known: Option<&RenewalWindow>,
    random: &dyn Random,
    now: Timestamp,
) -> Timestamp {
    let unmoved = known.filter(|known| (known.start, known.end) == (window.start, window.end));
    if let Some(known) =
        unmoved.or_else(|| known.filter(|known| (window.start..window.end).contains(&known.chosen)))
    {
        return known.chosen;
    }
    if window.end <= now {
        return now;
    }
    let mut bytes = [0; 8];
    random.fill(&mut bytes);
    let length = window.start.duration_until(window.end).as_millis().max(1);
    let offset = i128::from(u64::from_le_bytes(bytes) >> 1) % length;
    let offset = SignedDuration::from_millis(i64::try_from(offset).unwrap_or(0));
    window.start.saturating_add(offset).unwrap_or(window.start)
}

/// When to ask again after a failure (RFC 9773, 4.3.3).
fn after(failure: &Failure) -> SignedDuration {
    let wait = match failure.kind {
        FailureKind::Unreachable | FailureKind::Busy => failure.retry_after.unwrap_or(SOON),
        _ => LATER,
    };
    wait.clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

fn window_event(row: &TrackedCertificate, window: &RenewalWindow) -> Event {
    let explanation = window.explanation.as_deref();
    let explanation = explanation.map_or_else(String::new, |url| format!("; explained at {url}"));
    let words = format!(
        "from {:.0} to {:.0}; it will be renewed at {:.0}{explanation}",
        window.start, window.end, window.chosen
    );
    Event {
        detail: Some(words),
        ..Event::of_certificate(EventKind::RenewalInfoUpdated, &row.name)
    }
}

/// Asks an operator whether an urgent renewal may be bound outside the maintenance window, while it is closed.
fn urgent(
    engine: &Engine,
    wanted: &ManagedCertificate,
    window: &RenewalWindow,
    now: Timestamp,
) -> Option<Event> {
    let firewall = engine.config.firewalls.get(&wanted.firewall)?;
    let maintenance = firewall.window.as_ref()?;
    let is_asked = wanted.policy.urgent == Urgent::Ask && window.is_urgent();
    if !is_asked || maintenance.current(now).is_some() {
        return None;
    }
    let opens = maintenance.next(now).map_or_else(
        || "never opens".to_owned(),
        |span| format!("opens at {:.0}", span.start),
    );
    let explanation = window.explanation.as_deref();
    let why = explanation.map_or_else(String::new, |url| format!(", explained at {url}"));
    let (name, ca, end) = (&wanted.name, &wanted.ca, window.end);
    let words = format!(
        "{ca} wants it to be replaced by {end:.0}{why}, and may revoke it; a new one is ordered now, and the maintenance \
         window of {} {opens}: to bind it before, renewd renew {name} --now",
        wanted.firewall
    );
    Some(Event {
        detail: Some(words),
        ..Event::of_certificate(EventKind::RenewalUrgent, name)
    })
}

const SHORTEST_WAIT: SignedDuration = SignedDuration::from_mins(1);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);
const SOON: SignedDuration = SignedDuration::from_mins(30);
const LATER: SignedDuration = SignedDuration::from_hours(6);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;
    use crate::random::SeededRandom;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn january(day: u32) -> Window {
        Window {
            start: at(&format!("2026-01-{day:02}T00:00:00Z")),
            end: at(&format!("2026-01-{:02}T00:00:00Z", day + 1)),
        }
    }

    fn known(window: Window, chosen: Timestamp) -> RenewalWindow {
        RenewalWindow {
            start: window.start,
            end: window.end,
            chosen,
            explanation: None,
        }
    }

    #[test]
    fn moments_are_spread_over_the_whole_window() {
        let now = at("2026-01-01T00:00:00Z");
        let random = SeededRandom::new(1);
        let mut in_each_hour = [0_u32; 24];
        for _ in 0..2400 {
            let moment = chosen(january(10), None, &random, now);
            let hour = january(10).start.duration_until(moment).as_hours();
            in_each_hour[usize::try_from(hour).unwrap()] += 1;
        }
        assert!(
            in_each_hour.iter().all(|n| (50..150).contains(n)),
            "{in_each_hour:?}"
        );
    }

    #[test]
    fn a_moment_is_kept_while_the_window_holds_it_and_chosen_anew_when_it_moves() {
        let now = at("2026-01-01T00:00:00Z");
        let random = SeededRandom::new(2);
        let first = chosen(january(10), None, &random, now);
        let known = known(january(10), first);
        let wider = Window {
            start: january(9).start,
            end: january(11).end,
        };
        assert_eq!(chosen(wider, Some(&known), &random, now), first);
        let moved = chosen(january(3), Some(&known), &random, now);
        assert!((january(3).start..january(3).end).contains(&moved));
    }

    #[test]
    fn a_window_in_the_past_means_now_and_stays_that_moment() {
        let now = at("2026-01-20T00:00:00Z");
        let random = SeededRandom::new(3);
        let moment = chosen(january(10), None, &random, now);
        assert_eq!(moment, now);
        let known = known(january(10), moment);
        let later = at("2026-01-20T06:00:00Z");
        assert_eq!(chosen(january(10), Some(&known), &random, later), now);
    }
}
