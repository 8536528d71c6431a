//! The command line arguments and the first output of every simulated CA.

use std::path::{Path, PathBuf};

use clap::Args;
use simulators::ca::{ChainMischief, Common, Mischief, Model, Simulator};
use simulators::switch::{ByName, Switch as _};

use crate::serve::{self, Signals, name_and_value, say};

#[derive(Debug, Args)]
pub(crate) struct CaArguments {
    /// File to write the CA certificate to that makes this port trusted; otherwise it is printed.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Lifetime of certificates in days, where the request states none.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    lifetime_days: u32,
    /// The fault of every signed certificate, such as `wrong_key`.
    #[arg(long, default_value = "nothing", value_parser = Mischief::read)]
    mischief: Mischief,
    /// The fault of every chain, such as shuffled.
    #[arg(long, default_value = "nothing", value_parser = ChainMischief::read)]
    chain_mischief: ChainMischief,
    /// Sets one switch of the CA; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    variant: Vec<(String, String)>,
    /// Prints every switch and its meaning, then ends.
    #[arg(long)]
    pub(crate) list_variants: bool,
    /// Seed of ids and of all random faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl CaArguments {
    /// Applies the arguments of all CAs and the switches of this one.
    pub(crate) fn apply<F: ByName>(
        &self,
        common: &mut Common,
        variants: &mut F,
    ) -> Result<(), String> {
        common.lifetime_days = self.lifetime_days;
        common.seed = self.seed;
        self.variant
            .iter()
            .try_for_each(|(name, value)| variants.set_by_name(name, value))
    }
}

/// Starts a CA, prints the lines of `about` and its address, and runs it until a signal.
pub(crate) async fn run<M: Model>(
    signals: Signals,
    settings: M::Settings,
    arguments: &CaArguments,
    about: impl FnOnce(&Simulator<M>) -> Result<Vec<String>, String>,
) -> Result<(), String> {
    let simulator = Simulator::<M>::start(settings)
        .await
        .map_err(|error| format!("cannot start: {error}"))?;
    simulator.mischief(arguments.mischief);
    simulator.chain_mischief(arguments.chain_mischief);
    say(&format!("{}, seed {}", M::NAME, arguments.seed))?;
    say(&format!("url          {}", simulator.url()))?;
    say(&format!("sha256       {}", simulator.fingerprint()))?;
    for line in about(&simulator)? {
        say(&line)?;
    }
    match &arguments.ca_file {
        Some(path) => write(path, &simulator.ca_pem())?,
        None => say(&format!("trust this CA for TLS:\n{}", simulator.ca_pem()))?,
    }
    serve::until_a_signal(signals, || simulator.journal()).await?;
    simulator.stop().await;
    Ok(())
}

/// Writes a file that a client needs.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// The beginning of a line for curl.
pub(crate) fn curl(arguments: &CaArguments) -> String {
    let file = arguments.ca_file.as_deref();
    let file = file.map_or("FILE".to_owned(), |path| path.display().to_string());
    format!("try          curl --cacert {file}")
}
