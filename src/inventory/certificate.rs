//! A certificate that a person asked us to keep renewed.

use std::fmt;
use std::sync::Arc;

use jiff::SignedDuration;

use crate::pki::KeyRequest;

/// One `[[certificate]]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedCertificate {
    /// Its name in the configuration, unique.
    pub name: Arc<str>,
    /// The firewall that uses it.
    pub firewall: Arc<str>,
    /// The CA that issues it.
    pub ca: Arc<str>,
    /// What the CSR asks for.
    pub request: KeyRequest,
    /// The services that are to use it.
    pub services: Vec<Service>,
    /// Where a TLS handshake must show it.
    pub verify: Vec<Endpoint>,
    /// When it is renewed.
    pub policy: RenewalPolicy,
}

/// A service of a firewall that uses a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// When a certificate is renewed and how long its proof may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalPolicy {
    /// Thousandths of the real lifetime after which it is due; `None`: two thirds, or a half of a lifetime
    /// under ten days (CA rules reference 3 and 8).
    pub share_of_lifetime: Option<u16>,
    /// How long after the bind the services may still show something else.
    pub proof_grace: SignedDuration,
}
