//! Runs a simulator until Ctrl-C or SIGTERM, so that anyone can have a SonicWall or a CA on loopback.
//! Tells what to trust on stdout and journals each request there; never prints a secret that it was given.

mod acme;
mod serve;
mod sonicos;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Simulated devices for trying renewd without hardware and without a CA.
#[derive(Debug, Parser)]
#[command(name = "simulators", version, max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    device: Device,
}

#[derive(Debug, Subcommand)]
enum Device {
    /// An ACME server (RFC 8555) with renewal information (RFC 9773) and profiles.
    Acme(Box<acme::Arguments>),
    /// A SonicWall with its management API and SSL VPN portal on two TLS ports.
    Sonicos(Box<sonicos::Arguments>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Command::parse().device {
        Device::Acme(arguments) => acme::run(&arguments).await,
        Device::Sonicos(arguments) => sonicos::run(&arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("simulators: {message}");
            ExitCode::FAILURE
        }
    }
}
