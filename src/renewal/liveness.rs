//! Whether the firewall of a running renewal has answered yet. A renewal that waits for an unresponsive peer does not
//! count against the limit of the others.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The signs of life of one piece of work.
#[derive(Debug, Default)]
pub struct Liveness(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Since when a session is being opened.
    reaching_since: Option<Instant>,
    has_answered: bool,
}

/// Lasts as long as a session is being opened.
pub(super) struct Reaching<'a>(&'a Liveness);

impl Liveness {
    /// A session with the firewall is being opened from now on, until what is returned goes out of scope.
    pub(super) fn reaching(&self) -> Reaching<'_> {
        self.heard().reaching_since = Some(Instant::now());
        Reaching(self)
    }

    /// The firewall opened a session.
    pub(super) fn answered(&self) {
        self.heard().has_answered = true;
    }

    /// Whether the firewall opened a session at least once.
    pub fn has_answered(&self) -> bool {
        self.heard().has_answered
    }

    /// Whether it waits, `now`, for a session for longer than `patience`.
    pub fn is_stalled(&self, now: Instant, patience: Duration) -> bool {
        let since = self.heard().reaching_since;
        since.is_some_and(|since| now.duration_since(since) > patience)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reaching<'_> {
    fn drop(&mut self) {
        self.0.heard().reaching_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    #[test]
    fn it_is_silent_while_a_session_does_not_come_and_no_longer() {
        let liveness = Liveness::default();
        let before = Instant::now() + PATIENCE;
        assert!(!liveness.is_stalled(before, PATIENCE));
        let reaching = liveness.reaching();
        assert!(!liveness.is_stalled(before, PATIENCE));
        let later = Instant::now() + PATIENCE + Duration::from_millis(1);
        assert!(liveness.is_stalled(later, PATIENCE) && !liveness.has_answered());
        drop(reaching);
        liveness.answered();
        assert!(!liveness.is_stalled(later, PATIENCE) && liveness.has_answered());
    }
}
