//! `renewd ca`: make a local CA; look at a CA of any kind, or give an order back to it.

use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};

use super::open::{self, Globals};
use super::{CliError, print, print::say};
use crate::ca::{self, Issuer, Reference, local};
use crate::config::Config;
use crate::env::Env;
use crate::pki::KeyKind;

#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the key and certificate of a local CA of the configuration; never overwrites one.
    Init {
        /// The CA's name in the configuration.
        ca: String,
        /// The common name in its certificate.
        #[arg(long)]
        common_name: Option<String>,
        /// Its key.
        #[arg(long, value_enum, default_value_t = Key::EcdsaP384)]
        key: Key,
        /// How many years it is valid.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=30))]
        years: u16,
    },
    /// Tell how a CA stands.
    Show {
        /// The CA's name in the configuration.
        ca: String,
    },
    /// Print how a CA answers where documents are silent; nothing is changed, and no secret is printed.
    Probe {
        /// The CA's name in the configuration.
        ca: String,
    },
    /// Give an order back to a CA that takes it.
    Cancel {
        /// The CA's name in the configuration.
        ca: String,
        /// The CA's reference of the order, as `renewd show` prints it.
        reference: String,
        /// Do it: without this nothing is asked of the CA.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Key {
    EcdsaP256,
    EcdsaP384,
    Rsa3072,
    Rsa4096,
}

impl Key {
    const fn kind(self) -> KeyKind {
        match self {
            Self::EcdsaP256 => KeyKind::Ecdsa(256),
            Self::EcdsaP384 => KeyKind::Ecdsa(384),
            Self::Rsa3072 => KeyKind::Rsa(3072),
            Self::Rsa4096 => KeyKind::Rsa(4096),
        }
    }
}

pub async fn run(globals: &Globals, arguments: &Arguments) -> Result<(), CliError> {
    let config = globals.config()?;
    match &arguments.command {
        Command::Init {
            ca,
            common_name,
            key,
            years,
        } => {
            let ca::Settings::Local(settings) = settings(&config, ca)? else {
                let words = format!(
                    "\"{ca}\" is not a CA of this machine: nothing is to be made for it here"
                );
                return Err(CliError::Usage(words));
            };
            let common_name = common_name
                .clone()
                .unwrap_or_else(|| format!("renewd {ca} CA"));
            init(settings, &common_name, *key, *years)
        }
        Command::Show { ca } => {
            for (name, value) in issuer(&config, ca)?.check().await? {
                say!("{name}: {value}");
            }
            Ok(())
        }
        Command::Probe { ca } => probe(issuer(&config, ca)?.as_ref()).await,
        Command::Cancel { ca, reference, yes } => {
            let issuer = issuer(&config, ca)?;
            if !yes {
                let words = format!(
                    "this gives order {reference} back to {ca}, and its certificate may stop to be valid; add --yes to do it"
                );
                return Err(CliError::Usage(words));
            }
            say!("{}", issuer.cancel(&Reference(reference.clone())).await?);
            Ok(())
        }
    }
}

async fn probe(issuer: &dyn Issuer) -> Result<(), CliError> {
    for exchange in issuer.probe().await? {
        say!("{}", exchange.call);
        say!("  {}", exchange.answer);
    }
    Ok(())
}

fn init(
    settings: &local::Settings,
    common_name: &str,
    key: Key,
    years: u16,
) -> Result<(), CliError> {
    let certificate = local::init(settings, common_name, key.kind(), years, &Env::system())
        .map_err(|failure| CliError::System(failure.to_string()))?;
    print::facts(&[
        ("certificate", settings.certificate.display().to_string()),
        ("key", settings.key.display().to_string()),
        ("subject", certificate.subject.clone()),
        ("permitted domains", permitted(settings)),
        ("valid until", format!("{:.0}", certificate.not_after)),
        ("SHA-256", certificate.fingerprint.to_string()),
    ]);
    say!();
    for advice in [
        "Install the certificate on every client that is to trust what this CA signs.",
        "Keep a copy of the key where only you can reach it: without it the clients must trust a new CA.",
    ] {
        print::paragraph("", 0, advice);
    }
    Ok(())
}

fn permitted(settings: &local::Settings) -> String {
    match settings.permitted_domains.as_slice() {
        [] => "any".to_owned(),
        domains => domains.join(", "),
    }
}

fn issuer(config: &Config, name: &str) -> Result<Arc<dyn Issuer>, CliError> {
    Ok(ca::issuer(settings(config, name)?, &Env::system()))
}

fn settings<'a>(config: &'a Config, name: &str) -> Result<&'a ca::Settings, CliError> {
    config.cas.get(name).ok_or_else(|| {
        CliError::Usage(open::unknown(
            "CA",
            name,
            config.cas.keys().map(AsRef::as_ref),
        ))
    })
}
