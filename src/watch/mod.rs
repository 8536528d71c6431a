//! Looks at what the services show between renewals: adopts a certificate that was replaced by hand, and tells when
//! an address shows none any more. It changes nothing on a firewall and plans nothing; the due rules are only asked.

mod panicked;
mod window;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, EventKind};
use crate::inventory::{ManagedCertificate, Shown, TrackedCertificate, looks};
use crate::pki::{self, Certificate};
use crate::probe::Sight;
use crate::renewal::Engine;
use crate::renewal::step::look_at_all;
use crate::store::StoreError;

pub use crate::store::Look;

pub use panicked::after_panic;
pub use window::ask;

/// Looks once at every address of a certificate and stores what was seen.
///
/// # Errors
/// The store's; an unreachable address is not an error but a sight.
pub async fn observe(engine: &Engine, row: &TrackedCertificate) -> Result<(), StoreError> {
    let Some(wanted) = engine.desired.certificates.get(&row.name) else {
        return Ok(());
    };
    let sights = look_at_all(engine.peers.as_ref(), wanted).await;
    let now = engine.surroundings.clock.now();
    // Read again: a renewal may have gone on while we looked.
    let Some(row) = engine.store.certificate(&row.name).await? else {
        return Ok(());
    };
    let ours = match &row.open_renewal {
        Some(id) => engine
            .store
            .renewal(id)
            .await?
            .and_then(|renewal| renewal.obtained.fingerprint),
        None => None,
    };
    let finding = judge(wanted, &row, ours.as_ref(), &sights, now);
    let last_shown = || row.shown.as_ref().and_then(Shown::certificate);
    let known = finding.shown.clone().or_else(last_shown);
    let interval = engine.desired.daemon.probe_interval;
    let regular = looks::next(&row.name, known.as_ref(), interval, now);
    let next_probe_at = match finding.look_again {
        Some(soon) => now.saturating_add(soon).unwrap_or(now).min(regular),
        None => regular,
    };
    let shown = finding
        .shown
        .as_ref()
        .map(|certificate| Shown::of(certificate, now));
    let look_at = finding.is_news.then_some(now);
    engine
        .store
        .record_sight(
            &row.name,
            shown.as_ref(),
            finding.told,
            next_probe_at,
            look_at,
            &finding.events,
            now,
        )
        .await?;
    match shown.as_ref().or(row.shown.as_ref()) {
        Some(shown) if window::is_to_be_asked(engine, &row, shown) => {
            engine.store.ask_for_window(&row.name, now).await
        }
        _ => Ok(()),
    }
}

#[derive(Debug, Default)]
struct Finding {
    shown: Option<Certificate>,
    /// The certificate is another one than at the last look: the due rules must be asked.
    is_news: bool,
    /// What is wrong, remembered so that it is told once.
    told: Option<&'static str>,
    events: Vec<Event>,
    look_again: Option<SignedDuration>,
}

fn judge(
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
    ours: Option<&pki::Fingerprint>,
    sights: &[(String, Sight)],
    now: Timestamp,
) -> Finding {
    let mut finding = unseen(row, sights);
    let Some(worst) = worst_shown(wanted, sights) else {
        return finding;
    };
    if finding.told.is_none() && pki::is_not_yet_valid(worst.not_before, now) {
        finding.told = Some(NOT_YET_VALID);
        if row.told.as_deref() != Some(NOT_YET_VALID) {
            finding.events.push(not_yet_valid(row, worst, now));
        }
    }
    let mut endings = looks::endings(worst).into_iter().zip([ENDING, ENDED]);
    let reached = endings.rfind(|(at, _)| *at <= now);
    // Also where another address shows nothing: this is more urgent.
    if let Some((_, ending)) = reached.filter(|_| finding.told != Some(NOT_YET_VALID)) {
        finding.told = Some(ending);
        finding.look_again = None;
        if row.told.as_deref() != Some(ending) {
            finding.events.push(comes_to_its_end(row, worst, now));
        }
    }
    let before = row.shown.as_ref().map(|shown| shown.fingerprint);
    finding.is_news = before != Some(worst.fingerprint);
    finding.shown = Some(worst.clone());
    if finding.is_news && before.is_some() && ours != Some(&worst.fingerprint) {
        finding.events.push(replaced(wanted, row, worst));
    }
    finding
}

/// Somebody put in `shown` by hand: it is what is watched from now on, or it is not what was asked for.
fn replaced(wanted: &ManagedCertificate, row: &TrackedCertificate, shown: &Certificate) -> Event {
    let differences = pki::differences_from_request(shown, &wanted.request);
    let (kind, words) = if differences.is_empty() {
        let (fingerprint, until) = (shown.fingerprint, shown.not_after);
        let words = format!("SHA-256 {fingerprint}, valid until {until:.0}");
        (EventKind::CertificateAdopted, words)
    } else {
        (EventKind::CertificateDrifted, differences.join("; "))
    };
    told(kind, &row.name, words)
}

/// Its clock or ours is wrong, and only a person knows which: a renewal under a wrong clock would be for nothing.
fn not_yet_valid(row: &TrackedCertificate, shown: &Certificate, now: Timestamp) -> Event {
    let words = format!(
        "it is not valid before {:.0}, and it is {now:.0} here: is the clock right? If it is, `renewd renew {}`",
        shown.not_before, row.name
    );
    told(EventKind::CertificateDrifted, &row.name, words)
}

/// Whatever holds the renewal up, and whether or not it was told already: this is the last moment to look.
fn comes_to_its_end(row: &TrackedCertificate, shown: &Certificate, now: Timestamp) -> Event {
    let (name, end) = (&row.name, shown.not_after);
    let when = if end <= now { "ended" } else { "ends" };
    let renewal = row.open_renewal.as_ref().map_or_else(
        || "no renewal is under way".to_owned(),
        |id| format!("the renewal {id} has not replaced it yet"),
    );
    let words =
        format!("what is served {when} at {end:.0}, and {renewal}: `renewd explain {name}`");
    told(EventKind::CertificateEnding, name, words)
}

/// The shown certificate that needs us most: one with other names than wanted, else the one that expires first.
fn worst_shown<'a>(
    wanted: &ManagedCertificate,
    sights: &'a [(String, Sight)],
) -> Option<&'a Certificate> {
    let shown = sights.iter().filter_map(|(_, sight)| match sight {
        Sight::Shown(certificate) => Some(certificate.as_ref()),
        Sight::Unreachable(_) => None,
    });
    shown.min_by_key(|certificate| {
        (
            pki::differences_from_request(certificate, &wanted.request).is_empty(),
            certificate.not_after,
        )
    })
}

/// What to do about addresses that show no certificate. One look may fall into a restart; only the second tells a
/// person.
fn unseen(row: &TrackedCertificate, sights: &[(String, Sight)]) -> Finding {
    let words: Vec<String> = sights
        .iter()
        .filter_map(|(place, sight)| match sight {
            Sight::Unreachable(why) => Some(format!("{place}: {why}")),
            Sight::Shown(_) => None,
        })
        .collect();
    if words.is_empty() {
        return Finding::default();
    }
    match row.told.as_deref() {
        Some(UNSEEN) => Finding {
            told: Some(UNSEEN),
            ..Finding::default()
        },
        Some(UNSEEN_ONCE) => Finding {
            told: Some(UNSEEN),
            events: vec![told(
                EventKind::CertificateDrifted,
                &row.name,
                words.join("; "),
            )],
            ..Finding::default()
        },
        _ => Finding {
            told: Some(UNSEEN_ONCE),
            look_again: Some(SECOND_LOOK),
            ..Finding::default()
        },
    }
}

fn told(kind: EventKind, certificate: &Arc<str>, words: String) -> Event {
    Event {
        detail: Some(words),
        ..Event::of_certificate(kind, certificate)
    }
}

/// How soon the second look follows.
const SECOND_LOOK: SignedDuration = SignedDuration::from_mins(1);
const UNSEEN_ONCE: &str = TrackedCertificate::UNSEEN_ONCE;
const UNSEEN: &str = TrackedCertificate::UNSEEN;
const NOT_YET_VALID: &str = "not_yet_valid";
const ENDING: &str = "ending";
const ENDED: &str = "ended";
