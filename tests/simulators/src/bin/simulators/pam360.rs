//! `simulators pam360`: a PAM360 by hand. Never prints a token that it was given.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use simulators::pam360::{Pam, Settings, Simulator, Variants};

use crate::{ca, serve};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Address of the server; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8282")]
    listen: SocketAddr,
    /// File with the AUTHTOKEN; a final line end is ignored. Without any, one is generated and printed.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// The AUTHTOKEN itself: every user of this machine can read it in the list of processes.
    #[arg(long)]
    token: Option<String>,
    /// Display name of the user's organisation.
    #[arg(long, default_value = "Example")]
    organisation: String,
    /// File to write the root and the intermediate to, for clients that require a chain.
    #[arg(long, value_name = "FILE")]
    chain_file: Option<PathBuf>,
    #[command(flatten)]
    ca: ca::CaArguments,
}

/// Runs it until Ctrl-C or SIGTERM.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), String> {
    if arguments.ca.list_variants {
        return serve::list_variants::<Variants>();
    }
    let signals = serve::signals()?;
    let settings = settings(arguments)?;
    let token = settings.token.clone();
    let microsoft = settings.microsoft.clone();
    let about = |simulator: &Simulator| {
        let mut lines = introduction(arguments, simulator, &token);
        lines.push(format!(
            "microsoft    serverName {}, caName {}, templateName {}, agentName {}",
            microsoft.server,
            microsoft.name,
            microsoft.templates.join(" or "),
            microsoft.agent
        ));
        if let Some(path) = &arguments.chain_file {
            ca::write(path, &simulator.chain_pem())?;
        }
        Ok(lines)
    };
    ca::run::<Pam>(signals, settings, &arguments.ca, about).await
}

fn introduction(arguments: &Arguments, simulator: &Simulator, token: &str) -> Vec<String> {
    let is_given = arguments.token.is_some() || arguments.token_file.is_some();
    let (shown, in_curl) = if is_given {
        ("as given", "TOKEN")
    } else {
        (token, token)
    };
    let mut lines = vec![format!("authtoken    {shown}")];
    for (word, signer) in [
        ("root         ", simulator.root()),
        ("intermediate ", simulator.intermediate()),
    ] {
        lines.push(format!(
            "{word}{}, serial number {}",
            signer.common_name, signer.serial
        ));
    }
    lines.push(format!(
        "{} -H 'AUTHTOKEN: {in_curl}' {}/api/pki/restapi/getAllSSLCertificates",
        ca::curl(&arguments.ca),
        simulator.url()
    ));
    lines
}

fn settings(arguments: &Arguments) -> Result<Settings, String> {
    let mut settings = Settings::default();
    arguments
        .ca
        .apply(&mut settings.common, &mut settings.variants)?;
    settings.common.listen = arguments.listen;
    settings.organisation.clone_from(&arguments.organisation);
    if arguments.token.is_some() || arguments.token_file.is_some() {
        settings.token =
            serve::secret(arguments.token.as_deref(), arguments.token_file.as_deref())?;
    }
    Ok(settings)
}
