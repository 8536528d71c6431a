//! The CA of the demonstration: the built-in one, or a simulated one on loopback with its configuration.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use clap::ValueEnum;
use simulators::{acme, pam360, resello, venafi};

use super::super::CliError;

/// Which CA issues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// The built-in private CA.
    Local,
    /// An ACME server, which fetches proofs from renewd's own listener.
    Acme,
    /// TLS Protect Cloud.
    Venafi,
    /// ManageEngine PAM360 with a Microsoft CA.
    Pam360,
    /// The /ssl-certificate purchase API.
    Resello,
}

/// A CA that runs, if it is one that has to.
pub enum Office {
    Local,
    Acme(acme::Simulator, SocketAddr),
    Venafi(venafi::Simulator, venafi::Settings),
    Pam360(pam360::Simulator, pam360::Settings),
    Resello(resello::Simulator, resello::Settings, SocketAddr),
}

impl Office {
    /// Starts it.
    pub async fn start(kind: Kind) -> io::Result<Self> {
        Ok(match kind {
            Kind::Local => Self::Local,
            Kind::Acme => {
                let listen = free_address()?;
                let mut settings = acme::Settings::default();
                settings.variants.http_port = listen.port();
                Self::Acme(acme::Simulator::start(settings).await?, listen)
            }
            Kind::Venafi => {
                let settings = venafi::Settings::default();
                Self::Venafi(venafi::Simulator::start(settings.clone()).await?, settings)
            }
            Kind::Pam360 => {
                let settings = pam360::Settings::default();
                Self::Pam360(pam360::Simulator::start(settings.clone()).await?, settings)
            }
            Kind::Resello => {
                let listen = free_address()?;
                let settings = resello::Settings {
                    dcv: resello::Dcv::Real {
                        http: listen,
                        dns: listen,
                    },
                    ..resello::Settings::default()
                };
                let simulator = resello::Simulator::start(settings.clone()).await?;
                Self::Resello(simulator, settings, listen)
            }
        })
    }

    /// Its `driver` line in the configuration; what that refers to is written into `folder`.
    pub fn driver(&self, folder: &Path) -> Result<String, CliError> {
        let place = folder.display();
        Ok(match self {
            Self::Local => format!(
                "driver.local = {{ certificate = \"{place}/ca.pem\", key = {{ file = \"{place}/ca.key\" }} }}"
            ),
            Self::Acme(simulator, listen) => {
                write_private(&folder.join("roots.pem"), &simulator.root_pem())?;
                format!(
                    "driver.acme = {{ directory = \"{}\", terms_of_service_agreed = true, roots = \"{place}/roots.pem\", \
                     validation.http = {{ listen = \"{listen}\" }}, trust = {{ sha256 = \"{}\" }} }}",
                    simulator.directory_url(),
                    simulator.fingerprint()
                )
            }
            Self::Venafi(simulator, settings) => {
                write_private(&folder.join("ca.secret"), &settings.api_key)?;
                format!(
                    "driver.venafi = {{ url = \"{}\", api_key = {{ file = \"{place}/ca.secret\" }}, \
                     application = \"Firewalls\", template = \"Default\", include_root = true, trust = {{ sha256 = \"{}\" }} }}",
                    simulator.url(),
                    simulator.fingerprint()
                )
            }
            Self::Pam360(simulator, settings) => pam360_driver(simulator, settings, folder)?,
            Self::Resello(simulator, settings, listen) => {
                write_private(&folder.join("ca.secret"), &settings.key)?;
                let plan = settings.plans.first().map_or("", |plan| plan.id.as_str());
                format!(
                    "driver.resello = {{ url = \"{}\", user = \"{}\", api_key = {{ file = \"{place}/ca.secret\" }}, \
                     plan = \"{plan}\", elliptic_keys = true, validation.http = {{ listen = \"{listen}\" }}, \
                     trust = {{ sha256 = \"{}\" }} }}",
                    simulator.base_url(),
                    settings.user,
                    simulator.fingerprint()
                )
            }
        })
    }

    /// Ends it.
    pub async fn stop(self) {
        match self {
            Self::Local => {}
            Self::Acme(simulator, _) => simulator.stop().await,
            Self::Venafi(simulator, _) => simulator.stop().await,
            Self::Pam360(simulator, _) => simulator.stop().await,
            Self::Resello(simulator, ..) => simulator.stop().await,
        }
    }
}

impl fmt::Display for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "a private CA",
            Self::Acme(..) => "a simulated ACME server",
            Self::Venafi(..) => "a simulated TLS Protect Cloud",
            Self::Pam360(..) => "a simulated PAM360",
            Self::Resello(..) => "a simulated shop for certificates",
        })
    }
}

fn pam360_driver(
    simulator: &pam360::Simulator,
    settings: &pam360::Settings,
    folder: &Path,
) -> Result<String, CliError> {
    write_private(&folder.join("ca.secret"), &settings.token)?;
    let microsoft = &settings.microsoft;
    Ok(format!(
        "driver.pam360 = {{ url = \"{}\", token = {{ file = \"{}/ca.secret\" }}, csr_list_operation = \"getCSRList\", \
         sign_with = {{ msca = {{ server = \"{}\", ca = \"{}\", template = \"{}\" }} }}, trust = {{ sha256 = \"{}\" }} }}",
        simulator.url(),
        folder.display(),
        microsoft.server,
        microsoft.name,
        microsoft.templates.first().map_or("", String::as_str),
        simulator.fingerprint()
    ))
}

/// An address at which proofs can be served: port 80 is not ours to take.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

pub(super) fn write_private(file: &Path, text: &str) -> Result<(), CliError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    Ok(file.write_all(text.as_bytes())?)
}
