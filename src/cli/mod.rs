//! The command line: data to stdout, diagnostics to stderr, exit codes with a meaning.

mod adopt;
mod ca;
mod check;
mod db;
#[cfg(feature = "demo")]
mod demo;
mod discover;
mod explain;
mod generate;
mod history;
mod open;
mod print;
mod probe;
mod renew;
mod run;
mod show;
mod status;

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use clap::{Parser, Subcommand};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

pub use run::Summary;

use crate::config::ConfigErrors;
use crate::daemon::{DaemonError, InUse};
use crate::failure::Failure;
use crate::store::StoreError;
use crate::telemetry::LogFormat;

/// Keeps the certificates of firewalls renewed, and proves it.
#[derive(Debug, Parser)]
#[command(name = "renewd", version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// The configuration; files in `conf.d` beside it are read too.
    #[arg(
        long,
        short,
        global = true,
        env = "RENEWD_CONFIG",
        default_value = "/etc/renewd/renewd.toml"
    )]
    config: PathBuf,

    /// What is logged, such as `info` or `renewd=debug`; the default stands in the configuration.
    #[arg(long, global = true, env = "RENEWD_LOG")]
    log: Option<String>,

    /// The form of the log on stderr.
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon.
    Run(run::Arguments),
    /// Check the configuration, and with --online every firewall and CA; nothing is changed.
    Check(check::Arguments),
    /// Show every certificate, what it waits for and when it expires.
    Status(status::Arguments),
    /// Show everything that is known of one certificate, or of one firewall.
    Show(show::Arguments),
    /// Tell why a certificate is in its state, what happens next and when, and by which rule.
    Explain(explain::Arguments),
    /// Look whether the history is as it was written.
    History(history::Arguments),
    /// Renew a certificate now, or let a held renewal go on.
    Renew(renew::Arguments),
    /// Accept a certificate that renewd does not know, after it was checked.
    Adopt(adopt::Arguments),
    /// Show what is on a firewall, with TOML ready to paste.
    Discover(discover::Arguments),
    /// Show the certificate that an address serves, with the fingerprint to pin.
    Probe(probe::Arguments),
    /// Make a local CA, or look at a CA of any kind.
    Ca(ca::Arguments),
    /// Carry the database to another place.
    Db(db::Arguments),
    #[command(flatten)]
    Generated(generate::Generated),
    /// Write manual pages into a folder.
    Man(generate::ManArguments),
    /// Watch simulated firewalls get new certificates; needs nothing and leaves nothing behind.
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
}

/// Why a command ended without success; each has its exit code.
#[derive(Debug, thiserror::Error)]
enum CliError {
    /// A renewal failed or needs an operator; it was reported already.
    #[error("")]
    Reported,
    #[error("{0}")]
    Usage(String),
    /// There is no database yet.
    #[error("{0}")]
    NoDatabase(String),
    #[error("{0}")]
    Peer(String),
    #[error(transparent)]
    Configuration(#[from] ConfigErrors),
    /// Each on a line of its own.
    #[error("{}", .0.join("\n"))]
    UnsafeFiles(Vec<String>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    InUse(#[from] InUse),
    #[error("{0}")]
    System(String),
}

/// The codes follow sysexits(3), so that service managers and scripts can distinguish them.
const EXIT_CODES: &str = "Exit codes:
  0   done
  1   a renewal failed or needs an operator, or check or history found something
  2   the command line is wrong
  69  a firewall, CA or address could not be reached, or refused
  71  the operating system refused something
  74  the database cannot be used
  75  another renewd uses the database
  78  the configuration is wrong";

impl CliError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Reported => 1,
            Self::Usage(_) => 2,
            Self::Peer(_) => 69,
            Self::System(_) => 71,
            Self::NoDatabase(_) | Self::Store(_) => 74,
            Self::InUse(_) => 75,
            Self::Configuration(_) | Self::UnsafeFiles(_) => 78,
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        Self::Peer(failure.to_string())
    }
}

impl From<DaemonError> for CliError {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Configuration(error) => Self::Configuration(error),
            DaemonError::Store(error) => Self::Store(error),
            DaemonError::InUse(error) => Self::InUse(error),
            DaemonError::System(error) => Self::System(error),
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// renewd waits most of the time; on a machine with many processors more threads would only take memory.
const MOST_WORKERS: usize = 4;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    keep_memory_private();
    crate::tls::install_provider();
    let cli = Cli::parse();
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(processors.min(MOST_WORKERS))
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&CliError::from(error)),
    };
    match runtime.block_on(dispatch(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// No core file, and no other process of our account may read our memory: it holds passwords and opened keys. Where the
/// system refuses it, there is nothing that could be done instead.
fn keep_memory_private() {
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

async fn dispatch(cli: Cli) -> Result<(), CliError> {
    let globals = open::Globals {
        config: cli.config,
        log: cli.log,
        log_format: cli.log_format,
    };
    match carry_out(cli.command, &globals).await {
        Err(CliError::Store(error @ StoreError::Corrupt { .. })) => {
            let database = globals.config().map(|config| config.daemon.database);
            Err(CliError::Store(match database {
                Ok(url) => error.in_database(&url),
                Err(_) => error,
            }))
        }
        done => done,
    }
}

async fn carry_out(command: Command, globals: &open::Globals) -> Result<(), CliError> {
    match command {
        Command::Run(arguments) => run::run(globals, &arguments).await,
        Command::Check(arguments) => check::run(globals, &arguments).await,
        Command::Status(arguments) => status::run(globals, &arguments).await,
        Command::Show(arguments) => show::run(globals, &arguments).await,
        Command::Explain(arguments) => explain::run(globals, &arguments).await,
        Command::History(arguments) => history::run(globals, &arguments).await,
        Command::Renew(arguments) => renew::run(globals, &arguments).await,
        Command::Adopt(arguments) => adopt::run(globals, &arguments).await,
        Command::Discover(arguments) => discover::run(globals, &arguments).await,
        Command::Probe(arguments) => probe::run(&arguments).await,
        Command::Ca(arguments) => ca::run(globals, &arguments).await,
        Command::Db(arguments) => db::run(globals, &arguments).await,
        Command::Man(arguments) => generate::man(&arguments),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::Generated(generated) => {
            generate::print(&generated);
            Ok(())
        }
    }
}

fn failed(error: &CliError) -> ExitCode {
    match error {
        CliError::Reported => {}
        CliError::Configuration(errors) => print::diagnose(&errors.to_string()),
        CliError::UnsafeFiles(found) => {
            for words in found {
                print::complain(words);
            }
        }
        error => print::complain(&error.to_string()),
    }
    ExitCode::from(error.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_holds_passwords_cannot_be_dumped() {
        keep_memory_private();
        assert_eq!(
            rustix::process::dumpable_behavior(),
            Ok(DumpableBehavior::NotDumpable)
        );
    }
}
