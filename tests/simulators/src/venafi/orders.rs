//! Certificate requests from their creation on (TLS Protect Cloud reference 4.3, 4.4, 6).

use serde_json::{Map, Value, json};
use time::{Duration, OffsetDateTime};

use super::Cloud;
use super::progress::Progress;
use super::settings::Template;
use super::wire::{Handled, Period, Refusal, date};
use crate::ca::{Csr, KeyType, Name, Office, Reply, Request};

/// A certificate request.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) application_id: String,
    pub(super) template_id: String,
    pub(super) csr: Csr,
    /// As it was posted.
    pub(super) body: Value,
    /// The certificate that it renews.
    pub(super) existing: Option<String>,
    pub(super) lifetime: Duration,
    pub(super) progress: Progress,
    /// The leaf, once it is signed.
    pub(super) certificate: Option<String>,
    pub(super) failure: Option<Refusal>,
    /// Whether it was counted as failed.
    pub(super) is_failed: bool,
    pub(super) created: OffsetDateTime,
    pub(super) modified: OffsetDateTime,
    /// Searches that do not see it yet.
    pub(super) hidden_searches: u32,
    tags: Value,
}

impl Cloud {
    /// 4.3: `POST certificaterequests`. Repeated requests are not detected: there is no idempotency key.
    pub(super) fn create(&mut self, office: &mut Office, request: &Request) -> Handled {
        let body = request.json().map_err(Refusal::malformed)?;
        let existing = self.existing(&body)?;
        let csr = self.requested_csr(&body, existing.as_deref())?;
        let application_id = text(&body, "applicationId")?.to_owned();
        let template = self.permitted_template(&body, &application_id)?;
        template.check(&csr)?;
        self.check_key_reuse(template, &csr)?;
        let (template_id, lifetime) = (template.id.clone(), self.lifetime(&body, template)?);
        office.take_order(&csr);
        let now = office.now();
        let order = Order {
            id: office.uuid() + &"0".repeat(self.variants.longer_ids.try_into().unwrap_or(0)),
            application_id,
            template_id,
            csr,
            tags: self.tags(&body, existing.as_deref()),
            existing,
            lifetime,
            progress: Progress::new(&self.variants),
            certificate: None,
            failure: None,
            is_failed: false,
            created: now,
            modified: now,
            hidden_searches: self.variants.index_late_searches,
            body,
        };
        self.orders.push(order);
        let index = self.orders.len() - 1;
        self.settle(office, index);
        let answer = self.order_json(office, index, Detail::Full);
        Ok(Reply::json(201, &json!({"certificateRequests": [answer]})))
    }

    /// 4: `POST certificaterequests/validation`: the answer of `create`, without storing anything.
    pub(super) fn validate(&self, request: &Request) -> Handled {
        let body = request.json().map_err(Refusal::malformed)?;
        let csr = self.requested_csr(&body, None)?;
        self.permitted_template(&body, text(&body, "applicationId")?)?
            .check(&csr)?;
        let hash = data_encoding::HEXUPPER.encode(&super::certificates::sha1(&csr.public_key));
        Ok(Reply::json(
            201,
            &json!({"subjectDN": subject_text(&csr), "publicKeyHash": hash}),
        ))
    }

    /// 4.4: `GET certificaterequests/{id}`; each look lets a passing status pass.
    pub(super) fn status(&mut self, office: &mut Office, id: &str) -> Handled {
        let index = self.order_index(id)?;
        if let Some(order) = self.orders.get_mut(index)
            && order.progress.look()
        {
            order.modified = office.now();
        }
        self.settle(office, index);
        let answer = self.order_json(office, index, Detail::Full);
        let note = answer["status"].as_str().unwrap_or_default().to_owned();
        Ok(Reply::json(200, &answer).noted(note))
    }

    /// 4: `GET certificaterequests`. guess: with the members of the search.
    pub(super) fn all_orders(&self, office: &mut Office) -> Reply {
        let all: Vec<Value> = (0..self.orders.len())
            .map(|index| self.order_json(office, index, Detail::Search))
            .collect();
        Reply::json(200, &json!({"certificateRequests": all}))
    }

    /// 4: `POST certificaterequests/{id}/resubmission` of a failed one. guess: others are refused with 412.
    pub(super) fn resubmit(&mut self, office: &mut Office, id: &str) -> Handled {
        let index = self.order_index(id)?;
        let progress = Progress::new(&self.variants);
        if let Some(order) = self.orders.get_mut(index) {
            if order.progress.status() != "FAILED" {
                return Err(Refusal::new(
                    412,
                    10731,
                    "Only a failed request can be resubmitted",
                ));
            }
            order.progress = progress;
            order.failure = None;
            order.is_failed = false;
            office.take_order(&order.csr);
        }
        self.settle(office, index);
        let answer = self.order_json(office, index, Detail::Full);
        Ok(Reply::json(201, &answer))
    }

    pub(super) fn order_index(&self, id: &str) -> Result<usize, Refusal> {
        self.orders
            .iter()
            .position(|order| order.id == id)
            .ok_or_else(|| Refusal::not_found(404, "certificate request", id))
    }

    /// 6: only a CURRENT certificate can be renewed. guess: text and code of the refusals.
    fn existing(&self, body: &Value) -> Result<Option<String>, Refusal> {
        let Some(id) = body.get("existingCertificateId").and_then(Value::as_str) else {
            if body["reuseCSR"] == json!(true) {
                return Err(Refusal::malformed(
                    "existingCertificateId is required when reuseCSR is true",
                ));
            }
            return Ok(None);
        };
        let certificate = self
            .certificate(id)
            .ok_or_else(|| Refusal::not_found(400, "certificate", id))?;
        if !certificate.is_current {
            return Err(Refusal::new(
                412,
                10730,
                format!("Certificate {id} is not the current version"),
            )
            .with_args(json!([id])));
        }
        Ok(Some(id.to_owned()))
    }

    fn requested_csr(&self, body: &Value, existing: Option<&str>) -> Result<Csr, Refusal> {
        if body["isVaaSGenerated"] == json!(true) {
            return Err(Refusal::new(
                412,
                10729,
                "The issuing template does not allow generated keys",
            ));
        }
        if let Some(certificate) = existing.and_then(|id| self.certificate(id))
            && body["reuseCSR"] == json!(true)
        {
            return Ok(certificate.csr.clone());
        }
        let pem = text(body, "certificateSigningRequest")?;
        Csr::from_pem(pem).map_err(|error| {
            Refusal::new(
                400,
                10702,
                format!("Unable to parse bytes for certificate signing request: {error}"),
            )
        })
    }

    /// Both ids must exist and belong together. guess: the refusal of a template of another application.
    fn permitted_template(&self, body: &Value, application_id: &str) -> Result<&Template, Refusal> {
        let application = self
            .settings
            .applications
            .iter()
            .find(|application| application.id == application_id)
            .ok_or_else(|| Refusal::not_found(400, "application", application_id))?;
        let id = text(body, "certificateIssuingTemplateId")?;
        let template = self
            .template(id)
            .ok_or_else(|| Refusal::not_found(400, "certificate issuing template", id))?;
        if application.templates.iter().any(|(_, known)| known == id) {
            return Ok(template);
        }
        Err(Refusal::new(
            412,
            10732,
            format!("Template {id} does not belong to application {application_id}"),
        ))
    }

    /// guess: the text and code of this refusal; the rule is inferred (4.2).
    fn check_key_reuse(&self, template: &Template, csr: &Csr) -> Result<(), Refusal> {
        let is_used = self
            .certificates
            .iter()
            .any(|certificate| certificate.csr.public_key == csr.public_key);
        if !template.key_reuse && is_used {
            return Err(Refusal::new(
                412,
                10733,
                "The issuing template does not allow to reuse a key",
            ));
        }
        Ok(())
    }

    /// 4.3: the requested validity, when the CA behind the service uses it. guess: capped by the template.
    fn lifetime(&self, body: &Value, template: &Template) -> Result<Duration, Refusal> {
        let longest = Duration::days(i64::from(template.validity_days));
        let Some(asked) = body.get("validityPeriod").and_then(Value::as_str) else {
            return Ok(longest);
        };
        let period = Period::read(asked)
            .ok_or_else(|| Refusal::malformed(format!("{asked} is not a period")))?;
        let is_ignored = self.variants.validity_ignored
            || (period.is_hours_only() && self.variants.validity_in_hours_ignored);
        Ok(if is_ignored {
            longest
        } else {
            period.length().min(longest)
        })
    }

    /// 6: given tags are used, an empty list is none, absent or null inherits.
    fn tags(&self, body: &Value, existing: Option<&str>) -> Value {
        match body.get("tags") {
            Some(tags @ Value::Array(_)) => tags.clone(),
            _ => existing
                .and_then(|id| self.certificate(id))
                .and_then(|certificate| {
                    self.orders
                        .iter()
                        .find(|order| order.id == certificate.order_id)
                })
                .map_or_else(|| json!([]), |order| order.tags.clone()),
        }
    }

    /// 4.3 and 4.4; the search omits the documented fields (7).
    pub(super) fn order_json(&self, office: &mut Office, index: usize, detail: Detail) -> Value {
        let Some(order) = self.orders.get(index) else {
            return Value::Null;
        };
        let form = self.variants.date_form;
        let (key_type, key_length, key_curve) = key_words(order.csr.key);
        let mut answer = json!({
            "id": order.id,
            "companyId": self.company_id,
            "applicationId": order.application_id,
            "certificateIssuingTemplateId": order.template_id,
            "certificateOwnerUserId": self.owner_id,
            "status": order.progress.status(),
            "subjectDN": subject_text(&order.csr),
            "keyLength": key_length,
            "keyType": key_type,
            "keyCurve": key_curve,
            "subjectAlternativeNamesByType": names_by_type(&order.csr),
            "tags": order.tags,
            "creationDate": date(order.created, form, office),
            "modificationDate": date(order.modified, form, office),
        });
        if let Some(leaf) = &order.certificate {
            // 4.3: the leaf first, then the issuers, which all requests share.
            answer["certificateIds"] = json!([leaf, self.authority_ids.0, self.authority_ids.1]);
        }
        if let Some(failure) = &order.failure {
            answer["certificateIds"] = json!([]);
            answer["errorInformation"] = failure.information();
        }
        if let Some(existing) = &order.existing {
            answer["existingCertificateId"] = json!(existing);
        }
        if detail == Detail::Full {
            answer["certificateSigningRequest"] = json!(order.csr.pem());
            for member in [
                "validityPeriod",
                "apiClientInformation",
                "certificateUsageMetadata",
            ] {
                if let Some(value) = order.body.get(member) {
                    answer[member] = value.clone();
                }
            }
        }
        self.decorated(answer)
    }
}

/// How much of a request an answer contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// A single request.
    Full,
    /// A hit of a search: no CSR, no client information (7).
    Search,
}

fn text<'a>(body: &'a Value, member: &str) -> Result<&'a str, Refusal> {
    body.get(member)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::malformed(format!("{member} is required")))
}

fn subject_text(csr: &Csr) -> String {
    let parts: Vec<String> = csr
        .subject
        .iter()
        .map(|(name, value)| format!("{}={value}", name.to_lowercase()))
        .collect();
    parts.join(",")
}

/// 4.3: the enumerations of keyType and keyCurve.
fn key_words(key: KeyType) -> (&'static str, u32, &'static str) {
    match key {
        KeyType::Rsa(bits) => ("RSA", bits, "UNKNOWN"),
        KeyType::Ec(256) => ("EC", 256, "P256"),
        KeyType::Ec(384) => ("EC", 384, "P384"),
        KeyType::Ec(521) => ("EC", 521, "P521"),
        KeyType::Ec(bits) => ("EC", bits, "UNKNOWN"),
        KeyType::Other => ("UNKNOWN", 0, "UNKNOWN"),
    }
}

fn names_by_type(csr: &Csr) -> Value {
    let mut types: Map<String, Value> = NAME_TYPES
        .iter()
        .map(|name| ((*name).to_owned(), json!([])))
        .collect();
    for name in &csr.names {
        let kind = match name {
            Name::Dns(_) => "dNSName",
            Name::Ip(_) => "iPAddress",
            Name::Email(_) => "rfc822Name",
            Name::Uri(_) => "uniformResourceIdentifier",
        };
        if let Some(Value::Array(list)) = types.get_mut(kind) {
            list.push(json!(name.text()));
        }
    }
    Value::Object(types)
}

const NAME_TYPES: [&str; 9] = [
    "otherName",
    "rfc822Name",
    "dNSName",
    "x400Address",
    "directoryName",
    "ediPartyName",
    "uniformResourceIdentifier",
    "iPAddress",
    "registeredID",
];
