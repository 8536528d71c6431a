//! Applies a changed configuration to a running daemon. Each key takes effect at once, or is refused by name.
//!
//! Keys of `[daemon]` stand in the lists below. All others are a part of what each certificate asks for, by its own keys
//! and those of its firewall and its CA: their change is a change of the certificate, whose waits are computed anew.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;

use super::DaemonError;
use crate::config::{Config, Daemon};
use crate::inventory::ManagedCertificate;
use crate::store::{Configured, Store, StoreError};

/// Changes the log filter. Where the log was started without one, nothing changes it.
#[derive(Clone)]
pub struct LogFilter(Arc<Change>);

type Change = dyn Fn(&str) -> Result<(), String> + Send + Sync;

impl LogFilter {
    /// One that is changed by `change`, which is given filters as in the configuration.
    pub fn new(change: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(change))
    }

    /// From here on logs what `filter` says.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn change(&self, filter: &str) -> Result<(), DaemonError> {
        (self.0)(filter).map_err(DaemonError::System)
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFilter").finish_non_exhaustive()
    }
}

/// A key of `[daemon]`, and its value for comparing.
type Key = (&'static str, fn(&Daemon) -> String);

/// They are bound to what was opened at the start: the database, its connections, its lock, and files beside it.
const AFTER_A_RESTART: [Key; 3] = [
    ("database", |daemon| daemon.database.clone()),
    ("database_password", |daemon| {
        format!("{:?}", daemon.database_password)
    }),
    ("state_directory", |daemon| {
        daemon.state_directory.display().to_string()
    }),
];

/// Refuses a configuration with changes that only take effect after a restart.
///
/// # Errors
/// It names every such key that was changed.
pub(super) fn refuse_what_needs_a_restart(
    former: &Daemon,
    changed: &Daemon,
) -> Result<(), DaemonError> {
    let differing = AFTER_A_RESTART
        .iter()
        .filter(|(_, value)| value(former) != value(changed));
    let keys: Vec<String> = differing.map(|(key, _)| format!("`{key}`")).collect();
    match keys.as_slice() {
        [] => Ok(()),
        [key] => Err(DaemonError::System(format!(
            "{key} takes effect after a restart of renewd"
        ))),
        keys => Err(DaemonError::System(format!(
            "{} take effect after a restart of renewd",
            keys.join(", ")
        ))),
    }
}

/// Stores the configuration. Where it has changed, every wait that depends on it is computed anew.
pub(super) async fn synchronise(
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<(), StoreError> {
    let configured: Vec<Configured> = config
        .certificates
        .values()
        .map(|wanted| configured(config, wanted))
        .collect();
    store.sync_inventory(&configured, now).await?;
    Ok(())
}

fn configured(config: &Config, wanted: &ManagedCertificate) -> Configured {
    Configured {
        name: Arc::clone(&wanted.name),
        firewall: Arc::clone(&wanted.firewall),
        ca: Arc::clone(&wanted.ca),
        hash: hash(config, wanted),
    }
}

/// Identifies one configuration of a certificate, its firewall and its CA. After an upgrade of renewd or of its
/// compiler every row may count as changed once. Then the due rules are only evaluated again, and the waits are
/// computed anew.
fn hash(config: &Config, wanted: &ManagedCertificate) -> String {
    let mut hasher = DefaultHasher::new();
    wanted.hash(&mut hasher);
    // Every key of theirs is in here; what a secret is, is read at each use.
    let firewall = config.firewalls.get(&wanted.firewall);
    format!("{firewall:?}").hash(&mut hasher);
    let ca = config.cas.get(&wanted.ca);
    format!("{ca:?}").hash(&mut hasher);
    // What stands beside the settings of its driver. A budget that is left out follows from the number of certificates: it is
    // no change of each when one is added.
    let budget = config.written_budgets.get(&wanted.ca);
    format!("{budget:?}").hash(&mut hasher);
    config.chain_roots.get(&wanted.ca).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::collections::BTreeSet;

    use super::*;
    use crate::config;

    /// They count at once: each is read from the configuration in force where it is used, or put in force by
    /// `Daemon::reload`.
    const AT_ONCE: [&str; 6] = [
        "max_concurrent_renewals",
        "keep_history",
        "log",
        "probe_interval",
        "scan",
        "sealing_key",
    ];
    /// Their keys are parts of certificates, firewalls and CAs, which `hash` covers.
    const IN_CERTIFICATES: [&str; 5] =
        ["ca", "certificate", "firewall", "renewal", "file_transfer"];

    fn keys(schema: &serde_json::Value) -> BTreeSet<String> {
        let properties = schema["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    }

    #[test]
    fn every_key_of_the_configuration_counts_at_once_or_is_refused_by_name() {
        let schema = config::schema();
        let sections = IN_CERTIFICATES.into_iter().chain(["daemon"]);
        assert_eq!(
            keys(&schema),
            sections.map(str::to_owned).collect(),
            "a new section: decide what a reload does with it"
        );
        let restart = AFTER_A_RESTART.iter().map(|(key, _)| *key);
        let known: BTreeSet<String> = restart.chain(AT_ONCE).map(str::to_owned).collect();
        assert_eq!(
            keys(&schema["properties"]["daemon"]),
            known,
            "a new key of [daemon]: decide what a reload does with it"
        );
    }

    const FILE: &str = r#"
[daemon]
database = "sqlite:///var/lib/renewd/renewd.db"
state_directory = "/var/lib/renewd"
[[ca]]
name = "office"
driver.exec = { program = "/bin/true" }
[[firewall]]
name = "hq"
driver.sonicos = { url = "https://192.0.2.1", user = "renewd", password = { file = "/hq" }, trust = { sha256 = "AA" } }
maintenance_window = { start = "0 2 * * *", duration = "1h" }
[[certificate]]
name = "portal"
firewall = "hq"
ca = "office"
subject = { common_name = "vpn.example.com" }
"#;

    fn load(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("renewd.toml");
        let pin = "00".repeat(32);
        std::fs::write(&file, text.replace("\"AA\"", &format!("\"{pin}\""))).unwrap();
        config::load(&file).unwrap().config
    }

    #[test]
    fn what_needs_a_restart_is_refused_by_name_and_nothing_else_is() {
        let former = load(FILE).daemon;
        let refusal = |from: &str, to: &str| {
            let text = FILE.replace(from, to);
            assert_ne!(text, FILE);
            let changed = load(&text).daemon;
            refuse_what_needs_a_restart(&former, &changed)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        let database = refusal("renewd.db", "other.db");
        assert!(
            database.starts_with("`database` takes effect"),
            "{database}"
        );
        let state = refusal("\"/var/lib/renewd\"", "\"/srv\"");
        assert!(
            state.starts_with("`state_directory` takes effect"),
            "{state}"
        );
        let password = refusal("[daemon]", "[daemon]\ndatabase_password = { env = \"P\" }");
        assert!(
            password.starts_with("`database_password` takes"),
            "{password}"
        );
        let both = refusal("/var/lib/renewd", "/srv");
        assert!(
            both.starts_with("`database`, `state_directory` take effect"),
            "{both}"
        );
        let others = "[daemon]\nmax_concurrent_renewals = 2\nlog = \"debug\"\nprobe_interval = \"2h\"\nkeep_history = \"2y\"\nscan = \"*/5 * * * *\"\n\
                      sealing_key = { env = \"S\" }";
        assert_eq!(refusal("[daemon]", others), "");
    }

    #[test]
    fn a_change_of_the_firewall_or_the_ca_is_a_change_of_the_certificate() {
        let hash_of = |text: &str| {
            let config = load(text);
            hash(&config, &config.certificates["portal"])
        };
        let former = hash_of(FILE);
        assert_eq!(hash_of(FILE), former, "the same configuration is no change");
        for (from, to) in [
            ("maintenance_window", "#"),
            ("0 2 * * *", "0 3 * * *"),
            ("\"1h\"", "\"2h\""),
            ("192.0.2.1", "192.0.2.2"),
            ("user = \"renewd\"", "user = \"other\""),
            ("\"/hq\"", "\"/other\""),
            ("/bin/true", "/bin/false"),
            ("vpn.example.com", "portal.example.com"),
            ("[[ca]]", "[renewal]\nverify_timeout = \"7s\"\n[[ca]]"),
            ("[[ca]]", "[renewal]\nrenew_after = 0.5\n[[ca]]"),
            ("[[ca]]", "[[ca]]\nchain_roots = \"/etc/root.pem\""),
            (
                "\"/bin/true\"",
                "\"/bin/true\", order_budget = { orders = 9, within = \"2d\" }",
            ),
            ("[[ca]]", "[file_transfer]\nscp_port = 2222\n[[ca]]"),
        ] {
            let text = FILE.replace(from, to);
            assert_ne!(text, FILE, "{from}");
            assert_ne!(hash_of(&text), former, "{to}");
        }
        let daemon = FILE.replace("[daemon]", "[daemon]\nmax_concurrent_renewals = 2");
        assert_eq!(hash_of(&daemon), former, "no certificate is concerned");
    }
}
