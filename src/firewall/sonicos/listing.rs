//! The device's own lists of certificates (SonicOS reference 3.2): rows, and what kind of object each is.

use serde_json::Value;

use super::LONGEST_ALIAS_BYTES;
use crate::firewall::ObjectKind;
use crate::pki::Certificate;

/// One row of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) alias: String,
    /// The other columns, as the device writes them.
    pub(super) columns: Vec<(String, String)>,
}

/// What a row says about its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    /// A CA certificate, in which we have no interest.
    Ca,
    /// Ours to report.
    Object(ObjectKind),
    /// Only the detail shows it.
    Unclear,
}

/// The rows of a listing: a bare array, one single row, either of them in an object, or nothing. `None` when it is
/// something else, or holds a list that cannot be read: what is in that must not pass for nothing.
pub(super) fn rows(json: &Value) -> Option<Vec<Row>> {
    match found(json) {
        Found::Rows(rows) => Some(rows),
        Found::Unreadable | Found::Nothing => None,
    }
}

/// What a part of an answer holds.
enum Found {
    Rows(Vec<Row>),
    /// A list of something else.
    Unreadable,
    /// No list.
    Nothing,
}

fn found(json: &Value) -> Found {
    match json {
        Value::Null => Found::Rows(Vec::new()),
        Value::Array(rows) => rows
            .iter()
            .map(row)
            .collect::<Option<_>>()
            .map_or(Found::Unreadable, Found::Rows),
        Value::Object(members) if members.is_empty() => Found::Rows(Vec::new()),
        Value::Object(members) => match row(json) {
            Some(row) => Found::Rows(vec![row]),
            None => found_within(members),
        },
        _ => Found::Nothing,
    }
}

/// All lists in an object: an empty one beside another must not pass for a device without certificates.
fn found_within(members: &serde_json::Map<String, Value>) -> Found {
    let mut all: Option<Vec<Row>> = None;
    for member in members.values().filter(|member| !member.is_null()) {
        match found(member) {
            Found::Rows(rows) => all.get_or_insert_default().extend(rows),
            Found::Unreadable => return Found::Unreadable,
            Found::Nothing => {}
        }
    }
    all.map_or(Found::Nothing, Found::Rows)
}

impl Row {
    /// A row. A name is kept no longer than a name can be: the rest of it is no name of ours, nor of anything that is asked
    /// for.
    pub(super) fn new(alias: &str, columns: Vec<(String, String)>) -> Self {
        let end = alias.floor_char_boundary(LONGEST_ALIAS_BYTES);
        Self {
            alias: alias.get(..end).unwrap_or(alias).to_owned(),
            columns,
        }
    }

    /// What the row says: the word "request" in its type, or the type that is documented for a certificate.
    pub(super) fn kind(&self) -> RowKind {
        let kind = self.column("type").to_ascii_lowercase();
        let mut words = kind.split(|character: char| !character.is_ascii_alphanumeric());
        if kind.contains("request") {
            RowKind::Object(ObjectKind::PendingRequest)
        } else if words.any(|word| word == "ca") {
            RowKind::Ca
        } else if kind.trim() == "local certificate" {
            RowKind::Object(ObjectKind::Certificate)
        } else {
            RowKind::Unclear
        }
    }

    fn column(&self, name: &str) -> &str {
        let column = self.columns.iter().find(|(known, _)| known == name);
        column.map(|(_, text)| text.as_str()).unwrap_or_default()
    }
}

/// What the detail of an object says: without an issuer and a serial number it has no certificate yet.
pub(super) fn kind_by_detail(detail: &[(String, String)]) -> ObjectKind {
    let is_set = |wanted: &str| {
        detail
            .iter()
            .any(|(name, text)| name.ends_with(wanted) && !text.is_empty())
    };
    if is_set("issuer") || is_set("serial_number") {
        ObjectKind::Certificate
    } else {
        ObjectKind::PendingRequest
    }
}

/// What the detail of an object says that cannot be said of `leaf`. How the device writes a serial number is not
/// documented, so only a text that is surely hexadecimal, and another number, is a contradiction.
pub(super) fn mismatches(detail: &[(String, String)], leaf: &Certificate) -> Vec<String> {
    let serial = detail
        .iter()
        .find(|(name, _)| name.ends_with("serial_number"))
        .map(|(_, text)| text.as_str());
    let reported = serial.and_then(hexadecimal);
    match reported {
        Some(reported) if reported != leaf.serial.trim_start_matches('0') => {
            vec![format!(
                "the firewall reports the serial number {reported}, but {} was sent",
                leaf.serial
            )]
        }
        _ => Vec::new(),
    }
}

/// A serial number's digits without prefix, separators and leading zeros; `None` when they may be decimal.
fn hexadecimal(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let is_marked = text.starts_with("0x") || text.contains(':');
    let digits: String = text
        .trim_start_matches("0x")
        .chars()
        .filter(|c| !matches!(c, ':' | '-' | ' '))
        .collect();
    let is_hexadecimal = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit());
    let has_letters = digits.chars().any(|c| c.is_ascii_alphabetic());
    (is_hexadecimal && (is_marked || has_letters))
        .then(|| digits.trim_start_matches('0').to_owned())
}

/// The texts of a flat object; empty ones are left out.
pub(super) fn columns(json: &Value) -> Vec<(String, String)> {
    let members = json.as_object().into_iter().flatten();
    members
        .filter(|(name, _)| *name != NAME)
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.trim().to_owned())))
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

fn row(json: &Value) -> Option<Row> {
    Some(Row::new(json.get(NAME)?.as_str()?, columns(json)))
}

pub(super) const NAME: &str = "certificate";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use serde_json::json;

    use super::*;

    fn kind(text: &str) -> RowKind {
        rows(&json!([{ "certificate": "x", "type": text }])).unwrap()[0].kind()
    }

    #[test]
    fn the_kind_is_read_from_the_type_where_it_is_clear() {
        assert_eq!(
            kind("Local certificate"),
            RowKind::Object(ObjectKind::Certificate)
        );
        assert_eq!(
            kind("Pending request"),
            RowKind::Object(ObjectKind::PendingRequest)
        );
        assert_eq!(
            kind("CERTIFICATE SIGNING REQUEST"),
            RowKind::Object(ObjectKind::PendingRequest)
        );
        assert_eq!(kind("CA certificate"), RowKind::Ca);
        assert_eq!(kind("Local"), RowKind::Unclear);
        assert_eq!(kind(""), RowKind::Unclear);
    }

    #[test]
    fn the_detail_decides_where_the_type_is_unclear() {
        let detail = |issuer: &str| {
            columns(&json!({ "certificate": "x", "certificate_issuer": issuer, "status": "?" }))
        };
        assert_eq!(kind_by_detail(&detail("CN=CA")), ObjectKind::Certificate);
        assert_eq!(kind_by_detail(&detail("  ")), ObjectKind::PendingRequest);
    }

    #[test]
    fn a_serial_number_is_compared_only_where_it_is_surely_hexadecimal() {
        assert_eq!(hexadecimal("0x00AB12"), Some("ab12".to_owned()));
        assert_eq!(hexadecimal("00:12:34"), Some("1234".to_owned()));
        assert_eq!(hexadecimal("123456789"), None);
        assert_eq!(hexadecimal("serial"), None);
        assert_eq!(hexadecimal(""), None);
    }

    #[test]
    fn lists_come_as_arrays_or_alone_or_empty() {
        let row = json!({ "certificate": "x", "type": "Local certificate", "validated": "Yes", "expires_on": "" });
        assert_eq!(rows(&json!([row, row])).unwrap().len(), 2);
        assert_eq!(rows(&row).unwrap()[0].columns.len(), 2);
        assert_eq!(
            (rows(&json!({})), rows(&json!(null)), rows(&json!([]))),
            (Some(vec![]), Some(vec![]), Some(vec![]))
        );
        let wrapped = json!({ "certificates": { "note": "x", "status": [row, row] } });
        assert_eq!(rows(&wrapped).unwrap().len(), 2);
        let apart = json!({ "built_in": [], "imported": [row], "requests": { "all": [row] } });
        assert_eq!(rows(&apart).unwrap().len(), 2);
        assert_eq!(rows(&json!({ "certificates": [] })), Some(vec![]));
        assert_eq!(rows(&json!([{ "name": "x" }])), None);
        assert_eq!(rows(&json!("text")), None);
    }

    #[test]
    fn a_name_of_any_length_is_kept_no_longer_than_a_name_can_be() {
        let long = "ü".repeat(1 << 20);
        let row = rows(&json!([{ "certificate": long }])).unwrap().remove(0);
        assert_eq!(row.alias.len(), LONGEST_ALIAS_BYTES);
        let text = format!("Name|Type\n{long}|Local certificate");
        let row = crate::firewall::sonicos::table::rows(&text)
            .unwrap()
            .remove(0);
        assert_eq!(row.alias.len(), LONGEST_ALIAS_BYTES);
    }

    #[test]
    fn a_list_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        for listing in [
            json!({ "local": [{ "name": "fw-1" }], "ca": [] }),
            json!({ "reporting": { "local": ["fw-1"] }, "ca": [] }),
        ] {
            assert_eq!(rows(&listing), None, "{listing}");
        }
        let listing = json!({ "local": [{ "certificate": "fw-1" }], "ca": [], "total": 1, "page": { "next": null } });
        assert_eq!(rows(&listing).unwrap().len(), 1);
    }
}
