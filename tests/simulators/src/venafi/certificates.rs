//! Issued certificates: their record, their text, and their removal (TLS Protect Cloud reference 4.5, 7, 8).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use data_encoding::HEXUPPER;
use serde_json::{Value, json};

use super::Cloud;
use super::wire::{Handled, Refusal, date};
use crate::ca::{Csr, Issued, Office, Reply, Request, Tier, pem};

/// One version of a certificate.
#[derive(Debug)]
pub(super) struct Certificate {
    pub(super) id: String,
    /// Shared by all versions.
    pub(super) managed_id: String,
    pub(super) order_id: String,
    pub(super) application_id: String,
    pub(super) csr: Csr,
    pub(super) issued: Issued,
    /// versionType CURRENT; otherwise OLD.
    pub(super) is_current: bool,
    /// ACTIVE, RETIRED, DELETED.
    pub(super) state: &'static str,
    /// Calls for the contents that still fail.
    pub(super) late_contents: u32,
    /// Calls for the record that still get 404.
    pub(super) late_record: u32,
    /// Searches that do not see it yet.
    pub(super) hidden_searches: u32,
}

impl Certificate {
    /// 7: SHA-1, upper hex, no colons.
    pub(super) fn fingerprint(&self) -> String {
        HEXUPPER.encode(&sha1(&self.issued.der))
    }

    /// 7: upper hex.
    pub(super) fn serial(&self) -> String {
        HEXUPPER.encode(&self.issued.serial)
    }
}

impl Cloud {
    pub(super) fn certificate(&self, id: &str) -> Option<&Certificate> {
        self.certificates
            .iter()
            .find(|certificate| certificate.id == id && certificate.state != "DELETED")
    }

    fn certificate_mut(&mut self, id: &str) -> Result<&mut Certificate, Refusal> {
        self.certificates
            .iter_mut()
            .find(|certificate| certificate.id == id && certificate.state != "DELETED")
            .ok_or_else(|| unknown(id))
    }

    /// 4.5: `GET certificates/{id}`, unknown for some calls after ISSUED.
    pub(super) fn record(&mut self, office: &mut Office, id: &str) -> Handled {
        let certificate = self.certificate_mut(id)?;
        if certificate.late_record > 0 {
            certificate.late_record -= 1;
            return Err(unknown(id));
        }
        let record = self
            .certificate(id)
            .map(|certificate| self.record_json(office, certificate));
        Ok(Reply::json(200, &record.unwrap_or_default()))
    }

    /// 4.5: `GET certificates/{id}/contents`: raw text, the leaf and its issuers.
    pub(super) fn contents(&mut self, office: &mut Office, request: &Request, id: &str) -> Handled {
        if let Some(tier) = self.authority_tier(id) {
            let der = office.authority.certificate(tier).to_vec();
            return Self::delivered(request, vec![der]);
        }
        let status = self.variants.contents_late_status;
        let certificate = self.certificate_mut(id)?;
        if certificate.late_contents > 0 {
            certificate.late_contents -= 1;
            // guess: code and text; 409 is known from a client only.
            return Err(Refusal::new(
                status,
                10740,
                "The certificate is not available yet",
            ));
        }
        let list = office.deliver(&certificate.issued, true);
        Self::delivered(request, list)
    }

    /// 4.5: chainOrder and format. guess: `EE_FIRST` and PEM when not given, DER without separators.
    fn delivered(request: &Request, mut list: Vec<Vec<u8>>) -> Handled {
        match request.query("chainOrder").unwrap_or("EE_FIRST") {
            "EE_FIRST" => {}
            "ROOT_FIRST" => list.reverse(),
            "EE_ONLY" => list.truncate(1),
            other => {
                return Err(Refusal::malformed(format!("{other} is not a chain order")));
            }
        }
        match request.query("format").unwrap_or("PEM") {
            "PEM" => {
                let text: String = list.iter().map(|der| pem("CERTIFICATE", der)).collect();
                Ok(Reply::text(200, "text/plain", &text))
            }
            "DER" => Ok(Reply::bytes("application/octet-stream", list.concat())),
            other => Err(Refusal::malformed(format!("{other} is not a format"))),
        }
    }

    fn authority_tier(&self, id: &str) -> Option<Tier> {
        if id == self.authority_ids.0 {
            return Some(Tier::Intermediate);
        }
        (id == self.authority_ids.1).then_some(Tier::Root)
    }

    /// 8: `POST certificates/retirement` and `/recovery`.
    pub(super) fn set_state(&mut self, request: &Request, state: &'static str) -> Handled {
        let ids = self.named_certificates(request)?;
        for certificate in &mut self.certificates {
            if ids.contains(&certificate.id) {
                certificate.state = state;
            }
        }
        let touched: Vec<Value> = ids
            .iter()
            .map(|id| json!({"id": id, "certificateStatus": state}))
            .collect();
        let answer = json!({"count": touched.len(), "certificates": touched});
        Ok(Reply::json(200, &answer))
    }

    /// 8: `POST certificates/deletion`, retired ones only.
    pub(super) fn delete(&mut self, request: &Request) -> Handled {
        let ids = self.named_certificates(request)?;
        let is_active = |id: &String| {
            self.certificate(id)
                .is_some_and(|certificate| certificate.state == "ACTIVE")
        };
        if ids.iter().any(is_active) {
            return Err(Refusal::new(
                412,
                10741,
                "Only retired certificates can be deleted",
            ));
        }
        for certificate in &mut self.certificates {
            if ids.contains(&certificate.id) {
                certificate.state = "DELETED";
            }
        }
        Ok(Reply::empty(204))
    }

    fn named_certificates(&self, request: &Request) -> Result<Vec<String>, Refusal> {
        let body = request.json().map_err(Refusal::malformed)?;
        let ids: Vec<String> = body["certificateIds"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect();
        if ids.is_empty() {
            return Err(Refusal::malformed("certificateIds is required"));
        }
        match ids.iter().find(|id| self.certificate(id).is_none()) {
            Some(id) => Err(unknown(id)),
            None => Ok(ids),
        }
    }

    /// 7: the values of a record.
    pub(super) fn record_json(&self, office: &mut Office, certificate: &Certificate) -> Value {
        let form = self.variants.date_form;
        let (begin, end) = (certificate.issued.not_before, certificate.issued.not_after);
        self.decorated(json!({
            "id": certificate.id,
            "companyId": self.company_id,
            "managedCertificateId": certificate.managed_id,
            "certificateRequestId": certificate.order_id,
            "applicationIds": [certificate.application_id],
            "appstackIds": [certificate.application_id],
            "fingerprint": certificate.fingerprint(),
            "serialNumber": certificate.serial(),
            "certificateStatus": certificate.state,
            "versionType": if certificate.is_current { "CURRENT" } else { "OLD" },
            "validityStart": date(begin, form, office),
            "validityEnd": date(end, form, office),
            "validityPeriodDays": (end - begin).whole_days(),
            "subjectCN": [certificate.csr.common_name()],
            "subjectAlternativeNameDns": certificate.csr.dns_names(),
            "issuerCN": ["TLS Protect Cloud Issuing CA"],
            "signatureHashAlgorithm": "SHA256",
        }))
    }
}

pub(super) fn sha1(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref().to_vec()
}

fn unknown(id: &str) -> Refusal {
    Refusal::not_found(404, "certificate", id)
}
