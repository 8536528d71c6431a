//! `renewd discover`: what is on a firewall, as a TOML document that can be pasted. Nothing is changed.
//!
//! What the device says stands in TOML strings only, also in comments: a name may hold anything, and the configuration
//! can name programs that run as renewd.

use std::fmt::{self, Write};
use std::time::Duration;

use clap::Args;

use super::open::{self, Globals};
use super::{CliError, print};
use crate::env::Env;
use crate::failure::Failure;
use crate::firewall::{self, Binding, Firewall, Identity, InstalledObject, ObjectKind, Settings};
use crate::inventory::Service;
use crate::pki::{AlternateName, Certificate, KeyKind};
use crate::probe::{self, ProbeResult};
use crate::sanitize::{bounded, toml_string as quoted};
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
    let config = globals.config()?;
    let Some(managed) = config.firewalls.get(arguments.firewall.as_str()) else {
        let names = config.firewalls.keys().map(AsRef::as_ref);
        return Err(CliError::Usage(open::unknown(
            "firewall",
            &arguments.firewall,
            names,
        )));
    };
    let stored_device = open::stored_device(&config, &arguments.firewall).await?;
    let env = Env::system();
    let transfers = Transfers::new(&config.daemon.state_directory, &env);
    let known = stored_device.known();
    let session = firewall::connect(&managed.settings, &known, &env, &transfers).await?;
    let found = inspect(session).await?;
    let mut proposals = Vec::new();
    for alias in aliases(&found.bindings) {
        let served = served(&managed.settings, alias, &found.bindings).await;
        proposals.push((alias, served));
    }
    let ca = config.cas.keys().next().map_or("office", AsRef::as_ref);
    // Writing to a text does not fail.
    if let Ok(document) = document(&arguments.firewall, ca, &found, &proposals) {
        print::text(&document);
    }
    Ok(())
}

async fn inspect(mut session: Box<dyn Firewall>) -> Result<Found, Failure> {
    let found = inventory_of(session.as_mut()).await;
    let closed = session.close().await;
    let found = found?;
    closed?;
    Ok(found)
}

async fn inventory_of(session: &mut dyn Firewall) -> Result<Found, Failure> {
    Ok(Found {
        identity: session.identify().await?,
        objects: session.installed().await?,
        bindings: session.bindings().await?,
    })
}

/// What was found, in comments, and a `[[certificate]]` for each certificate that a service uses.
fn document(
    firewall: &str,
    ca: &str,
    found: &Found,
    proposals: &[(Option<&str>, Option<Certificate>)],
) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let identity = &found.identity;
    for (label, value) in [
        ("model", &identity.model),
        ("firmware", &identity.firmware),
        ("serial number", &identity.serial),
    ] {
        writeln!(
            text,
            "# {label:<13}  {}",
            quoted(&bounded(value, FACT_WIDTH))
        )?;
    }
    writeln!(text, "#")?;
    let mut table = print::table(&["NAME", "KIND", "USED BY"]);
    for object in &found.objects {
        table.add_row(row(object, &found.bindings));
    }
    for line in print::lines(&table) {
        writeln!(text, "# {line}")?;
    }
    writeln!(
        text,
        "\n# To keep them renewed, check these and add them to the configuration:"
    )?;
    for (alias, served) in proposals {
        let services = services(*alias, &found.bindings);
        propose(
            &mut text,
            [firewall, ca],
            *alias,
            &services,
            served.as_ref(),
        )?;
    }
    Ok(text)
}

fn row(object: &InstalledObject, bindings: &[Binding]) -> [String; 3] {
    let kind = match object.kind {
        ObjectKind::Certificate => "certificate",
        ObjectKind::PendingRequest => "pending request",
    };
    let used_by: Vec<&str> = bindings
        .iter()
        .filter(|binding| binding.alias.as_ref() == Some(&object.alias))
        .map(|binding| binding.service.name())
        .collect();
    let name = quoted(&print::shortened(&object.alias, ALIAS_WIDTH));
    [name, kind.to_owned(), used_by.join(", ")]
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
async fn served(
    settings: &Settings,
    alias: Option<&str>,
    bindings: &[Binding],
) -> Option<Certificate> {
    if !services(alias, bindings).contains(&Service::WebManagement) {
        return None;
    }
    match probe::probe(&settings.management()?, None, LIMIT).await {
        ProbeResult::Served(certificate, _) => Some(*certificate),
        ProbeResult::Unreadable(..) | ProbeResult::Unreachable(_) => None,
    }
}

/// A `[[certificate]]` that asks for what is there now; examples stand where nothing could be seen.
fn propose(
    text: &mut String,
    [firewall, ca]: [&str; 2],
    alias: Option<&str>,
    services: &[Service],
    served: Option<&Certificate>,
) -> fmt::Result {
    let names: Vec<String> = services
        .iter()
        .map(|service| quoted(service.name()))
        .collect();
    let first = services
        .first()
        .map_or("certificate", |service| service.name());
    let common_name = served.and_then(|served| served.common_name.as_deref());
    let common_name = common_name.unwrap_or("vpn.example.com");
    let (key, value) = alternate_name(common_name, served);
    let now = alias.map_or_else(
        || "the device's own self-signed certificate".to_owned(),
        quoted,
    );
    writeln!(text, "\n[[certificate]] # now: {now}")?;
    writeln!(text, "name = {}", quoted(&[firewall, first].join("-")))?;
    writeln!(text, "firewall = {}", quoted(firewall))?;
    writeln!(text, "ca = {}", quoted(ca))?;
    writeln!(
        text,
        "subject = {{ common_name = {} }}",
        quoted(common_name)
    )?;
    writeln!(text, "{key} = [{}]", quoted(&value))?;
    if let Some((kind, size)) = served.and_then(|served| key_of(served.key)) {
        writeln!(text, "key = {{ type = {}, size = {size} }}", quoted(kind))?;
    }
    writeln!(text, "services = [{}]", names.join(", "))
}

/// The one name that a request made on the device can carry: the CN, else the first that the certificate has.
fn alternate_name(common_name: &str, served: Option<&Certificate>) -> (&'static str, String) {
    let first = served.and_then(|served| served.alternate_names.first().cloned());
    match AlternateName::from_common_name(common_name).or(first) {
        Some(AlternateName::Ip(address)) => ("ip_addresses", address.to_string()),
        Some(AlternateName::Email(email)) => ("email_addresses", email),
        Some(AlternateName::Domain(name)) => ("dns_names", name),
        None => ("dns_names", "vpn.example.com".to_owned()),
    }
}

/// The same key again, when a device offers it.
fn key_of(kind: KeyKind) -> Option<(&'static str, u32)> {
    match kind {
        KeyKind::Rsa(size @ (2048 | 4096)) => Some(("rsa", size)),
        KeyKind::Ecdsa(size) => Some(("ecdsa", size)),
        KeyKind::Rsa(_) | KeyKind::Other => None,
    }
}

const LIMIT: Duration = Duration::from_secs(10);
/// Leaves room for the other columns.
const ALIAS_WIDTH: usize = 32;
/// Leaves room for the label.
const FACT_WIDTH: usize = 60;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use proptest::prelude::*;
    use toml::{Table, Value};

    use super::*;
    use crate::pki::testing::leaf_params;
    use crate::sanitize::is_unsafe;

    /// Ends a string, a line and a table, and adds a program.
    const ATTACK: &str =
        "x\"]]\n[[ca]]\nname = \"x\"\ndriver.exec = { command = [\"/bin/sh\"] }\n#";

    /// What a device may answer: any text, and texts that would end a line, a string or a table.
    fn said() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[\"'\\\\\r\n\\[\\]#={}, a\u{1b}\u{202e}\u{2028}\u{85}\u{7f}\u{e0041}]{0,24}",
            Just(ATTACK.to_owned()),
            Just(ATTACK.replace('\n', "\r\n")),
            Just("'''\n[[ca]]\n\"\"\"\n".to_owned()),
        ]
    }

    fn found(identity: [String; 3], installed: Vec<String>, bound: Vec<Option<String>>) -> Found {
        let [model, firmware, serial] = identity;
        let objects = installed.into_iter().map(|alias| InstalledObject {
            alias,
            kind: ObjectKind::Certificate,
            detail: Vec::new(),
        });
        let bindings = Service::ALL.into_iter().zip(bound);
        Found {
            identity: Identity {
                model,
                firmware,
                serial,
                ..Identity::default()
            },
            objects: objects.collect(),
            bindings: bindings
                .map(|(service, alias)| Binding { service, alias })
                .collect(),
        }
    }

    fn certificate() -> Certificate {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = leaf_params().self_signed(&key).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }

    fn table<const N: usize>(members: [(&str, Value); N]) -> Table {
        let members = members.into_iter();
        members
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    fn expected(alias: Option<&str>, found: &Found, served: Option<&Certificate>) -> Value {
        let services = services(alias, &found.bindings);
        let names: Vec<Value> = services
            .iter()
            .map(|service| service.name().into())
            .collect();
        let common_name = served.and_then(|served| served.common_name.as_deref());
        let common_name = common_name.unwrap_or("vpn.example.com");
        let (key, value) = alternate_name(common_name, served);
        let mut wanted = table([
            ("name", format!("hq-{}", services[0].name()).into()),
            ("firewall", "hq".into()),
            ("ca", "office".into()),
            (
                "subject",
                table([("common_name", common_name.into())]).into(),
            ),
            (key, vec![Value::from(value)].into()),
            ("services", names.into()),
        ]);
        if let Some((kind, size)) = served.and_then(|served| key_of(served.key)) {
            let key = table([("type", kind.into()), ("size", size.into())]);
            wanted.insert("key".to_owned(), key.into());
        }
        wanted.into()
    }

    proptest! {
        #[test]
        fn the_document_holds_exactly_the_expected_tables_whatever_the_device_says(
            identity in proptest::array::uniform3(said()),
            installed in proptest::collection::vec(said(), 0..4),
            bound in proptest::collection::vec(proptest::option::of(said()), 0..=2),
            common_name in proptest::option::of(said()),
            other_name in proptest::option::of(said()),
        ) {
            let found = found(identity, installed, bound);
            let mut served = certificate();
            served.common_name = common_name;
            served.alternate_names = other_name.map(AlternateName::Email).into_iter().collect();
            let proposals: Vec<_> = aliases(&found.bindings)
                .into_iter()
                .zip([Some(served), None])
                .collect();
            let text = document("hq", "office", &found, &proposals).unwrap();
            prop_assert!(!text.contains(|c: char| c != '\n' && is_unsafe(c)), "{text:?}");
            let read: Table = text.parse().unwrap();
            let wanted: Vec<Value> = proposals
                .iter()
                .map(|(alias, served)| expected(*alias, &found, served.as_ref()))
                .collect();
            let wanted = if wanted.is_empty() {
                Table::new()
            } else {
                table([("certificate", wanted.into())])
            };
            prop_assert_eq!(read, wanted);
        }
    }
}
