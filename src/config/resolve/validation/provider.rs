//! `provider` of `validation.dns`: who holds the records.

use url::{Host, Url};

use super::DNS_PORT;
use crate::config::file_model::{self, DnsProvider, Placed, default};
use crate::config::resolve::Resolver;
use crate::config::values::{self, Wrong};
use crate::dcv::dns::{self, Algorithm, AzureEnvironment, OvhEndpoint, Provider, Transport};
use crate::inventory::Endpoint;
use crate::secret::SecretSource;

impl Resolver<'_> {
    pub(super) fn dns_provider(&mut self, raw: DnsProvider) -> Option<Provider> {
        match raw {
            DnsProvider::Rfc2136(server) => self.rfc2136(server),
            DnsProvider::Cloudflare(raw) => self.token(raw).map(Provider::Cloudflare),
            DnsProvider::Desec(raw) => self.token(raw).map(Provider::Desec),
            DnsProvider::Digitalocean(raw) => self.token(raw).map(Provider::Digitalocean),
            DnsProvider::Hetzner(raw) => self.token(raw).map(Provider::Hetzner),
            DnsProvider::Gandi(raw) => self.token(raw).map(Provider::Gandi),
            DnsProvider::Route53(raw) => self.route53(raw),
            DnsProvider::Ovh(raw) => self.ovh(raw),
            DnsProvider::Google(raw) => self.google(&raw),
            DnsProvider::Azure(raw) => self.azure(raw),
            DnsProvider::Powerdns(raw) => self.powerdns(raw),
            DnsProvider::Infoblox(raw) => self.infoblox(raw),
            DnsProvider::Exec(raw) => self.dns_program(raw),
        }
    }

    fn rfc2136(&mut self, raw: file_model::Rfc2136) -> Option<Provider> {
        let server = self.parse(raw.server.as_ref()?, |text| server(text, DNS_PORT));
        let key_name = self.parse(raw.key_name.as_ref()?, |text| {
            values::domain(text.trim_end_matches('.'))
        });
        let secret = raw.secret.and_then(|secret| self.secret(secret));
        Some(Provider::Rfc2136(dns::Rfc2136 {
            server: server?,
            transport: match raw.transport.map(|transport| transport.value) {
                Some(file_model::Transport::Udp) => Transport::Udp,
                Some(file_model::Transport::Tcp) | None => Transport::Tcp,
            },
            key_name: key_name?,
            algorithm: match raw.algorithm.map(|algorithm| algorithm.value) {
                Some(file_model::TsigAlgorithm::HmacSha512) => Algorithm::HmacSha512,
                Some(file_model::TsigAlgorithm::HmacSha384) => Algorithm::HmacSha384,
                Some(file_model::TsigAlgorithm::HmacSha256) | None => Algorithm::HmacSha256,
            },
            secret: secret?,
        }))
    }

    fn token(&mut self, raw: file_model::Token) -> Option<SecretSource> {
        raw.token.and_then(|token| self.secret(token))
    }

    fn route53(&mut self, raw: file_model::Route53) -> Option<Provider> {
        let secret_access_key = raw.secret_access_key.and_then(|secret| self.secret(secret));
        Some(Provider::Route53(dns::Route53 {
            access_key_id: self.word(raw.access_key_id.as_ref())?,
            secret_access_key: secret_access_key?,
            hosted_zone_id: self.word(raw.hosted_zone_id.as_ref()),
        }))
    }

    fn ovh(&mut self, raw: file_model::Ovh) -> Option<Provider> {
        let application_secret = raw
            .application_secret
            .and_then(|secret| self.secret(secret));
        let consumer_key = raw.consumer_key.and_then(|secret| self.secret(secret));
        Some(Provider::Ovh(dns::Ovh {
            endpoint: match raw.endpoint.map(|endpoint| endpoint.value) {
                Some(file_model::OvhEndpoint::Ca) => OvhEndpoint::Ca,
                Some(file_model::OvhEndpoint::Us) => OvhEndpoint::Us,
                Some(file_model::OvhEndpoint::Eu) | None => OvhEndpoint::Eu,
            },
            application_key: self.word(raw.application_key.as_ref())?,
            application_secret: application_secret?,
            consumer_key: consumer_key?,
        }))
    }

    fn google(&mut self, raw: &file_model::Google) -> Option<Provider> {
        let service_account = self.path(raw.service_account.as_ref());
        let project = self.word(raw.project.as_ref());
        Some(Provider::Google(dns::Google {
            service_account: service_account?,
            project: project?,
            managed_zone: self.word(raw.managed_zone.as_ref()),
        }))
    }

    fn azure(&mut self, raw: file_model::Azure) -> Option<Provider> {
        let client_secret = raw.client_secret.and_then(|secret| self.secret(secret));
        let tenant_id = self.word(raw.tenant_id.as_ref());
        let client_id = self.word(raw.client_id.as_ref());
        let subscription_id = self.word(raw.subscription_id.as_ref());
        let resource_group = self.word(raw.resource_group.as_ref());
        Some(Provider::Azure(dns::Azure {
            environment: match raw.environment.map(|environment| environment.value) {
                Some(file_model::AzureEnvironment::China) => AzureEnvironment::China,
                Some(file_model::AzureEnvironment::UsGovernment) => AzureEnvironment::UsGovernment,
                Some(file_model::AzureEnvironment::Public) | None => AzureEnvironment::Public,
            },
            tenant_id: tenant_id?,
            client_id: client_id?,
            client_secret: client_secret?,
            subscription_id: subscription_id?,
            resource_group: resource_group?,
        }))
    }

    fn powerdns(&mut self, raw: file_model::Powerdns) -> Option<Provider> {
        let url = self.parse(raw.url.as_ref()?, api_url);
        let key = raw.key.and_then(|key| self.secret(key));
        let server_id = match &raw.server_id {
            Some(_) => self.word(raw.server_id.as_ref()),
            None => Some(default::POWERDNS_SERVER.to_owned()),
        };
        Some(Provider::Powerdns(dns::Powerdns {
            url: url?,
            key: key?,
            server_id: server_id?,
        }))
    }

    fn infoblox(&mut self, raw: file_model::Infoblox) -> Option<Provider> {
        let server = self.parse(raw.server.as_ref()?, |text| server(text, HTTPS_PORT));
        let password = raw.password.and_then(|password| self.secret(password));
        let user = self.word(raw.user.as_ref());
        let view = match &raw.view {
            Some(_) => self.word(raw.view.as_ref()),
            None => Some(default::INFOBLOX_VIEW.to_owned()),
        };
        Some(Provider::Infoblox(dns::Infoblox {
            server: server?,
            user: user?,
            password: password?,
            view: view?,
        }))
    }

    fn dns_program(&mut self, raw: file_model::DnsProgram) -> Option<Provider> {
        let program = self.path(raw.program.as_ref());
        let arguments = raw.arguments.into_iter().flat_map(|list| list.value);
        Some(Provider::Exec(dns::Exec {
            arguments: arguments.map(|argument| argument.value).collect(),
            program: program?,
        }))
    }

    /// An identifier that the provider assigned: anything that is not empty and has no blanks.
    fn word(&mut self, raw: Option<&Placed<String>>) -> Option<String> {
        self.parse(raw?, |text| {
            if text.is_empty() || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
                let hint = "an id has no blanks in it and is not empty";
                return Err(Wrong::new("this cannot be an id", hint));
            }
            Ok(text.to_owned())
        })
    }
}

/// `HOST` or `HOST:PORT`; an IPv6 address may stand without brackets when it has no port.
fn server(text: &str, port: u16) -> Result<Endpoint, Wrong> {
    let is_bare_ipv6 = text.parse::<std::net::Ipv6Addr>().is_ok();
    let has_port = !is_bare_ipv6 && !text.ends_with(']') && text.contains(':');
    let with_port = match (has_port, is_bare_ipv6) {
        (true, _) => text.to_owned(),
        (false, true) => format!("[{text}]:{port}"),
        (false, false) => format!("{text}:{port}"),
    };
    values::endpoint(&with_port).map_err(|_| {
        Wrong::new(
            format!("`{text}` is not a host"),
            "write HOST or HOST:PORT, such as \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
        )
    })
}

/// The URL of an API whose key is sent with each call: in clear text to this machine only.
fn api_url(text: &str) -> Result<Url, Wrong> {
    let wrong = |message: &str| {
        let hint = "write https://HOST:PORT, or http://127.0.0.1:PORT for this machine";
        Wrong::new(message, hint)
    };
    let url: Url = text.parse().map_err(|_| wrong("this is not a URL"))?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    let has_more = url.query().is_some() || url.fragment().is_some();
    if !url.username().is_empty() || url.password().is_some() || has_more {
        return Err(wrong("this URL holds more than a host and a path"));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        "http" => Err(wrong("the API key would be sent in clear text")),
        _ => Err(wrong("this is not the URL of an HTTP API")),
    }
}

const HTTPS_PORT: u16 = 443;
