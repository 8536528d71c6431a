//! `renewd probe`: which certificate does an address serve?

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::CliError;
use super::print::{self, say};
use crate::clock::{Clock, SystemClock};
use crate::inventory::Endpoint;
use crate::pki::Certificate;
use crate::probe::{self, ProbeResult};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The address, `HOST:PORT` or `[IPv6]:PORT`; without a port, 443.
    address: Endpoint,
    /// The name to ask for in the handshake (SNI), when it is not HOST.
    #[arg(long, value_parser = server_name)]
    server_name: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the certificate, PEM.
    #[arg(long, conflicts_with = "json")]
    pem: bool,
}

/// An operator who asks for a name wants to know what is served for it, not what is served for another.
fn server_name(text: &str) -> Result<String, String> {
    if probe::is_server_name(text) {
        return Ok(text.to_owned());
    }
    Err("it is no host name or address".to_owned())
}

#[derive(Debug, Serialize)]
struct ProbeOutput<'a> {
    address: String,
    sha256: String,
    public_key_sha256: String,
    subject: &'a str,
    issuer: &'a str,
    alternate_names: Vec<String>,
    serial: &'a str,
    key: String,
    not_before: String,
    not_after: String,
}

pub async fn run(arguments: &Arguments) -> Result<(), CliError> {
    let probed = probe::probe(&arguments.address, arguments.server_name.as_deref(), LIMIT).await;
    let certificate = match probed {
        ProbeResult::Served(certificate, _) => certificate,
        ProbeResult::Unreadable(fingerprint, why) => {
            return Err(CliError::Peer(format!(
                "{}: serves SHA-256 {fingerprint}, which cannot be read: {why}",
                arguments.address
            )));
        }
        ProbeResult::Unreachable(why) => {
            return Err(CliError::Peer(format!("{}: {why}", arguments.address)));
        }
    };
    if arguments.pem {
        print::text(&certificate.to_pem());
    } else if arguments.json {
        print::json(&seen(arguments, &certificate));
    } else {
        print_facts(&seen(arguments, &certificate), &certificate);
    }
    Ok(())
}

fn seen<'a>(arguments: &Arguments, certificate: &'a Certificate) -> ProbeOutput<'a> {
    ProbeOutput {
        address: arguments.address.to_string(),
        sha256: certificate.fingerprint.to_string(),
        public_key_sha256: certificate.public_key.to_string(),
        subject: &certificate.subject,
        issuer: &certificate.issuer,
        alternate_names: certificate
            .alternate_names
            .iter()
            .map(ToString::to_string)
            .collect(),
        serial: &certificate.serial,
        key: certificate.key.to_string(),
        not_before: format!("{:.0}", certificate.not_before),
        not_after: format!("{:.0}", certificate.not_after),
    }
}

fn print_facts(seen: &ProbeOutput<'_>, certificate: &Certificate) {
    let expiry = print::distance(SystemClock.now(), certificate.not_after);
    print::facts(&[
        ("address", seen.address.clone()),
        ("subject", seen.subject.to_owned()),
        ("issuer", seen.issuer.to_owned()),
        ("names", seen.alternate_names.join(", ")),
        ("key", seen.key.clone()),
        (
            "valid",
            format!("{} to {} ({expiry})", seen.not_before, seen.not_after),
        ),
        ("SHA-256", seen.sha256.clone()),
    ]);
    say!();
    print::paragraph(
        "",
        0,
        "If you compared the fingerprint with the device's own (its console or web page), pin it:",
    );
    say!("trust = {{ sha256 = \"{}\" }}", seen.sha256);
}

const LIMIT: Duration = Duration::from_secs(15);
