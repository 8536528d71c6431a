//! `renewd run`: the daemon.

use clap::Args;

use super::CliError;
use super::open::Globals;
use super::print::distance;
use crate::daemon::{Daemon, Report, has_failed};
use crate::inventory::Renewal;
use crate::scheduler;
use crate::store::Store;
use crate::surroundings::Surroundings;
use crate::{config::Desired, inventory::due::Decision};

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
    print_report(&desired, &report, &surroundings).await?;
    if report.has_failed() {
        Err(CliError::Told)
    } else {
        Ok(())
    }
}

async fn print_report(
    desired: &Desired,
    report: &Report,
    surroundings: &Surroundings,
) -> Result<(), CliError> {
    let now = surroundings.clock.now();
    for renewal in report.worked_on.iter().chain(&report.waiting) {
        println!("{}: {}", renewal.certificate, line(renewal, now));
    }
    let store = Store::open(&desired.daemon.database).await?;
    let rows = store.certificates().await?;
    let untouched: Vec<_> = rows
        .iter()
        .filter(|row| row.open_renewal.is_none())
        .filter(|row| {
            report
                .worked_on
                .iter()
                .all(|renewal| renewal.certificate != row.name)
        })
        .collect();
    if untouched.len() > LISTED {
        println!(
            "{} certificates rest; `renewd status` lists them",
            untouched.len()
        );
    }
    for row in untouched
        .iter()
        .take(if untouched.len() > LISTED { 0 } else { LISTED })
    {
        let Some(wanted) = desired.certificates.get(&row.name) else {
            continue;
        };
        let words = match scheduler::decide(wanted, row, now) {
            Decision::Due { reason, words } => {
                format!("due ({reason}), but not planned yet: {words}")
            }
            Decision::Rest { words, .. } => format!("nothing to do: {words}"),
        };
        println!("{}: {words}", row.name);
    }
    store.close().await;
    Ok(())
}

fn line(renewal: &Renewal, now: jiff::Timestamp) -> String {
    let error = renewal
        .last_error
        .as_deref()
        .unwrap_or("no reason is stored");
    match (renewal.state.is_end(), renewal.next_attempt_at) {
        (true, _) if has_failed(renewal) => format!("{} FAILED", renewal.state),
        (true, _) => renewal.state.to_string(),
        (false, None) => format!("{}, held for a person: {error}", renewal.state),
        (false, Some(at)) => format!("{}, goes on {}: {error}", renewal.state, distance(now, at)),
    }
}

/// More than this many resting certificates are counted, not listed.
const LISTED: usize = 50;
