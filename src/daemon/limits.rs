//! Concurrency limits. Unresponsive peers do not count against the limit, so they cannot starve responsive ones.
//!
//! A stalled session gives its slot to the next one and continues beside it; the number of stalled sessions is bounded
//! as well. A suspect peer (unreachable at the last attempt) comes after all others, and suspect peers get a quarter of
//! the slots until they answer.

use std::time::Duration;

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The peer answers, or has not been silent for long.
    Active,
    /// The same, but the peer did not answer at the last attempt, and has not answered yet.
    Suspect,
    /// The peer has not answered for longer than a responsive one takes.
    Stalled,
}

/// How many more may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// In total.
    pub total: usize,
    /// Of these, for suspect peers.
    pub suspect: usize,
}

impl Slots {
    /// The free slots of `total` beside the work under way.
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
                // The other half is reserved for peers of which nothing is known yet.
                .min((MOST_STALLED / 2).saturating_sub(stalled))
                .min(free),
        }
    }
}

/// Handshakes at a time: they are short and cheap.
pub const PROBES: usize = 32;
/// Questions to CAs at a time.
pub const QUESTIONS: usize = 16;
/// A handshake that takes longer no longer counts against the limit.
pub const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// The same for a session with a firewall; the slowest firewalls complete a login within it.
pub const RENEWAL_PATIENCE: Duration = Duration::from_secs(2);
/// A stalled session holds a socket and some ten KiB.
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
    fn suspect_peers_get_a_quarter_and_the_others_the_rest() {
        assert_eq!(free(8, 0, 0, 0), (8, 2));
        assert_eq!(free(8, 0, 2, 0), (6, 0));
        assert_eq!(free(8, 6, 1, 0), (1, 1));
        assert_eq!(free(8, 8, 0, 0), (0, 0));
        assert_eq!(free(1, 0, 0, 0), (1, 1), "one slot, free for both");
    }

    #[test]
    fn stalled_sessions_take_no_slots_but_are_bounded() {
        assert_eq!(free(8, 0, 0, 100), (8, 2));
        assert_eq!(free(8, 0, 0, 128), (8, 0), "half of them were known to be");
        assert_eq!(free(8, 0, 0, 254), (2, 0));
        assert_eq!(free(8, 0, 0, 256), (0, 0));
        assert_eq!(free(8, 9, 9, 300), (0, 0));
    }
}
