//! Searches over requests and certificates (TLS Protect Cloud reference 7).

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Cloud;
use super::orders::Detail;
use super::wire::{Handled, Refusal};
use crate::ca::{Office, Reply, Request};

impl Cloud {
    /// `POST certificatesearch`.
    pub(super) fn search_certificates(
        &mut self,
        office: &mut Office,
        request: &Request,
    ) -> Handled {
        let query = request.json().map_err(Refusal::malformed)?;
        let mut records = Vec::new();
        for certificate in &self.certificates {
            if certificate.hidden_searches == 0 && certificate.state != "DELETED" {
                records.push(self.record_json(office, certificate));
            }
        }
        for certificate in &mut self.certificates {
            certificate.hidden_searches = certificate.hidden_searches.saturating_sub(1);
        }
        let (count, hits) = select(&query, records, CERTIFICATE_FIELDS)?;
        Ok(
            Reply::json(200, &json!({"count": count, "certificates": hits}))
                .noted(format!("{count} found")),
        )
    }

    /// `POST certificaterequestssearch`.
    pub(super) fn search_orders(&mut self, office: &mut Office, request: &Request) -> Handled {
        let query = request.json().map_err(Refusal::malformed)?;
        let mut records = Vec::new();
        for (index, order) in self.orders.iter().enumerate() {
            if order.hidden_searches == 0 {
                records.push(self.order_json(office, index, Detail::Search));
            }
        }
        for order in &mut self.orders {
            order.hidden_searches = order.hidden_searches.saturating_sub(1);
        }
        let (count, hits) = select(&query, records, ORDER_FIELDS)?;
        Ok(Reply::json(
            200,
            &json!({"numFound": count, "certificateRequests": hits}),
        )
        .noted(format!("{count} found")))
    }
}

/// How many records match, and those of the wanted page in the wanted order.
fn select(
    query: &Value,
    records: Vec<Value>,
    fields: &[&str],
) -> Result<(usize, Vec<Value>), Refusal> {
    let mut hits = Vec::new();
    for record in records {
        if matches(&query["expression"], &record, fields)? {
            hits.push(record);
        }
    }
    let orders = query.pointer("/ordering/orders").and_then(Value::as_array);
    for order in orders.into_iter().flatten().rev() {
        let field = known_field(order, fields)?;
        hits.sort_by(|left, right| comparable(&left[field]).cmp(&comparable(&right[field])));
        if order["direction"] == json!("DESC") {
            hits.reverse();
        }
    }
    let number = |name: &str, default: u64| {
        let number = query.pointer(&format!("/paging/{name}"));
        number.and_then(Value::as_u64).unwrap_or(default)
    };
    let size = usize::try_from(number("pageSize", 50)).unwrap_or(usize::MAX);
    let skipped = usize::try_from(number("pageNumber", 0)).unwrap_or(usize::MAX);
    let count = hits.len();
    let page = hits
        .into_iter()
        .skip(skipped.saturating_mul(size))
        .take(size);
    Ok((count, page.collect()))
}

/// Operands joined by AND, OR or NOT; guess: AND without an operator, everything without an expression.
fn matches(expression: &Value, record: &Value, fields: &[&str]) -> Result<bool, Refusal> {
    let Some(operands) = expression.get("operands").and_then(Value::as_array) else {
        return if expression.is_null() {
            Ok(true)
        } else {
            compare(expression, record, fields)
        };
    };
    let mut results = Vec::new();
    for operand in operands {
        results.push(matches(operand, record, fields)?);
    }
    match expression.get("operator").and_then(Value::as_str) {
        None | Some("AND") => Ok(results.iter().all(|result| *result)),
        Some("OR") => Ok(results.iter().any(|result| *result)),
        Some("NOT") => Ok(!results.iter().any(|result| *result)),
        Some(other) => Err(Refusal::malformed(format!("{other} joins nothing"))),
    }
}

/// A field that is a list matches when one of its values does.
fn compare(operand: &Value, record: &Value, fields: &[&str]) -> Result<bool, Refusal> {
    let field = known_field(operand, fields)?;
    let operator = operand["operator"].as_str().unwrap_or_default();
    let wanted: Vec<&Value> = match (operand.get("values"), operand.get("value")) {
        (Some(Value::Array(values)), _) | (_, Some(Value::Array(values))) => {
            values.iter().collect()
        }
        (_, Some(value)) => vec![value],
        _ => {
            return Err(Refusal::malformed(format!(
                "{field} is compared with nothing"
            )));
        }
    };
    let single = [record[field].clone()];
    let present = record[field].as_array().map_or(&single[..], Vec::as_slice);
    let holds: fn(&Value, &Value) -> bool = match operator {
        "EQ" | "MATCH" | "IN" => |present, wanted| comparable(present) == comparable(wanted),
        "FIND" => |present, wanted| folded(present).contains(&folded(wanted)),
        "GT" => |present, wanted| comparable(present) > comparable(wanted),
        "GTE" => |present, wanted| comparable(present) >= comparable(wanted),
        "LT" => |present, wanted| comparable(present) < comparable(wanted),
        "LTE" => |present, wanted| comparable(present) <= comparable(wanted),
        _ => return Err(Refusal::malformed(format!("{operator} is not an operator"))),
    };
    Ok(present
        .iter()
        .any(|present| wanted.iter().any(|wanted| holds(present, wanted))))
}

fn known_field<'a>(operand: &'a Value, fields: &[&str]) -> Result<&'a str, Refusal> {
    let field = operand["field"].as_str().unwrap_or_default();
    if fields.contains(&field) {
        Ok(field)
    } else {
        Err(Refusal::malformed(format!(
            "{field:?} is not a field of this search"
        )))
    }
}

/// Dates by their moment, numbers by their value, the rest as text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Comparable {
    Number(i64),
    Moment(OffsetDateTime),
    Text(String),
}

fn comparable(value: &Value) -> Comparable {
    if let Some(number) = value.as_i64() {
        return Comparable::Number(number);
    }
    let text = folded(value);
    match moment(&text) {
        Some(moment) => Comparable::Moment(moment),
        None => Comparable::Text(text),
    }
}

/// Any of the three spellings of the zone.
fn moment(text: &str) -> Option<OffsetDateTime> {
    let text = text.to_uppercase();
    let extended = match text.strip_suffix("+0000") {
        Some(local) => format!("{local}Z"),
        None => text,
    };
    OffsetDateTime::parse(&extended, &Rfc3339).ok()
}

fn folded(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.first().map(folded).unwrap_or_default(),
        other => other.to_string(),
    };
    text.to_lowercase()
}

/// Those that were seen in use, and the plain members of a record.
const CERTIFICATE_FIELDS: &[&str] = &[
    "fingerprint",
    "serialNumber",
    "subjectCN",
    "subjectAlternativeNameDns",
    "validityPeriodDays",
    "validityStart",
    "validityEnd",
    "appstackIds",
    "issuerCN",
    "signatureHashAlgorithm",
    "certificateStatus",
    "versionType",
    "certificateRequestId",
    "managedCertificateId",
];

const ORDER_FIELDS: &[&str] = &[
    "status",
    "keyLength",
    "applicationId",
    "certificateOwnerUserId",
    "certificateIssuingTemplateId",
    "creationDate",
    "modificationDate",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use serde_json::json;

    use super::{ORDER_FIELDS, select};

    #[test]
    fn a_search_compares_moments_whatever_their_spelling() {
        let records = vec![
            json!({"applicationId": "a", "creationDate": "2026-01-02T03:04:05.000+0000"}),
            json!({"applicationId": "a", "creationDate": "2026-01-02T04:04:05.000+01:00"}),
            json!({"applicationId": "a", "creationDate": "2026-01-01T00:00:00.000Z"}),
            json!({"applicationId": "b", "creationDate": "2026-01-03T00:00:00.000Z"}),
        ];
        let query = json!({
            "expression": {"operator": "AND", "operands": [
                {"field": "applicationId", "operator": "EQ", "value": "a"},
                {"field": "creationDate", "operator": "GTE", "value": "2026-01-02T03:04:05Z"},
            ]},
            "ordering": {"orders": [{"direction": "DESC", "field": "creationDate"}]},
            "paging": {"pageNumber": 0, "pageSize": 1},
        });
        let (count, page) = select(&query, records, ORDER_FIELDS).unwrap();
        assert_eq!((count, page.len()), (2, 1));
    }

    #[test]
    fn a_field_that_the_search_does_not_know_is_refused() {
        let query = json!({"expression": {"operands": [
            {"field": "certificateSigningRequest", "operator": "EQ", "value": "x"},
        ]}});
        assert!(select(&query, vec![json!({})], ORDER_FIELDS).is_err());
    }
}
