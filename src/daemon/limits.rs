//! How much may be under way at a time, so that those who do not answer keep nobody waiting who does.
//!
//! Who is silent gives its place to the next and goes on beside, in a number that is bounded as well. Who was not
//! reached at the last attempt comes after everybody else, and gets a quarter of the places until it answers.

use std::time::Duration;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It answers, or is not silent for long.
    Active,
    /// The same, but it did not answer the last time, and has not yet.
    Suspect,
    /// It waits for an answer for longer than a living peer takes.
    Stalled,
}

/// How many more may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// In all.
    pub total: usize,
    /// Of these, for those that were not reached the last time.
    pub suspect: usize,
}

impl Slots {
    /// What is free of `total` when so much is under way.
    pub fn of(total: usize, under_way: impl Iterator<Item = Stage>) -> Self {
        let (mut taken, mut suspect, mut stalled) = (0, 0, 0);
        for stage in under_way {
            taken += usize::from(stage != Stage::Stalled);
            suspect += usize::from(stage == Stage::Suspect);
            stalled += usize::from(stage == Stage::Stalled);
        }
        let free = total
            .saturating_sub(taken)
            .min(MOST_STALLED.saturating_sub(stalled));
        Self {
            total: free,
            suspect: (total / 4)
                .max(1)
                .saturating_sub(suspect)
                // The other half is kept for those of whom nothing is known yet.
                .min((MOST_STALLED / 2).saturating_sub(stalled))
                .min(free),
        }
    }
}

/// Handshakes at a time: they are short and cheap.
pub const PROBES: usize = 32;
/// Questions to CAs at a time.
pub const QUESTIONS: usize = 16;
/// A handshake that takes longer counts no longer among those at a time.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// The same for a session with a firewall; the slowest log in within it.
pub const RENEWAL_PATIENCE: Duration = Duration::from_secs(2);
/// Who is silent takes a socket and some ten KiB.
const MOST_STALLED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn free(total: usize, at_work: usize, suspect: usize, stalled: usize) -> (usize, usize) {
        let stages = [
            (Stage::Active, at_work),
            (Stage::Suspect, suspect),
            (Stage::Stalled, stalled),
        ];
        let under_way = stages
            .into_iter()
            .flat_map(|(stage, count)| std::iter::repeat_n(stage, count));
        let free = Slots::of(total, under_way);
        (free.total, free.suspect)
    }

    #[test]
    fn whoever_was_not_reached_before_gets_a_quarter_and_the_others_the_rest() {
        assert_eq!(free(8, 0, 0, 0), (8, 2));
        assert_eq!(free(8, 0, 2, 0), (6, 0));
        assert_eq!(free(8, 6, 1, 0), (1, 1));
        assert_eq!(free(8, 8, 0, 0), (0, 0));
        assert_eq!(free(1, 0, 0, 0), (1, 1), "one place is everybody's");
    }

    #[test]
    fn the_silent_take_no_places_but_are_bounded_all_the_same() {
        assert_eq!(free(8, 0, 0, 100), (8, 2));
        assert_eq!(free(8, 0, 0, 128), (8, 0), "half of them were known to be");
        assert_eq!(free(8, 0, 0, 254), (2, 0));
        assert_eq!(free(8, 0, 0, 256), (0, 0));
        assert_eq!(free(8, 9, 9, 300), (0, 0));
    }
}
