//! The peers of a dry run: every firewall and CA is simulated, and so are the certificates that the services would
//! serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc::Sender;

use crate::ca::{self, Issuer};
use crate::config::{Config, ManagedFirewall};
use crate::env::Env;
use crate::failure::Failure;
use crate::firewall::{self, Firewall, KnownDevice};
use crate::inventory::{Endpoint, Renewal};
use crate::pki::Certificate;
use crate::probe::ProbeResult;
use crate::renewal::{ConfiguredPeers, Peers};
use crate::transfer::Transfers;

/// The peers of a dry run.
#[derive(Debug)]
pub(super) struct Stage {
    config: Arc<Config>,
    played: ConfiguredPeers,
    firewalls: BTreeMap<Arc<str>, Arc<firewall::dry_run::Settings>>,
    reported: Sender<String>,
}

impl Stage {
    /// The stage for `config`, in which every driver is put behind that of a dry run; with what `config` becomes by
    /// that.
    pub(super) fn new(mut config: Config, env: &Env, reported: Sender<String>) -> Self {
        for (name, settings) in &mut config.cas {
            *settings = ca::Settings::DryRun(Box::new(ca::dry_run::Settings {
                name: Arc::clone(name),
                real: settings.clone(),
                reported: reported.clone(),
            }));
        }
        let mut firewalls = BTreeMap::new();
        for (name, managed) in &mut config.firewalls {
            let real = managed.settings.clone();
            let name = Arc::clone(name);
            let played =
                firewall::dry_run::Settings::new(Arc::clone(&name), real, reported.clone());
            let played = Arc::new(played);
            *managed = Arc::new(ManagedFirewall {
                settings: firewall::Settings::DryRun(Arc::clone(&played)),
                ..ManagedFirewall::clone(managed)
            });
            firewalls.insert(name, played);
        }
        let config = Arc::new(config);
        let transfers = Transfers::new(&config.daemon.state_directory, env);
        let played = ConfiguredPeers::new(Arc::clone(&config), env.clone(), transfers);
        Self {
            config,
            played,
            firewalls,
            reported,
        }
    }

    /// The configuration with the drivers of the dry run in it.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    /// Lets the firewall of `renewal` know what its key pair is for, and what was issued for it before the dry run.
    pub(super) fn expect(&self, renewal: &Renewal) {
        let wanted = self.config.certificates.get(&renewal.certificate);
        let (Some(wanted), Some(firewall)) = (wanted, self.firewalls.get(&renewal.firewall)) else {
            return;
        };
        let leaf = renewal.obtained.leaf_pem.as_deref();
        let expected = firewall::dry_run::Expected {
            request: wanted.request.clone(),
            leaf: leaf.and_then(|pem| Certificate::from_pem(pem).ok()),
        };
        firewall.expect(&renewal.alias, expected);
    }

    /// What `endpoint` would show by now, where that is not what it shows.
    fn served(&self, endpoint: &Endpoint) -> Option<Certificate> {
        let mut certificates = self.config.certificates.values();
        certificates.find_map(|wanted| {
            let firewall = self.firewalls.get(&wanted.firewall)?;
            let shows = wanted.endpoints.contains(endpoint);
            shows.then(|| firewall.served(&wanted.services)).flatten()
        })
    }
}

#[async_trait]
impl Peers for Stage {
    async fn firewall(
        &self,
        name: &str,
        known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        self.played.firewall(name, known).await
    }

    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        self.played.issuer(name)
    }

    async fn probe(&self, endpoint: &Endpoint, server_name: Option<&str>) -> ProbeResult {
        let Some(certificate) = self.served(endpoint) else {
            return self.played.probe(endpoint, server_name).await;
        };
        // The receiver is closed when the dry run is over.
        let _ = self
            .reported
            .try_send(format!("look whether {endpoint} shows it"));
        ProbeResult::Served(Box::new(certificate), Vec::new())
    }
}
