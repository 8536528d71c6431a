//! Runs a simulator until Ctrl-C or SIGTERM, so that anyone can have a SonicWall or a CA on loopback.
//! Tells what to trust on stdout and journals each request there; never prints a secret that it was given.

mod resello;
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
    /// A SonicWall with its management API and SSL VPN portal on two TLS ports.
    Sonicos(Box<sonicos::Arguments>),
    /// A shop for certificates with the /ssl-certificate purchase API.
    Resello(Box<resello::Arguments>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Command::parse().device {
        Device::Sonicos(arguments) => sonicos::run(&arguments).await,
        Device::Resello(arguments) => resello::run(&arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("simulators: {message}");
            ExitCode::FAILURE
        }
    }
}
