//! `renewd run`: the daemon, or with `--once` a single pass that reports what came of every certificate.

use std::collections::HashSet;

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::open::Globals;
use super::print::{distance, say};
use crate::config::Desired;
use crate::daemon::{Daemon, Report, has_failed};
use crate::inventory::{Renewal, TrackedCertificate};
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::status::{self, Rest};
use crate::store::{Store, StoreError};
use crate::surroundings::Surroundings;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Do what is due until nothing can move, then exit; non-zero if something failed.
    #[arg(long)]
    once: bool,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let desired = globals.desired()?;
    globals.start_log(&desired)?;
    let once = arguments.once.then(|| desired.clone());
    let surroundings = Surroundings::system();
    let daemon = Daemon::start(&globals.config, desired, surroundings.clone()).await?;
    let Some(desired) = once else {
        return Ok(daemon.run().await?);
    };
    let report = daemon.run_once().await?;
    let store = Store::open(&desired.daemon.database).await?;
    let told = tell(&store, &desired, &report, surroundings.clock.now()).await;
    store.close().await;
    let is_put_off = told?;
    if report.has_failed() || is_put_off {
        Err(CliError::Told)
    } else {
        Ok(())
    }
}

/// A line for each certificate: first those with a renewal, then those that rest. Whether one of these is due and put
/// off, since its last renewal failed.
async fn tell(
    store: &Store,
    desired: &Desired,
    report: &Report,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut told: HashSet<&str> = HashSet::new();
    for renewal in report.worked_on.iter().chain(&report.waiting) {
        told.insert(&renewal.certificate);
        say!(
            "{}: {}",
            renewal.certificate,
            line(store, renewal, now).await?
        );
    }
    let rows = store.certificates().await?;
    let rests: Vec<(&TrackedCertificate, Rest)> = rows
        .iter()
        .filter(|row| !told.contains(&*row.name))
        .filter_map(|row| {
            let wanted = desired.certificates.get(&row.name)?;
            Some((row, status::rest(wanted, row, now)))
        })
        .collect();
    let is_put_off = rests.iter().any(|(_, rest)| rest.is_put_off);
    if rests.len() > LISTED {
        say!(
            "{} certificates rest; `renewd status` lists them",
            rests.len()
        );
        return Ok(is_put_off);
    }
    for (row, rest) in &rests {
        say!("{}: {}", row.name, rest.words);
    }
    Ok(is_put_off)
}

/// What came of a renewal, and what a person can do about it.
async fn line(store: &Store, renewal: &Renewal, now: Timestamp) -> Result<String, StoreError> {
    let state = renewal.state;
    let name = &renewal.certificate;
    if state.is_end() {
        return Ok(if has_failed(renewal) {
            let why = last_words(store, renewal).await?;
            format!("{state}, FAILED: {why} (its history: renewd show {name})")
        } else {
            format!("{state}: {}", status::meaning(state))
        });
    }
    let refused = store.firewall(&renewal.firewall).await?.refused_logins;
    let why = status::reason_of(renewal, refused);
    Ok(match renewal.next_attempt_at {
        Some(at) if refused < REFUSED_LOGIN_LIMIT => {
            format!("{state}, goes on {}: {why}", distance(now, at))
        }
        _ => format!("{state}, HELD for a person: {why} (when it is mended: renewd renew {name})"),
    })
}

/// The last words in the history of a renewal that failed: the row forgets them with the step.
async fn last_words(store: &Store, renewal: &Renewal) -> Result<String, StoreError> {
    let history = store.history(&renewal.certificate, EVENTS).await?;
    let words = history
        .iter()
        .filter(|event| event.renewal.as_ref() == Some(&renewal.id))
        .find_map(|event| event.fields.get("detail")?.as_str());
    Ok(words
        .unwrap_or_else(|| status::meaning(renewal.state))
        .to_owned())
}

/// More than this many resting certificates are counted, not listed.
const LISTED: usize = 50;
/// The reason of a failure is among the last events of a renewal.
const EVENTS: u32 = 20;
