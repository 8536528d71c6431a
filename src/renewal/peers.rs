//! The outside world as the steps see it: firewalls, CAs and what services show.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::runtime::{LeftSession, Runtime};
use crate::ca::{self, Issuer};
use crate::config::Config;
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::firewall::{self, Firewall, KnownDevice, NEXT_CODE};
use crate::inventory::Endpoint;
use crate::probe::{self, ProbeResult};
use crate::transfer::Transfers;

/// Opens the way to a peer by its name in the configuration.
#[async_trait]
pub trait Peers: Debug + Send + Sync {
    /// A session with a firewall.
    async fn firewall(
        &self,
        name: &str,
        known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure>;

    /// A CA.
    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure>;

    /// The certificate that an address shows now.
    async fn probe(&self, endpoint: &Endpoint, server_name: Option<&str>) -> ProbeResult;

    /// A worker of ours was cut off that worked on this firewall: it may have left a session there.
    fn session_was_left(&self, _firewall: &str) {}
}

/// The peers of a configuration.
pub struct ConfiguredPeers {
    config: Arc<Config>,
    issuers: HashMap<Arc<str>, Arc<dyn Issuer>>,
    runtime: Runtime,
    env: Env,
    transfers: Transfers,
}

impl ConfiguredPeers {
    /// The peers of `config`. CA drivers are built once; firewall sessions at each use.
    pub fn new(config: Arc<Config>, env: Env, transfers: Transfers) -> Self {
        Self::with_runtime(config, env, transfers, Runtime::default())
    }

    /// The same in a process that knows `runtime` of the firewalls already.
    pub fn with_runtime(
        config: Arc<Config>,
        env: Env,
        transfers: Transfers,
        runtime: Runtime,
    ) -> Self {
        let issuers = config
            .cas
            .iter()
            .map(|(name, settings)| (Arc::clone(name), ca::issuer(settings, &env)))
            .collect();
        Self {
            config,
            issuers,
            runtime,
            env,
            transfers,
        }
    }
}

impl ConfiguredPeers {
    async fn connect(
        &self,
        settings: &firewall::Settings,
        known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        firewall::connect(settings, known, &self.env, &self.transfers).await
    }
}

impl Debug for ConfiguredPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfiguredPeers").finish_non_exhaustive()
    }
}

#[async_trait]
impl Peers for ConfiguredPeers {
    async fn firewall(
        &self,
        name: &str,
        known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        let configured = self
            .config
            .firewalls
            .get(name)
            .ok_or_else(|| unknown("firewall", name))?;
        let Some(left) = self.runtime.left_session(name) else {
            return self.connect(&configured.settings, known).await;
        };
        let settings = configured.settings.with_left_session();
        let known = KnownDevice {
            left_session_blocks: left == LeftSession::Blocks,
            ..*known
        };
        let connected = self.connect(&settings, &known).await;
        match &connected {
            Ok(_) => self.runtime.left_session_is_gone(name),
            Err(failure) if is_full(failure) && settings.is_two_factor() => {
                self.runtime.left_session_blocks(name);
            }
            Err(_) => {}
        }
        connected
    }

    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        self.issuers
            .get(name)
            .cloned()
            .ok_or_else(|| unknown("CA", name))
    }

    async fn probe(&self, endpoint: &Endpoint, server_name: Option<&str>) -> ProbeResult {
        probe::probe(endpoint, server_name, PROBE_LIMIT).await
    }

    fn session_was_left(&self, firewall: &str) {
        self.runtime.session_was_left(firewall);
    }
}

/// Whether a login was refused by the firewall for want of room.
fn is_full(failure: &Failure) -> bool {
    failure.kind == FailureKind::Busy && failure.waiting_for.as_deref() != Some(NEXT_CODE)
}

fn unknown(what: &str, name: &str) -> Failure {
    Failure::new(
        FailureKind::Local,
        format!("use {what} {name}"),
        "it is no longer in the configuration",
    )
}

/// A handshake that takes longer than this is useless.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
