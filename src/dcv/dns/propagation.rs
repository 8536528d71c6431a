//! Whether the name servers that a CA may query show a record. Each name server is queried itself, without a caching
//! resolver.
//!
//! A name server that answers without the record is waited for. One that does not answer, or has no usable address, is
//! inconclusive: it may never answer.

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
    /// Why no address is known.
    unknown: Option<String>,
}

/// Why a name server does not count as one that shows a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lack {
    pub words: String,
    /// Whether it answered; else it said nothing.
    pub contradicts: bool,
}

/// What was seen at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
enum RecordState {
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
        unknown: None,
    };
    servers.iter().map(server).collect()
}

/// Every name server of `zone`.
pub(super) async fn authoritative(lookup: &Lookup, zone: &str) -> Result<Vec<NameServer>, Failure> {
    let names = lookup.name_servers(zone).await?;
    let found = names.into_iter().take(MOST_SERVERS).map(|name| async move {
        let (addresses, unknown) = match lookup.addresses(&name, DNS_PORT).await {
            Ok(addresses) => (addresses, None),
            Err(failure) => (Vec::new(), Some(failure.detail)),
        };
        NameServer {
            name: Some(name),
            addresses,
            unknown,
        }
    });
    let servers: Vec<NameServer> = join_all(found).await;
    if servers.is_empty() {
        let words = "it has none: `zone` can name the zone, `check_servers` those that must show the record";
        let call = format!("find the name servers of {zone}");
        return Err(Failure::new(FailureKind::Refused, call, words));
    }
    Ok(servers)
}

/// Which of `servers` do not show `record`.
pub(super) async fn missing(servers: &[NameServer], record: &Record) -> Vec<Lack> {
    let asked = servers.iter().map(|server| {
        let addresses = server.addresses.iter().map(|address| ask(*address, record));
        join_all(addresses)
    });
    servers
        .iter()
        .zip(join_all(asked).await)
        .filter_map(|(server, seen)| lack(server, &seen))
        .collect()
}

async fn ask(server: SocketAddr, record: &Record) -> RecordState {
    let values = match Lookup::server(server) {
        Ok(lookup) => lookup.values(&record.name, &record.data).await,
        Err(failure) => Err(failure),
    };
    match values {
        Ok(values) if values.contains(&record.data) => RecordState::Record,
        Ok(values) if values.is_empty() => RecordState::Nothing,
        Ok(_) => RecordState::OtherValues,
        Err(failure) => RecordState::Silence(failure.detail),
    }
}

/// What `server` lacks, by the states at its addresses in the same order.
///
/// One address with the record is enough if no other address contradicts it: a machine without IPv6 cannot query all.
fn lack(server: &NameServer, seen: &[RecordState]) -> Option<Lack> {
    let who = |address: &SocketAddr| match &server.name {
        Some(name) => format!("{name} ({address})"),
        None => address.to_string(),
    };
    let mut silence = None;
    let mut shown = false;
    for (address, seen) in server.addresses.iter().zip(seen) {
        match seen {
            RecordState::Record => shown = true,
            RecordState::Nothing => {
                return Some(Lack {
                    words: format!("{} does not show it yet", who(address)),
                    contradicts: true,
                });
            }
            RecordState::OtherValues => {
                return Some(Lack {
                    words: format!("{} shows other values", who(address)),
                    contradicts: true,
                });
            }
            RecordState::Silence(words) => {
                silence.get_or_insert_with(|| format!("{} does not answer: {words}", who(address)));
            }
        }
    }
    if shown {
        return None;
    }
    let words = silence.unwrap_or_else(|| {
        let name = server.name.as_deref().unwrap_or("a name server");
        match &server.unknown {
            Some(words) => format!("{name} has no known address: {words}"),
            None => format!("{name} has no address"),
        }
    });
    Some(Lack {
        words,
        contradicts: false,
    })
}

const DNS_PORT: u16 = 53;

/// Of one zone; DNS has room for hardly more.
const MOST_SERVERS: usize = 32;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    fn server(name: &str, addresses: &[&str]) -> NameServer {
        NameServer {
            name: Some(name.to_owned()),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            unknown: None,
        }
    }

    #[test]
    fn every_address_that_answers_must_show_the_record() {
        let dual = server("ns1.example.com", &["192.0.2.1:53", "[2001:db8::1]:53"]);
        let silence = || RecordState::Silence("timed out".to_owned());
        let cases = [
            ([RecordState::Record, RecordState::Record], None),
            ([RecordState::Record, silence()], None),
            ([silence(), RecordState::Record], None),
            (
                [RecordState::Record, RecordState::Nothing],
                Some((
                    "ns1.example.com ([2001:db8::1]:53) does not show it yet",
                    true,
                )),
            ),
            (
                [silence(), RecordState::OtherValues],
                Some((
                    "ns1.example.com ([2001:db8::1]:53) shows other values",
                    true,
                )),
            ),
            (
                [silence(), silence()],
                Some((
                    "ns1.example.com (192.0.2.1:53) does not answer: timed out",
                    false,
                )),
            ),
        ];
        for (seen, expected) in cases {
            let found = lack(&dual, &seen);
            let found = found.as_ref().map(|lack| (&*lack.words, lack.contradicts));
            assert_eq!(found, expected, "{seen:?}");
        }
    }

    #[test]
    fn a_name_server_without_a_usable_address_says_nothing() {
        let mut server = server("ns2.example.com", &[]);
        let nowhere = lack(&server, &[]).unwrap();
        assert_eq!(nowhere.words, "ns2.example.com has no address");
        assert!(!nowhere.contradicts);
        server.unknown = Some("no answer in time".to_owned());
        let unknown = lack(&server, &[]).unwrap();
        let words = "ns2.example.com has no known address: no answer in time";
        assert_eq!(unknown.words, words);
        assert!(!unknown.contradicts);
    }
}
