//! `renewd db`: carry the database to another place.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::CliError;
use super::open::{self, Globals};
use super::print::{self, say};
use crate::clock::{Clock, SystemClock};
use crate::daemon::Lock;
use crate::secret::SecretSource;
use crate::store::{self, Store};

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Carry everything to another database, from a file to a PostgreSQL server or back; no daemon may run meanwhile.
    Move {
        /// The new database, which must be empty: sqlite:///PATH or postgres://USER@HOST/DATABASE.
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// A file whose first line is the password at the new server.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let Command::Move { to, password_file } = &arguments.command;
    let config = globals.config()?;
    let from = &config.daemon.database;
    if from == to {
        let words = "the configuration names this database already";
        return Err(CliError::Usage(words.to_owned()));
    }
    // Both, for as long as it takes: no daemon may start on either.
    let _locks = (Lock::take(from)?, Lock::take(to)?);
    let source = open::store(&config).await?;
    let password = password_file.clone().map(SecretSource::File);
    let target = Store::open_with(to, password.as_ref()).await?;
    let migrated = store::migrate(&source, &target, SystemClock.now()).await;
    source.close().await;
    target.close().await;
    for (table, rows) in migrated?.0 {
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        say!("{table}: {}", print::count(rows, "row"));
    }
    say!(
        "everything was copied; write this in {}:",
        globals.config.display()
    );
    say!();
    say!("[daemon]");
    say!("database = {}", toml::Value::from(to.as_str()));
    if let Some(file) = password_file {
        let file = toml::Value::from(file.display().to_string());
        say!("database_password = {{ file = {file} }}");
    }
    say!();
    say!(
        "then start renewd. The old database was not changed: keep it until then, and never start renewd on it again"
    );
    Ok(())
}
