//! What is printed from the code itself: schema, events, states, completions, manual pages.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Subcommand};

use super::{Cli, CliError, print, print::say};
use crate::{config, event, renewal};

/// What only prints, and so cannot fail.
#[derive(Debug, Subcommand)]
pub enum Generated {
    /// Print the JSON Schema of the configuration, for editors.
    Schema,
    /// Print every event there is, as Markdown.
    Events,
    /// Print the states and their moves, as Markdown.
    States,
    /// Print a completion script.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub struct ManArguments {
    /// The folder; it is made when it is missing.
    folder: PathBuf,
}

pub fn print(generated: &Generated) {
    match generated {
        Generated::Schema => print::json(&config::schema()),
        Generated::Events => print::text(&event::document()),
        Generated::States => print::text(&renewal::state::document()),
        Generated::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "renewd", &mut script);
            print::text(&String::from_utf8_lossy(&script));
        }
    }
}

pub fn man(arguments: &ManArguments) -> Result<(), CliError> {
    std::fs::create_dir_all(&arguments.folder)?;
    clap_mangen::generate_to(Cli::command(), &arguments.folder)?;
    say!("manual pages are in {}", arguments.folder.display());
    Ok(())
}
