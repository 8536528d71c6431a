//! The outside world as the steps see it: firewalls, CAs and what services show.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::ca::{self, Issuer};
use crate::config::Desired;
use crate::failure::{Failure, FailureKind};
use crate::firewall::{self, Firewall, Known};
use crate::inventory::Endpoint;
use crate::probe::{self, Sight};
use crate::surroundings::Surroundings;
use crate::transfer::Transfers;

/// Opens the way to a peer by its name in the configuration.
#[async_trait]
pub trait Peers: Debug + Send + Sync {
    /// A session with a firewall.
    async fn firewall(&self, name: &str, known: &Known<'_>) -> Result<Box<dyn Firewall>, Failure>;

    /// A CA.
    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure>;

    /// The certificate that an address shows now.
    async fn look(&self, endpoint: &Endpoint, server_name: Option<&str>) -> Sight;

    /// A worker of ours was lost that worked on this firewall: it may have left a session there.
    fn session_was_left(&self, _firewall: &str) {}
}

/// The peers of a configuration.
pub struct ConfiguredPeers {
    desired: Arc<Desired>,
    issuers: HashMap<Arc<str>, Arc<dyn Issuer>>,
    /// Firewalls on which a worker of ours that was lost may have left a session.
    left_sessions: Mutex<HashSet<String>>,
    /// When each firewall that wants one-time codes may be logged in to again.
    next_logins: Mutex<HashMap<String, Timestamp>>,
    surroundings: Surroundings,
    transfers: Transfers,
}

impl ConfiguredPeers {
    /// The peers of `desired`. CA drivers are built once; firewall sessions at each use.
    pub fn new(desired: Arc<Desired>, surroundings: Surroundings, transfers: Transfers) -> Self {
        Self::after_crash(desired, surroundings, transfers, Vec::new())
    }

    /// The same after a daemon died that worked on the firewalls `left_sessions`.
    pub fn after_crash(
        desired: Arc<Desired>,
        surroundings: Surroundings,
        transfers: Transfers,
        left_sessions: Vec<String>,
    ) -> Self {
        let issuers = desired
            .cas
            .iter()
            .map(|(name, settings)| (Arc::clone(name), ca::issuer(settings, &surroundings)))
            .collect();
        Self {
            desired,
            issuers,
            left_sessions: Mutex::new(left_sessions.into_iter().collect()),
            next_logins: Mutex::default(),
            surroundings,
            transfers,
        }
    }
}

impl ConfiguredPeers {
    async fn connect(
        &self,
        settings: &firewall::Settings,
        known: &Known<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        firewall::connect(settings, known, &self.surroundings, &self.transfers).await
    }

    /// Refuses a login with a code that was used already: to the device it would be a wrong one.
    fn await_next_code(&self, firewall: &str, pause: SignedDuration) -> Result<(), Failure> {
        let now = self.surroundings.clock.now();
        let mut next_logins = self
            .next_logins
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = next_logins.get(firewall).filter(|next| **next > now) {
            let failure = Failure::new(
                FailureKind::Busy,
                format!("log in to {firewall}"),
                "a one-time code is good once, and the next one is not due yet",
            );
            return Err(failure.retry_after(now.duration_until(*next)));
        }
        next_logins.insert(
            firewall.to_owned(),
            now.saturating_add(pause).unwrap_or(now),
        );
        Ok(())
    }

    fn may_have_left_session(&self, firewall: &str) -> bool {
        self.left_sessions().contains(firewall)
    }

    fn left_sessions(&self) -> MutexGuard<'_, HashSet<String>> {
        self.left_sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for ConfiguredPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfiguredPeers").finish_non_exhaustive()
    }
}

#[async_trait]
impl Peers for ConfiguredPeers {
    async fn firewall(&self, name: &str, known: &Known<'_>) -> Result<Box<dyn Firewall>, Failure> {
        let configured = self
            .desired
            .firewalls
            .get(name)
            .ok_or_else(|| unknown("firewall", name))?;
        if let Some(pause) = configured.settings.pause_between_logins() {
            self.await_next_code(name, pause)?;
        }
        if !self.may_have_left_session(name) {
            return self.connect(&configured.settings, known).await;
        }
        let settings = configured.settings.with_left_session();
        let session = self.connect(&settings, known).await?;
        self.left_sessions().remove(name);
        Ok(session)
    }

    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        self.issuers
            .get(name)
            .cloned()
            .ok_or_else(|| unknown("CA", name))
    }

    async fn look(&self, endpoint: &Endpoint, server_name: Option<&str>) -> Sight {
        probe::look(endpoint, server_name, LOOK_LIMIT).await
    }

    fn session_was_left(&self, firewall: &str) {
        self.left_sessions().insert(firewall.to_owned());
    }
}

fn unknown(what: &str, name: &str) -> Failure {
    Failure::new(
        FailureKind::Local,
        format!("use {what} {name}"),
        "it is no longer in the configuration",
    )
}

/// A handshake that takes longer than this helps nobody.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
