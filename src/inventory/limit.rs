//! How many orders a CA may be given: its own rate limits, and a budget for those that cost money. Pure.

use jiff::{SignedDuration, Timestamp};

/// A limit of the CA on orders of one kind. It refills steadily, as a token bucket: all of it may be used at once, and
/// then one more each time that its share of `within` has passed (CA rules reference 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// What is counted together, such as `domain example.com`; unique within the CA.
    pub bucket: String,
    /// How many orders.
    pub at_most: u32,
    /// In how long.
    pub within: SignedDuration,
}

/// How many orders may be placed at a CA, whatever is asked for: each of them costs money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// How many orders.
    pub orders: u32,
    /// In how long.
    pub within: SignedDuration,
}

impl RateLimit {
    /// When the next order may be placed, `full_at` being the moment at which the bucket would have refilled wholly
    /// (`None`: it is full).
    pub fn earliest(&self, full_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
        let room = self.within - self.share();
        full_at
            .and_then(|full_at| full_at.checked_sub(room).ok())
            .map_or(now, |earliest| earliest.max(now))
    }

    /// When the bucket will have refilled wholly, after one more order at `at`.
    pub fn full_at(&self, full_at: Option<Timestamp>, at: Timestamp) -> Timestamp {
        let from = full_at.map_or(at, |full_at| full_at.max(at));
        from.saturating_add(self.share()).unwrap_or(at)
    }

    /// In what time one order is refilled.
    fn share(&self) -> SignedDuration {
        self.within / i32::try_from(self.at_most.max(1)).unwrap_or(i32::MAX)
    }
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} orders in {:#} for {}",
            self.at_most, self.within, self.bucket
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn start() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    /// The moments, in seconds, at which `orders` wishes of the same moment may be placed.
    fn places(limit: &RateLimit, orders: usize) -> Vec<i64> {
        let mut full_at = None;
        (0..orders)
            .map(|_| {
                let at = limit.earliest(full_at, start());
                full_at = Some(limit.full_at(full_at, at));
                start().duration_until(at).as_secs()
            })
            .collect()
    }

    #[test]
    fn a_full_bucket_is_used_at_once_and_then_refills_steadily() {
        let limit = RateLimit {
            bucket: "domain example.com".to_owned(),
            at_most: 50,
            within: SignedDuration::from_hours(7 * 24),
        };
        let places = places(&limit, 100);
        assert!(places[..50].iter().all(|at| *at == 0));
        let share = 7 * 24 * 3600 / 50;
        assert_eq!(places[50], share);
        assert_eq!(
            places[99],
            50 * share,
            "a second fifty takes seven days more"
        );
    }

    #[test]
    fn a_bucket_that_was_left_alone_is_full_again() {
        let limit = RateLimit {
            bucket: "account".to_owned(),
            at_most: 2,
            within: SignedDuration::from_hours(1),
        };
        let mut full_at = None;
        for _ in 0..2 {
            full_at = Some(limit.full_at(full_at, start()));
        }
        assert_eq!(
            limit.earliest(full_at, start()),
            start() + SignedDuration::from_mins(30)
        );
        let later = start() + SignedDuration::from_hours(1);
        assert_eq!(limit.earliest(full_at, later), later);
        assert_eq!(
            limit.full_at(full_at, later),
            later + SignedDuration::from_mins(30)
        );
    }
}
