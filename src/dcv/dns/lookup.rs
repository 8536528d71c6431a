//! DNS queries: to the name servers of the system, to configured ones, or to a single one. Nothing is cached between
//! two queries.

use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::{Data, Settings};
use crate::failure::{Failure, FailureKind};

/// The resolver that queries are sent to.
pub(super) struct Lookup(TokioResolver);

impl Lookup {
    /// The resolvers of the configuration, or of the system.
    pub fn resolvers(settings: &Settings) -> Result<Self, Failure> {
        if !settings.resolvers.is_empty() {
            return Self::of(&settings.resolvers, true);
        }
        let unread = |error: NetError| {
            let words = format!("{error}: name servers can be written as `resolvers` instead");
            Failure::new(FailureKind::Local, "read /etc/resolv.conf", words)
        };
        let mut builder = TokioResolver::builder_tokio().map_err(unread)?;
        builder.options_mut().cache_size = 0;
        builder.build().map(Self).map_err(unread)
    }

    /// One name server, which answers for its own zones only.
    pub fn server(server: SocketAddr) -> Result<Self, Failure> {
        Self::of(&[server], false)
    }

    fn of(servers: &[SocketAddr], recursion: bool) -> Result<Self, Failure> {
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(at).collect());
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.cache_size = 0;
        options.recursion_desired = recursion;
        options.timeout = TRY_LIMIT;
        options.attempts = RETRIES;
        options.num_concurrent_reqs = 1;
        builder
            .build()
            .map(Self)
            .map_err(|error| Failure::new(FailureKind::Local, "prepare DNS queries", error))
    }

    /// What `name` has of this kind; empty when it has none, or does not exist.
    pub async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, Failure> {
        let call = format!("look up {kind} of {name}");
        let failed = |words: String| Failure::new(FailureKind::Unreachable, &call, words);
        let mut absolute = Name::from_ascii(name)
            .map_err(|error| Failure::new(FailureKind::Refused, &call, error))?;
        // Otherwise the system's search domains would be tried behind it.
        absolute.set_fqdn(true);
        let lookup = self.0.lookup(absolute.clone(), kind);
        let Ok(answer) = tokio::time::timeout(LIMIT, lookup).await else {
            return Err(failed("no answer in time".to_owned()));
        };
        match answer {
            Ok(answer) => Ok(answer
                .answers()
                .iter()
                .filter(|record: &&Record| record.name == absolute && record.record_type() == kind)
                .map(|record| record.data.clone())
                .collect()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// The name that a CNAME at `name` points to.
    pub async fn cname(&self, name: &str) -> Result<Option<String>, Failure> {
        let records = self.records(name, RecordType::CNAME).await?;
        Ok(records.iter().find_map(|data| match data {
            RData::CNAME(target) => Some(plain(&target.0)),
            _ => None,
        }))
    }

    /// Whether `name` is the top of a zone.
    pub async fn is_zone(&self, name: &str) -> Result<bool, Failure> {
        Ok(!self.records(name, RecordType::SOA).await?.is_empty())
    }

    /// The name servers of `zone`.
    pub async fn name_servers(&self, zone: &str) -> Result<Vec<String>, Failure> {
        let records = self.records(zone, RecordType::NS).await?;
        let names = records.iter().filter_map(|data| match data {
            RData::NS(server) => Some(plain(&server.0)),
            _ => None,
        });
        Ok(names.collect())
    }

    /// The addresses of `host`, with `port`. One kind of them is enough where the other cannot be looked up.
    pub async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let (four, six) = tokio::join!(
            self.records(host, RecordType::A),
            self.records(host, RecordType::AAAA)
        );
        let records = match (four, six) {
            (Ok(four), Ok(six)) => [four, six].concat(),
            (Ok(records), Err(_)) | (Err(_), Ok(records)) if !records.is_empty() => records,
            (Err(failure), _) | (_, Err(failure)) => return Err(failure),
        };
        let addresses = records.iter().filter_map(|data| match data {
            RData::A(ip) => Some(SocketAddr::from((ip.0, port))),
            RData::AAAA(ip) => Some(SocketAddr::from((ip.0, port))),
            _ => None,
        });
        Ok(addresses.collect())
    }

    /// What `name` has of the kind of `like`.
    pub async fn values(&self, name: &str, like: &Data) -> Result<Vec<Data>, Failure> {
        let kind = match like {
            Data::Txt(_) => RecordType::TXT,
            Data::Cname(_) => RecordType::CNAME,
        };
        let records = self.records(name, kind).await?;
        Ok(records.iter().filter_map(value).collect())
    }
}

/// What a record says, if it is of a kind that proves something.
pub(super) fn value(data: &RData) -> Option<Data> {
    match data {
        // A long text is cut into pieces on the wire (RFC 1035, 3.3.14).
        RData::TXT(text) => String::from_utf8(text.txt_data.concat())
            .ok()
            .map(Data::Txt),
        RData::CNAME(target) => Some(Data::Cname(plain(&target.0))),
        _ => None,
    }
}

fn at(server: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = server.port();
            connection
        });
    NameServerConfig::new(server.ip(), true, connections.collect())
}

/// In lower case, without the dot at the end.
fn plain(name: &Name) -> String {
    let text = name.to_ascii();
    // One dot only: another one may belong to the last label, "\.".
    text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase()
}

/// After a packet that was lost.
const RETRIES: usize = 2;

/// For one packet and its answer.
const TRY_LIMIT: Duration = Duration::from_secs(3);

/// For a whole question.
const LIMIT: Duration = Duration::from_secs(10);
