//! What most commands need: the configuration, the database, the log.

use std::path::PathBuf;
use std::sync::Arc;

use super::{CliError, print};
use crate::config::{self, Config, Loaded, ManagedFirewall};
use crate::firewall::{self, Identity, KnownDevice};
use crate::inventory::{ManagedCertificate, TrackedFirewall};
use crate::pki::Fingerprint;
use crate::random::SystemRandom;
use crate::renewal::{StoredCodes, pins};
use crate::seal::Sealer;
use crate::store::{self, PendingPin, Store};
use crate::telemetry::{self, LogFormat};

/// The options that every command has.
pub struct Globals {
    pub config: PathBuf,
    pub log: Option<String>,
    pub log_format: LogFormat,
}

impl Globals {
    /// Loads the configuration; warnings go to stderr.
    pub fn config(&self) -> Result<Config, CliError> {
        Ok(self.loaded()?.config)
    }

    /// The same with the files that were read.
    pub fn loaded(&self) -> Result<Loaded, CliError> {
        let loaded = config::load(&self.config)?;
        for warning in &loaded.warnings {
            print::diagnose(&warning.to_string());
        }
        Ok(loaded)
    }

    /// The same for what acts by itself: not while others could change what decides, or read a secret.
    pub fn guarded(&self) -> Result<Config, CliError> {
        let loaded = self.loaded()?;
        let found = config::unsafe_files(&loaded);
        if found.is_empty() {
            Ok(loaded.config)
        } else {
            Err(CliError::UnsafeFiles(found))
        }
    }

    /// Starts the log as the configuration and the options say. The option holds whatever is configured later: `None`.
    pub fn start_log(&self, config: &Config) -> Result<Option<telemetry::Log>, CliError> {
        let filter = self.log.as_deref().unwrap_or(&config.daemon.log);
        let log = telemetry::start(filter, self.log_format).map_err(CliError::Usage)?;
        Ok(self.log.is_none().then_some(log))
    }
}

/// Opens the database of a daemon that has run before, for a command that only reads.
pub async fn store_to_read(config: &Config) -> Result<Store, CliError> {
    refuse_missing(config)?;
    let daemon = &config.daemon;
    Ok(Store::open_to_read(&daemon.database, daemon.database_password.as_ref()).await?)
}

/// Opens the database of a daemon that has run before; a command does not make one.
pub async fn store(config: &Config) -> Result<Store, CliError> {
    refuse_missing(config)?;
    let daemon = &config.daemon;
    Ok(Store::open_with(&daemon.database, daemon.database_password.as_ref()).await?)
}

fn refuse_missing(config: &Config) -> Result<(), CliError> {
    let daemon = &config.daemon;
    if let Some(path) = store::file(&daemon.database)
        && !path.exists()
    {
        return Err(CliError::NoDatabase(format!(
            "there is no database at {} yet: start the daemon first (renewd run), or name the \
             configuration that it uses (--config)",
            path.display()
        )));
    }
    Ok(())
}

/// What the daemon knows of a firewall from its sessions; nothing when it has not run yet.
#[derive(Debug, Default)]
pub struct StoredDevice {
    learned: Vec<Fingerprint>,
    refused_keys: Vec<Fingerprint>,
    quirks: Vec<String>,
    /// Where a login of ours needs a code that the daemon must not use again.
    codes: Option<StoredCodes>,
}

impl StoredDevice {
    pub fn known(&self) -> KnownDevice<'_> {
        KnownDevice {
            also_trusted: &self.learned,
            refused_keys: &self.refused_keys,
            quirks: &self.quirks,
            codes: self.codes.as_ref().map(|codes| codes as _),
            left_session_blocks: false,
        }
    }
}

/// What the daemon found out about this firewall. What it bound and proved there is left out when the configured trust
/// was changed since.
pub async fn stored_device(config: &Config, firewall: &str) -> Result<StoredDevice, CliError> {
    let Some(managed) = config.firewalls.get(firewall) else {
        return Ok(StoredDevice::default());
    };
    // A database that cannot be read is an error: without it a weaker login than before would be accepted.
    let store = match store(config).await {
        Ok(store) => store,
        Err(CliError::NoDatabase(_)) => return Ok(StoredDevice::default()),
        Err(error) => return Err(error),
    };
    let known = store.firewall(firewall).await;
    let refused = store.unconfirmed(firewall).await;
    let pending = store.pending_pins(firewall).await;
    let codes = StoredCodes::of(&store, firewall);
    let codes = managed.settings.is_two_factor().then_some(codes);
    if codes.is_none() {
        store.close().await;
    }
    let (known, refused, pending) = (known?, refused?, pending?);
    let refused_keys = refused.into_iter().map(|one| one.public_key).collect();
    let learned = trusted(config, managed, &known, &pending);
    let identity = known.identity.as_deref().and_then(Identity::from_json);
    Ok(StoredDevice {
        learned,
        refused_keys,
        quirks: identity.map(|identity| identity.quirks).unwrap_or_default(),
        codes,
    })
}

/// What authenticates rows of the database.
pub fn sealer(config: &Config) -> Sealer {
    let daemon = &config.daemon;
    let random = Arc::new(SystemRandom);
    Sealer::new(daemon.sealing_key.clone(), &daemon.state_directory, random)
}

/// What renewd bound and verified itself. Where the sealing key cannot be read nothing is: then only the configuration counts.
fn trusted(
    config: &Config,
    managed: &ManagedFirewall,
    known: &TrackedFirewall,
    pending: &[PendingPin],
) -> Vec<Fingerprint> {
    let trust = firewall::trust_text(&managed.settings);
    match pins::verify(&sealer(config), known, pending, &trust) {
        Ok(verified) => verified.trusted,
        Err(problem) => {
            tracing::warn!(%problem, "what renewd bound itself is not trusted here");
            Vec::new()
        }
    }
}

/// What to tell of a certificate that is configured but in no row yet.
pub fn unmet(wanted: &ManagedCertificate) -> CliError {
    CliError::Usage(format!(
        "{} is configured, but the daemon has not read that yet: systemctl reload renewd, or start it",
        wanted.name
    ))
}

/// The certificate of this name in the configuration, or the names that there are.
pub fn certificate<'a>(
    config: &'a Config,
    name: &str,
) -> Result<&'a Arc<ManagedCertificate>, CliError> {
    config.certificates.get(name).ok_or_else(|| {
        CliError::Usage(unknown(
            "certificate",
            name,
            config.certificates.keys().map(AsRef::as_ref),
        ))
    })
}

/// Words for a name that is not configured, with the nearest one that is.
pub fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let nearest = known
        .max_by(|a, b| strsim::jaro_winkler(name, a).total_cmp(&strsim::jaro_winkler(name, b)));
    match nearest {
        Some(nearest) => format!("no {what} is called `{name}`; did you mean `{nearest}`?"),
        None => format!("no {what} is configured"),
    }
}
