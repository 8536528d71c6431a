//! `renewd show CERTIFICATE`: everything that is known of one certificate, and its history.

use serde::Serialize;
use serde_json::Value;

use super::{Arguments, device, quirks};
use crate::ca::Reference;
use crate::cli::CliError;
use crate::cli::open;
use crate::cli::print::{self, say};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::inventory::{ManagedCertificate, Renewal};
use crate::status::{self, Standing};
use crate::store::PastEvent;

#[derive(Debug, Serialize)]
struct CertificateDetails<'a> {
    standing: Standing,
    addresses: Vec<String>,
    services: Vec<&'static str>,
    firewall_identity: Option<Value>,
    renewals: Vec<PastRenewal<'a>>,
    history: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct PastRenewal<'a> {
    id: &'a str,
    alias: &'a str,
    state: &'static str,
    reason: &'a str,
    planned_at: jiff::Timestamp,
    state_since: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    at: jiff::Timestamp,
    event: &'a str,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal: Option<&'a str>,
    fields: &'a Value,
}

pub(super) async fn show(config: &Config, arguments: &Arguments) -> Result<(), CliError> {
    let wanted = open::certificate(config, &arguments.name)?;
    let store = open::store_to_read(config).await?;
    let Some(row) = store.certificate(&wanted.name).await? else {
        return Err(open::unmet(wanted));
    };
    let renewals = store.renewals_of(&wanted.name, RENEWALS).await?;
    let history = store.history(&wanted.name, arguments.events).await?;
    let firewall = store.firewall(&wanted.firewall).await?;
    store.close().await;
    let open = renewals
        .iter()
        .find(|renewal| Some(&renewal.id) == row.open_renewal.as_ref());
    let known = CertificateDetails {
        standing: status::standing(
            wanted,
            &row,
            open,
            firewall.refused_logins,
            SystemClock.now(),
        ),
        addresses: wanted.endpoints.iter().map(ToString::to_string).collect(),
        services: wanted
            .services
            .iter()
            .map(|service| service.name())
            .collect(),
        firewall_identity: firewall
            .identity
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok()),
        renewals: renewals.iter().map(past).collect(),
        history: history.iter().map(entry).collect(),
    };
    if arguments.json {
        print::json(&known);
    } else {
        print_known(wanted, &known);
    }
    Ok(())
}

fn past(renewal: &Renewal) -> PastRenewal<'_> {
    PastRenewal {
        id: &renewal.id.0,
        alias: &renewal.alias,
        state: renewal.state.name(),
        reason: &renewal.reason,
        planned_at: renewal.planned_at,
        state_since: renewal.state_since,
        ca_reference: renewal.obtained.ca_reference.as_deref(),
        sha256: renewal
            .obtained
            .fingerprint
            .map(|fingerprint| fingerprint.to_string()),
    }
}

fn entry(event: &PastEvent) -> Entry<'_> {
    Entry {
        at: event.at,
        event: &event.name,
        level: event.level.name(),
        renewal: event.renewal.as_ref().map(|id| id.0.as_str()),
        fields: &event.fields,
    }
}

fn print_known(wanted: &ManagedCertificate, known: &CertificateDetails<'_>) {
    let standing = &known.standing;
    let time = |at: Option<jiff::Timestamp>| at.map_or("-".to_owned(), |at| format!("{at:.0}"));
    print::facts(&[
        ("certificate", standing.certificate.clone()),
        ("firewall", standing.firewall.clone()),
        ("CA", standing.ca.clone()),
        ("key", wanted.request.key.to_string()),
        ("services", known.services.join(", ")),
        ("addresses", known.addresses.join(", ")),
        ("device", device(known.firewall_identity.as_ref())),
        (
            "it needs",
            match quirks(known.firewall_identity.as_ref()).as_slice() {
                [] => "-".to_owned(),
                quirks => quirks.join(", "),
            },
        ),
        ("health", standing.health.name().to_owned()),
        (
            "SHA-256",
            standing.sha256.clone().unwrap_or_else(|| "-".to_owned()),
        ),
        ("expires", time(standing.not_after)),
        ("seen", time(standing.seen_at)),
        ("why", standing.reason.clone()),
    ]);
    for address in &standing.addresses {
        if let Some(problem) = &address.problem {
            print::paragraph(
                "  ",
                HISTORY_DEPTH,
                &format!("{} {problem}", address.address),
            );
        }
    }
    if !known.renewals.is_empty() {
        say!();
        say!("Renewals, newest first");
    }
    for renewal in &known.renewals {
        let label = format!("  {:.0}  ", renewal.planned_at);
        let words = format!(
            "{} {}, planned by {}{}",
            renewal.alias,
            renewal.state,
            renewal.reason,
            order(renewal)
        );
        print::paragraph(&label, HISTORY_DEPTH, &words);
    }
    if !known.history.is_empty() {
        say!();
        say!("History, newest first");
    }
    for entry in &known.history {
        let label = format!("  {:.0}  {}  ", entry.at, entry.event);
        print::paragraph(&label, HISTORY_DEPTH, &words(entry));
    }
}

/// What the CA calls the order.
fn order(renewal: &PastRenewal<'_>) -> String {
    renewal.ca_reference.map_or_else(String::new, |reference| {
        format!("; order {}", Reference(reference.to_owned()).display())
    })
}

/// `bound -> verified` for a move, then what happened in words.
fn words(entry: &Entry<'_>) -> String {
    let field = |name: &str| entry.fields.get(name).and_then(Value::as_str);
    let step = match (field("state"), field("next_state")) {
        (Some(state), Some(next)) => Some(format!("{state} -> {next}")),
        _ => None,
    };
    let detail = field("detail").map(str::to_owned);
    let parts: Vec<String> = step.into_iter().chain(detail).collect();
    parts.join(": ")
}

/// Where the words of an entry go on: deep enough to stand out, and a fingerprint still fits.
const HISTORY_DEPTH: usize = 6;
/// How many renewals are shown.
const RENEWALS: u32 = 10;
