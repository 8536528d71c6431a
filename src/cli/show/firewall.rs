//! `renewd show FIREWALL`: what is known of it from the daemon's sessions. Nothing is asked of it now.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Arguments, device, quirks};
use crate::cli::CliError;
use crate::cli::open;
use crate::cli::print::{self, say};
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::firewall;
use crate::inventory::TrackedFirewall;
use crate::renewal::pins;
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::status::{self, Standing};
use crate::store::PendingPin;

#[derive(Debug, Serialize)]
struct FirewallDetails {
    firewall: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    identity: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_at: Option<Timestamp>,
    refused_logins: u32,
    trusted_besides: Vec<String>,
    not_trusted: Vec<NotTrusted>,
    certificates: Vec<Standing>,
}

/// A stored pin that does not count.
#[derive(Debug, Serialize)]
struct NotTrusted {
    sha256: String,
    why: String,
}

pub(super) async fn show(config: &Config, arguments: &Arguments) -> Result<(), CliError> {
    let store = open::store_to_read(config).await?;
    let tracked = store.firewall(&arguments.name).await;
    let pending = store.pending_pins(&arguments.name).await;
    let standings = status::overview(&store, config, SystemClock.now()).await;
    store.close().await;
    let mut certificates = standings?;
    certificates.retain(|standing| standing.firewall == arguments.name);
    let known = known(config, tracked?, &pending?, certificates);
    if arguments.json {
        print::json(&known);
    } else {
        print_known(&known);
    }
    Ok(())
}

fn known(
    config: &Config,
    tracked: TrackedFirewall,
    pending: &[PendingPin],
    certificates: Vec<Standing>,
) -> FirewallDetails {
    let (trusted_besides, not_trusted) = sorted(config, &tracked, pending);
    let managed = config.firewalls.get(tracked.name.as_str());
    let address = managed.and_then(|managed| managed.settings.management());
    let identity = tracked.identity.as_deref();
    FirewallDetails {
        address: address.map(|address| address.to_string()),
        identity: identity.and_then(|json| serde_json::from_str(json).ok()),
        seen_at: tracked.identified_at,
        refused_logins: tracked.refused_logins,
        trusted_besides,
        not_trusted,
        firewall: tracked.name,
        certificates,
    }
}

/// The stored pins that count, and those that do not.
fn sorted(
    config: &Config,
    tracked: &TrackedFirewall,
    pending: &[PendingPin],
) -> (Vec<String>, Vec<NotTrusted>) {
    let managed = config.firewalls.get(tracked.name.as_str());
    let judged = managed.map(|managed| {
        let trust = firewall::trust_text(&managed.settings);
        pins::judge(&open::sealer(config), tracked, pending, &trust)
    });
    let pins = match judged {
        Some(Ok(pins)) => pins,
        None => {
            return (
                Vec::new(),
                all_not_trusted(tracked, pending, NOT_CONFIGURED),
            );
        }
        Some(Err(problem)) => {
            let why = format!("it cannot be verified: {problem}");
            return (Vec::new(), all_not_trusted(tracked, pending, &why));
        }
    };
    let (mut trusted, mut not_trusted) = (Vec::new(), Vec::new());
    for pin in pins {
        let sha256 = pin.fingerprint.to_string();
        let why = match pin.standing {
            pins::Standing::Verified => {
                trusted.push(sha256);
                continue;
            }
            pins::Standing::Forged => NOT_AUTHENTIC,
            pins::Standing::OfAnotherTrust => OF_ANOTHER_TRUST,
        };
        not_trusted.push(NotTrusted {
            sha256,
            why: why.to_owned(),
        });
    }
    (trusted, not_trusted)
}

fn all_not_trusted(
    tracked: &TrackedFirewall,
    pending: &[PendingPin],
    why: &str,
) -> Vec<NotTrusted> {
    let pending = pending.iter().map(|pin| &pin.fingerprint);
    let all = tracked.pins.iter().chain(pending);
    all.map(|fingerprint| NotTrusted {
        sha256: fingerprint.to_string(),
        why: why.to_owned(),
    })
    .collect()
}

fn print_known(known: &FirewallDetails) {
    let seen = known.seen_at.map(|at| format!("{at:.0}"));
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    print::facts(&[
        ("firewall", known.firewall.clone()),
        ("address", or_none(known.address.clone())),
        ("device", device(known.identity.as_ref())),
        ("seen", or_none(seen)),
        ("refused logins", refusals(known.refused_logins)),
        (
            "also trusted",
            match known.trusted_besides.as_slice() {
                [] => "-".to_owned(),
                pins => pins.join(" "),
            },
        ),
    ]);
    for pin in &known.not_trusted {
        let label = format!("not trusted: SHA-256 {}  ", pin.sha256);
        print::paragraph(&label, DEPTH, &pin.why);
    }
    let quirks = quirks(known.identity.as_ref());
    if !quirks.is_empty() {
        say!();
        say!("What it turned out to need");
    }
    for quirk in quirks {
        print::paragraph("  ", DEPTH, &explained(quirk));
    }
    say!();
    say!("Its certificates");
    for standing in &known.certificates {
        let label = format!("  {}  ", standing.certificate);
        let words = format!("{}: {}", standing.health.name(), standing.reason);
        print::paragraph(&label, DEPTH, &words);
    }
    if known.certificates.is_empty() {
        say!("  none is configured, or the daemon has not read them yet");
    }
}

fn refusals(count: u32) -> String {
    match count {
        0 => "none".to_owned(),
        count if count < REFUSED_LOGIN_LIMIT => format!("{count} in a row"),
        count => format!("{count} in a row: nothing more is tried until an operator requests it"),
    }
}

/// `export=put-scp (how a request is got from it)`.
fn explained(quirk: &str) -> String {
    let name = quirk.split('=').next().unwrap_or_default();
    let meaning = MEANINGS.iter().find(|(known, _)| *known == name);
    meaning.map_or_else(
        || quirk.to_owned(),
        |(_, meaning)| format!("{quirk} ({meaning})"),
    )
}

const NOT_CONFIGURED: &str = "the firewall is not in the configuration";
const NOT_AUTHENTIC: &str = "this renewd did not store it under this sealing key: it is from an older version, or another program wrote it";
const OF_ANOTHER_TRUST: &str =
    "it was stored for another url or trust than the one that is configured";

/// The names that drivers give to what they found out.
const MEANINGS: [(&str, &str); 12] = [
    ("login", "the way to log in that it offers"),
    ("management", "a central management has it, such as NSM"),
    ("export", "how a request is got from it"),
    ("import", "how a certificate is put on it"),
    ("ca-import", "how a CA certificate is put on it"),
    ("key_pair", "how a PKCS#12 file is put on it"),
    (
        "key_pair_encryption",
        "the encryption of PKCS#12 files that it reads",
    ),
    ("listing", "where it lists its certificates"),
    ("bind", "how its services are pointed at a certificate"),
    ("delete", "how a certificate is removed from it"),
    ("ssl-vpn", "whether it has that service"),
    (
        "restart_required",
        "it needs a restart before a change takes effect",
    ),
];

/// Where the words of an entry go on.
const DEPTH: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quirk_is_explained_where_its_name_is_known() {
        let reported = explained("export=put-scp");
        assert_eq!(reported, "export=put-scp (how a request is got from it)");
        assert_eq!(explained("colour=blue"), "colour=blue");
    }
}
