//! Runs a simulator until Ctrl-C or SIGTERM, so that a SonicWall or a CA is available on loopback.
//! Prints on stdout which certificate to trust, then one line per request. It never prints a secret that it received.

mod acme;
mod ca;
mod pam360;
mod resello;
mod serve;
mod sonicos;
mod venafi;

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
    /// A TLS Protect Cloud (Venafi; CyberArk Certificate Manager, SaaS).
    Venafi(Box<venafi::Arguments>),
    /// A ManageEngine PAM360 with its PKI REST API.
    Pam360(Box<pam360::Arguments>),
    /// An ACME server (RFC 8555) with renewal information (RFC 9773) and profiles.
    Acme(Box<acme::Arguments>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Command::parse().device {
        Device::Sonicos(arguments) => sonicos::run(&arguments).await,
        Device::Resello(arguments) => resello::run(&arguments).await,
        Device::Venafi(arguments) => venafi::run(&arguments).await,
        Device::Pam360(arguments) => pam360::run(&arguments).await,
        Device::Acme(arguments) => acme::run(&arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("simulators: {message}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        super::Command::command().debug_assert();
    }
}
