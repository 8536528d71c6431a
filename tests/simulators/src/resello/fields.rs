//! The fields of a purchase, checked (purchase API reference 4.1). Without side effects.

use serde_json::{Map, Value};

use super::dcv::Method;
use super::order::NameProof;
use super::settings::{Plan, PlanKind};
use super::variants::Variants;
use super::wire::{FieldError, Refusal};
use crate::ca::{Csr, KeyType, Name, Request};

/// The request of a client, as far as this shop supports it.
#[derive(Debug)]
pub(super) struct Purchase {
    /// With the names that will be in the certificate, and no others.
    pub(super) csr: Csr,
    pub(super) method: Method,
    pub(super) plan: Plan,
    pub(super) client_reference: Option<String>,
    pub(super) contact: Map<String, Value>,
}

impl Purchase {
    /// Reads the body. `plan` is the one of an order that is reissued: that call has no such field (4).
    pub(super) fn read(
        request: &Request,
        plans: &[Plan],
        plan: Option<&Plan>,
        variants: &Variants,
    ) -> Result<Self, Refusal> {
        let body = body(request)?;
        let mut form = Form {
            body: &body,
            errors: Vec::new(),
        };
        let csr = form.csr();
        let method = form.method("dcv_type");
        let plan = plan.cloned().or_else(|| form.plan(plans));
        form.check_contact(csr.as_ref(), method, plan.as_ref());
        let client_reference = form.text("client_reference");
        if method == Some(Method::File) && csr.iter().any(is_wildcard) {
            form.wrong(
                "dcv_type",
                "invalid",
                "A wildcard cannot be validated by FILE.",
            );
        }
        match (csr, method, plan, form.errors) {
            (Some(csr), Some(method), Some(plan), errors) if errors.is_empty() => Ok(Self {
                csr: trimmed(csr, variants),
                method,
                plan,
                client_reference,
                contact: contact(&body),
            }),
            (.., errors) => Err(Refusal::fields(errors)),
        }
    }

    /// The names to be proved, none of them yet.
    pub(super) fn proofs(&self) -> Vec<NameProof> {
        let email = self.contact.get("approver_email_address");
        let email = email.and_then(Value::as_str).map(str::to_owned);
        let proof = |name: &Name| NameProof {
            name: name.text(),
            method: self.method,
            email: email.clone(),
            proved: false,
            seen: String::new(),
        };
        self.csr.names.iter().map(proof).collect()
    }
}

/// JSON with any Content-Type (2).
pub(super) fn body(request: &Request) -> Result<Map<String, Value>, Refusal> {
    match request.json() {
        Ok(Value::Object(body)) => Ok(body),
        // guess: the code.
        _ => Err(Refusal::new(
            400,
            "invalid_json",
            "The request body is not a JSON object.",
        )),
    }
}

/// A body under examination.
#[derive(Debug)]
pub(super) struct Form<'a> {
    pub(super) body: &'a Map<String, Value>,
    pub(super) errors: Vec<FieldError>,
}

impl Form<'_> {
    /// A text that may be missing, null or empty.
    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        match self.body.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
            Some(_) => {
                self.wrong(field, "invalid", "Not a valid string.");
                None
            }
        }
    }

    pub(super) fn method(&mut self, field: &'static str) -> Option<Method> {
        let word = self.required(field)?;
        let method = Method::read(&word);
        if method.is_none() {
            self.wrong(
                field,
                "invalid_choice",
                &format!("\"{word}\" is not a valid choice."),
            );
        }
        method
    }

    fn required(&mut self, field: &'static str) -> Option<String> {
        let errors = self.errors.len();
        let text = self.text(field);
        if text.is_none() && errors == self.errors.len() {
            self.wrong(field, "required", "This field is required.");
        }
        text
    }

    /// "at least 2048 bits in length"; guess: elliptic curves are good, and every text.
    fn csr(&mut self) -> Option<Csr> {
        let text = self.required("csr")?;
        let csr = Csr::from_pem(&text).and_then(|csr| match csr.key {
            KeyType::Rsa(bits) if bits < 2048 => {
                Err("its key is shorter than 2048 bits".to_owned())
            }
            _ if names(&csr).is_empty() => Err("it has no common name".to_owned()),
            _ => Ok(csr),
        });
        csr.map_err(|error| self.wrong("csr", "invalid", &format!("The CSR is invalid: {error}.")))
            .ok()
    }

    fn plan(&mut self, plans: &[Plan]) -> Option<Plan> {
        let id = self.required("plan")?;
        let plan = plans.iter().find(|plan| plan.id.eq_ignore_ascii_case(&id));
        if plan.is_none() {
            self.wrong("plan", "does_not_exist", "This plan does not exist.");
        }
        plan.cloned()
    }

    fn check_contact(&mut self, csr: Option<&Csr>, method: Option<Method>, plan: Option<&Plan>) {
        if method == Some(Method::Email) {
            self.required("approver_email_address");
        }
        if plan.is_none_or(|plan| plan.kind == PlanKind::DomainValidated) {
            return;
        }
        for field in VETTED {
            self.required(field);
        }
        // "will be taken from the CSR" when it is missing.
        if csr.is_some_and(|csr| csr.attribute("O").is_none()) {
            self.required("company_name");
        }
    }

    pub(super) fn wrong(&mut self, field: &'static str, code: &'static str, message: &str) {
        self.errors.push(FieldError {
            field,
            code,
            message: message.to_owned(),
        });
    }
}

/// Required for OV and EV (4.1).
const VETTED: [&str; 4] = [
    "chamber_of_commerce",
    "department",
    "approver_first_name",
    "approver_last_name",
];

/// Every other field that is only stored (4.1).
const CONTACT: [&str; 7] = [
    "company_name",
    "address",
    "zip_code",
    "city",
    "approver_email_address",
    "approver_phone_number",
    "ee_reference_order_id",
];

fn contact(body: &Map<String, Value>) -> Map<String, Value> {
    let known = VETTED.iter().chain(&CONTACT);
    known
        .filter_map(|field| Some(((*field).to_owned(), body.get(*field)?.clone())))
        .collect()
}

/// The common name, then every other DNS name, in lower case. guess: addresses and the rest are silently left out.
fn names(csr: &Csr) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in std::iter::once(csr.common_name()).chain(csr.dns_names()) {
        let name = name.to_ascii_lowercase();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Whether names in the CSR count is not documented (4.1).
fn trimmed(mut csr: Csr, variants: &Variants) -> Csr {
    let kept = if variants.honours_alternate_names {
        usize::MAX
    } else {
        1
    };
    csr.names = names(&csr).into_iter().take(kept).map(Name::Dns).collect();
    csr
}

fn is_wildcard(csr: &Csr) -> bool {
    names(csr).iter().any(|name| name.starts_with("*."))
}
