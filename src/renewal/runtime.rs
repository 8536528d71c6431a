//! What is known of firewalls for as long as this process lives. It belongs to no configuration: it survives every reload,
//! and what is under way with a former configuration shares it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::failure::{Failure, FailureKind};
use crate::firewall::OneTimeCodes;
use crate::store::Store;

/// What is known of each firewall, by its name in the configuration. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Runtime(Arc<Mutex<HashMap<String, LeftSession>>>);

/// A session of ours that may still be open on a firewall, though nothing uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftSession {
    /// It may be there: what had opened it was cut off.
    Possible,
    /// The firewall refused a login for want of room since.
    Blocks,
}

impl Runtime {
    /// After a daemon died that worked on these firewalls.
    pub fn after_crash(left_sessions: Vec<String>) -> Self {
        let runtime = Self::default();
        for firewall in left_sessions {
            runtime.session_was_left(&firewall);
        }
        runtime
    }

    /// A session with this firewall was opened, or about to be, and was not closed.
    pub fn session_was_left(&self, firewall: &str) {
        let mut left = self.left_sessions();
        left.entry(firewall.to_owned())
            .or_insert(LeftSession::Possible);
    }

    /// Whether a session may have been left there.
    pub fn left_session(&self, firewall: &str) -> Option<LeftSession> {
        self.left_sessions().get(firewall).copied()
    }

    /// The firewall has no room for another session.
    pub(super) fn left_session_blocks(&self, firewall: &str) {
        if let Some(left) = self.left_sessions().get_mut(firewall) {
            *left = LeftSession::Blocks;
        }
    }

    /// A login worked: what was left there is gone, or replaced.
    pub(super) fn left_session_is_gone(&self, firewall: &str) {
        self.left_sessions().remove(firewall);
    }

    fn left_sessions(&self) -> MutexGuard<'_, HashMap<String, LeftSession>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record of one-time codes in the store: it outlives the process, and daemons that share a database share it.
#[derive(Debug, Clone)]
pub struct StoredCodes {
    store: Store,
    firewall: String,
}

impl StoredCodes {
    /// The codes of this firewall.
    pub fn of(store: &Store, firewall: &str) -> Self {
        Self {
            store: store.clone(),
            firewall: firewall.to_owned(),
        }
    }
}

#[async_trait]
impl OneTimeCodes for StoredCodes {
    async fn take(&self, step: Timestamp) -> Result<bool, Failure> {
        let taken = self.store.take_code_step(&self.firewall, step).await;
        taken.map_err(|error| {
            let call = format!("record the one-time code for {}", self.firewall);
            Failure::new(FailureKind::Local, call, error)
        })
    }
}
