//! `renewd renew`: a person asks.

use clap::Args;

use super::CliError;
use super::open::{self, Globals};
use crate::clock::{Clock, SystemClock};
use crate::event::{Event, EventKind};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The certificate's name in the configuration.
    certificate: String,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let desired = globals.desired()?;
    let wanted = open::certificate(&desired, &arguments.certificate)?;
    let store = open::store(&desired).await?;
    let now = SystemClock.now();
    let Some(row) = store.certificate(&wanted.name).await? else {
        return Err(CliError::Usage(format!(
            "the daemon does not know `{}` yet: reload it first (systemctl reload renewd)",
            wanted.name
        )));
    };
    let event = Event::of_certificate(EventKind::RenewalRequested, &wanted.name);
    store.request_renewal(&wanted.name, now, &[event]).await?;
    store.close().await;
    match row.open_renewal {
        Some(renewal) => println!(
            "renewal {renewal} of {} goes on at the daemon's next look",
            wanted.name
        ),
        None => println!(
            "{} will be renewed at the daemon's next look, within a minute",
            wanted.name
        ),
    }
    Ok(())
}
