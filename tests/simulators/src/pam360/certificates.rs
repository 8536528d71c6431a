//! Stored certificates: one by one, and all of them (PAM360 reference 5).

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::Pam;
use super::pkcs7;
use super::requests::shuffle;
use super::signing::is_same_number;
use super::variants::{CertificateBody, Months, SerialForm};
use super::wire::{Handled, PortalAnswer, text};
use crate::ca::{Issued, Office, pem};

/// A certificate in the store.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) id: u64,
    pub(super) common_name: String,
    pub(super) issued: Issued,
    /// Calls for it that still return nothing.
    pub(super) late_calls: u32,
    /// Lists that do not show it yet.
    pub(super) hidden_lists: u32,
}

impl Stored {
    /// A certificate that every client can list.
    pub(super) fn visible(id: u64, common_name: &str, issued: Issued) -> Self {
        Self {
            id,
            common_name: common_name.to_owned(),
            issued,
            late_calls: 0,
            hidden_lists: 0,
        }
    }

    /// 4: eight lower-case digits in the sample.
    pub(super) fn serial(&self, form: SerialForm) -> String {
        let digits = HEXLOWER.encode(&self.issued.serial);
        let bare = digits.trim_start_matches('0');
        match form {
            SerialForm::Padded => format!("{bare:0>8}"),
            SerialForm::Stripped => bare.to_owned(),
            SerialForm::Upper => format!("{bare:0>8}").to_uppercase(),
        }
    }
}

impl Pam {
    /// 5: by common name and serial; nothing for some calls after the signature.
    pub(super) fn get_certificate(&mut self, office: &mut Office, details: &Value) -> Handled {
        let index = self.stored_index(details)?;
        let file_type = details.get("fileType").and_then(Value::as_str);
        if file_type.is_some_and(|kind| kind.eq_ignore_ascii_case("KEY")) {
            return Err("The private key is not available for this certificate".to_owned());
        }
        let Some(stored) = self.certificates.get_mut(index) else {
            return Err(NOT_FOUND.to_owned());
        };
        if stored.late_calls > 0 {
            stored.late_calls -= 1;
            return Ok(PortalAnswer::File {
                content_type: "application/json",
                bytes: Vec::new(),
            });
        }
        let mut list = office.deliver(&stored.issued, true);
        if !self.variants.certificate_has_chain {
            list.truncate(1);
        }
        let body = match (self.variants.certificate_body, file_type) {
            (CertificateBody::Documented, Some(_)) => CertificateBody::Pem,
            (CertificateBody::Documented, None) => CertificateBody::JsonPem,
            (other, _) => other,
        };
        Ok(body_of(body, &list, &stored.common_name))
    }

    /// 3: guess: the members.
    pub(super) fn certificate_details(&self, details: &Value) -> Handled {
        let index = self.stored_index(details)?;
        let row = self.certificates.get(index).map(|stored| self.row(stored));
        Ok(PortalAnswer::with_details(
            "Certificate details fetched successfully.",
            row.into_iter().collect(),
        ))
    }

    /// 5: every certificate, in an arbitrary order; a limit may come without `INPUT_DATA`'s details.
    pub(super) fn all_certificates(
        &mut self,
        office: &mut Office,
        details: Option<&Value>,
    ) -> Handled {
        let limit = details.and_then(|details| details.get("withExpiryDaysLessThan"));
        let limit = limit.map(|_| text(details.unwrap_or(&Value::Null), "withExpiryDaysLessThan"));
        let until = match limit.transpose()? {
            None => None,
            Some(days) => {
                let days: u16 = days
                    .parse()
                    .map_err(|_| "withExpiryDaysLessThan is not a number")?;
                Some(office.now() + Duration::days(i64::from(days)))
            }
        };
        let is_wanted = |stored: &&Stored| {
            stored.hidden_lists == 0 && until.is_none_or(|until| stored.issued.not_after < until)
        };
        let wanted = self.certificates.iter().filter(is_wanted);
        let mut rows: Vec<Value> = wanted.map(|stored| self.row(stored)).collect();
        rows.extend((0..self.variants.foreign_rows).map(|number| {
            let name = format!("host-{number}.example.net");
            json!({"Common Name": name, "serialNumber": format!("{number:08x}"), "ExpiryDate": "Jan 2, 2030",
                "Issuer": "Example Issuing CA", "DNS Name/FQDN": name, "Description": ""})
        }));
        shuffle(office, &mut rows);
        for stored in &mut self.certificates {
            stored.hidden_lists = stored.hidden_lists.saturating_sub(1);
        }
        Ok(PortalAnswer::list(
            "SSL certificates fetched successfully.",
            rows,
        ))
    }

    fn stored_index(&self, details: &Value) -> Result<usize, String> {
        let name = text(details, "common_name")?;
        let serial = text(details, "serial_number")?;
        let is_wanted = |stored: &Stored| {
            stored.common_name == name
                && is_same_number(&stored.serial(SerialForm::Padded), &serial)
        };
        self.certificates
            .iter()
            .position(is_wanted)
            .ok_or_else(|| NOT_FOUND.to_owned())
    }

    /// 5: keys with spaces, dates for people.
    fn row(&self, stored: &Stored) -> Value {
        let mut row = Map::new();
        let issuer = self
            .signers
            .iter()
            .find(|signer| signer.tier == stored.issued.signer)
            .map_or("", |signer| signer.common_name.as_str());
        let members = [
            ("Common Name", json!(stored.common_name)),
            (
                "serialNumber",
                json!(stored.serial(self.variants.serial_form)),
            ),
            (
                "ExpiryDate",
                json!(day(stored.issued.not_after, self.variants.months)),
            ),
            ("Issuer", json!(issuer)),
            ("DNS Name/FQDN", json!(stored.common_name)),
            ("Description", json!("")),
        ];
        for (key, value) in members {
            row.insert(key.to_owned(), value);
        }
        Value::Object(row)
    }
}

fn body_of(body: CertificateBody, list: &[Vec<u8>], name: &str) -> PortalAnswer {
    let leaf = list.first().cloned().unwrap_or_default();
    let text: String = list.iter().map(|der| pem("CERTIFICATE", der)).collect();
    let file = |content_type, bytes| PortalAnswer::File {
        content_type,
        bytes,
    };
    let in_json = |content: String| {
        let details = json!({"commonName": name, "certificate": content});
        PortalAnswer::with_details("Certificate fetched successfully.", vec![details])
    };
    match body {
        CertificateBody::Documented | CertificateBody::Pem => {
            file("application/octet-stream", text.into_bytes())
        }
        CertificateBody::Der => file("application/octet-stream", leaf),
        CertificateBody::JsonPem => in_json(text),
        CertificateBody::JsonBase64 => in_json(BASE64.encode(&leaf)),
        CertificateBody::Pkcs7 => file("application/x-pkcs7-certificates", pkcs7::bag(list)),
        CertificateBody::Pkcs7Pem => file(
            "application/octet-stream",
            pem("PKCS7", &pkcs7::bag(list)).into_bytes(),
        ),
    }
}

/// `Jan 2, 2006`; months may follow the server's language.
fn day(moment: OffsetDateTime, months: Months) -> String {
    let index = usize::from(u8::from(moment.month())) - 1;
    let names = match months {
        Months::English => ENGLISH,
        Months::German => GERMAN,
    };
    let month = names.get(index).copied().unwrap_or_default();
    format!("{month} {}, {}", moment.day(), moment.year())
}

const NOT_FOUND: &str = "No such certificate found";

const ENGLISH: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const GERMAN: [&str; 12] = [
    "Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez",
];
