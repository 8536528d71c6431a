//! Whether those whom a CA may ask show a record: each name server itself, and no resolver that remembers.

use std::fmt;
use std::net::SocketAddr;

use futures_util::future::join_all;

use super::Record;
use super::lookup::Lookup;
use crate::failure::{Failure, FailureKind};

/// A name server and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameServer {
    /// `None`: it was given by its address.
    name: Option<String>,
    addresses: Vec<SocketAddr>,
}

/// What was seen at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Record,
    Nothing,
    OtherValues,
    /// No answer, or one that says nothing about the record.
    Silence(String),
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        match &self.name {
            Some(name) => write!(f, "{name} ({})", addresses.join(", ")),
            None => f.write_str(&addresses.join(", ")),
        }
    }
}

/// The servers that the operator named.
pub(super) fn fixed(servers: &[SocketAddr]) -> Vec<NameServer> {
    let server = |address: &SocketAddr| NameServer {
        name: None,
        addresses: vec![*address],
    };
    servers.iter().map(server).collect()
}

/// Every name server of `zone`.
pub(super) async fn authoritative(lookup: &Lookup, zone: &str) -> Result<Vec<NameServer>, Failure> {
    let mut servers = Vec::new();
    for name in lookup.name_servers(zone).await? {
        let addresses = lookup.addresses(&name, DNS_PORT).await?;
        servers.push(NameServer {
            name: Some(name),
            addresses,
        });
    }
    if servers.is_empty() {
        let words = "it has none: `zone` can name the zone, `check_servers` those that must show the record";
        let call = format!("find the name servers of {zone}");
        return Err(Failure::new(FailureKind::Refused, call, words));
    }
    Ok(servers)
}

/// Which of `servers` do not show `record`, in words.
pub(super) async fn missing(servers: &[NameServer], record: &Record) -> Option<String> {
    let asked = servers.iter().map(|server| {
        let addresses = server.addresses.iter().map(|address| ask(*address, record));
        join_all(addresses)
    });
    let lacking: Vec<String> = servers
        .iter()
        .zip(join_all(asked).await)
        .filter_map(|(server, seen)| lack(server, &seen))
        .collect();
    let name = format!("{} record of {}", record.kind(), record.name);
    (!lacking.is_empty()).then(|| format!("{name}: {}", lacking.join("; ")))
}

async fn ask(server: SocketAddr, record: &Record) -> Seen {
    let values = match Lookup::server(server) {
        Ok(lookup) => lookup.values(&record.name, &record.data).await,
        Err(failure) => Err(failure),
    };
    match values {
        Ok(values) if values.contains(&record.data) => Seen::Record,
        Ok(values) if values.is_empty() => Seen::Nothing,
        Ok(_) => Seen::OtherValues,
        Err(failure) => Seen::Silence(failure.detail),
    }
}

/// What `server` lacks by what was seen at its addresses, which stand in the same order.
///
/// A server is believed when one address answers, as long as none contradicts: a machine without IPv6 cannot ask all.
fn lack(server: &NameServer, seen: &[Seen]) -> Option<String> {
    let who = |address: &SocketAddr| match &server.name {
        Some(name) => format!("{name} ({address})"),
        None => address.to_string(),
    };
    let mut silence = None;
    let mut shown = false;
    for (address, seen) in server.addresses.iter().zip(seen) {
        match seen {
            Seen::Record => shown = true,
            Seen::Nothing => return Some(format!("{} does not show it yet", who(address))),
            Seen::OtherValues => return Some(format!("{} shows other values", who(address))),
            Seen::Silence(words) => {
                silence.get_or_insert_with(|| format!("{} does not answer: {words}", who(address)));
            }
        }
    }
    if shown {
        return None;
    }
    Some(silence.unwrap_or_else(|| format!("{server} has no address")))
}

const DNS_PORT: u16 = 53;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn server(name: &str, addresses: &[&str]) -> NameServer {
        NameServer {
            name: Some(name.to_owned()),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn every_address_that_answers_must_show_the_record() {
        let dual = server("ns1.example.com", &["192.0.2.1:53", "[2001:db8::1]:53"]);
        let silence = || Seen::Silence("timed out".to_owned());
        let cases = [
            ([Seen::Record, Seen::Record], None),
            ([Seen::Record, silence()], None),
            ([silence(), Seen::Record], None),
            (
                [Seen::Record, Seen::Nothing],
                Some("ns1.example.com ([2001:db8::1]:53) does not show it yet"),
            ),
            (
                [silence(), Seen::OtherValues],
                Some("ns1.example.com ([2001:db8::1]:53) shows other values"),
            ),
            (
                [silence(), silence()],
                Some("ns1.example.com (192.0.2.1:53) does not answer: timed out"),
            ),
        ];
        for (seen, words) in cases {
            assert_eq!(lack(&dual, &seen).as_deref(), words, "{seen:?}");
        }
    }

    #[test]
    fn a_name_server_without_an_address_shows_nothing() {
        let words = lack(&server("ns2.example.com", &[]), &[]).unwrap();
        assert_eq!(words, "ns2.example.com () has no address");
    }
}
