//! Applications, issuing templates, and what a template allows (TLS Protect Cloud reference 4.1, 4.2).

use regex::Regex;
use serde_json::{Value, json};

use super::Cloud;
use super::settings::{Application, Template};
use super::wire::{Handled, Refusal};
use crate::ca::{Csr, KeyType, Name, Reply};

impl Cloud {
    /// 4.1: `GET applications/name/{name}`.
    pub(super) fn application_by_name(&self, name: &str) -> Handled {
        let application = self.named_application(name)?;
        let aliases: serde_json::Map<String, Value> = application
            .templates
            .iter()
            .map(|(alias, id)| (alias.clone(), json!(id)))
            .collect();
        let answer = json!({
            "id": application.id,
            "companyId": self.company_id,
            "name": application.name,
            "description": "",
            "ownerIdsAndTypes": [{"ownerId": self.owner_id, "ownerType": "USER"}],
            "certificateIssuingTemplateAliasIdMap": aliases,
            "fqDns": [], "internalFqDns": [], "ipRanges": [], "ports": [],
        });
        Ok(Reply::json(200, &self.decorated(answer)))
    }

    /// 4: `GET applications/{appName}/certificateissuingtemplates/{alias}`.
    pub(super) fn template_by_alias(&self, application: &str, alias: &str) -> Handled {
        let application = self.named_application(application)?;
        let template = application
            .templates
            .iter()
            .find(|(known, _)| known == alias)
            .and_then(|(_, id)| self.template(id))
            .ok_or_else(|| Refusal::not_found(404, "certificate issuing template", alias))?;
        Ok(Reply::json(
            200,
            &self.decorated(self.template_json(template)),
        ))
    }

    /// 4: `GET /v1/certificateissuingtemplates`. guess: the name of the list.
    pub(super) fn all_templates(&self) -> Handled {
        self.may_read()?;
        let all: Vec<Value> = self
            .settings
            .templates
            .iter()
            .map(|template| self.template_json(template))
            .collect();
        Ok(Reply::json(
            200,
            &json!({"certificateIssuingTemplates": all}),
        ))
    }

    pub(super) fn template(&self, id: &str) -> Option<&Template> {
        self.settings
            .templates
            .iter()
            .find(|template| template.id == id)
    }

    fn named_application(&self, name: &str) -> Result<&Application, Refusal> {
        self.may_read()?;
        let status = self.variants.unknown_application_status;
        self.settings
            .applications
            .iter()
            .find(|application| application.name == name)
            .ok_or_else(|| Refusal::not_found(status, "application", name))
    }

    /// guess: the refusal of a user without the right.
    fn may_read(&self) -> Result<(), Refusal> {
        if self.variants.may_read_templates {
            return Ok(());
        }
        Err(Refusal::new(403, 1403, "Access is denied"))
    }

    /// The fields of 4.2.
    fn template_json(&self, template: &Template) -> Value {
        let validity = format!("P{}D", template.validity_days);
        let curves: Vec<String> = template
            .curves
            .iter()
            .map(|bits| format!("P{bits}"))
            .collect();
        json!({
            "id": template.id,
            "companyId": self.company_id,
            "name": template.name,
            "status": if template.available { "AVAILABLE" } else { "UNAVAILABLE" },
            "reason": if template.available { "" } else { "The CA account is not reachable" },
            "certificateAuthority": "BUILTIN",
            "product": {"certificateAuthority": "BUILTIN", "productName": "Default Product", "validityPeriod": validity},
            "validityPeriod": validity,
            "subjectCNRegexes": template.subject_cn,
            "subjectORegexes": template.subject_o,
            "subjectOURegexes": template.subject_ou,
            "subjectSTRegexes": [".*"],
            "subjectLRegexes": [".*"],
            "subjectCValues": template.subject_c,
            "sanRegexes": template.san_dns,
            "sanIpAddressRegexes": template.san_ip,
            "sanRfc822NameRegexes": template.san_email,
            "sanUniformResourceIdentifierRegexes": [],
            "keyTypes": [
                {"keyType": "RSA", "keyLengths": template.rsa_lengths},
                {"keyType": "EC", "keyCurves": curves},
            ],
            "keyReuse": template.key_reuse,
            "csrUploadAllowed": template.csr_upload_allowed,
            "keyGeneratedByVenafiAllowed": false,
            "extendedKeyUsageValues": ["SERVER"],
            "recommendedSettings": {"subjectOValue": "Example", "key": {"type": "RSA", "length": 2048}},
        })
    }
}

impl Template {
    /// 3: 10726 with the component, its value and what is allowed.
    pub(super) fn check(&self, csr: &Csr) -> Result<(), Refusal> {
        // guess: the text and code of these two.
        if !self.available {
            return Err(Refusal::new(
                412,
                10727,
                "The issuing template is not available",
            ));
        }
        if !self.csr_upload_allowed {
            return Err(Refusal::new(
                412,
                10728,
                "The issuing template does not allow to upload a CSR",
            ));
        }
        for (short_name, value) in &csr.subject {
            match short_name.as_str() {
                "CN" => allow("CN", value, &self.subject_cn)?,
                "O" => allow("O", value, &self.subject_o)?,
                "OU" => allow("OU", value, &self.subject_ou)?,
                "C" if !self.subject_c.is_empty() && !self.subject_c.contains(value) => {
                    return Err(broken_rule("C", value, &self.subject_c));
                }
                _ => {}
            }
        }
        for name in &csr.names {
            match name {
                Name::Dns(text) => allow("SAN", text, &self.san_dns)?,
                Name::Ip(address) => allow("SAN IP", &address.to_string(), &self.san_ip)?,
                Name::Email(text) => allow("SAN RFC822", text, &self.san_email)?,
                Name::Uri(text) => allow("SAN URI", text, &[])?,
            }
        }
        self.check_key(csr.key)
    }

    fn check_key(&self, key: KeyType) -> Result<(), Refusal> {
        let texts = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>();
        match key {
            KeyType::Rsa(bits) if self.rsa_lengths.contains(&bits) => Ok(()),
            KeyType::Rsa(bits) => Err(broken_rule(
                "key length",
                &bits.to_string(),
                &texts(&self.rsa_lengths),
            )),
            KeyType::Ec(bits) if self.curves.contains(&bits) => Ok(()),
            KeyType::Ec(bits) => Err(broken_rule(
                "key curve",
                &format!("P{bits}"),
                &texts(&self.curves),
            )),
            KeyType::Other => Err(broken_rule(
                "key type",
                "UNKNOWN",
                &["RSA".to_owned(), "EC".to_owned()],
            )),
        }
    }
}

fn allow(component: &str, value: &str, allowed: &[String]) -> Result<(), Refusal> {
    // guess: an expression without anchors must match the whole value as well.
    let matches = |expression: &String| {
        Regex::new(&format!("^(?:{expression})$")).is_ok_and(|regex| regex.is_match(value))
    };
    if allowed.iter().any(matches) {
        Ok(())
    } else {
        Err(broken_rule(component, value, allowed))
    }
}

fn broken_rule(component: &str, value: &str, allowed: &[String]) -> Refusal {
    let message = format!("{component} {value} does not match one of {allowed:?}");
    Refusal::new(412, 10726, message).with_args(json!([component, value, allowed]))
}
