//! `simulators resello`: a shop for certificates by hand. Never prints a key that it was given.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use simulators::resello::{Dcv, Settings, Simulator, Variants};

use crate::serve::{self, name_and_value, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Address of the API; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8446")]
    listen: SocketAddr,
    /// The `api_username`.
    #[arg(long, default_value = "renewd")]
    user: String,
    /// File with the `api_key`; a final line end is ignored. Without any, the key is "purchase key".
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    key_file: Option<PathBuf>,
    /// The `api_key` itself: every user of this machine can read it in the list of processes.
    #[arg(long)]
    key: Option<String>,
    /// File to write the CA certificate to that makes this port trusted; otherwise it is printed.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Prepaid money of the account.
    #[arg(long, value_name = "CENTS", default_value_t = 100_000)]
    balance: u64,
    /// Days that every certificate lives.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    lifetime: u32,
    /// Web server in place of port 80 of every name. Without it and --dcv-dns every name is accepted.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "dcv_dns")]
    dcv_http: Option<SocketAddr>,
    /// DNS server that is queried for every CNAME.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "dcv_http")]
    dcv_dns: Option<SocketAddr>,
    /// Sets one switch of the shop; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    variant: Vec<(String, String)>,
    /// Prints every switch and its meaning, then ends.
    #[arg(long)]
    list_variants: bool,
    /// Seed of ids and of all random faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Runs it until Ctrl-C or SIGTERM.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.list_variants {
        return serve::list_variants::<Variants>();
    }
    let signals = serve::signals()?;
    let simulator = Simulator::start(settings(arguments)?)
        .await
        .map_err(|error| format!("cannot start: {error}"))?;
    introduce(&simulator, arguments)?;
    serve::until_a_signal(signals, || simulator.journal()).await?;
    simulator.stop().await;
    Ok(())
}

fn introduce(simulator: &Simulator, arguments: &Arguments) -> Result<(), String> {
    let is_default = arguments.key.is_none() && arguments.key_file.is_none();
    let key = if is_default {
        "purchase key"
    } else {
        "as given"
    };
    say(&format!("purchase API, seed {}", arguments.seed))?;
    say(&format!("base url     {}", simulator.base_url()))?;
    say(&format!("user, key    {}, {key}", arguments.user))?;
    say(&format!("sha256       {}", simulator.fingerprint()))?;
    for plan in simulator.with(|shop, _| shop.plans().to_vec()) {
        let (name, cents) = (plan.name, plan.price_cents);
        say(&format!("plan         {} {name}, {cents} cents", plan.id))?;
    }
    let Some(path) = &arguments.ca_file else {
        return say(&format!("trust this CA for TLS:\n{}", simulator.ca_pem()));
    };
    std::fs::write(path, simulator.ca_pem())
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    say(&format!(
        "try          curl --cacert {} --user '{}:KEY' {}/ssl-certificate-plan",
        path.display(),
        arguments.user,
        simulator.base_url()
    ))
}

fn settings(arguments: &Arguments) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.common.listen = arguments.listen;
    settings.common.lifetime_days = arguments.lifetime;
    settings.common.seed = arguments.seed;
    settings.user.clone_from(&arguments.user);
    if arguments.key.is_some() || arguments.key_file.is_some() {
        settings.key = serve::secret(arguments.key.as_deref(), arguments.key_file.as_deref())?;
    }
    settings.balance_cents = arguments.balance;
    settings.dcv = match (arguments.dcv_http, arguments.dcv_dns) {
        (Some(http), Some(dns)) => Dcv::Real { http, dns },
        _ => Dcv::Granted,
    };
    for (name, value) in &arguments.variant {
        settings.variants.set_by_name(name, value)?;
    }
    Ok(settings)
}
