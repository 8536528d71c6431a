//! The TOML configuration: as written, resolved, every mistake with its place.
//!
//! ```text
//! files --toml--> tables --check (schema)--> what fits --written--> resolve --> fleet --> Config
//!             \___________________ every mistake, none stops the rest ______________/
//! ```
//!
//! It reads the configuration's own files and no other: neither secrets nor certificates. It changes nothing.

mod check;
mod database;
mod diagnostics;
mod error;
mod file_model;
mod load;
mod loader;
mod model;
mod renamed;
mod resolve;
mod schema;
mod section_reader;
mod source;
mod split;
mod suggest;
mod values;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use error::{ConfigError, ConfigErrors, Severity};
pub use load::load;
pub use model::{Config, Daemon, ManagedFirewall};
pub use schema::schema;

use crate::file_access::{Owners, Use};
use crate::seal;
use crate::secret::SecretSource;

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is to be.
    pub config: Config,
    /// What is probably not as intended.
    pub warnings: Vec<ConfigError>,
    /// The files that were read, in this order.
    pub files: Vec<Arc<Path>>,
}

/// The address of a PostgreSQL server, checked, and completed by how it is verified; else what is wrong and what to do.
pub fn database_server(address: &str) -> Result<url::Url, String> {
    database::server(address).map_err(|wrong| format!("{}; {}", wrong.message, wrong.hint))
}

/// What others could change or read although it decides what renewd does, or is secret: each with its remedy. Nothing is
/// read.
pub fn unsafe_files(loaded: &Loaded) -> Vec<String> {
    let config = &loaded.config;
    let state_directory = &config.daemon.state_directory;
    let owners = Owners::of(state_directory);
    let mut found = Vec::new();
    let mut check = |what: &str, path: &Path, purpose| {
        if let Err(problem) = owners.check(path, purpose) {
            found.push(format!("{what}: {problem}"));
        }
    };
    check("daemon: state_directory", state_directory, Use::Decides);
    check("sealing key", &seal::own_file(state_directory), Use::Secret);
    if let Some(main) = loaded.files.first() {
        check(
            "configuration",
            &main.with_file_name(load::COMPANIONS),
            Use::Decides,
        );
    }
    for path in &loaded.files {
        check("configuration", path, Use::Decides);
    }
    for (option, path) in database::files(&config.daemon.database) {
        let purpose = match &*option {
            database::KEY => Use::Secret,
            _ => Use::Decides,
        };
        check(&format!("daemon: database: {option}"), &path, purpose);
    }
    for (what, source) in secrets(config) {
        if let SecretSource::File(path) = source {
            check(&what, &path, Use::Secret);
        }
    }
    for (name, settings) in &config.cas {
        for (key, path) in settings.files() {
            check(&format!("ca {name}: {key}"), path, Use::Decides);
        }
    }
    for (name, files) in &config.chain_roots {
        for path in files {
            check(&format!("ca {name}: chain_roots"), path, Use::Decides);
        }
    }
    for (name, managed) in &config.firewalls {
        if let Some(path) = managed.settings.trust().file() {
            check(&format!("firewall {name}: trust"), path, Use::Decides);
        }
    }
    found
}

/// Every secret that will be needed, each with the place that names it, so that a check can try to read them.
pub fn secrets(config: &Config) -> Vec<(String, SecretSource)> {
    let daemon = &config.daemon;
    let of_daemon = [
        ("sealing_key", &daemon.sealing_key),
        ("database_password", &daemon.database_password),
    ];
    let mut secrets: Vec<_> = of_daemon
        .into_iter()
        .filter_map(|(key, source)| Some((format!("daemon: {key}"), source.clone()?)))
        .collect();
    for (name, settings) in &config.cas {
        let of_ca = settings.secrets().into_iter();
        secrets.extend(of_ca.map(|(key, source)| (format!("ca {name}: {key}"), source)));
    }
    for (name, managed) in &config.firewalls {
        let of_firewall = managed.settings.secrets().into_iter();
        secrets
            .extend(of_firewall.map(|(key, source)| (format!("firewall {name}: {key}"), source)));
    }
    secrets
}
