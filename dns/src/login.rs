//! How to log in to each provider, as dns-update wants it. Nothing is sent yet; `limit` is that of one HTTP exchange.
//!
//! Providers with an HTTP API need the system's root certificates: without any, dns-update panics, so check them first.

use std::net::SocketAddr;
use std::time::Duration;

use dns_update::providers::azuredns::{AzureDnsConfig, AzureEnvironment};
use dns_update::providers::google_cloud_dns::GoogleCloudDnsConfig;
use dns_update::providers::infoblox::InfobloxConfig;
use dns_update::providers::ovh::OvhEndpoint;
use dns_update::providers::route53::Route53Config;
use dns_update::{DnsUpdater, TsigAlgorithm};

use crate::{Problem, Updater};

/// A key that signs messages to a name server (RFC 8945). Holds a secret, so it has no `Debug`.
pub struct TsigKey {
    /// Its name.
    pub name: String,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// The key itself, decoded.
    pub secret: Vec<u8>,
}

/// Algorithms of TSIG that hickory can compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// hmac-sha256.
    HmacSha256,
    /// hmac-sha384.
    HmacSha384,
    /// hmac-sha512.
    HmacSha512,
}

/// An application's login at OVH. Holds secrets, so it has no `Debug`.
pub struct Ovh {
    /// Which of its APIs.
    pub api: OvhApi,
    /// The application's key.
    pub application_key: String,
    /// The application's secret.
    pub application_secret: String,
    /// The consumer key.
    pub consumer_key: String,
}

/// The APIs of OVH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OvhApi {
    /// OVHcloud Europe.
    Eu,
    /// OVHcloud US.
    Us,
    /// OVHcloud Canada.
    Ca,
}

/// A service principal's login at Azure, and the place of the zone. Holds a secret, so it has no `Debug`.
pub struct Azure {
    /// Which of its clouds.
    pub cloud: AzureCloud,
    /// The tenant's id.
    pub tenant: String,
    /// The service principal's id.
    pub client: String,
    /// The service principal's secret.
    pub secret: String,
    /// The subscription's id.
    pub subscription: String,
    /// The resource group of the zone.
    pub resource_group: String,
}

/// The clouds of Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AzureCloud {
    /// The public one.
    Public,
    /// The one in China.
    China,
    /// The one of the US government.
    UsGovernment,
}

/// A user of an Infoblox grid. Holds a secret, so it has no `Debug`.
pub struct Infoblox {
    /// The grid master, an IPv6 address in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
    /// The DNS view.
    pub view: String,
}

impl Updater {
    /// The primary name server of a zone, which takes dynamic updates (RFC 2136), over TCP or over UDP.
    pub fn rfc2136(server: SocketAddr, udp: bool, key: TsigKey) -> Result<Self, Problem> {
        let scheme = if udp { "udp" } else { "tcp" };
        let algorithm = match key.algorithm {
            Algorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
            Algorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
            Algorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
        };
        let address = format!("{scheme}://{server}");
        opened(DnsUpdater::new_rfc2136_tsig(
            address, key.name, key.secret, algorithm,
        ))
    }

    /// Cloudflare, by an API token.
    pub fn cloudflare(token: &str, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_cloudflare(token, Some(limit)))
    }

    /// deSEC, by an API token.
    pub fn desec(token: &str, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_desec(token, Some(limit)))
    }

    /// DigitalOcean, by an API token.
    pub fn digitalocean(token: &str, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_digitalocean(token, Some(limit)))
    }

    /// Hetzner, by an API token.
    pub fn hetzner(token: &str, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_hetzner(token, Some(limit)))
    }

    /// Gandi LiveDNS, by a personal access token.
    pub fn gandi(token: &str, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_gandiv5(token, Some(limit)))
    }

    /// Amazon Route 53, by an access key; a zone without an id is found by its name.
    pub fn route53(id: String, key: String, hosted_zone: Option<String>) -> Result<Self, Problem> {
        opened(DnsUpdater::new_route53(Route53Config {
            access_key_id: id,
            secret_access_key: key,
            session_token: None,
            // One service for all regions; it signs as us-east-1, which is the default.
            region: None,
            hosted_zone_id: hosted_zone,
            private_zone_only: None,
            endpoint: None,
        }))
    }

    /// OVH.
    pub fn ovh(login: Ovh, limit: Duration) -> Result<Self, Problem> {
        let endpoint = match login.api {
            OvhApi::Eu => OvhEndpoint::OvhEu,
            OvhApi::Us => OvhEndpoint::OvhUs,
            OvhApi::Ca => OvhEndpoint::OvhCa,
        };
        opened(DnsUpdater::new_ovh(
            login.application_key,
            login.application_secret,
            login.consumer_key,
            endpoint,
            Some(limit),
        ))
    }

    /// Google Cloud DNS, by the text of a service account's key file; a zone without a name is found by its domain.
    pub fn google(
        service_account: String,
        project: String,
        managed_zone: Option<String>,
        limit: Duration,
    ) -> Result<Self, Problem> {
        opened(DnsUpdater::new_google_cloud_dns(GoogleCloudDnsConfig {
            service_account_json: service_account,
            project_id: project,
            managed_zone,
            private_zone: false,
            impersonate_service_account: None,
            request_timeout: Some(limit),
        }))
    }

    /// Azure DNS.
    pub fn azure(login: Azure, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_azuredns(AzureDnsConfig {
            tenant_id: login.tenant,
            client_id: login.client,
            client_secret: login.secret,
            subscription_id: login.subscription,
            resource_group: login.resource_group,
            environment: match login.cloud {
                AzureCloud::Public => AzureEnvironment::Public,
                AzureCloud::China => AzureEnvironment::China,
                AzureCloud::UsGovernment => AzureEnvironment::UsGovernment,
            },
            request_timeout: Some(limit),
        }))
    }

    /// The HTTP API of a PowerDNS server; `server` is its id in its own paths.
    pub fn powerdns(url: &str, key: &str, server: &str, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_pdns(
            key,
            Some(url),
            Some(server),
            Some(limit),
        ))
    }

    /// Infoblox.
    pub fn infoblox(login: Infoblox, limit: Duration) -> Result<Self, Problem> {
        opened(DnsUpdater::new_infoblox(InfobloxConfig {
            host: login.host,
            port: Some(login.port.to_string()),
            username: login.user,
            password: login.password,
            wapi_version: None,
            dns_view: Some(login.view),
            request_timeout: Some(limit),
        }))
    }
}

fn opened(updater: dns_update::Result<DnsUpdater>) -> Result<Updater, Problem> {
    updater.map(Updater).map_err(Problem::from)
}
