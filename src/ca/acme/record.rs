//! What is stored of an order between two polls: its URL, the CA that it was placed at, and what the interpretation of
//! the next answer depends on. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::ca::Reference;
use crate::failure::Failure;

/// The reference of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub order: Url,
    /// The directory of the CA that the order was placed at; `None`: an older renewd placed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Url>,
    /// Whether the CA took our CSR for this order. If it did not and the order has a certificate anyway, the
    /// certificate is another client's: a CA may give one order to two clients that ask for the same names (CA rules
    /// reference 5).
    #[serde(default, skip_serializing_if = "is_false")]
    pub finalized: bool,
    /// Since when the CA answers that it does not know the order or a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<Timestamp>,
}

/// How a denial of the CA is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It may be wrong: ask again after this time.
    AskAgain(SignedDuration),
    /// The CA has repeated it for minutes.
    Confirmed,
}

impl Record {
    /// An order that was just placed.
    pub fn new(order: Url, directory: Url) -> Self {
        Self {
            order,
            directory: Some(directory),
            finalized: false,
            unknown_since: None,
        }
    }

    /// Reads what was stored; an older renewd stored the URL alone.
    pub fn read(reference: &Reference) -> Result<Self, Failure> {
        let text = &reference.0;
        if text.starts_with('{') {
            return serde_json::from_str(text)
                .map_err(|error| Failure::local("read the reference", format!("{text}: {error}")));
        }
        let order =
            Url::parse(text).map_err(|error| Failure::local("poll", format!("{text}: {error}")))?;
        Ok(Self {
            order,
            directory: None,
            finalized: false,
            unknown_since: None,
        })
    }

    /// What is stored.
    pub fn to_reference(&self) -> Reference {
        Reference(serde_json::to_string(self).unwrap_or_else(|_| self.order.to_string()))
    }

    /// Whether the order was placed at the CA of `directory`.
    pub fn is_of(&self, directory: &Url) -> bool {
        match &self.directory {
            Some(stored) => stored == directory,
            None => self.order.origin() == directory.origin(),
        }
    }

    /// Notes that the CA denied at `now` what it had confirmed before, first at `before`. A single such answer is no
    /// proof: servers of one CA learn of an order one after the other.
    pub fn doubt(&mut self, before: Option<Timestamp>, now: Timestamp) -> Doubt {
        // A clock that was set back begins the time anew.
        let since = before.filter(|since| *since <= now).unwrap_or(now);
        self.unknown_since = Some(since);
        let waited = since.duration_until(now);
        if waited >= UNTIL_CONFIRMED {
            return Doubt::Confirmed;
        }
        Doubt::AskAgain(waited.clamp(SOONEST_CHECK, LATEST_CHECK))
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The URL of the order, for people; `None`: it is no reference of this kind of CA.
pub fn display(reference: &Reference) -> Option<String> {
    Some(order_of(reference)?.to_string())
}

/// Whether both are the same order: a CA may give one that is open to a second request for the same names.
pub fn is_same_order(one: &Reference, other: &Reference) -> bool {
    let order = order_of(one);
    order.is_some() && order == order_of(other)
}

fn order_of(reference: &Reference) -> Option<Url> {
    let record = Record::read(reference).ok()?;
    record.order.has_host().then_some(record.order)
}

/// A denial is confirmed when the CA has repeated it for this time.
const UNTIL_CONFIRMED: SignedDuration = SignedDuration::from_mins(10);
/// Between two requests in that time.
const SOONEST_CHECK: SignedDuration = SignedDuration::from_secs(5);
const LATEST_CHECK: SignedDuration = SignedDuration::from_mins(2);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn record() -> Record {
        Record::new(
            url("https://files.example.com/order/1"),
            url("https://acme.example.com/directory"),
        )
    }

    #[test]
    fn a_record_is_read_as_it_was_stored() {
        let mut record = record();
        assert_eq!(Record::read(&record.to_reference()).unwrap(), record);
        record.finalized = true;
        record.doubt(None, "2026-11-22T10:00:00Z".parse().unwrap());
        assert_eq!(Record::read(&record.to_reference()).unwrap(), record);
    }

    #[test]
    fn the_ca_of_an_order_is_the_one_that_was_stored_with_it_and_not_the_origin_of_its_url() {
        let record = record();
        assert!(record.is_of(&url("https://acme.example.com/directory")));
        assert!(!record.is_of(&url("https://files.example.com/directory")));
        assert!(!record.is_of(&url("https://acme.example.com/staging/directory")));
    }

    #[test]
    fn an_order_of_an_older_renewd_is_still_found() {
        let stored = Reference("https://acme.example.com/order/1".to_owned());
        let record = Record::read(&stored).unwrap();
        assert!(record.is_of(&url("https://acme.example.com/directory")));
        assert!(!record.is_of(&url("https://other.example.com/directory")));
        assert!(Record::read(&Reference("7".to_owned())).is_err());
    }

    #[test]
    fn an_order_is_shown_by_its_url_and_compared_by_it() {
        let mut first = record();
        let second = record().to_reference();
        first.finalized = true;
        let first = first.to_reference();
        assert_eq!(
            display(&first).as_deref(),
            Some("https://files.example.com/order/1")
        );
        assert!(is_same_order(&first, &second));
        let stored = Reference("https://files.example.com/order/2".to_owned());
        assert!(!is_same_order(&first, &stored));
        for other in ["7", "{\"common_name\":\"x\"}", "issued\n", "urn:order:1"] {
            let other = Reference(other.to_owned());
            assert_eq!(display(&other), None);
            assert!(!is_same_order(&other, &other));
        }
    }

    #[test]
    fn a_denial_of_the_ca_is_confirmed_only_after_minutes() {
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let mut record = record();
        let (mut now, mut before, mut looks) = (start, None, 0);
        while let Doubt::AskAgain(wait) = record.doubt(before, now) {
            before = record.unknown_since;
            now += wait;
            looks += 1;
        }
        let minutes = start.duration_until(now).as_mins();
        assert!((10..15).contains(&minutes), "{minutes}");
        assert!((5..20).contains(&looks), "{looks}");
    }
}
