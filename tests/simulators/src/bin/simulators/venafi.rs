//! `simulators venafi`: a TLS Protect Cloud by hand. Never prints a key that it was given.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use simulators::venafi::{Cloud, Settings, Simulator, Variants};

use crate::{ca, serve};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Address of the API; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8444")]
    listen: SocketAddr,
    /// File with the API key; a final line end is ignored. Without any, one is generated and printed.
    #[arg(long, value_name = "FILE", conflicts_with = "api_key")]
    api_key_file: Option<PathBuf>,
    /// The API key itself: every user of this machine can read it in the list of processes.
    #[arg(long)]
    api_key: Option<String>,
    /// File with the JWT of the service account; without it, one is generated and printed.
    #[arg(long, value_name = "FILE")]
    assertion_file: Option<PathBuf>,
    /// Name of the application.
    #[arg(long, default_value = "Firewalls")]
    application: String,
    /// Alias of its issuing template.
    #[arg(long, default_value = "Default")]
    template: String,
    /// Regular expression of the names that the template allows; without it, those below example.com.
    #[arg(long, value_name = "REGEX")]
    allow: Option<String>,
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
    let known = settings.clone();
    let about = |simulator: &Simulator| Ok(introduction(arguments, &known, simulator));
    ca::run::<Cloud>(signals, settings, &arguments.ca, about).await
}

fn introduction(arguments: &Arguments, settings: &Settings, simulator: &Simulator) -> Vec<String> {
    let has_key = arguments.api_key.is_some() || arguments.api_key_file.is_some();
    let key = if has_key { "KEY" } else { &settings.api_key };
    let shown = |is_given: bool, text| if is_given { "as given" } else { text };
    let mut lines = vec![
        format!("api key      {}", shown(has_key, &settings.api_key)),
        format!("account      {}", settings.service_account),
        format!(
            "assertion    {}",
            shown(arguments.assertion_file.is_some(), &settings.assertion)
        ),
    ];
    for application in &settings.applications {
        lines.push(format!(
            "application  {} {}",
            application.id, application.name
        ));
        for (alias, id) in &application.templates {
            lines.push(format!("template     {id} {alias}"));
        }
    }
    lines.push(format!(
        "{} -H 'tppl-api-key: {key}' {}/v1/useraccounts",
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
    if arguments.api_key.is_some() || arguments.api_key_file.is_some() {
        settings.api_key = serve::secret(
            arguments.api_key.as_deref(),
            arguments.api_key_file.as_deref(),
        )?;
    }
    if let Some(path) = &arguments.assertion_file {
        settings.assertion = serve::secret(None, Some(path))?;
    }
    for application in &mut settings.applications {
        application.name.clone_from(&arguments.application);
        for (alias, _) in &mut application.templates {
            alias.clone_from(&arguments.template);
        }
    }
    for template in &mut settings.templates {
        template.validity_days = settings.common.lifetime_days;
        if let Some(allowed) = &arguments.allow {
            template.subject_cn = vec![allowed.clone()];
            template.san_dns = vec![allowed.clone()];
        }
    }
    Ok(settings)
}
