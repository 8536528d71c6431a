//! `renewd check`: is the configuration good? With `--online`: is everything in it there and usable? Nothing is changed.

mod firewall;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::open::{self, Globals};
use super::print::{self, say};
use crate::config::{self, Desired};
use crate::inventory::{Budget, ManagedCertificate};
use crate::probe::Sight;
use crate::renewal::step::look_at_all;
use crate::renewal::{ConfiguredPeers, Peers, Step};
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
        say!("ok      {what}: {words}");
    }

    fn wrong(&mut self, what: &str, words: &str) {
        self.wrong += 1;
        say!("WRONG   {what}: {words}");
    }
}

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
    if arguments.online {
        online(desired, arguments.save_openapi.as_deref(), &mut findings).await?;
    }
    if findings.wrong == 0 {
        return Ok(());
    }
    print::complain(&format!(
        "{} of {} findings must be seen to; they are marked WRONG",
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

async fn online(
    desired: Desired,
    specification: Option<&Path>,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let surroundings = Surroundings::system();
    let desired = Arc::new(desired);
    let transfers = Transfers::new(&desired.daemon.state_directory, &surroundings);
    let peers = ConfiguredPeers::new(
        Arc::clone(&desired),
        surroundings.clone(),
        transfers.clone(),
    );
    let store = open::store(&desired).await.ok();
    for name in desired.cas.keys() {
        check_ca(
            &peers,
            name,
            desired.order_budgets.get(name).copied(),
            store.as_ref(),
            surroundings.clock.now(),
            findings,
        )
        .await?;
    }
    for (name, managed) in &desired.firewalls {
        let acquaintance = open::acquaintance(&desired, name).await?;
        let check = firewall::Check {
            name,
            managed,
            known: acquaintance.known(),
            surroundings: &surroundings,
            transfers: &transfers,
            specification: specification.map(|file| match desired.firewalls.len() {
                1 => file.to_owned(),
                _ => firewall::file_of(file, name),
            }),
        };
        check.run(findings).await;
    }
    for wanted in desired.certificates.values() {
        check_order(&peers, wanted, findings).await;
        for (place, sight) in look_at_all(&peers, wanted).await {
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

/// What a renewal asks the CA before it makes a key pair.
async fn check_order(
    peers: &ConfiguredPeers,
    wanted: &ManagedCertificate,
    findings: &mut Findings,
) {
    let what = format!("certificate {} at CA {}", wanted.name, wanted.ca);
    // A CA that cannot be used was told of already.
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

async fn check_ca(
    peers: &ConfiguredPeers,
    name: &str,
    order_budget: Option<Budget>,
    store: Option<&Store>,
    now: Timestamp,
    findings: &mut Findings,
) -> Result<(), CliError> {
    let what = format!("CA {name}");
    let issuer = match peers.issuer(name) {
        Ok(issuer) => issuer,
        Err(failure) => {
            findings.wrong(&what, &failure.to_string());
            return Ok(());
        }
    };
    match issuer.check().await {
        Ok(facts) => {
            for (name, value) in facts {
                findings.good(&what, &format!("{name}: {value}"));
            }
        }
        Err(failure) => findings.wrong(&what, &failure.to_string()),
    }
    if let Some(budget) = issuer.budget().or(order_budget) {
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
        findings.good(&what, &words);
    }
    Ok(())
}
