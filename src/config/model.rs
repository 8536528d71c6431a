//! The configuration after everything was resolved and checked: what is to be.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::inventory::{Budget, ManagedCertificate};
use crate::schedule::MaintenanceWindow;
use crate::secret::SecretSource;
use crate::{ca, firewall};

/// Everything that the operator asked for.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the daemon itself behaves.
    pub daemon: Daemon,
    /// CAs by name.
    pub cas: BTreeMap<Arc<str>, ca::Settings>,
    /// How many orders may be placed at each CA whose driver has no budget of its own.
    pub order_budgets: BTreeMap<Arc<str>, Budget>,
    /// Those of them that are written: the others follow from the number of certificates.
    pub written_budgets: BTreeMap<Arc<str>, Budget>,
    /// The files of certificates to which the chains of a CA must lead, for each CA that has any.
    pub chain_roots: BTreeMap<Arc<str>, Vec<PathBuf>>,
    /// Firewalls by name. Not in the tree itself, which would hold all of them twice while it is built.
    pub firewalls: BTreeMap<Arc<str>, Arc<ManagedFirewall>>,
    /// Certificates by name.
    pub certificates: BTreeMap<Arc<str>, Arc<ManagedCertificate>>,
}

/// One `[[firewall]]`.
#[derive(Debug, Clone)]
pub struct ManagedFirewall {
    /// How to reach it.
    pub settings: firewall::Settings,
    /// When a certificate may be bound; `None`: at any time.
    pub window: Option<MaintenanceWindow>,
    /// Port of its SSL VPN portal.
    pub ssl_vpn_port: u16,
}

/// `[daemon]`.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Where the database is: `sqlite:///path`, or `postgres://user@host/name`, without a password.
    pub database: String,
    /// Where the password of the database's server is; `None`: it wants none, or libpq's ways lead to it.
    pub database_password: Option<SecretSource>,
    /// Folder for what drivers keep (`/var/lib/renewd`).
    pub state_directory: PathBuf,
    /// Where the key is that seals private keys in the database; `None`: in a file of the state directory.
    pub sealing_key: Option<SecretSource>,
    /// How many renewals may be worked on at the same time.
    pub max_concurrent_renewals: usize,
    /// Cron expression (UTC, six fields with the seconds first) of the tick that looks for due work.
    pub scan: String,
    /// How often each served certificate is looked at between renewals.
    pub probe_interval: SignedDuration,
    /// How long the history and ended renewals are kept; `None`: for ever.
    pub keep_history: Option<SignedDuration>,
    /// Filters of the log, as `tracing_subscriber::EnvFilter` reads them (`info`).
    pub log: String,
}
