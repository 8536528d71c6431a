//! When the shop validates a name, and how it reports the unvalidated names (purchase API reference 4.6, 5).

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::Shop;
use super::dcv::{Method, Wanted};
use super::fields::{Form, body};
use super::look::look;
use super::order::{Job, NameProof, Order};
use super::settings::Dcv;
use super::switch::{DetailsForm, Spelling};
use super::wire::{Handled, Refusal, ShopAnswer};
use crate::ca::{Office, Preparation, Request};

/// The outcomes of looks, until the next request.
#[derive(Debug, Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Vec<Found>>>);

/// The outcome of one look.
#[derive(Debug)]
struct Found {
    job: u64,
    name: String,
    outcome: Result<(), String>,
}

/// One look to take.
#[derive(Debug)]
struct ValidationCheck {
    job: u64,
    name: String,
    /// `None` when the subscriber has to act.
    wanted: Option<Wanted>,
}

impl Shop {
    /// `POST /ssl-certificate/{id}/validate`: another look, perhaps by another method or for one name only (4).
    /// The look itself is a [`Preparation`], which has ended by now.
    pub(super) fn validate(&mut self, office: &mut Office, request: &Request, id: &str) -> Handled {
        let at = self.find_open(id)?;
        Validate::read(request)?;
        if self.orders.get(at).is_none_or(|order| order.job.is_none()) {
            // guess: the code.
            return Err(Refusal::new(
                409,
                "not_pending",
                "There is nothing to validate.",
            ));
        }
        self.show(office, id)
    }

    /// `GET /ssl-certificate/{id}/validation-details` (4.6): inferred from the service that is probably behind this one.
    pub(super) fn details(&mut self, id: &str) -> Handled {
        let is_it = |order: &&mut Order| order.id == id && order.is_known(&self.variants);
        let order = self.orders.iter_mut().find(is_it);
        let order = order.ok_or_else(Refusal::not_found)?;
        if self.variants.details_form == DetailsForm::Strange {
            return Ok(ShopAnswer::Object(
                json!({"steps": ["Please look into your mailbox."]}),
            ));
        }
        let details = order.job.as_mut().map_or_else(all_done, Job::details);
        Ok(ShopAnswer::Object(match self.variants.details_spelling {
            Spelling::Camel => details,
            Spelling::Snake => snake_case(details),
        }))
    }

    /// The looks that this request triggers. Looks on a network run as a [`Preparation`], without the lock.
    pub(super) fn looks(&mut self, request: &Request) -> Option<Preparation> {
        let looks = self.due_looks(request);
        let inbox = self.inbox.clone();
        match self.settings.dcv {
            Dcv::Fake => {
                inbox.take_in(looks, |wanted| Some(self.published.look(wanted.as_ref()?)));
                None
            }
            Dcv::Granted => {
                inbox.take_in(looks, |_| Some(Ok(())));
                None
            }
            Dcv::Real { http, dns } => Some(Box::pin(async move {
                for ValidationCheck { job, name, wanted } in looks {
                    let Some(wanted) = wanted else { continue };
                    let outcome = look(&wanted, http, dns).await;
                    inbox.push(Found { job, name, outcome });
                }
            })),
        }
    }

    /// Stores the outcomes of earlier looks.
    pub(super) fn read_inbox(&mut self) {
        for Found { job, name, outcome } in self.inbox.empty() {
            let mut jobs = self
                .orders
                .iter_mut()
                .filter_map(|order| order.job.as_mut());
            if let Some(job) = jobs.find(|row| row.number == job) {
                job.looked(&name, &outcome);
            }
        }
    }

    /// A read of an order makes the shop look every so often, a call to validate makes it look now.
    fn due_looks(&mut self, request: &Request) -> Vec<ValidationCheck> {
        let route = request.route();
        let (id, reported) = match (request.method.as_str(), route.as_slice()) {
            ("POST", [.., "ssl-certificate", id, "validate"]) => match Validate::read(request) {
                Ok(validate) => (Some(*id), Some(validate)),
                Err(_) => return Vec::new(),
            },
            (
                "GET",
                [.., "ssl-certificate", id] | [.., "ssl-certificate", id, "validation-details"],
            ) => (Some(*id), None),
            ("GET", [.., "ssl-certificate"]) => (None, None),
            _ => return Vec::new(),
        };
        let every = self.variants.looks_every;
        let is_meant = |order: &&mut Order| id.is_none_or(|id| order.id == id) && order.is_open();
        let meant = self.orders.iter_mut().filter(is_meant);
        let jobs = meant.filter_map(|order| order.job.as_mut());
        jobs.flat_map(|job| job.due_looks(reported.as_ref(), every))
            .collect()
    }
}

impl Inbox {
    /// Takes looks that need no network; `None` is a look that cannot be taken.
    fn take_in(
        &self,
        looks: Vec<ValidationCheck>,
        take: impl Fn(Option<Wanted>) -> Option<Result<(), String>>,
    ) {
        for ValidationCheck { job, name, wanted } in looks {
            if let Some(outcome) = take(wanted) {
                self.push(Found { job, name, outcome });
            }
        }
    }

    fn push(&self, found: Found) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(found);
    }

    fn empty(&self) -> Vec<Found> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The body of a call to validate (4).
#[derive(Debug)]
struct Validate {
    method: Method,
    email: Option<String>,
    /// guess: without it, every name.
    domain: Option<String>,
}

impl Validate {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let body = body(request)?;
        let mut form = Form {
            body: &body,
            errors: Vec::new(),
        };
        let method = form.method("dcv_type");
        let email = form.text("email_address");
        let domain = form.text("domain");
        if method == Some(Method::Email) && email.is_none() {
            form.wrong("email_address", "required", "This field is required.");
        }
        match (method, form.errors) {
            (Some(method), errors) if errors.is_empty() => Ok(Self {
                method,
                email,
                domain,
            }),
            (_, errors) => Err(Refusal::fields(errors)),
        }
    }

    fn apply(&self, row: &mut NameProof) {
        let is_meant = self
            .domain
            .as_deref()
            .is_none_or(|domain| domain == row.name);
        if is_meant && !row.proved {
            row.method = self.method;
            row.email = self.email.clone().or(row.email.take());
        }
    }
}

impl Job {
    fn due_looks(&mut self, reported: Option<&Validate>, every: u32) -> Vec<ValidationCheck> {
        self.reads_since_look += 1;
        if let Some(validate) = reported {
            self.names.iter_mut().for_each(|row| validate.apply(row));
        } else if every == 0 || self.reads_since_look < every {
            return Vec::new();
        }
        self.reads_since_look = 0;
        let look = |(name, wanted)| ValidationCheck {
            job: self.number,
            name,
            wanted,
        };
        self.wanted().into_iter().map(look).collect()
    }

    fn details(&mut self) -> Value {
        let domains = if self.details_hidden > 0 {
            self.details_hidden -= 1;
            Vec::new()
        } else {
            self.names.iter().map(|row| self.domain(row)).collect()
        };
        let proved = self.names.iter().all(|row| row.proved);
        let mut dcv = step(proved, "Domain control validation");
        dcv["domains"] = json!(domains);
        json!({
            "organization": step(self.vetted, "Organization"),
            "docs": step(true, "Documents"),
            "phone": step(self.vetted, "Phone"),
            "whois": step(true, "Whois"),
            "dcv": dcv,
        })
    }

    fn domain(&self, row: &NameProof) -> Value {
        let mut domain = step(row.proved, &row.seen);
        domain["domain"] = json!(row.name);
        domain["dcvType"] = json!(row.method.word());
        match row.method {
            Method::Email => {
                domain["dcvEmail"] = json!(row.email.as_deref().unwrap_or("Not Yet Set"));
            }
            Method::Dns => {
                domain["dnsRecord"] = json!(self.proof.record(&row.name));
                domain["dnsCnameValue"] = json!(self.proof.cname());
            }
            Method::File => {
                // Without a scheme (4.6).
                domain["fileLocation"] = json!(format!("{}{}", row.name, self.proof.path()));
                domain["fileContents"] = json!(self.proof.contents());
            }
        }
        domain
    }
}

fn step(done: bool, message: &str) -> Value {
    let detail = if done { 9 } else { 0 };
    json!({"status": done, "statusDetail": detail, "statusMessage": message})
}

/// guess: an order without a job shows no domains any more.
fn all_done() -> Value {
    let mut dcv = step(true, "Domain control validation");
    dcv["domains"] = json!([]);
    json!({"organization": step(true, "Organization"), "dcv": dcv})
}

/// The same with `dns_record` for `dnsRecord`.
fn snake_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let renamed = fields
                .into_iter()
                .map(|(key, value)| (snake_key(&key), snake_case(value)));
            Value::Object(renamed.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(snake_case).collect()),
        other => other,
    }
}

fn snake_key(key: &str) -> String {
    key.chars().fold(String::new(), |mut snake, letter| {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
        snake
    })
}
