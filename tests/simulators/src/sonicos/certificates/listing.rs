//! `GET /reporting/certificates...` (SonicOS reference 3.2). Every value is a text.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use x509_parser::prelude::X509Certificate;

use super::authority::{is_expired, parse};
use super::{Kind, Row, authority_hash};
use crate::sonicos::device::Device;
use crate::sonicos::switch::DateForm;
use crate::sonicos::wire::{Handled, Refusal, Reply};

impl Device {
    /// The four calls of 3.2. Each listing counts down the listings until a request with an unfinished key appears.
    pub(in crate::sonicos) fn report(&mut self, rest: &[&str]) -> Handled {
        let reply = match rest {
            [] => Ok(self.list(|_| true)),
            ["imported"] if self.variants.filtered_listings_work => {
                Ok(self.list(|kind| !is_built_in(kind)))
            }
            ["build-in", "with-expired"] if self.variants.filtered_listings_work => {
                Ok(self.list(is_built_in))
            }
            ["name", name] => self
                .visible_row(name)
                .map(|row| Reply::json(Value::Object(self.detail(row)))),
            _ => Err(Refusal::incomplete()),
        };
        self.count_listing();
        reply
    }

    fn count_listing(&mut self) {
        for row in &mut self.certificates.rows {
            row.hidden_listings = row.hidden_listings.saturating_sub(1);
        }
    }

    /// 3.9: the same rows for the command line, with or without the built-in CAs.
    pub(in crate::sonicos) fn status_of_all(
        &mut self,
        with_built_in: bool,
    ) -> Vec<Map<String, Value>> {
        let now = self.now();
        let rows = self.certificates.rows.iter();
        let shown = rows
            .filter(|row| row.is_visible(now) && (with_built_in || !is_built_in(&row.kind)))
            .map(|row| self.summary(row))
            .collect();
        self.count_listing();
        shown
    }

    /// 3.9: one row for the command line.
    pub(in crate::sonicos) fn status_of(
        &mut self,
        name: &str,
    ) -> Result<Map<String, Value>, Refusal> {
        let detail = self.visible_row(name).map(|row| self.detail(row));
        self.count_listing();
        detail
    }

    /// A date as this device spells it (3.2: the format is not public).
    pub(in crate::sonicos) fn date(&self, when: OffsetDateTime) -> String {
        let (year, month, day) = (when.year(), when.month(), when.day());
        let clock = format!(
            "{:02}:{:02}:{:02}",
            when.hour(),
            when.minute(),
            when.second()
        );
        let number = u8::from(month);
        let short = |name: String| name.chars().take(3).collect::<String>();
        let month = short(month.to_string());
        match self.variants.date_form {
            DateForm::Gmt => format!("{month} {day:>2} {clock} {year} GMT"),
            DateForm::Iso => format!("{year}-{number:02}-{day:02}T{clock}Z"),
            DateForm::Slashes => format!("{number:02}/{day:02}/{year} {clock}"),
            DateForm::Weekday => format!(
                "{} {month} {day:>2} {clock} {year}",
                short(when.weekday().to_string())
            ),
        }
    }

    fn list(&self, wanted: impl Fn(&Kind) -> bool) -> Reply {
        let now = self.now();
        let shown = self
            .certificates
            .rows
            .iter()
            .filter(|row| row.is_visible(now) && wanted(&row.kind));
        Reply::json(Value::Array(
            shown.map(|row| Value::Object(self.summary(row))).collect(),
        ))
    }

    fn summary(&self, row: &Row) -> Map<String, Value> {
        let mut item = Map::new();
        let mut set = |key: &str, text: String| item.insert(key.to_owned(), Value::String(text));
        set("certificate", row.name.clone());
        set("type", self.type_text(&row.kind));
        let Some(certificate) = row.der().and_then(parse) else {
            // guess: the value of `validated` for a request. The dates are missing or empty (3.2).
            set("validated", "No".to_owned());
            if self.variants.empty_dates_of_requests {
                set("expires_on", String::new());
                set("expired_on", String::new());
            }
            return item;
        };
        set("validated", self.validated(row, &certificate));
        let end = certificate.validity().not_after.to_datetime();
        let key = if is_expired(&certificate, self.now()) {
            "expired_on"
        } else {
            "expires_on"
        };
        set(key, self.date(end));
        item
    }

    fn detail(&self, row: &Row) -> Map<String, Value> {
        let mut item = self.summary(row);
        item.remove("type");
        item.remove("validated");
        let mut set = |key: &str, text: String| item.insert(key.to_owned(), Value::String(text));
        if let Kind::Request { subject, .. } = &row.kind {
            set("subject_distinguished_name", subject.text());
            set("status", self.variants.request_type_text.clone());
            return item;
        }
        let Some(certificate) = row.der().and_then(parse) else {
            return item;
        };
        set(
            "subject_distinguished_name",
            certificate.subject().to_string(),
        );
        set("certificate_issuer", certificate.issuer().to_string());
        set(
            "certificate_serial_number",
            certificate.raw_serial_as_string(),
        );
        set(
            "valid_from",
            self.date(certificate.validity().not_before.to_datetime()),
        );
        set("status", self.validated(row, &certificate));
        set(
            "public_key_algorithm",
            certificate.public_key().algorithm.algorithm.to_id_string(),
        );
        set(
            "signature_algorithm",
            certificate.signature_algorithm.algorithm.to_id_string(),
        );
        if let Kind::Authority { der, .. } = &row.kind {
            set("ca_hash", authority_hash(der));
        }
        item
    }

    fn type_text(&self, kind: &Kind) -> String {
        match kind {
            Kind::Request { .. } => self.variants.request_type_text.clone(),
            Kind::Local { .. } => self.variants.local_type_text.clone(),
            Kind::Authority { .. } => self.variants.ca_type_text.clone(),
        }
    }

    fn validated(&self, row: &Row, certificate: &X509Certificate<'_>) -> String {
        let days =
            (certificate.validity().not_after.timestamp() - self.now().unix_timestamp()) / 86_400;
        if is_expired(certificate, self.now()) {
            "Expired".to_owned()
        } else if row
            .der()
            .is_none_or(|der| self.certificates.chain_of(der).is_none())
        {
            "No".to_owned()
        } else if self.variants.validated_counts_days && days <= 30 {
            format!("Expire in {days} days")
        } else {
            "Yes".to_owned()
        }
    }
}

fn is_built_in(kind: &Kind) -> bool {
    matches!(kind, Kind::Authority { built_in: true, .. })
}
