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
use crate::config::{self, Desired};
use crate::inventory::{Budget, KeyOrigin, ManagedCertificate, Service};
use crate::probe::Sight;
use crate::renewal::chain_roots;
use crate::renewal::step::look_at_all;
use crate::renewal::{ConfiguredPeers, Peers, Step};
use crate::sanitize::bounded;
use crate::store::Store;
use crate::surroundings::Surroundings;
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

/// What was found, in a line that a person can read: a peer decides how much it lists.
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
    findings.good("configuration", &counts(&loaded.desired));
    for problem in config::unsafe_files(&loaded) {
        findings.wrong("access", &problem);
    }
    let desired = loaded.desired;
    for (place, secret) in config::secrets(&desired) {
        match secret.read() {
            Err(error) => findings.wrong(&place, &error.to_string()),
            Ok(secret) if secret.has_blank_at_an_end() => warn(
                &place,
                "it begins or ends with a blank, which is sent as a part of it: is that intended?",
            ),
            Ok(_) => {}
        }
    }
    let surroundings = Surroundings::system();
    let desired = Arc::new(desired);
    let transfers = Transfers::new(&desired.daemon.state_directory, &surroundings);
    let peers = ConfiguredPeers::new(
        Arc::clone(&desired),
        surroundings.clone(),
        transfers.clone(),
    );
    for name in desired.chain_roots.keys() {
        let what = format!("ca {name}: chain_roots");
        match chain_roots::of_ca(&desired, name).await {
            Ok(roots) => findings.good(&what, &print::count(roots.len(), "certificate")),
            Err(failure) => findings.wrong(&what, &failure.to_string()),
        }
    }
    check_cas(&desired, &peers, arguments.online, &mut findings).await?;
    if arguments.online {
        let specification = arguments.save_openapi.as_deref();
        let online = Online {
            desired: &desired,
            peers: &peers,
            surroundings: &surroundings,
            transfers: &transfers,
        };
        online.check(specification, &mut findings).await?;
    }
    if findings.wrong == 0 {
        return Ok(());
    }
    print::complain(&format!(
        "{} of {} findings must be seen to; they are marked FAIL",
        findings.wrong,
        findings.wrong + findings.good
    ));
    Err(CliError::Told)
}

fn counts(desired: &Desired) -> String {
    [
        print::count(desired.certificates.len(), "certificate"),
        print::count(desired.firewalls.len(), "firewall"),
        print::count(desired.cas.len(), "CA"),
    ]
    .join(", ")
}

/// Every CA, and what it would sign. Those of this machine are looked at offline, too.
async fn check_cas(
    desired: &Desired,
    peers: &ConfiguredPeers,
    online: bool,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let store = if online {
        open::store(desired).await.ok()
    } else {
        None
    };
    let mut usable = Vec::new();
    for (name, settings) in &desired.cas {
        if !online && !matches!(settings, ca::Settings::Local(_)) {
            continue;
        }
        if check_ca(peers, name, findings).await {
            usable.push(name);
        }
        if online {
            let default = desired.order_budgets.get(name).copied();
            check_budget(peers, name, default, store.as_ref(), findings).await?;
        }
    }
    for wanted in desired.certificates.values() {
        if usable.contains(&&wanted.ca) {
            check_order(peers, wanted, findings).await;
        }
    }
    Ok(())
}

/// What the firewalls and their addresses are looked at with.
struct Online<'a> {
    desired: &'a Desired,
    peers: &'a ConfiguredPeers,
    surroundings: &'a Surroundings,
    transfers: &'a Transfers,
}

impl Online<'_> {
    /// Certificates for web management of this firewall whose key pair is made on it.
    fn management_certificates(&self, firewall: &str) -> Vec<&str> {
        let certificates = self.desired.certificates.values();
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
        for (name, managed) in &self.desired.firewalls {
            let acquaintance = open::acquaintance(self.desired, name).await?;
            let check = firewall::Check {
                name,
                managed,
                known: acquaintance.known(),
                surroundings: self.surroundings,
                transfers: self.transfers,
                management_certificates: self.management_certificates(name),
                specification: specification.map(|file| match self.desired.firewalls.len() {
                    1 => file.to_owned(),
                    _ => firewall::file_of(file, name),
                }),
            };
            check.run(findings).await;
        }
        for wanted in self.desired.certificates.values() {
            for (place, sight) in look_at_all(self.peers, wanted).await {
                match sight {
                    Sight::Shown(shown, _) => findings.good(
                        &format!("certificate {} at {place}", wanted.name),
                        &format!("{} until {:.0}", shown.subject, shown.not_after),
                    ),
                    Sight::Unreadable(_, why) | Sight::Unreachable(why) => {
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
    match issuer.objections(&wanted.request).await {
        Ok(objections) if objections.is_empty() => {
            findings.good(&what, "nothing speaks against an order");
        }
        Ok(objections) => findings.wrong(&what, &objections.join("; ")),
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
        let now = Surroundings::system().clock.now();
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
    fn what_a_peer_lists_without_end_is_told_in_a_line_of_bounded_length() {
        assert_eq!(short("a  b"), "a  b");
        let told = short(&"fw-1, ".repeat(1 << 18)).into_owned();
        assert!(told.len() <= LONGEST_FINDING + 3 && told.ends_with('…'));
    }
}
