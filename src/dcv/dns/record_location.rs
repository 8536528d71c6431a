//! Where a record is written: under the name that the CA asks for, or where the operator or a CNAME delegates it to.

use super::account::Account;
use super::lookup::Lookup;
use super::{Data, Record, Settings};
use crate::failure::{Failure, FailureKind};

/// A record under the name that it is written at, and the zone of that name.
#[derive(Debug)]
pub(super) struct RecordLocation {
    pub record: Record,
    pub zone: String,
}

impl RecordLocation {
    /// Finds it for `record` as the CA asks for it.
    pub async fn find(
        settings: &Settings,
        account: &Account,
        record: &Record,
    ) -> Result<Self, Failure> {
        let record = name(settings, record).await?;
        let zone = match (&settings.zone, &settings.delegate_to) {
            (Some(zone), _) => zone.clone(),
            (None, Some(zone)) if matches!(record.data, Data::Txt(_)) => zone.clone(),
            (None, _) => find_zone(settings, account, &record.name).await?,
        };
        if !is_below(&record.name, &zone) {
            let words = format!("{} is not in `zone`, {zone}", record.name);
            return Err(Failure::new(FailureKind::Local, CALL, words));
        }
        Ok(Self { record, zone })
    }
}

/// `record` under the name that it is written at.
///
/// A CNAME record is never delegated: it would be taken for the delegation itself.
pub(super) async fn name(settings: &Settings, record: &Record) -> Result<Record, Failure> {
    if matches!(record.data, Data::Cname(_)) {
        return Ok(record.clone());
    }
    let name = match &settings.delegate_to {
        Some(zone) => format!("{}.{zone}", record.name),
        None if settings.follow_cname => {
            follow(&Lookup::resolvers(settings)?, record.name.clone()).await?
        }
        None => record.name.clone(),
    };
    // The name may come from a CNAME that another administrator wrote.
    record.named(&name)
}

/// The zone that `name` is in: the nearest name at or above it that has an SOA record.
pub(super) async fn zone_of(lookup: &Lookup, name: &str) -> Result<String, Failure> {
    let mut candidate = Some(name);
    while let Some(zone) = candidate {
        if lookup.is_zone(zone).await? {
            return Ok(zone.to_owned());
        }
        candidate = zone.split_once('.').map(|(_, parent)| parent);
    }
    let words = format!("no zone was found for {name}: `zone` can name it");
    Err(Failure::new(FailureKind::Refused, CALL, words))
}

async fn find_zone(settings: &Settings, account: &Account, name: &str) -> Result<String, Failure> {
    // A primary name server knows its own zones, also those that it hides from other clients.
    if let Some(server) = account.primary()
        && let Ok(zone) = zone_of(&Lookup::server(server)?, name).await
    {
        return Ok(zone);
    }
    zone_of(&Lookup::resolvers(settings)?, name).await
}

/// The end of the chain of CNAMEs that begins at `name`.
async fn follow(lookup: &Lookup, name: String) -> Result<String, Failure> {
    let mut end = name;
    for _ in 0..LONGEST_CHAIN {
        match lookup.cname(&end).await? {
            Some(next) => end = next,
            None => return Ok(end),
        }
    }
    let words = format!("the CNAMEs that lead to {end} do not end");
    Err(Failure::new(FailureKind::Refused, CALL, words))
}

fn is_below(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

const CALL: &str = "find the place of a record";

/// As Let's Encrypt follows at most.
const LONGEST_CHAIN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_a_zone_by_whole_labels() {
        assert!(is_below("_acme-challenge.example.com", "example.com"));
        assert!(is_below("example.com", "example.com"));
        assert!(!is_below("_acme-challenge.badexample.com", "example.com"));
        assert!(!is_below("com", "example.com"));
    }
}
