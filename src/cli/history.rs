//! `renewd history verify`: is the history as it was written?

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::open::{self, Globals};
use super::{CliError, print, print::say};
use crate::store::{Head, Verdict};

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
struct Told {
    unbroken: bool,
    events: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    chained_late: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    misfit: Option<Misfit>,
}

#[derive(Debug, Serialize)]
struct Misfit {
    event: i64,
    meaning: String,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let Command::Verify { head, json } = &arguments.command;
    let desired = globals.desired()?;
    let store = open::store_to_read(&desired).await?;
    let verdict = store.verify_history(head.as_ref()).await?;
    store.close().await;
    if *json {
        print::json(&told(&verdict));
    } else {
        tell(&verdict);
    }
    match verdict.misfit {
        Some(_) => Err(CliError::Told),
        None => Ok(()),
    }
}

fn told(verdict: &Verdict) -> Told {
    Told {
        unbroken: verdict.misfit.is_none(),
        events: verdict.events,
        since: verdict.since,
        head: verdict.head.as_ref().map(ToString::to_string),
        chained_late: verdict.chained_late,
        misfit: verdict.misfit.as_ref().map(|misfit| Misfit {
            event: misfit.event(),
            meaning: misfit.to_string(),
        }),
    }
}

fn tell(verdict: &Verdict) {
    if let Some(misfit) = &verdict.misfit {
        print::paragraph("BROKEN: ", 2, &misfit.to_string());
    }
    let state = match verdict.misfit {
        Some(_) => "as they were stored, before that",
        None => "unbroken",
    };
    match (&verdict.head, verdict.since) {
        (Some(head), Some(since)) => {
            let events = print::count(usize::try_from(head.id).unwrap_or_default(), "event");
            say!("{events}, 1..{}, since {since:.0}, {state}", head.id);
            say!("head {head}");
        }
        _ => say!("no event"),
    }
    if verdict.chained_late > 0 {
        let words = format!(
            "Events up to {} are older than the chain: for them it holds since the upgrade that chained them.",
            verdict.chained_late
        );
        print::paragraph("", 0, &words);
    }
}
