//! When the services of a certificate are looked at.

use jiff::{SignedDuration, Timestamp};

use super::due;
use crate::pki::{Certificate, Fingerprint};

/// When to look at the services again after a look or a proof at `now`: within the interval, and when what they show comes
/// to its last twentieth or its end, so that it is reported in time.
pub fn next(
    certificate: &str,
    current: Option<&Certificate>,
    interval: SignedDuration,
    now: Timestamp,
) -> Timestamp {
    let regular = regular_probe(certificate, interval, now);
    let endings = current.into_iter().flat_map(endings);
    endings
        .filter(|at| *at > now)
        .min()
        .map_or(regular, |ending| ending.min(regular))
}

/// When to look at the services again after a new certificate was proven at `now`: at once where it is in its last twentieth
/// already, since only a look reports that.
pub fn after_proof(
    certificate: &str,
    new: Option<&Certificate>,
    interval: SignedDuration,
    now: Timestamp,
) -> Timestamp {
    if new.is_some_and(|new| due::emergency_at(new) <= now) {
        return now;
    }
    next(certificate, new, interval, now)
}

/// Once in every interval, each certificate at a moment of its own: a fleet that was new all at once, or unreachable
/// all at once, is spread over the interval by its next looks.
fn regular_probe(certificate: &str, interval: SignedDuration, now: Timestamp) -> Timestamp {
    let interval = interval.as_millis().max(1);
    let since_its_moment = i128::from(now.as_millisecond()) - own_moment(certificate);
    let wait = interval - since_its_moment.rem_euclid(interval);
    let wait = SignedDuration::from_millis(i64::try_from(wait).unwrap_or(i64::MAX));
    now.saturating_add(wait).unwrap_or(now)
}

/// Its last twentieth and its end: each is reported, whatever the interval.
pub fn endings(certificate: &Certificate) -> [Timestamp; 2] {
    [due::emergency_at(certificate), certificate.not_after]
}

/// A number of milliseconds that looks random and is always the same for a name.
fn own_moment(certificate: &str) -> i128 {
    let digest = Fingerprint::of(certificate.as_bytes()).short();
    i64::from_str_radix(&digest, 16).unwrap_or(0).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;
    use crate::pki::testing::Authority;

    const INTERVAL: SignedDuration = SignedDuration::from_hours(1);

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_fleet_that_was_probed_all_at_once_is_spread_over_the_next_interval() {
        let mut in_each_minute = [0_u32; 60];
        for n in 0..6_000 {
            let at = regular_probe(&format!("portal-{n}"), INTERVAL, now());
            let minute = (now().duration_until(at).as_secs() / 60).min(59);
            in_each_minute[usize::try_from(minute).unwrap()] += 1;
        }
        assert!(
            in_each_minute
                .iter()
                .all(|probes| (50..=150).contains(probes)),
            "{in_each_minute:?}"
        );
    }

    #[test]
    fn what_comes_to_its_end_within_the_interval_is_looked_at_then() {
        let root = Authority::root("Test CA").certificate;
        let current = Certificate {
            not_before: now(),
            not_after: now() + INTERVAL * 20,
            ..root
        };
        let week = INTERVAL * 168;
        let probe_after = |now| next("portal", Some(&current), week, now);
        let last_twentieth = now() + INTERVAL * 19;
        assert_eq!(probe_after(now()), last_twentieth);
        assert_eq!(probe_after(last_twentieth), current.not_after);
        let regular = regular_probe("portal", week, current.not_after);
        assert_eq!(probe_after(current.not_after), regular);
        let after_proof = |now| after_proof("portal", Some(&current), week, now);
        assert_eq!(after_proof(now()), last_twentieth);
        assert_eq!(after_proof(last_twentieth), last_twentieth);
        let hourly = next("portal", Some(&current), INTERVAL, now());
        assert_eq!(hourly, regular_probe("portal", INTERVAL, now()));
    }

    #[test]
    fn a_certificate_keeps_its_moment_however_late_its_probe_was() {
        let first = regular_probe("portal", INTERVAL, now());
        for late in [SignedDuration::ZERO, SignedDuration::from_mins(59)] {
            let next = regular_probe("portal", INTERVAL, first + late);
            assert_eq!(next, first + INTERVAL);
        }
    }
}
