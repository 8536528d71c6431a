//! `renewd demo`: simulated firewalls and a CA on loopback, renewed by the real daemon before your eyes.
//!
//! Everything lives in a temporary folder that is removed at the end; nothing is read from this machine.

mod office;

use std::path::Path;
use std::time::Duration;

use clap::Args;
use simulators::sonicos::{Profile, Settings, Simulator};

use super::{CliError, print, print::say};
use crate::ca::{self, local};
use crate::config::{self, Config};
use crate::daemon::Daemon;
use crate::env::Env;
use crate::inventory::Endpoint;
use crate::pki::KeyKind;
use crate::probe::{self, ProbeResult};
use crate::store::{PastEvent, Store};
use crate::telemetry::{self, LogFormat};
use office::{Kind, Office, write_private};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Also show the log that an operator would read.
    #[arg(long)]
    verbose: bool,
    /// Which CA issues; all but the local one are simulated.
    #[arg(long, value_enum, default_value_t = Kind::Local)]
    ca: Kind,
}

/// A simulated firewall with its name in the configuration.
struct Simulated {
    name: &'static str,
    simulator: Simulator,
}

pub async fn run(arguments: &Arguments) -> Result<(), CliError> {
    if arguments.verbose {
        telemetry::start("info", LogFormat::Auto).map_err(CliError::Usage)?;
    }
    let folder = tempfile::Builder::new().prefix("renewd-demo-").tempdir()?;
    let office = Office::start(arguments.ca).await?;
    say!(
        "Two simulated SonicWalls and {office} on loopback; the real daemon renews their certificates."
    );
    say!();
    let firewalls = start_firewalls().await?;
    let result = tokio::select! {
        result = show(&firewalls, &office, folder.path()) => result,
        _ = tokio::signal::ctrl_c() => Err(CliError::System("stopped by the keyboard".to_owned())),
    };
    for firewall in firewalls {
        firewall.simulator.stop().await;
    }
    office.stop().await;
    folder.close()?;
    result
}

async fn show(firewalls: &[Simulated], office: &Office, folder: &Path) -> Result<(), CliError> {
    let config = prepare(firewalls, office, folder)?;
    let before = handshakes(&config).await;
    say!("Before: certificates near their expiry");
    print_handshakes(&before);
    say!();
    say!(
        "The renewals, step by step; each key pair is generated on its firewall and never leaves it"
    );
    let has_failed = renew(&config, folder).await?;
    let after = handshakes(&config).await;
    say!();
    say!("After: the handshakes of an outsider");
    print_changes(&before, &after);
    if has_failed {
        return Err(CliError::Reported);
    }
    print::text(NEXT);
    Ok(())
}

async fn start_firewalls() -> Result<Vec<Simulated>, CliError> {
    let mut firewalls = Vec::new();
    for (name, profile) in [("branch", Profile::V7_X), ("hq", Profile::V8)] {
        let mut settings = Settings::new(profile);
        settings.initial.common_name = format!("{name}.example.com");
        settings.variants.key_delay_ms = Duration::from_millis(800);
        firewalls.push(Simulated {
            name,
            simulator: Simulator::start(settings).await?,
        });
    }
    Ok(firewalls)
}

/// Writes the configuration as an administrator would, and makes the CA.
fn prepare(firewalls: &[Simulated], office: &Office, folder: &Path) -> Result<Config, CliError> {
    let file = folder.join("renewd.toml");
    let place = folder.display();
    let mut text = format!(
        "[daemon]\ndatabase = \"sqlite://{place}/renewd.db\"\nstate_directory = \"{place}\"\n\n\
         [[ca]]\nname = \"office\"\n{}\n",
        office.driver(folder)?
    );
    for firewall in firewalls {
        text += &tables(firewall, folder)?;
    }
    write_private(&file, &text)?;
    let config = config::load(&file)?.config;
    for ca in config.cas.values() {
        let ca::Settings::Local(settings) = ca else {
            continue;
        };
        local::init(
            settings,
            "Demonstration CA",
            KeyKind::Ecdsa(384),
            10,
            &Env::system(),
        )?;
    }
    Ok(config)
}

fn tables(firewall: &Simulated, folder: &Path) -> Result<String, CliError> {
    let Simulated { name, simulator } = firewall;
    let secret = folder.join(format!("{name}.password"));
    write_private(&secret, "correct horse\n")?;
    Ok(format!(
        "\n[[firewall]]\nname = \"{name}\"\n\
         driver.sonicos = {{ url = \"{url}\", user = \"renewd\", password = {{ file = \"{secret}\" }}, \
         trust = {{ sha256 = \"{pin}\" }} }}\n\n\
         [[certificate]]\nname = \"{name}-portal\"\nfirewall = \"{name}\"\nca = \"office\"\n\
         subject = {{ common_name = \"{name}.example.com\", organization = \"Example\", country = \"Netherlands\" }}\n\
         dns_names = [\"{name}.example.com\"]\n\
         key = {{ type = \"ecdsa\", size = 256 }}\n\
         services = [\"web-management\", \"ssl-vpn\"]\nendpoints = [\"{management}\", \"{ssl_vpn}\"]\n",
        url = simulator.url(),
        secret = secret.display(),
        pin = simulator.fingerprint(),
        management = simulator.management(),
        ssl_vpn = simulator.ssl_vpn(),
    ))
}

/// Runs the daemon until nothing is left to do, and prints its events as they are stored.
async fn renew(config: &Config, folder: &Path) -> Result<bool, CliError> {
    let file = folder.join("renewd.toml");
    let daemon = Daemon::start(&file, config.clone(), Env::system()).await?;
    let store = Store::open(&config.daemon.database).await?;
    let names: Vec<String> = config
        .certificates
        .keys()
        .map(ToString::to_string)
        .collect();
    let started = tokio::time::Instant::now();
    let mut reported = 0;
    let work = daemon.run_once();
    tokio::pin!(work);
    let report = loop {
        let ended = tokio::select! {
            report = &mut work => Some(report?),
            () = tokio::time::sleep(PROBE_INTERVAL) => None,
        };
        reported = report(&store, &names, reported, started.elapsed()).await?;
        if let Some(report) = ended {
            break report;
        }
    };
    store.close().await;
    Ok(report.has_failed())
}

/// Prints the events after the `reported`th; the number of the last one.
async fn report(
    store: &Store,
    names: &[String],
    reported: i64,
    elapsed: Duration,
) -> Result<i64, CliError> {
    let mut news: Vec<(&String, PastEvent)> = Vec::new();
    for name in names {
        let events = store.history(name, EVENTS).await?;
        news.extend(
            events
                .into_iter()
                .filter(|event| event.id > reported)
                .map(|event| (name, event)),
        );
    }
    news.sort_by_key(|(_, event)| event.id);
    for (name, event) in &news {
        say!(
            "{:>6.1} s  {name:<14} {}",
            elapsed.as_secs_f64(),
            words(event)
        );
    }
    Ok(news.last().map_or(reported, |(_, event)| event.id))
}

fn words(event: &PastEvent) -> String {
    let field = |name: &str| event.fields.get(name).and_then(serde_json::Value::as_str);
    match (field("state"), field("next_state"), field("detail")) {
        (Some(state), Some(next), _) => format!("{state} -> {next}"),
        (_, _, Some(detail)) => format!("{}: {detail}", event.name),
        _ => event.name.clone(),
    }
}

async fn handshakes(config: &Config) -> Vec<(String, Endpoint, ProbeResult)> {
    let mut seen = Vec::new();
    for wanted in config.certificates.values() {
        for endpoint in &wanted.endpoints {
            let probed = probe::probe(endpoint, None, HANDSHAKE_LIMIT).await;
            seen.push((wanted.firewall.to_string(), endpoint.clone(), probed));
        }
    }
    seen
}

fn print_handshakes(seen: &[(String, Endpoint, ProbeResult)]) {
    let mut table = print::table(&["FIREWALL", "ADDRESS", "SHA-256", "VALID UNTIL"]);
    for (firewall, endpoint, probed) in seen {
        let (fingerprint, until) = fingerprint(probed);
        table.add_row([firewall.clone(), endpoint.to_string(), fingerprint, until]);
    }
    print::print(&table);
}

fn print_changes(
    before: &[(String, Endpoint, ProbeResult)],
    after: &[(String, Endpoint, ProbeResult)],
) {
    let mut table = print::table(&[
        "FIREWALL",
        "ADDRESS",
        "OLD SHA-256",
        "NEW SHA-256",
        "VALID UNTIL",
    ]);
    for ((firewall, endpoint, old), (_, _, new)) in before.iter().zip(after) {
        let (new, until) = fingerprint(new);
        table.add_row([
            firewall.clone(),
            endpoint.to_string(),
            fingerprint(old).0,
            new,
            until,
        ]);
    }
    print::print(&table);
}

fn fingerprint(probed: &ProbeResult) -> (String, String) {
    match probed {
        ProbeResult::Served(served, _) => (
            served.fingerprint.short(),
            served.not_after.strftime("%Y-%m-%d").to_string(),
        ),
        ProbeResult::Unreadable(_, why) | ProbeResult::Unreachable(why) => {
            ("none".to_owned(), why.clone())
        }
    }
}

const PROBE_INTERVAL: Duration = Duration::from_millis(100);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// More than a renewal can bring about between two looks.
const EVENTS: u32 = 100;

const NEXT: &str = "
What next
  A real firewall:                                  README.md, \"A real firewall in ten minutes\"
  The certificate that your firewall serves now:    renewd probe HOST:443
  A configuration to begin with:                    config/minimal.toml
  A simulated SonicWall that stays, to play with:   cargo run -p simulators -- sonicos --help

Nothing of this demonstration is left on this machine.
";
