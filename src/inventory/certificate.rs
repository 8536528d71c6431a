//! A certificate that is configured to be renewed.

use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::pki::KeyRequest;

/// One `[[certificate]]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ManagedCertificate {
    /// Its name in the configuration, unique.
    pub name: Arc<str>,
    /// The firewall that uses it.
    pub firewall: Arc<str>,
    /// The CA that issues it.
    pub ca: Arc<str>,
    /// What the CSR asks for.
    pub request: KeyRequest,
    /// Who makes its key pair.
    pub key_origin: KeyOrigin,
    /// The services that are to use it.
    pub services: Vec<Service>,
    /// Where a TLS handshake must show it.
    pub endpoints: Vec<Endpoint>,
    /// When it is renewed.
    pub policy: RenewalPolicy,
}

/// Who makes a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyOrigin {
    /// The firewall, which never exports it.
    #[default]
    Firewall,
    /// renewd, which puts it on the firewall with its certificate and forgets it then: for what a request that is made on
    /// a firewall cannot ask for, such as several alternate names (SonicOS reference 3.1).
    Renewd,
}

/// A service of a firewall that uses a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    /// HTTPS management.
    WebManagement,
    /// The SSL VPN portal.
    SslVpn,
}

impl Service {
    /// Every service there is.
    pub const ALL: [Self; 2] = [Self::WebManagement, Self::SslVpn];

    /// The word in configuration, rows and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebManagement => "web-management",
            Self::SslVpn => "ssl-vpn",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A TCP address where a service shows its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Where `url` leads; `None` for one without a host or a port.
    pub fn of(url: &Url) -> Option<Self> {
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default()?;
        Some(Self { host, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl std::str::FromStr for Endpoint {
    type Err = String;

    /// Reads `HOST:PORT`, `[IPv6]:PORT`, or a host alone, which means the HTTPS port.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not an address: write HOST:PORT or [IPv6]:PORT");
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
            (host, rest.strip_prefix(':'))
        } else {
            match text.split_once(':') {
                Some((_, port)) if port.contains(':') => return Err(wrong()),
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = port.map_or(Ok(HTTPS_PORT), |port| port.parse().map_err(|_| wrong()))?;
        if host.is_empty() || port == 0 || host.contains(['/', '@', ' ']) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

const HTTPS_PORT: u16 = 443;

/// When a certificate is renewed and how long its proof may take.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RenewalPolicy {
    /// Thousandths of the real lifetime after which it is due; `None`: two thirds, or a half of a lifetime
    /// under ten days (CA rules reference 3 and 8).
    pub renew_after: Option<u16>,
    /// How long after the bind the services may still show something else.
    pub verify_timeout: SignedDuration,
    /// What is done outside the maintenance window when the CA wants the certificate to be replaced urgently.
    pub urgent: Urgent,
}

/// What is done when a CA announces that a certificate has to be replaced at once (RFC 9773), such as before it revokes it,
/// and no maintenance window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Urgent {
    /// An alert at once; `renewd renew CERT --now` binds outside the window.
    #[default]
    Ask,
    /// The new certificate is bound outside the window.
    Bind,
    /// It waits for the window.
    Wait,
}
