//! `renewd discover`: what is on a firewall, with TOML ready to paste. Nothing is changed.

use clap::Args;

use super::open::{self, Globals};
use super::{CliError, print};
use crate::config::ManagedFirewall;
use crate::failure::Failure;
use crate::firewall::{self, Binding, Firewall, Identity, InstalledObject, ObjectKind};
use crate::surroundings::Surroundings;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The firewall's name in the configuration.
    firewall: String,
}

struct Found {
    identity: Identity,
    objects: Vec<InstalledObject>,
    bindings: Vec<Binding>,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let desired = globals.desired()?;
    let Some(managed) = desired.firewalls.get(arguments.firewall.as_str()) else {
        let names = desired.firewalls.keys().map(AsRef::as_ref);
        return Err(CliError::Usage(open::unknown(
            "firewall",
            &arguments.firewall,
            names,
        )));
    };
    let found = look(managed).await?;
    print_found(&found);
    print_toml(&arguments.firewall, &found);
    Ok(())
}

async fn look(managed: &ManagedFirewall) -> Result<Found, Failure> {
    let mut session = firewall::connect(&managed.settings, &[], &Surroundings::system()).await?;
    let found = look_around(session.as_mut()).await;
    let closed = session.close().await;
    let found = found?;
    closed?;
    Ok(found)
}

async fn look_around(session: &mut dyn Firewall) -> Result<Found, Failure> {
    Ok(Found {
        identity: session.identify().await?,
        objects: session.installed().await?,
        bindings: session.bindings().await?,
    })
}

fn print_found(found: &Found) {
    print::facts(&[
        ("model", found.identity.model.clone()),
        ("firmware", found.identity.firmware.clone()),
        ("serial number", found.identity.serial.clone()),
    ]);
    println!();
    let mut table = print::table(&["NAME", "KIND", "USED BY"]);
    for object in &found.objects {
        let kind = match object.kind {
            ObjectKind::Certificate => "certificate",
            ObjectKind::PendingRequest => "pending request",
        };
        let used_by: Vec<&str> = found
            .bindings
            .iter()
            .filter(|binding| binding.alias.as_ref() == Some(&object.alias))
            .map(|binding| binding.service.name())
            .collect();
        table.add_row([object.alias.clone(), kind.to_owned(), used_by.join(", ")]);
    }
    print::print(&table);
}

/// A `[[certificate]]` for each set of services that share a certificate.
fn print_toml(firewall: &str, found: &Found) {
    println!("\n# To keep them renewed, complete and add to the configuration:");
    let mut aliases: Vec<Option<&String>> = Vec::new();
    for binding in &found.bindings {
        if !aliases.contains(&binding.alias.as_ref()) {
            aliases.push(binding.alias.as_ref());
        }
    }
    for alias in aliases {
        let services: Vec<String> = found
            .bindings
            .iter()
            .filter(|binding| binding.alias.as_ref() == alias)
            .map(|binding| format!("\"{}\"", binding.service))
            .collect();
        let now = alias.map_or("the device's own self-signed certificate", |alias| {
            alias.as_str()
        });
        println!("\n[[certificate]]  # now: {now}");
        println!(
            "name = \"{firewall}-{}\"",
            services.first().map_or("", |name| name.trim_matches('"'))
        );
        println!("firewall = \"{firewall}\"");
        println!("ca = \"office\"");
        println!("subject = {{ common_name = \"vpn.example.com\" }}");
        println!("alternate_name = {{ domain_name = \"vpn.example.com\" }}");
        println!("services = [{}]", services.join(", "));
    }
}
