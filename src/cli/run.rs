//! `renewd run`: the daemon, or with `--once` a single pass that reports what came of every certificate.

use std::collections::HashSet;

use clap::Args;
use jiff::Timestamp;

use super::CliError;
use super::open::{self, Globals};
use super::print::{self, distance, say};
use crate::config::Config;
use crate::daemon::{Daemon, DryRun, LogFilter, Report, has_failed};
use crate::env::Env;
use crate::inventory::{
    Renewal, RenewalWindow, Standstill, State, TrackedCertificate, Urgent, WaitReason,
};
use crate::renewal::remedy;
use crate::renewal::retry::REFUSED_LOGIN_LIMIT;
use crate::status::{self, Finding, Rest};
use crate::store::{Store, StoreError};

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
    let config = globals.guarded()?;
    if arguments.dry_run {
        return dry_run(config).await;
    }
    let log = globals.start_log(&config)?;
    let once = arguments.once.then(|| config.clone());
    let env = Env::system();
    let mut daemon = Daemon::start(&globals.config, config, env.clone()).await?;
    if let Some(log) = log {
        daemon = daemon.with_log(LogFilter::new(move |filter| log.change(filter)));
    }
    let Some(config) = once else {
        return Ok(daemon.run().await?);
    };
    let report = daemon.run_once().await?;
    let store = open::store(&config).await?;
    let summary = Summary::of(&store, &config, &report, env.clock.now()).await;
    store.close().await;
    let summary = summary?;
    for line in &summary.lines {
        say!("{line}");
    }
    if let Some(last) = summary.last_line() {
        say!();
        say!("{last}");
    }
    if summary.problems.is_empty() {
        Ok(())
    } else {
        Err(CliError::Reported)
    }
}

/// What a single run came to, in words.
#[derive(Debug, Default)]
pub struct Summary {
    /// A line for each certificate: first those with a renewal, then those that rest.
    pub lines: Vec<String>,
    /// What an operator has to check, each with what to do. The run fails unless this is empty.
    pub problems: Vec<String>,
    /// Renewals that go on by themselves, each with what could be done.
    pub waits: Vec<String>,
}

/// Without a log: what it would tell did not happen.
async fn dry_run(config: Config) -> Result<(), CliError> {
    let env = Env::system();
    let dry_run = DryRun::walk(config.clone(), env.clone()).await?;
    let now = env.clock.now();
    let reported = print_plan(&dry_run, &config, now).await;
    dry_run.store.clone().close().await;
    let problems = reported?;
    say!("nothing was changed: this was a dry run");
    if dry_run.report.has_failed() || !problems.is_empty() {
        Err(CliError::Reported)
    } else {
        Ok(())
    }
}

/// What each renewal would do, in order, and where it would stop; then the certificates that rest.
async fn print_plan(
    dry_run: &DryRun,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let store = &dry_run.store;
    for renewal in &dry_run.report.worked_on {
        let reported = dry_run
            .reported
            .get(&renewal.id)
            .map_or(&[][..], Vec::as_slice);
        match reported {
            [] => say!("{}: nothing would be done", renewal.certificate),
            _ => say!("{}: a run would", renewal.certificate),
        }
        for (number, words) in std::iter::zip(1.., reported) {
            print::paragraph(&format!("{number:>4}  "), DEPTH, words);
        }
        if renewal.state != State::Completed {
            let line = line(store, renewal, now).await?;
            print::paragraph("      and stop: ", DEPTH, &line);
        }
    }
    let mut reported = names(&dry_run.report.worked_on);
    for renewal in &dry_run.report.waiting {
        reported.insert(&renewal.certificate);
        let line = match renewal.next_attempt_at {
            Some(at) if at <= now => "a daemon works on it, or on its firewall, at this moment",
            _ => &line(store, renewal, now).await?,
        };
        say!("{}: {line}", renewal.certificate);
    }
    let rests = rests(store, config, &reported, now).await?;
    for line in &rests.lines {
        say!("{line}");
    }
    Ok(rests.problems)
}

impl Summary {
    /// How the renewals of `report` and the certificates that rest stand.
    ///
    /// # Errors
    /// The store's.
    pub async fn of(
        store: &Store,
        config: &Config,
        report: &Report,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let mut summary = Self::default();
        for renewal in report.worked_on.iter().chain(&report.waiting) {
            summary.add(store, config, renewal, now).await?;
        }
        let mut named = names(&report.worked_on);
        named.extend(names(&report.waiting));
        let rests = rests(store, config, &named, now).await?;
        summary.lines.extend(rests.lines);
        summary.problems.extend(rests.problems);
        Ok(summary)
    }

    /// The last line: the first problem, else the first renewal that waits, with what to do; `None`: there is neither.
    pub fn last_line(&self) -> Option<String> {
        let (few, many, first, count) = match (self.problems.first(), self.waits.first()) {
            (Some(first), _) => {
                let count = self.problems.len();
                (
                    "needs attention",
                    "certificates need attention",
                    first,
                    count,
                )
            }
            (None, Some(first)) => ("waits", "renewals wait", first, self.waits.len()),
            (None, None) => return None,
        };
        Some(match count {
            1 => format!("{few}: {first}"),
            _ => format!("{count} {many}; the first: {first}"),
        })
    }

    async fn add(
        &mut self,
        store: &Store,
        config: &Config,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let name = &renewal.certificate;
        let words = line(store, renewal, now).await?;
        self.lines.push(format!("{name}: {words}"));
        let row = store.certificate(name).await?;
        let found = row.as_ref().map_or_else(Vec::new, status::findings);
        if has_failed(renewal) || is_urgent(config, renewal, row.as_ref()) {
            let line = outcome_line(store, config, renewal, &words).await?;
            self.problems.push(line);
        } else if let [first, ..] = &found[..] {
            let (firewall, ca) = (&renewal.firewall, &renewal.ca);
            let (words, remedy) = (listed(&found), &first.remedy);
            self.problems
                .push(problem_line(name, firewall, ca, &words, remedy));
        } else if !renewal.state.is_end() {
            let line = outcome_line(store, config, renewal, &words).await?;
            self.waits.push(line);
        }
        Ok(())
    }
}

/// The certificate, its peers, how its renewal stands, and what to do.
async fn outcome_line(
    store: &Store,
    config: &Config,
    renewal: &Renewal,
    words: &str,
) -> Result<String, StoreError> {
    let name = &renewal.certificate;
    let remedy = if !config.certificates.contains_key(name) {
        format!("nothing, if {name} left the configuration on purpose; else put it back")
    } else if renewal.state.is_end() {
        remedy::of_end(renewal.state, name).unwrap_or_else(|| format!("renewd explain {name}"))
    } else {
        let refused = store.firewall(&renewal.firewall).await?.refused_logins;
        remedy::of_open(renewal, refused)
    };
    let words = remedy::apart(words, &remedy);
    let (firewall, ca) = (&renewal.firewall, &renewal.ca);
    Ok(problem_line(name, firewall, ca, words, &remedy))
}

fn problem_line(name: &str, firewall: &str, ca: &str, words: &str, remedy: &str) -> String {
    format!("{name} (firewall {firewall}, CA {ca}): {words}; what to do: {remedy}")
}

/// What is wrong at the addresses of a certificate.
fn listed(found: &[Finding]) -> String {
    let mut words: Vec<String> = found
        .iter()
        .take(LISTED_ADDRESSES)
        .map(|one| one.words.clone())
        .collect();
    if found.len() > LISTED_ADDRESSES {
        words.push(format!(
            "and {} more addresses",
            found.len() - LISTED_ADDRESSES
        ));
    }
    words.join("; ")
}

/// Whether it waits for a window although its CA wants the certificate to be replaced at once, and an operator is to decide.
fn is_urgent(config: &Config, renewal: &Renewal, row: Option<&TrackedCertificate>) -> bool {
    let waits = Standstill::Waits(WaitReason::MaintenanceWindow);
    let wanted = config.certificates.get(&renewal.certificate);
    renewal.standstill() == Some(waits)
        && wanted.is_some_and(|wanted| wanted.policy.urgent == Urgent::Ask)
        && row
            .and_then(TrackedCertificate::window_of_current)
            .is_some_and(RenewalWindow::is_urgent)
}

/// The names of the certificates of `renewals`.
fn names(renewals: &[Renewal]) -> HashSet<&str> {
    let names = renewals.iter().map(|renewal| &*renewal.certificate);
    names.collect()
}

/// A line for each certificate that was not `reported` of, and those among them that an operator has to check.
async fn rests(
    store: &Store,
    config: &Config,
    reported: &HashSet<&str>,
    now: Timestamp,
) -> Result<Summary, StoreError> {
    let rows = store.certificates().await?;
    let rests: Vec<(&TrackedCertificate, Rest)> = rows
        .iter()
        .filter(|row| !reported.contains(&*row.name))
        .filter_map(|row| {
            let wanted = config.certificates.get(&row.name)?;
            Some((row, status::rest(wanted, row, now)))
        })
        .collect();
    let problems = rests.iter().filter_map(|(row, rest)| problem(row, rest));
    let lines = if rests.len() > LISTED {
        let count = rests.len();
        vec![format!(
            "{count} certificates rest; `renewd status` lists them"
        )]
    } else {
        let line =
            |(row, rest): &(&TrackedCertificate, Rest)| format!("{}: {}", row.name, rest.words);
        rests.iter().map(line).collect()
    };
    Ok(Summary {
        problems: problems.collect(),
        lines,
        waits: Vec::new(),
    })
}

/// What an operator has to check, of a certificate without an open renewal.
fn problem(row: &TrackedCertificate, rest: &Rest) -> Option<String> {
    let name = &row.name;
    let found = status::findings(row);
    let failure = row.last_failure.as_ref();
    // The words of a failure end with what to do.
    let failed = failure.map(|failure| format!("the last renewal failed: {failure}"));
    let served = (!found.is_empty()).then(|| listed(&found));
    let put_off = (rest.is_put_off && served.is_none()).then(|| rest.words.clone());
    let words: Vec<String> = failed.into_iter().chain(served).chain(put_off).collect();
    if words.is_empty() {
        return None;
    }
    let remedy = match &found[..] {
        [first, ..] => first.remedy.clone(),
        [] => format!("renewd explain {name}; to renew sooner: renewd renew {name}"),
    };
    Some(problem_line(
        name,
        &row.firewall,
        &row.ca,
        &words.join("; "),
        &remedy,
    ))
}

/// The result of a renewal, and what an operator can do about it.
async fn line(store: &Store, renewal: &Renewal, now: Timestamp) -> Result<String, StoreError> {
    let state = renewal.state;
    if state.is_end() {
        return Ok(if has_failed(renewal) {
            let why = last_words(store, renewal).await?;
            format!("{state}, FAILED: {why}")
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
        _ => format!("{state}, HELD for an operator: {why}"),
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
/// More than this many addresses with a problem are counted in the last line, not listed.
const LISTED_ADDRESSES: usize = 4;
/// More than this many resting certificates are counted, not listed.
const LISTED: usize = 50;
/// The reason of a failure is among the last events of a renewal.
const EVENTS: u32 = 20;
