//! How long a certificate rests after its renewal, whatever its dates and its CA say. Pure.
//!
//! A CA that backdates, a CA that wants everything to be renewed at once, or a wrong clock would otherwise cause
//! one renewal after the other: each costs an order, a key pair and a commit. After a failed renewal the same holds for its
//! pause: no probe result and no message of the CA ends it.

use jiff::{SignedDuration, Timestamp};

use super::due::Reason;
use super::served::Served;
use crate::pki::{Certificate, Fingerprint};

/// The rest that the last renewal of a certificate began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// When the renewal ended, by our own clock.
    pub began_at: Timestamp,
    /// No rule that goes by time plans another renewal before this moment.
    pub until: Timestamp,
    /// How many renewals in a row were planned as soon as such a rest was over, or soon after it.
    pub early: u32,
    /// The certificate that was served when it ended. Where no address serves it any more, there is no rest.
    pub of: Fingerprint,
}

impl Rest {
    /// The rest after a renewal that was planned at `planned_at` by `reason` and completed at `now` with `leaf`.
    pub fn after(
        previous: Option<&Self>,
        planned_at: Timestamp,
        reason: Option<Reason>,
        leaf: &Certificate,
        now: Timestamp,
    ) -> Self {
        let early = match previous {
            Some(rest) if rest.was_soon_over(planned_at) => {
                let is_round = reason.is_some_and(Reason::goes_by_time);
                rest.early.saturating_add(u32::from(is_round))
            }
            _ => 0,
        };
        let length = length(now.duration_until(leaf.not_after), early);
        Self {
            began_at: now,
            until: now.saturating_add(length).unwrap_or(Timestamp::MAX),
            early,
            of: leaf.fingerprint,
        }
    }

    /// The rest until `until` after a renewal that failed at `now`, while `served` is served.
    pub fn after_failure(
        previous: Option<&Self>,
        served: Fingerprint,
        now: Timestamp,
        until: Timestamp,
    ) -> Self {
        Self {
            began_at: now,
            until,
            early: previous.map_or(0, |rest| rest.early),
            of: served,
        }
    }

    /// Whether it holds back a renewal at `now`. One that begins in the future was made under a wrong clock.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.began_at <= now && now < self.until
    }

    /// Whether one of these addresses serves the certificate still. What another address serves beside it, or served before
    /// it left the configuration, does not end the rest: each renewal would be followed by the next one.
    pub fn is_of(&self, served: &[Served]) -> bool {
        let mut known = served.iter().filter_map(|one| one.known.as_ref());
        known.any(|known| known.fingerprint == self.of)
    }

    /// Whether a renewal that was planned at `planned_at` came within twice this rest.
    fn was_soon_over(&self, planned_at: Timestamp) -> bool {
        let length = self.began_at.duration_until(self.until);
        let age = self.began_at.duration_until(planned_at);
        (SignedDuration::ZERO..length.saturating_mul(2)).contains(&age)
    }
}

/// A twentieth of what is left of the certificate, from an hour to a day, doubled with each early renewal. Never more than
/// half of what is left: the next certificate must be there in time.
fn length(left: SignedDuration, early: u32) -> SignedDuration {
    let left = left.max(SignedDuration::ZERO);
    let first = (left / 20).clamp(SHORTEST, LONGEST_FIRST);
    let factor = 1_i32.checked_shl(early.min(MOST_DOUBLINGS)).unwrap_or(1);
    first
        .saturating_mul(factor)
        .min((left / 2).max(SHORTEST_OF_ALL))
}

const SHORTEST: SignedDuration = SignedDuration::from_hours(1);
const LONGEST_FIRST: SignedDuration = SignedDuration::from_hours(24);
/// Also after a certificate that ends in the next minutes.
const SHORTEST_OF_ALL: SignedDuration = SignedDuration::from_mins(30);
const MOST_DOUBLINGS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::ServedCertificate;
    use crate::pki::testing::Authority;

    fn hours(count: i64) -> SignedDuration {
        SignedDuration::from_hours(count)
    }

    #[test]
    fn a_rest_is_a_twentieth_of_what_is_left_and_never_more_than_half() {
        let lengths = |left: i64| [0, 1, 2, 30].map(|early| length(hours(left), early).as_hours());
        assert_eq!(lengths(90 * 24), [24, 48, 96, 45 * 24]);
        assert_eq!(lengths(5 * 24), [6, 12, 24, 60]);
        assert_eq!(lengths(160), [8, 16, 32, 80]);
        assert_eq!(length(SignedDuration::from_mins(72), 0).as_mins(), 36);
        assert_eq!(length(hours(-1), 9).as_mins(), 30);
    }

    #[test]
    fn each_renewal_that_follows_at_once_doubles_the_rest_and_a_late_one_ends_that() {
        let leaf = Authority::root("served").certificate;
        let mut now = leaf.not_before;
        let mut rest = Rest::after(None, now, Some(Reason::NotYetIssued), &leaf, now);
        assert_eq!(rest.early, 0);
        for early in 1..4 {
            now = rest.until;
            assert!(rest.holds(rest.began_at) && !rest.holds(now));
            rest = Rest::after(Some(&rest), now, Some(Reason::RenewalWindow), &leaf, now);
            assert_eq!(rest.early, early);
        }
        // What an operator asks for is no round, and what comes long after the rest begins anew.
        let asked = Rest::after(Some(&rest), now, Some(Reason::Requested), &leaf, now);
        assert_eq!(asked.early, 3);
        let later = rest.until + (rest.began_at.duration_until(rest.until));
        let rest = Rest::after(Some(&rest), later, Some(Reason::Emergency), &leaf, later);
        assert_eq!(rest.early, 0);
    }

    #[test]
    fn a_failure_is_no_round_and_ends_none() {
        let leaf = Authority::root("served").certificate;
        let now = leaf.not_before;
        let first = Rest::after(None, now, None, &leaf, now);
        let until = now + hours(25);
        let failed = Rest::after_failure(Some(&first), leaf.fingerprint, now, until);
        assert!(failed.holds(now) && !failed.holds(until));
        // The renewal that follows a failure is given no reason.
        let again = Rest::after(Some(&failed), until, None, &leaf, until);
        assert_eq!((failed.early, again.early), (0, 0));
    }

    #[test]
    fn nothing_rests_after_a_loss_or_under_a_clock_that_was_set_back() {
        let leaf = Authority::root("served").certificate;
        let now = leaf.not_before;
        let rest = Rest::after(None, now, None, &leaf, now);
        let other = Authority::root("other").certificate;
        let served = |leaf: &Certificate| {
            Served::known("192.0.2.1:443".to_owned(), ServedCertificate::of(leaf, now))
        };
        assert!(rest.is_of(&[served(&leaf)]) && !rest.is_of(&[served(&other)]));
        // Also where another address serves another one, or what was lost is not served there yet.
        assert!(rest.is_of(&[served(&other), served(&leaf)]));
        assert!(rest.holds(now) && !rest.holds(now - hours(1)));
    }
}
