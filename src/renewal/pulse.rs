//! Whether a renewal under way has heard from its firewall yet: one that waits for a silent peer uses nothing but time,
//! and need not keep others from their turn.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The signs of life of one piece of work.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<Heard>);

#[derive(Debug, Default)]
struct Heard {
    /// Since when a session is being opened.
    reaching_since: Option<Instant>,
    has_answered: bool,
}

/// Lasts as long as a session is being opened.
pub(super) struct Reaching<'a>(&'a Pulse);

impl Pulse {
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

    /// Whether it waits for a session for longer than `patience`.
    pub fn is_silent(&self, patience: Duration) -> bool {
        let since = self.heard().reaching_since;
        since.is_some_and(|since| since.elapsed() > patience)
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

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn it_is_silent_while_a_session_does_not_come_and_no_longer() {
        let pulse = Pulse::default();
        assert!(!pulse.is_silent(Duration::ZERO));
        let reaching = pulse.reaching();
        // The clock of the machine moves between any two looks at it, or at the third.
        while !pulse.is_silent(Duration::ZERO) {}
        assert!(!pulse.is_silent(LONG) && !pulse.has_answered());
        drop(reaching);
        pulse.answered();
        assert!(!pulse.is_silent(Duration::ZERO) && pulse.has_answered());
    }
}
