//! `renewd show`: everything that is known of one certificate, or of one firewall.

mod certificate;
mod firewall;

use clap::Args;
use serde_json::Value;

use super::CliError;
use super::open::{self, Globals};
use super::print;
use crate::config::Config;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The name of a certificate in the configuration, or of a firewall.
    name: String,
    /// NAME is a firewall's, also where a certificate is called the same.
    #[arg(long)]
    firewall: bool,
    /// Print JSON (docs/json.md).
    #[arg(long)]
    json: bool,
    /// How many events of a certificate's history to show.
    #[arg(long, default_value_t = 20)]
    events: u32,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let config = globals.config()?;
    let name = arguments.name.as_str();
    let is_certificate = config.certificates.contains_key(name) && !arguments.firewall;
    if is_certificate {
        certificate::show(&config, arguments).await?;
        if config.firewalls.contains_key(name) {
            print::diagnose(&format!(
                "there is a firewall called {name} too: renewd show --firewall {name}"
            ));
        }
        return Ok(());
    }
    if config.firewalls.contains_key(name) {
        return firewall::show(&config, arguments).await;
    }
    Err(unknown(&config, arguments))
}

fn unknown(config: &Config, arguments: &Arguments) -> CliError {
    let firewalls = config.firewalls.keys().map(AsRef::as_ref);
    let words = if arguments.firewall {
        open::unknown("firewall", &arguments.name, firewalls)
    } else {
        let names = config.certificates.keys().map(AsRef::as_ref);
        open::unknown(
            "certificate or firewall",
            &arguments.name,
            names.chain(firewalls),
        )
    };
    CliError::Usage(words)
}

/// Model, firmware and serial number, as the device reported them last.
fn device(identity: Option<&Value>) -> String {
    let field = |name: &str| identity.and_then(|identity| identity.get(name)?.as_str());
    let parts: Vec<&str> = ["model", "firmware", "serial"]
        .into_iter()
        .filter_map(field)
        .collect();
    if parts.is_empty() {
        return "-".to_owned();
    }
    parts.join(", ")
}

/// What the device turned out to need, each `name=value`.
fn quirks(identity: Option<&Value>) -> Vec<&str> {
    let quirks = identity.and_then(|identity| identity.get("quirks")?.as_array());
    let quirks = quirks.map_or(&[][..], Vec::as_slice);
    quirks.iter().filter_map(Value::as_str).collect()
}
