//! What `show` shows: JSON for the API, text for a terminal (SonicOS reference 3.2, 3.9).
//! guess: every layout of the text.

use serde_json::{Map, Value, json};

use super::Step;
use crate::sonicos::device::Device;

/// A listing; whether it is a bare array is a switch.
pub(super) fn all(rows: Vec<Map<String, Value>>, device: &Device) -> Step {
    let rows = Value::Array(rows.into_iter().map(Value::Object).collect());
    Step::Shown(if device.variants.cli_listing_in_object {
        json!({ "certificates": rows })
    } else {
        rows
    })
}

/// The same as text, one line each: columns for a listing, a line per member for one row.
pub(super) fn lines(shown: &Value) -> Vec<String> {
    match shown {
        Value::Array(rows) => columns(rows),
        Value::Object(members) => match members.get("certificates") {
            Some(Value::Array(rows)) => columns(rows),
            _ => members
                .iter()
                .map(|(key, value)| member(key, value))
                .collect(),
        },
        other => vec![text(other)],
    }
}

fn columns(rows: &[Value]) -> Vec<String> {
    let heads = ["Certificate", "Type", "Validated", "Expires"];
    let mut table = vec![heads.map(str::to_owned)];
    table.extend(rows.iter().map(|row| {
        let of = |key: &str| row.get(key).map(text).unwrap_or_default();
        let expired = row
            .get("expired_on")
            .map(text)
            .filter(|date| !date.is_empty());
        let date = expired.unwrap_or_else(|| of("expires_on"));
        [of("certificate"), of("type"), of("validated"), date]
    }));
    let width = |column: usize| {
        let cells = table.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), 0];
    let line = |row: &[String; 4]| {
        let cells = row.iter().zip(widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    table.iter().map(line).collect()
}

fn member(key: &str, value: &Value) -> String {
    format!("{}: {}", key.replace('_', " "), text(value))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lines;

    #[test]
    fn a_listing_has_a_head_and_aligned_columns() {
        let rows = json!([
            {"certificate": "fw", "type": "Local certificate", "validated": "Yes", "expires_on": "Nov 22"},
            {"certificate": "fw-2026", "type": "Pending request", "validated": "No"},
        ]);
        assert_eq!(
            lines(&rows),
            [
                "Certificate  Type               Validated  Expires",
                "fw           Local certificate  Yes        Nov 22",
                "fw-2026      Pending request    No",
            ]
        );
    }

    #[test]
    fn one_certificate_is_a_line_per_member() {
        let shown = json!({"certificate": "fw", "valid_from": "Nov 22"});
        assert_eq!(lines(&shown), ["certificate: fw", "valid from: Nov 22"]);
    }
}
