//! The certificates that the server stores. After a lost answer they show whether one was signed (PAM360 reference 6).
//! Every renewal has a fresh key, so "its public key is ours" is an exact test.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::content;
use super::envelope::{Verdict, field, text};
use super::session::Session;
use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, Csr};

/// How the server addresses a certificate: no call takes its `Certificate_ID` (PAM360 reference 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The common name as the server writes it.
    pub common_name: String,
    /// The serial number as the server writes it.
    pub serial_number: String,
}

/// What getCertificate gave.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Certificates, in no particular order.
    Here(Vec<Certificate>),
    /// Nothing came: it is not stored yet.
    NotYet,
    /// There is none, the server says.
    Missing(String),
}

/// The result of a search in all stored certificates.
#[derive(Debug)]
pub(super) enum Search {
    /// The certificate with our key, and what came with it.
    Found(Address, Vec<Certificate>),
    /// Surely none.
    Nothing,
    /// One may be ours and could not be fetched; in words.
    Doubt(String),
}

/// Asks for one certificate.
pub(super) async fn fetch(session: &Session<'_>, address: &Address) -> Result<Fetched, Failure> {
    let Address {
        common_name,
        serial_number,
    } = address;
    let file_type = &session.settings.dialect.certificate_file_type;
    let answer = session
        .certificate(common_name, serial_number, file_type)
        .await?;
    if answer.status == 404 {
        return Ok(Fetched::Missing(answer.evidence()));
    }
    let is_file = answer.status < 300 && answer.body.trim_ascii_start().first() != Some(&b'{');
    if !is_file {
        let envelope = session.open(&answer, false)?;
        if envelope.verdict == Verdict::Declined {
            return Ok(Fetched::Missing(envelope.words(&answer)));
        }
    }
    match content::certificates(&answer.body) {
        Ok(found) if found.is_empty() => Ok(Fetched::NotYet),
        Ok(found) => Ok(Fetched::Here(found)),
        // A web page has its own words.
        Err(_) if answer.is_html() => Err(answer.json().err().unwrap_or_else(|| {
            answer.failure(
                FailureKind::Unexpected,
                "a web page came instead of a certificate",
            )
        })),
        Err(error) => Err(answer.failure(FailureKind::Unexpected, error)),
    }
}

/// Searches a certificate with the key of `csr` that was requested after `planned_at`.
pub(super) async fn find(
    session: &Session<'_>,
    csr: &Csr,
    planned_at: Timestamp,
) -> Result<Search, Failure> {
    let rows = session.list_certificates().await?;
    let mut doubt = None;
    let candidates = candidates(&rows, csr, planned_at)?;
    if candidates.len() > MOST_FETCHES {
        let words = format!(
            "{} certificates of our names are stored that may be ours, and no more than {MOST_FETCHES} are fetched: delete expired and replaced ones of {} there",
            candidates.len(),
            csr.common_name().unwrap_or("our names")
        );
        return Err(Failure::new(FailureKind::Unexpected, CALL, words));
    }
    for address in candidates {
        let words = match fetch(session, &address).await? {
            Fetched::Here(found) => {
                if found.iter().any(|one| one.public_key == csr.public_key) {
                    return Ok(Search::Found(address, found));
                }
                continue;
            }
            Fetched::NotYet => "an empty answer".to_owned(),
            Fetched::Missing(words) => words,
        };
        doubt = Some(format!(
            "{} with the serial number {} is listed and cannot be fetched ({words}), so it may be ours",
            address.common_name, address.serial_number
        ));
    }
    Ok(doubt.map_or(Search::Nothing, Search::Doubt))
}

/// The certificates that may be ours: of one of our names, and not expired before the renewal began. Those that last
/// longest come first: ours is among the newest.
pub(super) fn candidates(
    rows: &[Value],
    csr: &Csr,
    planned_at: Timestamp,
) -> Result<Vec<Address>, Failure> {
    let names = names(csr);
    let mut found: Vec<(Timestamp, Address)> = Vec::new();
    for row in rows {
        let value = |name| field(row, name).and_then(text);
        if !is_of(row, &names)? {
            continue;
        }
        // A date in another language may be any.
        let end = value("ExpiryDate").and_then(|text| end_of(&text));
        let end = end.unwrap_or(Timestamp::MAX);
        if end < planned_at {
            continue;
        }
        let Some(serial_number) = value("serialNumber") else {
            return Err(doubt("a row without a serial number", row));
        };
        let common_name = value(NAMES[0])
            .or_else(|| value(NAMES[1]))
            .unwrap_or_default();
        let address = Address {
            common_name,
            serial_number,
        };
        found.push((end, address));
    }
    found.sort_by_key(|(end, _)| std::cmp::Reverse(*end));
    Ok(found.into_iter().map(|(_, address)| address).collect())
}

/// Whether the certificate of `row` has one of `names`. A certificate without any name has none of ours. A row without
/// the keys has an unknown form, which is an error.
fn is_of(row: &Value, names: &[String]) -> Result<bool, Failure> {
    let fields: Vec<&Value> = NAMES.iter().filter_map(|name| field(row, name)).collect();
    if fields.is_empty() {
        return Err(doubt("a row that has no key for a name", row));
    }
    let is_ours = |name: &str| names.contains(&name.to_ascii_lowercase());
    Ok(fields
        .into_iter()
        .filter_map(text)
        .any(|value| is_ours(&value) || value.split([',', ' ']).any(is_ours)))
}

fn doubt(what: &str, row: &Value) -> Failure {
    let words = format!("{what}, so it is unknown whether it is ours: {row}");
    Failure::new(FailureKind::Unexpected, CALL, words)
}

/// The names under which a certificate for `csr` may be listed, in lower case.
fn names(csr: &Csr) -> Vec<String> {
    let alternate = csr.alternate_names.iter().map(ToString::to_string);
    csr.common_name()
        .map(str::to_owned)
        .into_iter()
        .chain(alternate)
        .map(|name| name.to_ascii_lowercase())
        .collect()
}

/// The end of the last day on earth that may be meant by "Jan 2, 2026". `None`: another language.
fn end_of(text: &str) -> Option<Timestamp> {
    let date = Date::strptime("%b %d, %Y", text).ok()?;
    let end = date.checked_add(jiff::Span::new().days(2)).ok()?;
    Some(end.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// The keys of a row for its common name and its other names (PAM360 reference 5).
const NAMES: [&str; 2] = ["Common Name", "DNS Name/FQDN"];
/// Each costs a call. Where dates can be read there are two or three.
const MOST_FETCHES: usize = 100;
/// The name of the look in failures.
pub(super) const CALL: &str = "look for our key among the stored certificates";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use rcgen::KeyPair;
    use serde_json::json;

    use super::*;
    use crate::pki::testing::{csr, csr_params, now};

    fn serials(rows: &Value) -> Result<Vec<String>, String> {
        let csr = csr(&csr_params(), &KeyPair::generate().unwrap());
        candidates(rows.as_array().unwrap(), &csr, now())
            .map(|found| found.into_iter().map(|one| one.serial_number).collect())
            .map_err(|failure| failure.detail)
    }

    #[test]
    fn rows_of_our_names_are_candidates_the_longest_lasting_first() {
        let rows = json!([
            {"Common Name": "vpn.example.com", "serialNumber": "01", "ExpiryDate": "Jan 5, 2027"},
            {"Common Name": "other.example.com", "serialNumber": "02", "ExpiryDate": "Jan 5, 2027"},
            {"commonName": "VPN.example.com", "SerialNumber": 3, "expiry_date": "Feb 5, 2027"},
            {"Common Name": "", "DNS Name/FQDN": null, "serialNumber": "05"},
            {"Common Name": "x", "DNS Name/FQDN": "www.example.com, vpn.example.com", "serialNumber": "04", "ExpiryDate": "5 févr. 2027"},
        ]);
        assert_eq!(serials(&rows).unwrap(), ["04", "3", "01"]);
    }

    #[test]
    fn what_expired_before_the_renewal_began_is_not_asked_for() {
        let row = |date: &str| json!([{"Common Name": "vpn.example.com", "serialNumber": "01", "ExpiryDate": date}]);
        assert_eq!(serials(&row("Nov 20, 2026")).unwrap().len(), 0);
        assert_eq!(
            serials(&row("Nov 21, 2026")).unwrap().len(),
            1,
            "a zone behind"
        );
        assert_eq!(serials(&row("20.11.2026")).unwrap().len(), 1, "unknown");
    }

    #[test]
    fn an_unreadable_row_is_an_error_and_not_an_absence() {
        for rows in [
            json!([{"Name": "vpn.example.com", "serialNumber": "01"}]),
            json!([{"Common Name": "vpn.example.com"}]),
            json!(["vpn.example.com"]),
        ] {
            assert!(serials(&rows).is_err(), "{rows}");
        }
        assert_eq!(serials(&json!([{"Common Name": "x"}])), Ok(vec![]));
    }
}
