//! The access token of a service account, kept until shortly before its end. It is in memory only.

use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::secret::Secret;

/// An access token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub secret: Secret,
    /// When it ends, by our clock.
    pub until: Timestamp,
}

/// The last token.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Option<Token>>);

impl Tokens {
    /// The last token, if it will be good for a while after `now`.
    pub fn good_at(&self, now: Timestamp) -> Option<Secret> {
        let kept = self.kept();
        let token = kept.as_ref()?;
        (now.duration_until(token.until) > MARGIN).then(|| token.secret.clone())
    }

    /// Keeps `token` for the calls that follow.
    pub fn keep(&self, token: &Token) {
        *self.kept() = Some(token.clone());
    }

    /// Forgets it: the service does not want it any more.
    pub fn forget(&self) {
        *self.kept() = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<Token>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Longer than the longest exchange that may still be begun with a token.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    #[test]
    fn a_token_is_used_until_shortly_before_its_end_and_never_after_it_was_refused() {
        let tokens = Tokens::default();
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        assert!(tokens.good_at(now).is_none());
        let until = now + SignedDuration::from_mins(5);
        let secret = Secret::new("t".to_owned());
        tokens.keep(&Token { secret, until });
        assert!(tokens.good_at(now).is_some());
        assert!(
            tokens
                .good_at(until - SignedDuration::from_mins(2))
                .is_some()
        );
        assert!(
            tokens
                .good_at(until - SignedDuration::from_secs(50))
                .is_none()
        );
        tokens.forget();
        assert!(tokens.good_at(now).is_none());
    }
}
