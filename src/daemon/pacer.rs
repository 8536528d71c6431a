//! When the loop turns next: not before something is due, at most once a second while no slot is free for due work,
//! after a pause when the database failed, and always in time for the watchdog.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::database_outage::DatabaseOutage;
use crate::store::StoreError;

/// The loop's own time.
#[derive(Debug)]
pub struct Pacer {
    outage: DatabaseOutage,
    next: Instant,
    last_beat: Option<Instant>,
    longest_sleep: Duration,
}

impl Pacer {
    /// A loop that turns at once, and then at least three times in the time of the `watchdog`.
    pub fn new(watchdog: Option<Duration>) -> Self {
        Self {
            outage: DatabaseOutage::default(),
            next: Instant::now(),
            last_beat: None,
            longest_sleep: watchdog.map_or(LONGEST_SLEEP, |time| LONGEST_SLEEP.min(time / 3)),
        }
    }

    /// When the loop, which sleeps from `now` on, is to wake, whatever happens.
    pub fn wake(&self, now: Instant) -> Instant {
        self.next.min(now + self.longest_sleep)
    }

    /// Whether the loop, now awake, may turn. While the database fails, a command does not make it turn.
    pub fn may_turn(&self, now: Instant) -> bool {
        !self.outage.lasts() || now >= self.next
    }

    /// What came of a turn at `time`, which ended `now`: when something is due next.
    pub fn turned(
        &mut self,
        result: Result<Option<Timestamp>, StoreError>,
        time: Timestamp,
        now: Instant,
    ) {
        let sleep = match result {
            Ok(wake) => {
                self.outage.end();
                wake.map_or(LONGEST_SLEEP, |wake| until(time, wake))
            }
            Err(error) => {
                self.outage.begin(&error);
                AFTER_STORE_ERROR
            }
        };
        self.next = now + sleep.min(LONGEST_SLEEP);
    }

    /// Whether the time has come to store that the loop is alive.
    pub fn is_beat_due(&self) -> bool {
        self.last_beat
            .is_none_or(|beat| beat.elapsed() >= BETWEEN_BEATS)
    }

    /// It is stored.
    pub fn beaten(&mut self) {
        self.last_beat = Some(Instant::now());
    }
}

/// How long until `wake`. Work that is due already had no free slot, or is under way. The end of any work frees a slot
/// and wakes the loop; so does the time after which a stalled session gives its slot away.
fn until(now: Timestamp, wake: Timestamp) -> Duration {
    match now.duration_until(wake).try_into() {
        Ok(wait) if wait > Duration::ZERO => wait,
        _ => BETWEEN_TURNS,
    }
}

/// However far away the next due time is, the loop turns this often.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);
/// After the store failed, the loop tries it again this soon.
const AFTER_STORE_ERROR: Duration = Duration::from_secs(5);
/// While more is due than there are slots.
const BETWEEN_TURNS: Duration = Duration::from_secs(1);
const BETWEEN_BEATS: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use jiff::SignedDuration;

    use super::*;

    fn time() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn due_work_without_a_slot_does_not_make_the_loop_spin() {
        let mut pacer = Pacer::new(None);
        let now = Instant::now();
        for (wake, slept) in [
            (Some(SignedDuration::from_secs(-9)), BETWEEN_TURNS),
            (Some(SignedDuration::ZERO), BETWEEN_TURNS),
            (
                Some(SignedDuration::from_millis(20)),
                Duration::from_millis(20),
            ),
            (Some(SignedDuration::from_hours(9)), LONGEST_SLEEP),
            (None, LONGEST_SLEEP),
        ] {
            pacer.turned(Ok(wake.map(|wake| time() + wake)), time(), now);
            assert_eq!(pacer.wake(now) - now, slept, "{wake:?}");
        }
    }

    #[test]
    fn a_watchdog_is_fed_three_times_in_its_time() {
        let mut pacer = Pacer::new(Some(Duration::from_secs(30)));
        let now = Instant::now();
        pacer.turned(Ok(None), time(), now);
        assert_eq!(pacer.wake(now) - now, Duration::from_secs(10));
    }

    #[test]
    fn while_the_database_fails_nothing_but_time_makes_the_loop_turn() {
        let mut pacer = Pacer::new(None);
        let now = Instant::now();
        pacer.turned(Err(StoreError::Full), time(), now);
        assert!(!pacer.may_turn(now));
        let later = now + AFTER_STORE_ERROR;
        assert!(pacer.may_turn(later));
        pacer.turned(Ok(None), time(), later);
        assert!(pacer.may_turn(later), "again whatever wakes it");
    }
}
