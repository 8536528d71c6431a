//! Who holds the DNS records, how to log in there, and whom to ask whether they are seen.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use url::Url;

use crate::inventory::Endpoint;
use crate::secret::SecretSource;

/// How records are set and looked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who holds the records.
    pub provider: Provider,
    /// The zone that they are in; `None`: found by its SOA record.
    pub zone: Option<String>,
    /// How long a record may be remembered by those who ask, in seconds.
    pub ttl: u32,
    /// Whether a TXT record is written where a CNAME in its place points.
    pub follow_cname: bool,
    /// A zone in which TXT records are written instead, each below its own full name.
    pub delegate_to: Option<String>,
    /// Name servers that find zones and follow CNAMEs; empty: those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// When a record counts as seen.
    pub propagation: Propagation,
    /// Limit of one exchange with the provider.
    pub timeout: Duration,
}

/// When a record counts as seen.
#[derive(Debug, Clone)]
pub enum Propagation {
    /// When every name server of its zone shows it.
    Authoritative,
    /// When each of these shows it.
    Servers(Vec<SocketAddr>),
    /// When this much time has passed; nobody is asked.
    Wait(SignedDuration),
}

/// Who holds the records, and how to log in there.
#[derive(Debug, Clone)]
pub enum Provider {
    /// A name server that takes dynamic updates (RFC 2136) signed with TSIG (RFC 8945).
    Rfc2136 {
        /// The primary server.
        server: Endpoint,
        /// How it is reached.
        transport: Transport,
        /// The name of the key.
        key_name: String,
        /// The algorithm of the key.
        algorithm: Algorithm,
        /// The key, in base64.
        secret: SecretSource,
    },
    /// Cloudflare.
    Cloudflare {
        /// An API token with the permission to edit the zone.
        token: SecretSource,
    },
    /// deSEC.
    Desec {
        /// An API token.
        token: SecretSource,
    },
    /// DigitalOcean.
    Digitalocean {
        /// An API token.
        token: SecretSource,
    },
    /// Hetzner.
    Hetzner {
        /// An API token.
        token: SecretSource,
    },
    /// Gandi LiveDNS.
    Gandi {
        /// A personal access token.
        token: SecretSource,
    },
    /// Amazon Route 53.
    Route53 {
        /// The access key's id.
        access_key_id: String,
        /// The access key.
        secret_access_key: SecretSource,
        /// The hosted zone's id; `None`: found by its name.
        hosted_zone_id: Option<String>,
    },
    /// OVH.
    Ovh {
        /// Which of its APIs.
        endpoint: OvhEndpoint,
        /// The application's key.
        application_key: String,
        /// The application's secret.
        application_secret: SecretSource,
        /// The consumer key.
        consumer_key: SecretSource,
    },
    /// Google Cloud DNS.
    Google {
        /// The service account's key file, JSON.
        service_account: PathBuf,
        /// The project's id.
        project: String,
        /// The managed zone's name; `None`: found by its domain.
        managed_zone: Option<String>,
    },
    /// Azure DNS.
    Azure {
        /// Which of its clouds.
        environment: AzureEnvironment,
        /// The tenant's id.
        tenant_id: String,
        /// The service principal's id.
        client_id: String,
        /// The service principal's secret.
        client_secret: SecretSource,
        /// The subscription's id.
        subscription_id: String,
        /// The resource group of the zone.
        resource_group: String,
    },
    /// The HTTP API of a PowerDNS server.
    Powerdns {
        /// Where it is: `https`, or `http` to this machine itself.
        url: Url,
        /// Its API key.
        key: SecretSource,
        /// The server's id in its own paths.
        server_id: String,
    },
    /// Infoblox.
    Infoblox {
        /// The grid master.
        server: Endpoint,
        /// A user of the web API.
        user: String,
        /// That user's password.
        password: SecretSource,
        /// The DNS view.
        view: String,
    },
    /// An outside program with the calling convention of lego's `exec`.
    Exec {
        /// The program.
        program: PathBuf,
        /// Arguments before those of the convention.
        arguments: Vec<String>,
    },
}

/// How a name server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Algorithms of TSIG (RFC 8945, 6) that are not withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// hmac-sha256.
    HmacSha256,
    /// hmac-sha384.
    HmacSha384,
    /// hmac-sha512.
    HmacSha512,
}

/// The APIs of OVH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OvhEndpoint {
    /// OVHcloud Europe.
    Eu,
    /// OVHcloud US.
    Us,
    /// OVHcloud Canada.
    Ca,
}

/// The clouds of Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AzureEnvironment {
    /// The public one.
    Public,
    /// The one in China.
    China,
    /// The one of the US government.
    UsGovernment,
}

impl Provider {
    /// The word for it in the configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rfc2136 { .. } => "rfc2136",
            Self::Cloudflare { .. } => "cloudflare",
            Self::Desec { .. } => "desec",
            Self::Digitalocean { .. } => "digitalocean",
            Self::Hetzner { .. } => "hetzner",
            Self::Gandi { .. } => "gandi",
            Self::Route53 { .. } => "route53",
            Self::Ovh { .. } => "ovh",
            Self::Google { .. } => "google",
            Self::Azure { .. } => "azure",
            Self::Powerdns { .. } => "powerdns",
            Self::Infoblox { .. } => "infoblox",
            Self::Exec { .. } => "exec",
        }
    }

    /// Every secret that will be needed, each with its key in the configuration.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        match self {
            Self::Rfc2136 { secret, .. } => vec![("secret", secret.clone())],
            Self::Cloudflare { token }
            | Self::Desec { token }
            | Self::Digitalocean { token }
            | Self::Hetzner { token }
            | Self::Gandi { token } => vec![("token", token.clone())],
            Self::Route53 {
                secret_access_key, ..
            } => vec![("secret_access_key", secret_access_key.clone())],
            Self::Ovh {
                application_secret,
                consumer_key,
                ..
            } => vec![
                ("application_secret", application_secret.clone()),
                ("consumer_key", consumer_key.clone()),
            ],
            Self::Google {
                service_account, ..
            } => {
                let file = SecretSource::File(service_account.clone());
                vec![("service_account", file)]
            }
            Self::Azure { client_secret, .. } => vec![("client_secret", client_secret.clone())],
            Self::Powerdns { key, .. } => vec![("key", key.clone())],
            Self::Infoblox { password, .. } => vec![("password", password.clone())],
            Self::Exec { .. } => Vec::new(),
        }
    }
}
