//! `renewd adopt`: an operator has checked a certificate that renewd does not know, and accepts it.

use std::time::Duration;

use clap::Args;

use super::CliError;
use super::open::{self, Globals};
use super::print::say;
use crate::clock::{Clock, SystemClock};
use crate::event::{Event, EventKind};
use crate::inventory::{Endpoint, ManagedCertificate, TrackedCertificate};
use crate::pki::Fingerprint;
use crate::probe::{self, ProbeResult};
use crate::renewal::known_rows;
use crate::renewal::step::server_name;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The certificate's name in the configuration.
    certificate: String,
    /// SHA-256 of the certificate that is accepted, as `renewd probe` shows it. Without it, what the addresses serve is
    /// shown and nothing is accepted.
    #[arg(long)]
    fingerprint: Option<Fingerprint>,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let config = globals.config()?;
    let wanted = open::certificate(&config, &arguments.certificate)?;
    let store = open::store(&config).await?;
    let Some(row) = store.certificate(&wanted.name).await? else {
        return Err(open::unmet(wanted));
    };
    let Some(fingerprint) = arguments.fingerprint else {
        store.close().await;
        return show(&row);
    };
    let Some((address, unknown)) = row
        .unknown()
        .find(|(_, unknown)| unknown.fingerprint == fingerprint)
    else {
        store.close().await;
        return Err(CliError::Usage(format!(
            "no address of {} serves SHA-256 {fingerprint} as a certificate that renewd does not know; what they serve: \
             renewd adopt {}",
            wanted.name, wanted.name
        )));
    };
    if let Err(error) = still_served(wanted, &row, fingerprint).await {
        store.close().await;
        return Err(error);
    }
    let event = Event {
        detail: Some(format!("{address} serves {}", unknown.words)),
        ..Event::of_certificate(EventKind::CertificateAccepted, &wanted.name)
    };
    let now = SystemClock.now();
    let known =
        known_rows::authenticate(&open::sealer(&config), &wanted.name, fingerprint, true, now)
            .map_err(|problem| CliError::System(problem.to_string()))?;
    store.adopt(&wanted.name, &known, &[event], now).await?;
    store.close().await;
    say!(
        "{}: SHA-256 {fingerprint} is accepted; it decides when a renewal is due from the daemon's next probe on, within a \
         minute",
        wanted.name
    );
    Ok(())
}

/// What was checked is what is accepted: each address that presented it has to present it still.
async fn still_served(
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
    fingerprint: Fingerprint,
) -> Result<(), CliError> {
    let name = server_name(wanted);
    let presented = row
        .unknown()
        .filter(|(_, unknown)| unknown.fingerprint == fingerprint);
    for (address, _) in presented {
        let endpoint: Endpoint = address
            .parse()
            .map_err(|error| CliError::System(format!("{address}: {error}")))?;
        let now = match probe::probe(&endpoint, name.as_deref(), TIMEOUT).await {
            ProbeResult::Served(certificate, _) => certificate.fingerprint,
            ProbeResult::Unreadable(fingerprint, _) => fingerprint,
            ProbeResult::Unreachable(why) => {
                return Err(CliError::Peer(format!(
                    "{address} serves nothing at the moment ({why}), so nothing is accepted; try again when it does"
                )));
            }
        };
        if now != fingerprint {
            return Err(CliError::Peer(format!(
                "{address} serves SHA-256 {now} by now and not {fingerprint}, so nothing is accepted; check that one after \
                 the daemon's next probe: renewd adopt {}",
                wanted.name
            )));
        }
    }
    Ok(())
}

/// What could be accepted, for an operator to check.
fn show(row: &TrackedCertificate) -> Result<(), CliError> {
    let name = &row.name;
    let mut is_any = false;
    for (address, unknown) in row.unknown() {
        is_any = true;
        say!(
            "{address} serves since {:.0}: {}",
            unknown.since,
            unknown.words
        );
        say!(
            "  check which administrator installed it; to accept it: renewd adopt {name} --fingerprint {}",
            unknown.fingerprint
        );
    }
    if is_any {
        return Err(CliError::Reported);
    }
    say!("{name}: every certificate that its addresses serve is known");
    Ok(())
}

/// For a handshake with an address.
const TIMEOUT: Duration = Duration::from_secs(10);
