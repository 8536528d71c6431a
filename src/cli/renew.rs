//! `renewd renew`: an operator requests a renewal.

use clap::Args;

use super::CliError;
use super::open::{self, Globals};
use super::print::say;
use crate::clock::{Clock, SystemClock};
use crate::event::{Event, EventKind};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The certificate's name in the configuration.
    certificate: String,
    /// Bind the new certificate as soon as it is there, also outside the maintenance window of its firewall.
    #[arg(long)]
    now: bool,
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let config = globals.config()?;
    let wanted = open::certificate(&config, &arguments.certificate)?;
    let store = open::store(&config).await?;
    let now = SystemClock.now();
    let Some(row) = store.certificate(&wanted.name).await? else {
        return Err(open::unmet(wanted));
    };
    let event = Event::of_certificate(EventKind::RenewalRequested, &wanted.name);
    if arguments.now {
        store
            .request_renewal_now(&wanted.name, now, &[event])
            .await?;
    } else {
        store.request_renewal(&wanted.name, now, &[event]).await?;
    }
    store.close().await;
    match row.open_renewal {
        Some(renewal) => say!(
            "{}: renewal {renewal} goes on when the daemon checks next, within a minute",
            wanted.name
        ),
        None => say!(
            "{}: a renewal is planned when the daemon checks next, within a minute",
            wanted.name
        ),
    }
    say!(
        "without a daemon: renewd run --once; to follow it: renewd explain {}",
        wanted.name
    );
    Ok(())
}
