//! `renewd explain`: why, what next, when, by which rule.

use clap::Args;

use super::CliError;
use super::open::{self, Globals};
use super::print::{self, say};
use crate::clock::{Clock, SystemClock};
use crate::status;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The certificate's name in the configuration.
    certificate: String,
    /// Print JSON (docs/json.md).
    #[arg(long)]
    json: bool,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let config = globals.config()?;
    let wanted = open::certificate(&config, &arguments.certificate)?;
    let store = open::store_to_read(&config).await?;
    let explanation = status::explain(&store, &config, wanted, SystemClock.now()).await?;
    store.close().await;
    let Some(explanation) = explanation else {
        return Err(open::unmet(wanted));
    };
    if arguments.json {
        print::json(&explanation);
        return Ok(());
    }
    say!("{}: {}", wanted.name, explanation.standing.health.name());
    for (heading, sentences) in [
        ("Now", &explanation.now),
        ("Next", &explanation.next),
        ("To do", &explanation.to_do),
    ] {
        if !sentences.is_empty() {
            say!();
            say!("{heading}");
        }
        for sentence in sentences {
            print::paragraph("  ", 2, sentence);
        }
    }
    Ok(())
}
