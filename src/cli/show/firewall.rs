//! `renewd show FIREWALL`: what is known of it from the daemon's sessions. Nothing is asked of it now.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{Arguments, device, quirks};
use crate::cli::CliError;
use crate::cli::open;
use crate::cli::print::{self, say};
use crate::clock::{Clock, SystemClock};
use crate::config::Desired;
use crate::inventory::TrackedFirewall;
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::status::{self, Standing};

#[derive(Debug, Serialize)]
struct Known {
    firewall: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    identity: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_at: Option<Timestamp>,
    refused_logins: u32,
    trusted_besides: Vec<String>,
    certificates: Vec<Standing>,
}

pub(super) async fn show(desired: &Desired, arguments: &Arguments) -> Result<(), CliError> {
    let store = open::store_to_read(desired).await?;
    let tracked = store.firewall(&arguments.name).await;
    let standings = status::overview(&store, desired, SystemClock.now()).await;
    store.close().await;
    let mut certificates = standings?;
    certificates.retain(|standing| standing.firewall == arguments.name);
    let known = known(desired, tracked?, certificates);
    if arguments.json {
        print::json(&known);
    } else {
        print_known(&known);
    }
    Ok(())
}

fn known(desired: &Desired, tracked: TrackedFirewall, certificates: Vec<Standing>) -> Known {
    let managed = desired.firewalls.get(tracked.name.as_str());
    let address = managed.and_then(|managed| managed.settings.management());
    let identity = tracked.identity.as_deref();
    Known {
        address: address.map(|address| address.to_string()),
        identity: identity.and_then(|json| serde_json::from_str(json).ok()),
        seen_at: tracked.identified_at,
        refused_logins: tracked.refused_logins,
        trusted_besides: tracked.learned.iter().map(ToString::to_string).collect(),
        firewall: tracked.name,
        certificates,
    }
}

fn print_known(known: &Known) {
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
        count => format!("{count} in a row: nothing more is tried until a person asks"),
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
        "it wants a restart before a change takes effect",
    ),
];

/// Where the words of an entry go on.
const DEPTH: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quirk_is_explained_where_its_name_is_known() {
        let told = explained("export=put-scp");
        assert_eq!(told, "export=put-scp (how a request is got from it)");
        assert_eq!(explained("colour=blue"), "colour=blue");
    }
}
