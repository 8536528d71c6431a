//! `renewd history verify`: is the history as it was written?

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::open::{self, Globals};
use super::{CliError, print, print::say};
use crate::store::{self, Head, Verdict};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look whether every event is there as it was stored; beside a daemon that runs, and without changing anything.
    Verify {
        /// The end of the history as it was once: `ID:HASH` from the log (`history_head`) or from a former look. Without
        /// it, an end that was cut off and a history that was written anew are not found.
        #[arg(long, value_name = "ID:HASH")]
        head: Option<Head>,
        /// Print JSON (docs/json.md).
        #[arg(long)]
        json: bool,
    },
}

/// The field names are a promise to scripts (docs/json.md).
#[derive(Debug, Serialize)]
struct VerificationOutput {
    unbroken: bool,
    events: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    chained_late: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<Checkpoint>,
    head_removed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    misfit: Option<Misfit>,
}

#[derive(Debug, Serialize)]
struct Checkpoint {
    event: i64,
    hash: String,
    removed_at: Timestamp,
    verified: bool,
}

#[derive(Debug, Serialize)]
struct Misfit {
    event: i64,
    meaning: String,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let Command::Verify { head, json } = &arguments.command;
    let config = globals.config()?;
    let store = open::store_to_read(&config).await?;
    let verdict = store
        .verify_history(head.as_ref(), &open::sealer(&config))
        .await?;
    store.close().await;
    if *json {
        print::json(&reported(&verdict));
    } else {
        report(&verdict);
    }
    if verdict.misfit.is_some() {
        return Err(CliError::Reported);
    }
    match (unproven(&verdict, head.as_ref()), json) {
        (None, _) => Ok(()),
        (Some(_), true) => Err(CliError::Reported),
        (Some(words), false) => {
            print::paragraph("NOT PROVEN: ", 2, &words);
            Err(CliError::Reported)
        }
    }
}

/// What was to be verified and could not be.
fn unproven(verdict: &Verdict, reported: Option<&Head>) -> Option<String> {
    let checkpoint = verdict.checkpoint.as_ref()?;
    if let Some(problem) = &verdict.unverifiable {
        return Some(format!(
            "that renewd itself removed the events up to {} cannot be verified: {problem}",
            checkpoint.head.id
        ));
    }
    let reported = reported.filter(|_| verdict.is_reported_removed)?;
    Some(format!(
        "event {} of the given head was removed at {:.0} with all events up to {} (keep_history): give a newer head",
        reported.id, checkpoint.removed_at, checkpoint.head.id
    ))
}

fn reported(verdict: &Verdict) -> VerificationOutput {
    VerificationOutput {
        unbroken: verdict.misfit.is_none(),
        events: verdict.events,
        since: verdict.since,
        head: verdict.head.as_ref().map(ToString::to_string),
        chained_late: verdict.chained_late,
        checkpoint: verdict.checkpoint.as_ref().map(|checkpoint| Checkpoint {
            event: checkpoint.head.id,
            hash: checkpoint.head.hash.clone(),
            removed_at: checkpoint.removed_at,
            verified: is_verified(verdict),
        }),
        head_removed: verdict.is_reported_removed,
        misfit: verdict.misfit.as_ref().map(|misfit| Misfit {
            event: misfit.event(),
            meaning: misfit.to_string(),
        }),
    }
}

fn is_verified(verdict: &Verdict) -> bool {
    verdict.unverifiable.is_none() && !matches!(verdict.misfit, Some(store::Misfit::Checkpoint(_)))
}

fn report(verdict: &Verdict) {
    if let Some(misfit) = &verdict.misfit {
        print::paragraph("BROKEN: ", 2, &misfit.to_string());
    }
    let state = match verdict.misfit {
        Some(_) => "as they were stored, before that",
        None => "unbroken",
    };
    match (&verdict.head, verdict.since) {
        (Some(head), Some(since)) => {
            let events = print::count(usize::try_from(verdict.events).unwrap_or_default(), "event");
            let first = head.id - verdict.events + 1;
            say!("{events}, {first}..{}, since {since:.0}, {state}", head.id);
            say!("head {head}");
        }
        _ => say!("no event"),
    }
    let removed = verdict.checkpoint.as_ref();
    if let Some(checkpoint) = removed.filter(|_| is_verified(verdict)) {
        let words = format!(
            "renewd removed the events up to {} at {:.0} (keep_history); the checkpoint that it stored is authentic.",
            checkpoint.head.id, checkpoint.removed_at
        );
        print::paragraph("", 0, &words);
    }
    if verdict.chained_late > removed.map_or(0, |checkpoint| checkpoint.head.id) {
        let words = format!(
            "Events up to {} are older than the chain: for them it holds since the upgrade that chained them.",
            verdict.chained_late
        );
        print::paragraph("", 0, &words);
    }
}
