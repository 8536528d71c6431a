//! `validation` of a CA: how control over the names in a certificate is proven to it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Key, OneOrMany, Placed, SECRET_HINT, Secret, default};

/// How control over a domain is proven: by files, or by records in the DNS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// By files that renewd itself serves on port 80 of the domain (http-01).
    Http(HttpValidation),
    /// By records in the DNS (dns-01).
    Dns(Box<DnsValidation>),
}

/// Files that renewd itself serves. A port is open only while a CA has something to fetch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpValidation {
    /// Addresses to listen at; "[::]:80" takes IPv4 as well. The CA always comes to port 80 of the domain.
    #[schemars(extend("default" = default::VALIDATION_LISTEN, "x-hint" = "for example: listen = \"192.0.2.10:80\""))]
    pub listen: Key<OneOrMany>,
}

/// Records in the DNS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsValidation {
    /// Who holds the records, and how to log in there.
    #[schemars(required, extend("x-hint" = "for example: provider.rfc2136 = { server = \"192.0.2.53\", key_name = \"renewd\", secret = { credential = \"dns\" } }"))]
    pub provider: Key<DnsProvider>,
    /// The zone that the records are in. Left out: found by its SOA record.
    pub zone: Key<String>,
    /// How long the records may be remembered by those who ask, in seconds.
    #[schemars(range(min = 1, max = 86400), extend("default" = default::DNS_TTL))]
    pub ttl: Key<u32>,
    /// Whether a TXT record is written where a CNAME in its place points.
    #[schemars(extend("default" = true))]
    pub follow_cname: Key<bool>,
    /// A zone in which TXT records are written instead: `_acme-challenge.NAME` must be a CNAME to
    /// `_acme-challenge.NAME.ZONE`. For where CNAMEs cannot be followed from here, as behind a split DNS.
    pub delegate_to: Key<String>,
    /// Name servers that find zones and follow CNAMEs, each as ADDRESS or ADDRESS:PORT. Left out: the system's.
    #[schemars(extend("x-hint" = "for example: resolvers = [\"192.0.2.53\"]"))]
    pub resolvers: Key<Vec<Placed<String>>>,
    /// Name servers that must show a record before the CA is notified, each as ADDRESS or ADDRESS:PORT. Left out: every
    /// name server of the zone.
    #[schemars(extend("x-hint" = "for example: check_servers = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]"))]
    pub check_servers: Key<Vec<Placed<String>>>,
    /// Whether name servers are asked for a record before the CA is notified.
    #[schemars(extend("default" = true))]
    pub check: Key<bool>,
    /// How long to wait instead, with `check = false`, from "0s" to "1h".
    #[schemars(extend("default" = default::DNS_WAIT))]
    pub wait: Key<String>,
    /// Limit of one exchange with the provider, or of one run of its program, from "1s" to "10m".
    #[schemars(extend("default" = default::DNS_TIMEOUT))]
    pub timeout: Key<String>,
}

/// Who holds records of the DNS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnsProvider {
    /// A name server that takes dynamic updates (RFC 2136) signed with TSIG: BIND, Knot, PowerDNS, Windows and others.
    Rfc2136(Rfc2136),
    /// Cloudflare.
    Cloudflare(Token),
    /// deSEC.
    Desec(Token),
    /// DigitalOcean.
    Digitalocean(Token),
    /// Hetzner.
    Hetzner(Token),
    /// Gandi LiveDNS.
    Gandi(Token),
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
    /// An outside program with the calling convention of lego's `exec`: `PROGRAM present NAME. TEXT`, `PROGRAM cleanup
    /// NAME. TEXT`.
    Exec(DnsProgram),
}

/// A name server that takes dynamic updates.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rfc2136 {
    /// The primary server: HOST or HOST:PORT.
    #[schemars(required, extend("x-hint" = "for example: server = \"192.0.2.53\""))]
    pub server: Key<String>,
    /// How it is reached.
    #[schemars(extend("default" = "tcp"))]
    pub transport: Key<Transport>,
    /// The name of the TSIG key.
    #[schemars(required, extend("x-hint" = "for example: key_name = \"renewd\""))]
    pub key_name: Key<String>,
    /// The algorithm of the TSIG key.
    #[schemars(extend("default" = "hmac-sha256"))]
    pub algorithm: Key<TsigAlgorithm>,
    /// The TSIG key, in base64 as the server's own tools print it.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub secret: Key<Secret>,
}

/// How a name server is reached.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Algorithms of TSIG.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    /// HMAC with SHA-384.
    #[serde(rename = "hmac-sha384")]
    HmacSha384,
    /// HMAC with SHA-512.
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

/// A provider that is content with a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// An API token that may change the zone, and nothing else where the provider can limit it.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub token: Key<Secret>,
}

/// Amazon Route 53.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route53 {
    /// The id of an access key that may change the zone.
    #[schemars(required, extend("x-hint" = "for example: access_key_id = \"AKIAIOSFODNN7EXAMPLE\""))]
    pub access_key_id: Key<String>,
    /// That access key.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub secret_access_key: Key<Secret>,
    /// The hosted zone's id. Left out: found by its name.
    pub hosted_zone_id: Key<String>,
}

/// OVH.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ovh {
    /// Which of its APIs.
    #[schemars(extend("default" = "eu"))]
    pub endpoint: Key<OvhEndpoint>,
    /// The application's key.
    #[schemars(required, extend("x-hint" = "made together with the application's secret at https://api.ovh.com/createToken/"))]
    pub application_key: Key<String>,
    /// The application's secret.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub application_secret: Key<Secret>,
    /// The consumer key.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub consumer_key: Key<Secret>,
}

/// The APIs of OVH.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OvhEndpoint {
    /// OVHcloud Europe.
    Eu,
    /// OVHcloud US.
    Us,
    /// OVHcloud Canada.
    Ca,
}

/// Google Cloud DNS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Google {
    /// The key file of a service account that may change the zone, JSON, readable by renewd alone.
    #[schemars(required, extend("x-hint" = "for example: service_account = \"/etc/renewd/google.json\""))]
    pub service_account: Key<String>,
    /// The project's id.
    #[schemars(required, extend("x-hint" = "for example: project = \"example-dns\""))]
    pub project: Key<String>,
    /// The managed zone's name. Left out: found by its domain.
    pub managed_zone: Key<String>,
}

/// Azure DNS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Azure {
    /// Which of its clouds.
    #[schemars(extend("default" = "public"))]
    pub environment: Key<AzureEnvironment>,
    /// The tenant's id.
    #[schemars(required, extend("x-hint" = AZURE_HINT))]
    pub tenant_id: Key<String>,
    /// The id of a service principal that may change the zone.
    #[schemars(required, extend("x-hint" = AZURE_HINT))]
    pub client_id: Key<String>,
    /// That service principal's secret.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub client_secret: Key<Secret>,
    /// The subscription's id.
    #[schemars(required, extend("x-hint" = "`az account show` prints it as \"id\""))]
    pub subscription_id: Key<String>,
    /// The resource group of the zone.
    #[schemars(required, extend("x-hint" = "`az network dns zone list` prints it as \"resourceGroup\""))]
    pub resource_group: Key<String>,
}

const AZURE_HINT: &str =
    "`az ad sp create-for-rbac` prints it: \"tenant\" is the tenant's id, \"appId\" the client's";

/// The clouds of Azure.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AzureEnvironment {
    /// The public one.
    Public,
    /// The one in China.
    China,
    /// The one of the US government.
    UsGovernment,
}

/// The HTTP API of a PowerDNS server.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Powerdns {
    /// Where it is: "https://HOST:PORT", or "http://…" to this machine itself.
    #[schemars(required, extend("x-hint" = "for example: url = \"http://127.0.0.1:8081\""))]
    pub url: Key<String>,
    /// Its API key.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub key: Key<Secret>,
    /// The server's id in its own paths.
    #[schemars(extend("default" = default::POWERDNS_SERVER))]
    pub server_id: Key<String>,
}

/// Infoblox.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Infoblox {
    /// The grid master: HOST or HOST:PORT. Its certificate must be one that the system trusts.
    #[schemars(required, extend("x-hint" = "for example: server = \"grid.example.com\""))]
    pub server: Key<String>,
    /// A user of the web API.
    #[schemars(required, extend("x-hint" = "for example: user = \"renewd\""))]
    pub user: Key<String>,
    /// That user's password.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub password: Key<Secret>,
    /// The DNS view.
    #[schemars(extend("default" = default::INFOBLOX_VIEW))]
    pub view: Key<String>,
}

/// An outside program that sets records. It is started without a shell; of the environment it gets PATH, HOME and LANG.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsProgram {
    /// The program.
    #[schemars(required, extend("x-hint" = "for example: program = \"/usr/local/bin/set-record\""))]
    pub program: Key<String>,
    /// Arguments before those of the convention.
    #[schemars(extend("default" = []))]
    pub arguments: Key<Vec<Placed<String>>>,
}
