//! `renewd check`: is the configuration good, and can the CAs of this machine sign? With `--online`: is everything in it there
//! and usable? Nothing is changed.

mod firewall;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::open::{self, Globals};
use super::print::{self, say};
use crate::ca;
use crate::config::{self, Config};
use crate::env::Env;
use crate::inventory::{Budget, KeyOrigin, ManagedCertificate, Service};
use crate::probe::ProbeResult;
use crate::renewal::chain_roots;
use crate::renewal::step::probe_all;
use crate::renewal::{ConfiguredPeers, Peers, Step};
use crate::sanitize::bounded;
use crate::store::Store;
use crate::transfer::Transfers;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Log in to each firewall and CA and look at each address.
    #[arg(long)]
    online: bool,
    /// Keep the specification that a firewall serves of its own API in this new file. With several firewalls the name of
    /// each is put before the file's extension.
    #[arg(long, value_name = "FILE", requires = "online")]
    save_openapi: Option<PathBuf>,
}

/// Counts what was found.
#[derive(Default)]
struct Findings {
    good: usize,
    wrong: usize,
}

impl Findings {
    fn good(&mut self, what: &str, words: &str) {
        self.good += 1;
        say!("ok      {what}: {}", short(words));
    }

    fn wrong(&mut self, what: &str, words: &str) {
        self.wrong += 1;
        say!("FAIL    {what}: {}", short(words));
    }
}

/// What was found, in a line of bounded length: a peer decides how much it lists.
fn short(words: &str) -> Cow<'_, str> {
    if words.len() <= LONGEST_FINDING {
        return Cow::Borrowed(words);
    }
    Cow::Owned(bounded(words, LONGEST_FINDING))
}

/// Enough for the names of two hundred certificates.
const LONGEST_FINDING: usize = 8 << 10;

/// Nothing is wrong yet, and an operator should know it.
fn warn(what: &str, words: &str) {
    say!("warning {what}: {words}");
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let loaded = globals.loaded()?;
    let mut findings = Findings::default();
    findings.good("configuration", &counts(&loaded.config));
    for problem in config::unsafe_files(&loaded) {
        findings.wrong("access", &problem);
    }
    let config = loaded.config;
    for (place, secret) in config::secrets(&config) {
        match secret.read() {
            Err(error) => findings.wrong(&place, &error.to_string()),
            Ok(secret) if secret.has_blank_at_an_end() => warn(
                &place,
                "it begins or ends with a blank, which is sent as a part of it: is that intended?",
            ),
            Ok(_) => {}
        }
    }
    let env = Env::system();
    let config = Arc::new(config);
    let transfers = Transfers::new(&config.daemon.state_directory, &env);
    let peers = ConfiguredPeers::new(Arc::clone(&config), env.clone(), transfers.clone());
    for name in config.chain_roots.keys() {
        let what = format!("ca {name}: chain_roots");
        match chain_roots::of_ca(&config, name).await {
            Ok(roots) => findings.good(&what, &print::count(roots.len(), "certificate")),
            Err(failure) => findings.wrong(&what, &failure.to_string()),
        }
    }
    check_cas(&config, &peers, arguments.online, &mut findings).await?;
    if arguments.online {
        let specification = arguments.save_openapi.as_deref();
        let online = Online {
            config: &config,
            peers: &peers,
            env: &env,
            transfers: &transfers,
        };
        online.check(specification, &mut findings).await?;
    }
    if findings.wrong == 0 {
        return Ok(());
    }
    print::complain(&format!(
        "{} of {} findings need action; they are marked FAIL",
        findings.wrong,
        findings.wrong + findings.good
    ));
    Err(CliError::Reported)
}

fn counts(config: &Config) -> String {
    [
        print::count(config.certificates.len(), "certificate"),
        print::count(config.firewalls.len(), "firewall"),
        print::count(config.cas.len(), "CA"),
    ]
    .join(", ")
}

/// Every CA, and what it would sign. Those of this machine are looked at offline, too.
async fn check_cas(
    config: &Config,
    peers: &ConfiguredPeers,
    online: bool,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let store = if online {
        open::store(config).await.ok()
    } else {
        None
    };
    let mut usable = Vec::new();
    for (name, settings) in &config.cas {
        if !online && !matches!(settings, ca::Settings::Local(_)) {
            continue;
        }
        if check_ca(peers, name, findings).await {
            usable.push(name);
        }
        if online {
            let default = config.order_budgets.get(name).copied();
            check_budget(peers, name, default, store.as_ref(), findings).await?;
        }
    }
    for wanted in config.certificates.values() {
        if usable.contains(&&wanted.ca) {
            check_order(peers, wanted, findings).await;
        }
    }
    Ok(())
}

/// What the firewalls and their addresses are looked at with.
struct Online<'a> {
    config: &'a Config,
    peers: &'a ConfiguredPeers,
    env: &'a Env,
    transfers: &'a Transfers,
}

impl Online<'_> {
    /// Certificates for web management of this firewall whose key pair is made on it.
    fn management_certificates(&self, firewall: &str) -> Vec<&str> {
        let certificates = self.config.certificates.values();
        certificates
            .filter(|one| {
                *one.firewall == *firewall
                    && one.key_origin == KeyOrigin::Firewall
                    && one.services.contains(&Service::WebManagement)
            })
            .map(|one| &*one.name)
            .collect()
    }

    async fn check(
        &self,
        specification: Option<&Path>,
        findings: &mut Findings,
    ) -> Result<(), CliError> {
        for (name, managed) in &self.config.firewalls {
            let stored_device = open::stored_device(self.config, name).await?;
            let check = firewall::Check {
                name,
                managed,
                known: stored_device.known(),
                env: self.env,
                transfers: self.transfers,
                management_certificates: self.management_certificates(name),
                specification: specification.map(|file| match self.config.firewalls.len() {
                    1 => file.to_owned(),
                    _ => firewall::file_of(file, name),
                }),
            };
            check.run(findings).await;
        }
        for wanted in self.config.certificates.values() {
            for (place, probed) in probe_all(self.peers, wanted).await {
                match probed {
                    ProbeResult::Served(served, _) => findings.good(
                        &format!("certificate {} at {place}", wanted.name),
                        &format!("{} until {:.0}", served.subject, served.not_after),
                    ),
                    ProbeResult::Unreadable(_, why) | ProbeResult::Unreachable(why) => {
                        findings.wrong(&format!("certificate {} at {place}", wanted.name), &why);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What a renewal asks the CA before it makes a key pair.
async fn check_order(
    peers: &ConfiguredPeers,
    wanted: &ManagedCertificate,
    findings: &mut Findings,
) {
    let what = format!("certificate {} at CA {}", wanted.name, wanted.ca);
    let Ok(issuer) = peers.issuer(&wanted.ca) else {
        return;
    };
    match issuer.preflight(&wanted.request).await {
        Ok(problems) if problems.is_empty() => {
            findings.good(&what, "no reason was found to refuse an order");
        }
        Ok(problems) => findings.wrong(&what, &problems.join("; ")),
        Err(failure) => findings.wrong(&what, &failure.to_string()),
    }
}

/// Whether the CA can be used.
async fn check_ca(peers: &ConfiguredPeers, name: &str, findings: &mut Findings) -> bool {
    let what = format!("CA {name}");
    let facts = match peers.issuer(name) {
        Ok(issuer) => issuer.check().await,
        Err(failure) => Err(failure),
    };
    match facts {
        Ok(facts) => {
            for (name, value) in facts {
                findings.good(&what, &format!("{name}: {value}"));
            }
            true
        }
        Err(failure) => {
            findings.wrong(&what, &failure.to_string());
            false
        }
    }
}

async fn check_budget(
    peers: &ConfiguredPeers,
    name: &str,
    default: Option<Budget>,
    store: Option<&Store>,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let Ok(issuer) = peers.issuer(name) else {
        return Ok(());
    };
    if let Some(budget) = issuer.budget().or(default) {
        let now = Env::system().clock.now();
        let since = now.checked_sub(budget.within).unwrap_or(Timestamp::MIN);
        let placed = match store {
            Some(store) => store.orders_since(name, Step::Submit.name(), since).await?,
            None => 0,
        };
        let left = budget.orders.saturating_sub(placed);
        let words = format!(
            "order budget: {left} of {} orders in {:#} are left",
            budget.orders, budget.within
        );
        findings.good(&format!("CA {name}"), &words);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_lists_without_end_is_shown_in_a_line_of_bounded_length() {
        assert_eq!(short("a  b"), "a  b");
        let reported = short(&"fw-1, ".repeat(1 << 18)).into_owned();
        assert!(reported.len() <= LONGEST_FINDING + 3 && reported.ends_with('…'));
    }
}
