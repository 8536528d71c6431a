//! Whether what this process was configured with is what is stored. Several daemons may share a database, and while one
//! of them was reloaded and another was not, only those work on a certificate whose configuration is the stored one: the
//! others would plan and give up in turns, and pay for an order each time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{Configured, Store, StoreError, commit, history};
use crate::event::{Event, EventKind};

/// What this process stored as its configuration, shared by all clones of its store.
#[derive(Debug, Default)]
pub(super) struct Synchronised(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The hash of each certificate; `None`: it stored none, and asks for all.
    hashes: Option<HashMap<Arc<str>, String>>,
    /// What is due, and left to another daemon.
    left: BTreeMap<String, Left>,
}

#[derive(Debug, Clone, Copy)]
struct Left {
    since: Timestamp,
    last: Timestamp,
    is_reported: bool,
}

impl Synchronised {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `configured` is stored.
    pub fn with(&self, configured: &[Configured]) {
        let hash = |one: &Configured| (Arc::clone(&one.name), one.hash.clone());
        *self.state() = State {
            hashes: Some(configured.iter().map(hash).collect()),
            left: BTreeMap::new(),
        };
    }

    /// Whether the certificate, stored with this hash, is configured here like that; `None`: it is not configured.
    pub fn is_ours(&self, name: &str, hash: Option<&str>) -> bool {
        let state = self.state();
        let hashes = state.hashes.as_ref();
        hashes.is_none_or(|hashes| hashes.get(name).map(String::as_str) == hash)
    }

    /// Something of the certificate is due at `now`, and not ours to do.
    pub fn leave(&self, name: &str, now: Timestamp) {
        let mut state = self.state();
        let new = Left {
            since: now,
            last: now,
            is_reported: false,
        };
        let left = state.left.entry(name.to_owned()).or_insert(new);
        if left.is_over(now) {
            *left = new;
        }
        left.last = now;
    }

    /// What has been left for long and is not reported yet; from now on it is.
    fn news(&self, now: Timestamp) -> Vec<String> {
        let mut state = self.state();
        state.left.retain(|_, left| !left.is_over(now));
        let mut news = Vec::new();
        for (name, left) in &mut state.left {
            if !left.is_reported && left.since.duration_until(now) >= LONG {
                left.is_reported = true;
                news.push(name.clone());
            }
        }
        news
    }
}

impl Left {
    /// Nothing of it was due for a while: the other daemon has done it.
    fn is_over(self, now: Timestamp) -> bool {
        self.last.duration_until(now) >= OVER
    }
}

impl Store {
    /// Whether something of `certificate` is due and left to a daemon with another configuration.
    pub fn leaves(&self, certificate: &str) -> bool {
        self.synchronised.state().left.contains_key(certificate)
    }

    /// Alerts of what is left to a daemon with another configuration for long, each certificate once. Whether anything is
    /// left at all.
    pub async fn tell_left(&self, now: Timestamp) -> Result<bool, StoreError> {
        let news = self.synchronised.news(now);
        let is_any = !self.synchronised.state().left.is_empty();
        if !news.is_empty() {
            let event = |name: &String| Event {
                detail: Some(WORDS.to_owned()),
                ..Event::of_certificate(EventKind::ConfigurationDiffers, &Arc::from(&**name))
            };
            let events: Vec<Event> = news.iter().map(event).collect();
            let mut transaction = self.begin().await?;
            history::append(&mut transaction, &events, now).await?;
            commit(transaction).await?;
        }
        Ok(is_any)
    }
}

const WORDS: &str = "another daemon on this database has stored another configuration of it, and does not do what is due: \
     give all of them the same configuration and reload them, or start the one that is gone";
/// By then a reload that goes from one machine to the next has come to all of them.
const LONG: SignedDuration = SignedDuration::from_mins(15);
const OVER: SignedDuration = SignedDuration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn what_is_left_for_long_is_reported_once_and_what_was_done_meanwhile_is_not() {
        let all = Synchronised::default();
        for minute in 0..40 {
            all.leave("long", at(minute));
            if !(10..=30).contains(&minute) {
                all.leave("twice", at(minute));
            }
            let news = all.news(at(minute));
            assert_eq!(!news.is_empty(), minute == 15, "{minute}: {news:?}");
            assert!(news.iter().all(|name| name == "long"));
        }
        assert!(all.news(at(60)).is_empty() && all.state().left.is_empty());
    }

    #[test]
    fn who_stored_no_configuration_asks_for_all() {
        let all = Synchronised::default();
        assert!(all.is_ours("a", Some("1")) && all.is_ours("a", None));
        all.with(&[]);
        assert!(!all.is_ours("a", Some("1")) && all.is_ours("a", None));
    }
}
