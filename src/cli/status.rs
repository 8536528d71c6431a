//! `renewd status`: every certificate in a line.

use clap::Args;

use super::CliError;
use super::open::{self, Globals};
use super::print;
use crate::clock::{Clock, SystemClock};
use crate::status::{self, Standing};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Print JSON (docs/json.md).
    #[arg(long)]
    json: bool,
    /// Only what somebody should look at.
    #[arg(long)]
    bad: bool,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let desired = globals.desired()?;
    let store = open::store(&desired).await?;
    let now = SystemClock.now();
    let mut standings = status::overview(&store, &desired, now).await?;
    store.close().await;
    let is_bad = standings.iter().any(|standing| standing.health.is_bad());
    standings.retain(|standing| !arguments.bad || standing.health.is_bad());
    if arguments.json {
        print::json(&standings);
    } else {
        print_table(&standings, now);
    }
    if is_bad { Err(CliError::Told) } else { Ok(()) }
}

fn print_table(standings: &[Standing], now: jiff::Timestamp) {
    let mut table = print::table(&[
        "CERTIFICATE",
        "FIREWALL",
        "HEALTH",
        "STATE",
        "EXPIRES",
        "NEXT",
    ]);
    for standing in standings {
        let distance =
            |at: Option<jiff::Timestamp>| at.map_or("-".to_owned(), |at| print::distance(now, at));
        table.add_row([
            shortened(&standing.certificate),
            shortened(&standing.firewall),
            standing.health.name().to_owned(),
            standing.state.unwrap_or("-").to_owned(),
            distance(standing.not_after),
            distance(standing.next_at),
        ]);
    }
    print::print(&table);
}

/// Names are cut so that a line fits 80 characters; `--json` has them whole.
fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_WIDTH {
        return name.to_owned();
    }
    name.chars().take(NAME_WIDTH - 1).chain(['…']).collect()
}

const NAME_WIDTH: usize = 17;
