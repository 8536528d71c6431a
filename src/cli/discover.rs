//! `renewd discover`: what is on a firewall, with TOML ready to paste. Nothing is changed.

use std::time::Duration;

use clap::Args;

use super::open::{self, Globals};
use super::{CliError, print, print::say};
use crate::config::Desired;
use crate::failure::Failure;
use crate::firewall::{self, Binding, Firewall, Identity, InstalledObject, ObjectKind, Settings};
use crate::inventory::Service;
use crate::pki::{AlternateName, Certificate, KeyKind};
use crate::probe::{self, Sight};
use crate::surroundings::Surroundings;
use crate::transfer::Transfers;

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
    let acquaintance = open::acquaintance(&desired, &arguments.firewall).await?;
    let surroundings = Surroundings::system();
    let transfers = Transfers::new(&desired.daemon.state_directory, &surroundings);
    let known = acquaintance.known();
    let session = firewall::connect(&managed.settings, &known, &surroundings, &transfers).await?;
    let found = look(session).await?;
    print_found(&found);
    say!();
    say!("# To keep them renewed, check these and add them to the configuration:");
    for alias in aliases(&found.bindings) {
        let shown = shown(&managed.settings, alias, &found.bindings).await;
        print_toml(
            &arguments.firewall,
            &desired,
            alias,
            &found.bindings,
            shown.as_ref(),
        );
    }
    Ok(())
}

async fn look(mut session: Box<dyn Firewall>) -> Result<Found, Failure> {
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
    say!();
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
        table.add_row([
            print::shortened(&object.alias, ALIAS_WIDTH),
            kind.to_owned(),
            used_by.join(", "),
        ]);
    }
    print::print(&table);
}

/// Every certificate that a service uses, once; `None` is the device's own.
fn aliases(bindings: &[Binding]) -> Vec<Option<&str>> {
    let mut aliases = Vec::new();
    for binding in bindings {
        if !aliases.contains(&binding.alias.as_deref()) {
            aliases.push(binding.alias.as_deref());
        }
    }
    aliases
}

fn services(alias: Option<&str>, bindings: &[Binding]) -> Vec<Service> {
    let used_by = bindings
        .iter()
        .filter(|binding| binding.alias.as_deref() == alias);
    used_by.map(|binding| binding.service).collect()
}

/// The certificate itself, where it can be seen: on the management port.
async fn shown(
    settings: &Settings,
    alias: Option<&str>,
    bindings: &[Binding],
) -> Option<Certificate> {
    if !services(alias, bindings).contains(&Service::WebManagement) {
        return None;
    }
    match probe::look(&settings.management()?, None, LIMIT).await {
        Sight::Shown(certificate, _) => Some(*certificate),
        Sight::Unreadable(..) | Sight::Unreachable(_) => None,
    }
}

/// A `[[certificate]]` that asks for what is there now; examples stand where nothing could be seen.
fn print_toml(
    firewall: &str,
    desired: &Desired,
    alias: Option<&str>,
    bindings: &[Binding],
    shown: Option<&Certificate>,
) {
    let services = services(alias, bindings);
    let names: Vec<String> = services
        .iter()
        .map(|service| quoted(service.name()))
        .collect();
    let first = services
        .first()
        .map_or("certificate", |service| service.name());
    let ca = desired.cas.keys().next().map_or("office", AsRef::as_ref);
    let common_name = shown.and_then(|shown| shown.common_name.as_deref());
    let common_name = common_name.unwrap_or("vpn.example.com");
    say!();
    say!(
        "[[certificate]] # now: {}",
        alias.unwrap_or("the device's own self-signed certificate")
    );
    say!("name = {}", quoted(&format!("{firewall}-{first}")));
    say!("firewall = {}", quoted(firewall));
    say!("ca = {}", quoted(ca));
    say!("subject = {{ common_name = {} }}", quoted(common_name));
    say!("alternate_name = {}", alternate_name(common_name, shown));
    if let Some(key) = shown.and_then(|shown| key(shown.key)) {
        say!("key = {key}");
    }
    say!("services = [{}]", names.join(", "));
}

/// The one name that a request made on the device can carry: the CN, else the first that the certificate has.
fn alternate_name(common_name: &str, shown: Option<&Certificate>) -> String {
    let first = shown.and_then(|shown| shown.alternate_names.first().cloned());
    match AlternateName::from_common_name(common_name).or(first) {
        Some(AlternateName::Ip(address)) => format!("{{ ipv4_address = \"{address}\" }}"),
        Some(AlternateName::Email(email)) => format!("{{ email_address = {} }}", quoted(&email)),
        Some(AlternateName::Domain(name)) => format!("{{ domain_name = {} }}", quoted(&name)),
        None => "{ domain_name = \"vpn.example.com\" }".to_owned(),
    }
}

/// The same key again, when a device offers it.
fn key(kind: KeyKind) -> Option<String> {
    match kind {
        KeyKind::Rsa(size @ (2048 | 4096)) => Some(format!("{{ type = \"rsa\", size = {size} }}")),
        KeyKind::Ecdsa(size) => Some(format!("{{ type = \"ecdsa\", size = {size} }}")),
        KeyKind::Rsa(_) | KeyKind::Other => None,
    }
}

/// As a TOML string: a name on the device may hold anything.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

const LIMIT: Duration = Duration::from_secs(10);
/// Leaves room for the other columns.
const ALIAS_WIDTH: usize = 36;
