//! `renewd run`: the daemon, or with `--once` a single pass that reports what came of every certificate.

use std::collections::HashSet;

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::open::{self, Globals};
use super::print::{self, distance, say};
use crate::config::Desired;
use crate::daemon::{Daemon, DryRun, LogFilter, Report, has_failed};
use crate::inventory::{Renewal, State, TrackedCertificate};
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::status::{self, Rest};
use crate::store::{Store, StoreError};
use crate::surroundings::Surroundings;

#[derive(Debug, Args)]
pub struct Arguments {
    /// Do what is due until nothing can move, then exit; non-zero if something failed.
    #[arg(long)]
    once: bool,
    /// Look at everything and tell what `run --once` would do now; change nothing, order nothing, keep nothing.
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let desired = globals.guarded()?;
    if arguments.dry_run {
        return dry_run(desired).await;
    }
    let log = globals.start_log(&desired)?;
    let once = arguments.once.then(|| desired.clone());
    let surroundings = Surroundings::system();
    let mut daemon = Daemon::start(&globals.config, desired, surroundings.clone()).await?;
    if let Some(log) = log {
        daemon = daemon.with_log(LogFilter::new(move |filter| log.change(filter)));
    }
    let Some(desired) = once else {
        return Ok(daemon.run().await?);
    };
    let report = daemon.run_once().await?;
    let store = open::store(&desired).await?;
    let told = tell(&store, &desired, &report, surroundings.clock.now()).await;
    store.close().await;
    let problems = told?;
    let Some(first) = problems.first() else {
        return Ok(());
    };
    say!();
    match problems.len() {
        1 => say!("needs attention: {first}"),
        count => say!("{count} certificates need attention; the first: {first}"),
    }
    Err(CliError::Told)
}

/// Without a log: what it would tell did not happen.
async fn dry_run(desired: Desired) -> Result<(), CliError> {
    let surroundings = Surroundings::system();
    let dry_run = DryRun::walk(desired.clone(), surroundings.clone()).await?;
    let now = surroundings.clock.now();
    let told = tell_plan(&dry_run, &desired, now).await;
    dry_run.store.clone().close().await;
    let problems = told?;
    say!("nothing was changed: this was a dry run");
    if dry_run.report.has_failed() || !problems.is_empty() {
        Err(CliError::Told)
    } else {
        Ok(())
    }
}

/// What each renewal would do, in order, and where it would stop; then the certificates that rest.
async fn tell_plan(
    dry_run: &DryRun,
    desired: &Desired,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let store = &dry_run.store;
    for renewal in &dry_run.report.worked_on {
        let told = dry_run.told.get(&renewal.id).map_or(&[][..], Vec::as_slice);
        match told {
            [] => say!("{}: nothing would be done", renewal.certificate),
            _ => say!("{}: a run would", renewal.certificate),
        }
        for (number, words) in std::iter::zip(1.., told) {
            print::paragraph(&format!("{number:>4}  "), DEPTH, words);
        }
        if renewal.state != State::Completed {
            let line = line(store, renewal, now).await?;
            print::paragraph("      and stop: ", DEPTH, &line);
        }
    }
    let mut told = names(&dry_run.report.worked_on);
    for renewal in &dry_run.report.waiting {
        told.insert(&renewal.certificate);
        let line = match renewal.next_attempt_at {
            Some(at) if at <= now => "a daemon works on it, or on its firewall, at this moment",
            _ => &line(store, renewal, now).await?,
        };
        say!("{}: {line}", renewal.certificate);
    }
    tell_rests(store, desired, &told, now).await
}

/// A line for each certificate: first those with a renewal, then those that rest. What a person has to look at is
/// returned, with what to do.
async fn tell(
    store: &Store,
    desired: &Desired,
    report: &Report,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    for renewal in report.worked_on.iter().chain(&report.waiting) {
        let name = &renewal.certificate;
        let line = format!("{name}: {}", line(store, renewal, now).await?);
        say!("{line}");
        if has_failed(renewal) {
            problems.push(format!("{line}; what to do: renewd explain {name}"));
        }
    }
    let mut told = names(&report.worked_on);
    told.extend(names(&report.waiting));
    problems.extend(tell_rests(store, desired, &told, now).await?);
    Ok(problems)
}

/// The names of the certificates of `renewals`.
fn names(renewals: &[Renewal]) -> HashSet<&str> {
    let names = renewals.iter().map(|renewal| &*renewal.certificate);
    names.collect()
}

/// A line for each certificate that was not `told` of. Of those that are due and put off, or serve what is not known, what
/// to do is returned.
async fn tell_rests(
    store: &Store,
    desired: &Desired,
    told: &HashSet<&str>,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let rows = store.certificates().await?;
    let rests: Vec<(&TrackedCertificate, Rest)> = rows
        .iter()
        .filter(|row| !told.contains(&*row.name))
        .filter_map(|row| {
            let wanted = desired.certificates.get(&row.name)?;
            Some((row, status::rest(wanted, row, now)))
        })
        .collect();
    let problems = rests
        .iter()
        .filter_map(|(row, rest)| problem(row, rest))
        .collect();
    if rests.len() > LISTED {
        say!(
            "{} certificates rest; `renewd status` lists them",
            rests.len()
        );
        return Ok(problems);
    }
    for (row, rest) in &rests {
        say!("{}: {}", row.name, rest.words);
    }
    Ok(problems)
}

/// What a person has to look at, of a certificate without an open renewal.
fn problem(row: &TrackedCertificate, rest: &Rest) -> Option<String> {
    let name = &row.name;
    if let Some((address, unknown)) = row.unknown().next() {
        return Some(format!(
            "{name}: {address} serves a certificate that renewd does not know: {}; what to do: renewd explain {name}",
            unknown.words
        ));
    }
    if !rest.is_put_off {
        return None;
    }
    let failure = row.last_failure.as_deref().unwrap_or(&rest.words);
    Some(format!(
        "{name}: {failure}; what to do: renewd explain {name}"
    ))
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
        None if renewal.awaits_decision() => format!("{state}, HELD for a person: {why}"),
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

/// Where the words of a numbered line go on.
const DEPTH: usize = 6;
/// More than this many resting certificates are counted, not listed.
const LISTED: usize = 50;
/// The reason of a failure is among the last events of a renewal.
const EVENTS: u32 = 20;
