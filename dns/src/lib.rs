//! The only crate of renewd that uses dns-update. The methods of dns-update are generic over every provider, and would
//! otherwise be compiled into their caller (the build of renewd took a quarter of an hour with them).
//!
//! There is one boxed, non-generic function per operation. It takes plain texts and returns a classified failure. The
//! crate is independent of proofs, and keeps no secret longer than its caller keeps an [`Updater`].

mod login;
mod problem;

use std::future::Future;
use std::pin::Pin;

use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};

pub use login::{Algorithm, Azure, AzureCloud, Infoblox, Ovh, OvhApi, TsigKey};
pub use problem::Problem;

/// A way to change the records of one provider.
#[derive(Clone)]
pub struct Updater(DnsUpdater);

/// The kinds of record that prove control over a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A text.
    Txt(String),
    /// Another name, without the dot at its end.
    Cname(String),
}

/// The result of an operation.
pub type Outcome<T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send>>;

impl Updater {
    /// Adds `record` to those of its kind that `name` has; one that is there is fine. `ttl` is in seconds.
    pub fn add(&self, name: &str, record: Record, ttl: u32, zone: &str) -> Outcome<()> {
        let (updater, name, zone) = self.with(name, zone);
        Box::pin(async move {
            let kind = record.kind();
            updater
                .add_to_rrset(name, kind, ttl, vec![record.into()], zone)
                .await
                .map_err(Problem::from)
        })
    }

    /// Puts `record` in the place of all of its kind that `name` has. `ttl` is in seconds.
    pub fn set(&self, name: &str, record: Record, ttl: u32, zone: &str) -> Outcome<()> {
        let (updater, name, zone) = self.with(name, zone);
        Box::pin(async move {
            let kind = record.kind();
            updater
                .set_rrset(name, kind, ttl, vec![record.into()], zone)
                .await
                .map_err(Problem::from)
        })
    }

    /// Removes `record` and keeps others of its kind; one that is not there is fine.
    pub fn remove(&self, name: &str, record: Record, zone: &str) -> Outcome<()> {
        let (updater, name, zone) = self.with(name, zone);
        Box::pin(async move {
            let kind = record.kind();
            updater
                .remove_from_rrset(name, kind, vec![record.into()], zone)
                .await
                .map_err(Problem::from)
        })
    }

    /// The records of the kind of `like` that `name` has.
    pub fn list(&self, name: &str, like: &Record, zone: &str) -> Outcome<Vec<Record>> {
        let (updater, name, zone) = self.with(name, zone);
        let kind = like.kind();
        Box::pin(async move {
            let records = updater.list_rrset(name, kind, zone).await?;
            Ok(records.into_iter().filter_map(known).collect())
        })
    }

    fn with(&self, name: &str, zone: &str) -> (DnsUpdater, String, String) {
        (self.0.clone(), name.to_owned(), zone.to_owned())
    }
}

impl Record {
    fn kind(&self) -> DnsRecordType {
        match self {
            Self::Txt(_) => DnsRecordType::TXT,
            Self::Cname(_) => DnsRecordType::CNAME,
        }
    }
}

impl From<Record> for DnsRecord {
    fn from(record: Record) -> Self {
        match record {
            Record::Txt(text) => Self::TXT(text),
            Record::Cname(target) => Self::CNAME(target),
        }
    }
}

fn known(record: DnsRecord) -> Option<Record> {
    match record {
        DnsRecord::TXT(text) => Some(Record::Txt(text)),
        DnsRecord::CNAME(target) => Some(Record::Cname(target.trim_end_matches('.').to_owned())),
        _ => None,
    }
}
