//! `simulators acme`: an ACME server by hand, for any ACME client. Never prints an HMAC key that it was given.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use simulators::acme::{ExternalAccount, Settings, Simulator, Variants};

use crate::serve::{self, name_and_value, say};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Address of the server; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:14000")]
    listen: SocketAddr,
    /// Port on 127.0.0.1 that stands for port 80 of every name.
    #[arg(long, value_name = "PORT", default_value_t = 5002)]
    http_port: u16,
    /// DNS server that is queried for TXT records.
    #[arg(long, value_name = "ADDRESS:PORT")]
    dns_server: Option<SocketAddr>,
    /// Believes every proof without a look.
    #[arg(long)]
    always_valid: bool,
    /// An account with the CA, which new ACME accounts must then be bound to: its kid.
    #[arg(long, value_name = "KID", requires = "eab_key_file")]
    eab_kid: Option<String>,
    /// File with the HMAC key of that account, in base64url as for ACME clients.
    #[arg(long, value_name = "FILE", requires = "eab_kid")]
    eab_key_file: Option<PathBuf>,
    /// File to write the CA certificate to that makes this port trusted; otherwise it is printed.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Days that certificates of the profile classic live.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    lifetime: u32,
    /// Sets one switch of the server; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    variant: Vec<(String, String)>,
    /// Prints every switch and its meaning, then ends.
    #[arg(long)]
    list_variants: bool,
    /// Seed of identifiers, tokens and all random faults.
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
    let variants = simulator.variants();
    say(&format!("ACME server, seed {}", arguments.seed))?;
    say(&format!("directory    {}", simulator.directory_url()))?;
    say(&format!("sha256       {}", simulator.fingerprint()))?;
    if variants.always_valid {
        say("proofs       are believed")?;
    } else {
        say(&format!(
            "http-01      at http://127.0.0.1:{}",
            variants.http_port
        ))?;
        match variants.dns_server {
            Some(server) => say(&format!("dns-01       asks {server}"))?,
            None => say("dns-01       finds nothing: no --dns-server")?,
        }
    }
    let Some(path) = &arguments.ca_file else {
        return say(&format!("trust this CA for TLS:\n{}", simulator.ca_pem()));
    };
    std::fs::write(path, simulator.ca_pem())
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    say(&format!(
        "try          curl --cacert {} {}",
        path.display(),
        simulator.directory_url()
    ))
}

fn settings(arguments: &Arguments) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.common.listen = arguments.listen;
    settings.common.lifetime_days = arguments.lifetime;
    settings.common.seed = arguments.seed;
    settings.variants.http_port = arguments.http_port;
    settings.variants.dns_server = arguments.dns_server;
    settings.variants.always_valid = arguments.always_valid;
    if let Some(kid) = &arguments.eab_kid {
        let text = serve::secret(None, arguments.eab_key_file.as_deref())?;
        let key = BASE64URL_NOPAD
            .decode(text.trim_end_matches('=').as_bytes())
            .map_err(|error| format!("the HMAC key is not base64url: {error}"))?;
        let kid = kid.clone();
        settings.external_accounts = vec![ExternalAccount { kid, key }];
        settings.variants.external_account_required = true;
    }
    for (name, value) in &arguments.variant {
        settings.variants.set_by_name(name, value)?;
    }
    Ok(settings)
}
