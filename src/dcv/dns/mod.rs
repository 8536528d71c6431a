//! Proof by a DNS record. The record is written at the name, at the target of a CNAME or where the operator says. It
//! counts as visible when the name servers that a CA may query show it.
//!
//! Other values under the same name are kept: two certificates may be proven for one name at a time.

mod account;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod lookup;
mod program;
mod propagation;
mod record_location;
mod settings;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{Proof, other_method};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::pki::is_dns_name;
use account::Account;
use lookup::Lookup;
use propagation::{Lack, NameServer};
use record_location::RecordLocation;
pub use settings::{
    Algorithm, Azure, AzureEnvironment, Exec, Google, Infoblox, Ovh, OvhEndpoint, Powerdns,
    Propagation, Provider, Rfc2136, Route53, Settings, Transport,
};

/// A record that proves control over a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record {
    /// The name that the CA queries, in lower case, without the dot at the end.
    pub name: String,
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Data {
    Txt(String),
    /// In lower case, without the dot at the end.
    Cname(String),
}

impl Record {
    /// The record that `proof` asks for; other proofs are refused.
    pub fn of(proof: &Proof) -> Result<Self, Failure> {
        match proof {
            Proof::Txt { name, value } if is_text(value) => Ok(Self {
                name: plain(name)?,
                data: Data::Txt(value.clone()),
            }),
            Proof::Txt { name, .. } => {
                let words = "it is not a short text of plain characters, so it is not written";
                let call = format!("read what the TXT record of {name:?} is to say");
                Err(Failure::new(FailureKind::Refused, call, words))
            }
            Proof::Cname { name, target } => Ok(Self {
                name: plain(name)?,
                data: Data::Cname(plain(target)?),
            }),
            Proof::File { .. } => Err(other_method(proof, "validation.dns")),
        }
    }

    /// The record under another name.
    pub fn named(&self, name: &str) -> Result<Self, Failure> {
        Ok(Self {
            name: plain(name)?,
            data: self.data.clone(),
        })
    }

    /// The kind of record, as in a zone file.
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Txt(_) => "TXT",
            Data::Cname(_) => "CNAME",
        }
    }

    /// As the provider's side has it.
    fn wire(&self) -> ::dns::Record {
        match &self.data {
            Data::Txt(text) => ::dns::Record::Txt(text.clone()),
            Data::Cname(target) => ::dns::Record::Cname(target.clone()),
        }
    }
}

/// `name` in lower case, without the dot at the end. It reaches providers, programs and the paths of URLs, so it is a name and
/// nothing else.
fn plain(name: &str) -> Result<String, Failure> {
    let plain = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if is_dns_name(&plain) && !plain.starts_with("*.") {
        return Ok(plain);
    }
    let words = format!("{name:?} is not a name of a record, so nothing is written there");
    Err(Failure::new(
        FailureKind::Refused,
        "prove control by a record",
        words,
    ))
}

/// Whether `value` is what a proof says: of plain characters, and short enough for one string (RFC 1035, 3.3).
fn is_text(value: &str) -> bool {
    (1..=255).contains(&value.len()) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Writes `record`.
pub(super) async fn present(
    settings: &Settings,
    clock: &dyn Clock,
    record: &Record,
) -> Result<(), Failure> {
    if let Provider::Exec(hook) = &settings.provider {
        let record = record_location::name(settings, record).await?;
        program::present(hook, record, settings.timeout).await?;
    } else {
        let account = Account::open(settings).await?;
        let place = RecordLocation::find(settings, &account, record).await?;
        let _turn = turn(&place.record.name).lock().await;
        match place.record.data {
            Data::Txt(_) => account.add(&place, settings.ttl).await?,
            // A name has one CNAME: another one is of an earlier order.
            Data::Cname(_) => account.set(&place, settings.ttl).await?,
        }
    }
    written_at(record, clock.now());
    Ok(())
}

/// The name servers that do not show `record` yet. One that does not answer is waited for only some minutes: it may
/// never answer, and the CA may not need it.
pub(super) async fn missing(
    settings: &Settings,
    clock: &dyn Clock,
    record: &Record,
) -> Result<Option<String>, Failure> {
    if let Propagation::Wait(wait) = settings.propagation {
        return Ok(still_waiting(wait, clock.now(), record));
    }
    let placed = record_location::name(settings, record).await?;
    let servers = match &settings.propagation {
        Propagation::Servers(servers) => propagation::fixed(servers),
        _ => authoritative(settings, &placed.name).await?,
    };
    let lacking = propagation::missing(&servers, &placed).await;
    if lacking.is_empty() {
        return Ok(None);
    }
    let words: Vec<&str> = lacking.iter().map(|lack| lack.words.as_str()).collect();
    let words = format!(
        "{} record of {}: {}",
        placed.kind(),
        placed.name,
        words.join("; ")
    );
    let now = clock.now();
    let waited = written_at(record, now).duration_until(now);
    if is_to_be_waited_for(&lacking, waited) {
        return Ok(Some(words));
    }
    tracing::warn!(
        lacking = words,
        "name servers that do not answer are not waited for any longer; the CA is asked to validate"
    );
    Ok(None)
}

/// Whether name servers that do not show a record are waited for, `waited` after it was written.
fn is_to_be_waited_for(lacking: &[Lack], waited: SignedDuration) -> bool {
    lacking.iter().any(|lack| lack.contradicts) || (!lacking.is_empty() && waited < PATIENCE)
}

/// The name servers of the zone that `name` is in, as the world sees it.
async fn authoritative(settings: &Settings, name: &str) -> Result<Vec<NameServer>, Failure> {
    let resolvers = Lookup::resolvers(settings)?;
    let zone = match &settings.zone {
        Some(zone) => zone.clone(),
        None => record_location::zone_of(&resolvers, name).await?,
    };
    propagation::authoritative(&resolvers, &zone).await
}

/// Removes `record`.
pub(super) async fn withdraw(settings: &Settings, record: &Record) -> Result<(), Failure> {
    forget(record);
    if let Provider::Exec(hook) = &settings.provider {
        let record = record_location::name(settings, record).await?;
        return program::clean_up(hook, record, settings.timeout).await;
    }
    let account = Account::open(settings).await?;
    let place = RecordLocation::find(settings, &account, record).await?;
    let _turn = turn(&place.record.name).lock().await;
    account.remove(&place).await
}

/// Finds the place of `record`, and tries the login there.
pub(super) async fn rehearse(settings: &Settings, record: &Record) -> Result<(), Failure> {
    if let Provider::Exec(hook) = &settings.provider {
        let record = record_location::name(settings, record).await?;
        return program::rehearse(hook, &record);
    }
    let account = Account::open(settings).await?;
    let place = RecordLocation::find(settings, &account, record).await?;
    account.rehearse(&place).await
}

/// Checks whether records could be written.
pub(super) async fn check(settings: &Settings) -> Result<Vec<(String, String)>, Failure> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![fact(
        "validation",
        format!("dns, {}", settings.provider.name()),
    )];
    if let Provider::Exec(hook) = &settings.provider {
        program::check(hook)?;
        facts.push(fact(
            "validation program",
            hook.program.display().to_string(),
        ));
        return Ok(facts);
    }
    let account = Account::open(settings).await?;
    let known = settings.delegate_to.as_ref().or(settings.zone.as_ref());
    facts.push(fact("validation login", account.try_login(known).await?));
    if let (Some(zone), Propagation::Authoritative) = (known, &settings.propagation) {
        let servers = propagation::authoritative(&Lookup::resolvers(settings)?, zone).await?;
        let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
        facts.push(fact("validation is seen by", names.join(", ")));
    }
    Ok(facts)
}

/// Most providers know only "replace all values", which is read, change and write: one after the other for one name.
fn turn(name: &str) -> &'static tokio::sync::Mutex<()> {
    static TURNS: [tokio::sync::Mutex<()>; 16] = [const { tokio::sync::Mutex::const_new(()) }; 16];
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let index = usize::try_from(hasher.finish() % 16).unwrap_or_default();
    let [first, ..] = &TURNS;
    TURNS.get(index).unwrap_or(first)
}

/// When a record was written first by this process, to know how long it has been there. After a restart the time begins anew,
/// which is late but right.
static WRITTEN: Mutex<BTreeMap<Record, Timestamp>> = Mutex::new(BTreeMap::new());

/// How long a name server that does not answer is waited for. Resolvers give up on one in seconds.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

fn written_at(record: &Record, now: Timestamp) -> Timestamp {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    *written.entry(record.clone()).or_insert(now)
}

fn forget(record: &Record) {
    let mut written = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
    written.remove(record);
}

fn still_waiting(wait: SignedDuration, now: Timestamp, record: &Record) -> Option<String> {
    let seen_from = written_at(record, now).saturating_add(wait).unwrap_or(now);
    (now < seen_from).then(|| {
        let Record { name, .. } = record;
        format!(
            "the {} record of {name} is given until {seen_from} to be seen",
            record.kind()
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn lack(contradicts: bool) -> Lack {
        Lack {
            words: "ns1.example.com".to_owned(),
            contradicts,
        }
    }

    #[test]
    fn a_server_that_contradicts_is_waited_for_and_one_that_is_silent_only_for_minutes() {
        let minutes = SignedDuration::from_mins;
        let silent = [lack(false), lack(false)];
        assert!(is_to_be_waited_for(&silent, minutes(4)));
        assert!(!is_to_be_waited_for(&silent, minutes(5)));
        let mixed = [lack(false), lack(true)];
        assert!(is_to_be_waited_for(&mixed, minutes(600)));
        assert!(!is_to_be_waited_for(&[], minutes(0)));
    }

    #[test]
    fn what_is_not_a_name_or_not_a_plain_text_reaches_no_provider_and_no_program() {
        let txt = |name: &str, value: &str| {
            Record::of(&Proof::Txt {
                name: name.to_owned(),
                value: value.to_owned(),
            })
        };
        let record = txt("_acme-challenge.VPN.example.com.", "abc-_").unwrap();
        assert_eq!(record.name, "_acme-challenge.vpn.example.com");
        let long = format!("{}.example.com", "a.".repeat(130));
        for name in [
            "",
            ".",
            "_acme-challenge..example.com",
            "_acme-challenge.*.example.com",
            "*.example.com",
            "_acme-challenge.example.com/../x",
            "_acme-challenge.example.com?x",
            "-rf.example.com",
            "_acme-challenge.exa mple.com",
            "_acme-challenge.example.com\n",
            "_acme-challenge.exämple.com",
            "_acme-challenge.192.0.2.1",
            &long,
        ] {
            assert!(txt(name, "abc").is_err(), "{name:?}");
            let cname = Proof::Cname {
                name: "_0a.example.com".to_owned(),
                target: name.to_owned(),
            };
            assert!(Record::of(&cname).is_err(), "{name:?}");
            assert!(record.named(name).is_err(), "{name:?}");
        }
        for value in ["", "a\nb", "ä", "a\0", &"a".repeat(256)] {
            assert!(
                txt("_acme-challenge.example.com", value).is_err(),
                "{value:?}"
            );
        }
    }
}
