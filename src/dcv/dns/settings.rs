//! The provider of the DNS records, its login, and the name servers that are queried for their visibility.

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
    /// The provider of the records.
    pub provider: Provider,
    /// The zone that they are in; `None`: found by its SOA record.
    pub zone: Option<String>,
    /// The TTL of a record, in seconds.
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
    /// When this much time has passed. No name server is queried.
    Wait(SignedDuration),
}

/// The provider of the records, and its login.
#[derive(Debug, Clone)]
pub enum Provider {
    /// A name server that takes dynamic updates (RFC 2136).
    Rfc2136(Rfc2136),
    /// Cloudflare, by an API token.
    Cloudflare(SecretSource),
    /// deSEC, by an API token.
    Desec(SecretSource),
    /// DigitalOcean, by an API token.
    Digitalocean(SecretSource),
    /// Hetzner, by an API token.
    Hetzner(SecretSource),
    /// Gandi LiveDNS, by a personal access token.
    Gandi(SecretSource),
    /// Amazon Route 53.
    Route53(Route53),
    /// OVH.
    Ovh(Ovh),
    /// Google Cloud DNS.
    Google(Google),
    /// Azure DNS.
    Azure(Azure),
    /// The HTTP API of a PowerDNS server.
    Powerdns(Powerdns),
    /// Infoblox.
    Infoblox(Infoblox),
    /// An outside program.
    Exec(Exec),
}

/// A name server that takes dynamic updates signed with TSIG (RFC 8945).
#[derive(Debug, Clone)]
pub struct Rfc2136 {
    /// The primary server.
    pub server: Endpoint,
    /// How it is reached.
    pub transport: Transport,
    /// The name of the key.
    pub key_name: String,
    /// The algorithm of the key.
    pub algorithm: Algorithm,
    /// The key, in base64.
    pub secret: SecretSource,
}

/// Amazon Route 53.
#[derive(Debug, Clone)]
pub struct Route53 {
    /// The access key's id.
    pub access_key_id: String,
    /// The access key.
    pub secret_access_key: SecretSource,
    /// The hosted zone's id; `None`: found by its name.
    pub hosted_zone_id: Option<String>,
}

/// OVH.
#[derive(Debug, Clone)]
pub struct Ovh {
    /// Which of its APIs.
    pub endpoint: OvhEndpoint,
    /// The application's key.
    pub application_key: String,
    /// The application's secret.
    pub application_secret: SecretSource,
    /// The consumer key.
    pub consumer_key: SecretSource,
}

/// Google Cloud DNS.
#[derive(Debug, Clone)]
pub struct Google {
    /// The service account's key file, JSON.
    pub service_account: PathBuf,
    /// The project's id.
    pub project: String,
    /// The managed zone's name; `None`: found by its domain.
    pub managed_zone: Option<String>,
}

/// Azure DNS.
#[derive(Debug, Clone)]
pub struct Azure {
    /// Which of its clouds.
    pub environment: AzureEnvironment,
    /// The tenant's id.
    pub tenant_id: String,
    /// The service principal's id.
    pub client_id: String,
    /// The service principal's secret.
    pub client_secret: SecretSource,
    /// The subscription's id.
    pub subscription_id: String,
    /// The resource group of the zone.
    pub resource_group: String,
}

/// The HTTP API of a PowerDNS server.
#[derive(Debug, Clone)]
pub struct Powerdns {
    /// Where it is: `https`, or `http` to this machine itself.
    pub url: Url,
    /// Its API key.
    pub key: SecretSource,
    /// The server's id in its own paths.
    pub server_id: String,
}

/// Infoblox.
#[derive(Debug, Clone)]
pub struct Infoblox {
    /// The grid master.
    pub server: Endpoint,
    /// A user of the web API.
    pub user: String,
    /// That user's password.
    pub password: SecretSource,
    /// The DNS view.
    pub view: String,
}

/// An outside program with the calling convention of lego's `exec`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exec {
    /// The program.
    pub program: PathBuf,
    /// Arguments before those of the convention.
    pub arguments: Vec<String>,
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
            Self::Rfc2136(_) => "rfc2136",
            Self::Cloudflare(_) => "cloudflare",
            Self::Desec(_) => "desec",
            Self::Digitalocean(_) => "digitalocean",
            Self::Hetzner(_) => "hetzner",
            Self::Gandi(_) => "gandi",
            Self::Route53(_) => "route53",
            Self::Ovh(_) => "ovh",
            Self::Google(_) => "google",
            Self::Azure(_) => "azure",
            Self::Powerdns(_) => "powerdns",
            Self::Infoblox(_) => "infoblox",
            Self::Exec(_) => "exec",
        }
    }

    /// Every secret that will be needed, each with its key in the configuration.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        match self {
            Self::Cloudflare(token)
            | Self::Desec(token)
            | Self::Digitalocean(token)
            | Self::Hetzner(token)
            | Self::Gandi(token) => vec![("token", token.clone())],
            Self::Rfc2136(server) => vec![("secret", server.secret.clone())],
            Self::Route53(login) => vec![("secret_access_key", login.secret_access_key.clone())],
            Self::Ovh(login) => vec![
                ("application_secret", login.application_secret.clone()),
                ("consumer_key", login.consumer_key.clone()),
            ],
            Self::Google(login) => {
                let file = SecretSource::File(login.service_account.clone());
                vec![("service_account", file)]
            }
            Self::Azure(login) => vec![("client_secret", login.client_secret.clone())],
            Self::Powerdns(login) => vec![("key", login.key.clone())],
            Self::Infoblox(login) => vec![("password", login.password.clone())],
            Self::Exec(_) => Vec::new(),
        }
    }
}
