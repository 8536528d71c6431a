//! `validation` of a CA.

mod provider;

use std::net::{IpAddr, SocketAddr};

use jiff::SignedDuration;

use super::Resolver;
use crate::config::file_model::{
    DnsValidation, HttpValidation, OneOrMany, Placed, Validation, default,
};
use crate::config::values::{self, Wrong};
use crate::dcv;
use crate::dcv::dns::{Propagation, Settings};
use crate::dcv::http;

impl Resolver<'_> {
    /// How control over a domain is proven to a CA.
    pub(super) fn validation(&mut self, raw: Placed<Validation>) -> Option<dcv::Settings> {
        match raw.value {
            Validation::Http(http) => self.http_validation(&http).map(dcv::Settings::Http),
            Validation::Dns(dns) => self
                .dns_validation(*dns)
                .map(|settings| dcv::Settings::Dns(Box::new(settings))),
        }
    }

    fn http_validation(&mut self, raw: &HttpValidation) -> Option<http::Settings> {
        let listen = match &raw.listen {
            None => listening(&[default::VALIDATION_LISTEN]),
            Some(listen) => match &listen.value {
                OneOrMany::One(text) => listening(&[text]),
                OneOrMany::Many(texts) => listening(texts),
            },
        };
        match (listen, &raw.listen) {
            (Ok(listen), _) => Some(http::Settings { listen }),
            (Err(wrong), Some(raw)) => {
                self.wrong(&raw.range, wrong);
                None
            }
            (Err(_), None) => None,
        }
    }

    fn dns_validation(&mut self, raw: DnsValidation) -> Option<Settings> {
        let propagation = self.propagation(&raw);
        let zone = self.zone(raw.zone.as_ref());
        let delegate_to = self.zone(raw.delegate_to.as_ref());
        let resolvers = self.name_servers(raw.resolvers.as_ref());
        let limits = (SignedDuration::from_secs(1), SignedDuration::from_mins(10));
        let timeout = self.duration_or(raw.timeout.as_ref(), default::DNS_TIMEOUT, limits);
        let provider = raw
            .provider
            .and_then(|provider| self.dns_provider(provider.value));
        Some(Settings {
            provider: provider?,
            zone,
            ttl: raw.ttl.map_or(default::DNS_TTL, |ttl| ttl.value),
            follow_cname: raw.follow_cname.is_none_or(|follow| follow.value),
            delegate_to,
            resolvers,
            propagation,
            timeout: timeout.unsigned_abs(),
        })
    }

    fn propagation(&mut self, raw: &DnsValidation) -> Propagation {
        let is_checked = raw.check.as_ref().is_none_or(|check| check.value);
        let limits = (SignedDuration::ZERO, SignedDuration::from_hours(1));
        let wait = self.duration_or(raw.wait.as_ref(), default::DNS_WAIT, limits);
        let servers = self.name_servers(raw.check_servers.as_ref());
        let idle = match (is_checked, &raw.check_servers, &raw.wait) {
            (false, Some(servers), _) => Some((
                &servers.range,
                "`check_servers` counts only without `check = false`",
            )),
            (true, _, Some(wait)) => Some((&wait.range, "`wait` counts only with `check = false`")),
            _ => None,
        };
        if let Some((range, message)) = idle {
            let hint = "either name servers are asked for the record, or a time is waited for";
            self.wrong(range, Wrong::new(message, hint));
        }
        match (is_checked, servers.is_empty()) {
            (false, _) => Propagation::Wait(wait),
            (true, true) => Propagation::Authoritative,
            (true, false) => Propagation::Servers(servers),
        }
    }

    fn zone(&mut self, raw: Option<&Placed<String>>) -> Option<String> {
        self.parse(raw?, |text| {
            match values::domain(text.trim_end_matches('.'))? {
                wildcard if wildcard.starts_with('*') => Err(Wrong::new(
                    format!("`{text}` is not a zone"),
                    "for example: \"example.com\"",
                )),
                zone => Ok(zone),
            }
        })
    }

    fn name_servers(&mut self, raw: Option<&Placed<Vec<Placed<String>>>>) -> Vec<SocketAddr> {
        let texts = raw.map_or(&[][..], |list| &list.value);
        texts
            .iter()
            .filter_map(|text| self.parse(text, name_server))
            .collect()
    }
}

/// Addresses to listen at, each port of a family once: `[::]` takes IPv4 too, so the other would find it taken.
fn listening<T: AsRef<str>>(texts: &[T]) -> Result<Vec<SocketAddr>, Wrong> {
    let hint = "write ADDRESS:PORT, such as \"[::]:80\" (IPv4 as well) or \"192.0.2.10:80\"";
    let mut listen: Vec<SocketAddr> = Vec::new();
    for text in texts.iter().map(AsRef::as_ref) {
        let address: SocketAddr = text
            .parse()
            .map_err(|_| Wrong::new(format!("`{text}` is not an address with a port"), hint))?;
        if address.port() == 0 {
            return Err(Wrong::new(format!("`{text}` has no port"), hint));
        }
        if let Some(other) = listen.iter().find(|other| overlap(**other, address)) {
            let message = format!("`{other}` and `{address}` conflict");
            let hint = "\"[::]\" takes every address, of IPv4 too: leave the other one out";
            return Err(Wrong::new(message, hint));
        }
        listen.push(address);
    }
    if listen.is_empty() {
        return Err(Wrong::new("`listen` holds no address", hint));
    }
    Ok(listen)
}

fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |one: IpAddr, other: IpAddr| {
        one == other || one.is_unspecified() && (one.is_ipv6() || other.is_ipv4())
    };
    one.port() == other.port() && (takes(one.ip(), other.ip()) || takes(other.ip(), one.ip()))
}

/// The address of a name server.
fn name_server(text: &str) -> Result<SocketAddr, Wrong> {
    let unbracketed = text.trim_start_matches('[').trim_end_matches(']');
    let only_address = || {
        unbracketed
            .parse()
            .map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT))
    };
    match text.parse().or_else(|_| only_address()) {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err(Wrong::new(
            format!("`{text}` is not the address of a name server"),
            "write ADDRESS or ADDRESS:PORT, such as \"192.0.2.53\" or \"[2001:db8::53]:5353\"",
        )),
    }
}

const DNS_PORT: u16 = 53;

#[cfg(test)]
mod tests;
