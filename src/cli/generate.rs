//! What is printed from the code itself: schema, events, states, completions, manual pages.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::{Cli, CliError, print};
use crate::{config, event, renewal};

#[derive(Debug, Args)]
pub struct CompletionArguments {
    /// The shell.
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArguments {
    /// The folder; it is made when it is missing.
    folder: PathBuf,
}

pub fn schema() -> Result<(), CliError> {
    print::json(&config::schema());
    Ok(())
}

pub fn events() -> Result<(), CliError> {
    print!("{}", event::document());
    Ok(())
}

pub fn states() -> Result<(), CliError> {
    print!("{}", renewal::state::document());
    Ok(())
}

pub fn completions(arguments: &CompletionArguments) -> Result<(), CliError> {
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "renewd",
        &mut std::io::stdout(),
    );
    Ok(())
}

pub fn man(arguments: &ManArguments) -> Result<(), CliError> {
    std::fs::create_dir_all(&arguments.folder)?;
    clap_mangen::generate_to(Cli::command(), &arguments.folder)?;
    println!("manual pages are in {}", arguments.folder.display());
    Ok(())
}
