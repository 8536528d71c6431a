//! A simulated shop for certificates: the `/ssl-certificate` purchase API.
//!
//! Written from the purchase API reference; sections are cited by number. It has prepaid money, plans, orders that wait for a
//! proof of control over their names, and signs real certificates. Not implemented: Encryption Everywhere, renaming plans.

mod archive;
mod dcv;
mod download;
mod fields;
mod ledger;
mod look;
mod order;
mod purchase;
mod reading;
mod settings;
mod switch;
mod validation;
mod variants;
mod wire;

use std::collections::HashSet;

use data_encoding::BASE64;

pub use self::ledger::Ledger;
pub use self::settings::{Dcv, Plan, PlanKind, Settings};
pub use self::switch::{
    DeletedAs, DetailsForm, ErrorMessage, PendingDownload, ReferenceMatch, Spelling, UniqueValue,
};
pub use self::variants::Variants;

use self::dcv::Published;
use self::order::Order;
use self::validation::Inbox;
use self::wire::{Handled, Refusal};
use crate::ca::{self, Common, Model, Office, Preparation, Reply, Request};

/// A running shop. It stops when it is dropped.
pub type Simulator = ca::Simulator<Shop>;

/// The simulator behind the port.
#[derive(Debug)]
pub struct Shop {
    settings: Settings,
    variants: Variants,
    ledger: Ledger,
    orders: Vec<Order>,
    invalidated: Vec<Vec<u8>>,
    published: Published,
    inbox: Inbox,
    used_keys: HashSet<Vec<u8>>,
    jobs: u64,
}

/// An order as the shop sees it, also a deleted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderView {
    /// Its id on the wire.
    pub id: String,
    /// The status that the next answer shows.
    pub status: String,
    /// As stored now.
    pub client_reference: Option<String>,
    /// The plan's id.
    pub plan: String,
    /// The money paid for it and not refunded.
    pub paid_cents: u64,
    /// The certificate that it has now, DER.
    pub certificate: Option<Vec<u8>>,
    /// The names of its unfinished purchase, and whether each is proved.
    pub names: Vec<(String, bool)>,
}

/// The functions of a shop only.
impl Simulator {
    /// The `api_base_url` of the documents (2).
    pub fn base_url(&self) -> String {
        format!("{}/api/v1", self.url())
    }

    /// The money and the purchases.
    pub fn ledger(&self) -> Ledger {
        self.with(|shop, _| shop.ledger.clone())
    }

    /// Every order so far, in their order.
    pub fn orders(&self) -> Vec<OrderView> {
        self.with(|shop, _| shop.orders.iter().map(|order| shop.view(order)).collect())
    }

    /// Certificates that a reissue or a delete invalidated, DER.
    pub fn invalidated(&self) -> Vec<Vec<u8>> {
        self.with(|shop, _| shop.invalidated.clone())
    }

    /// Publishes a CNAME, for [`Dcv::Fake`].
    pub fn publish_dns(&self, name: &str, target: &str) {
        self.with(|shop, _| shop.published.record(name, target));
    }

    /// Publishes a file, for [`Dcv::Fake`]. `location` is host and path, with or without `http://`.
    pub fn publish_file(&self, location: &str, contents: &str) {
        self.with(|shop, _| shop.published.file(location, contents));
    }

    /// The subscriber follows the links in the mails of an order. Returns whether there is such an unfinished order.
    pub fn approve(&self, id: &str) -> bool {
        self.with_job(id, order::Job::approve)
    }

    /// The shop vets the organization of an order. Returns whether there is such an unfinished order.
    pub fn vet(&self, id: &str) -> bool {
        self.with_job(id, |job| job.vetted = true)
    }

    /// Ends an order with a status word of your own, such as `failed` (4.2); whether there is such an order.
    pub fn end(&self, id: &str, status: &str) -> bool {
        self.with(|shop, office| {
            let order = shop.orders.iter_mut().find(|order| order.id == id);
            let Some(order) = order else {
                return false;
            };
            order.ended = Some(status.to_owned());
            if let Some(job) = &order.job {
                office.order_failed(&job.csr);
            }
            true
        })
    }

    fn with_job(&self, id: &str, change: impl FnOnce(&mut order::Job)) -> bool {
        self.with(|shop, _| {
            let is_it = |order: &&mut Order| order.id == id && order.is_open();
            let order = shop.orders.iter_mut().find(is_it);
            let job = order.and_then(|order| order.job.as_mut());
            job.map(change).is_some()
        })
    }
}

impl Model for Shop {
    type Settings = Settings;
    type Variants = Variants;
    const NAME: &'static str = "Purchase API";

    fn common(settings: &Settings) -> &Common {
        &settings.common
    }

    fn open(settings: Settings, _: &mut Office) -> Self {
        Self {
            variants: settings.variants.clone(),
            ledger: Ledger {
                balance_cents: settings.balance_cents,
                ..Ledger::default()
            },
            orders: Vec::new(),
            invalidated: Vec::new(),
            published: Published::default(),
            inbox: Inbox::default(),
            used_keys: HashSet::new(),
            jobs: 0,
            settings,
        }
    }

    fn variants(&mut self) -> &mut Variants {
        &mut self.variants
    }

    fn prepare(&mut self, request: &Request) -> Option<Preparation> {
        self.is_authorized(request)
            .then(|| self.looks(request))
            .flatten()
    }

    fn answer(&mut self, office: &mut Office, request: &Request) -> Reply {
        self.read_inbox();
        let handled = if self.is_authorized(request) {
            self.handle(office, request)
        } else {
            office.counters.credentials_refused += 1;
            // guess: code and text.
            Err(Refusal::new(
                401,
                "unauthorized",
                "Invalid username or API key.",
            ))
        };
        let reply = match handled {
            Ok(answer) => answer.reply(&self.variants),
            Err(refusal) => refusal.reply(&self.variants),
        };
        if reply.status == 401 {
            return reply.header("WWW-Authenticate", "Basic realm=\"api\"");
        }
        reply
    }
}

impl Shop {
    /// The plans of the account.
    pub fn plans(&self) -> &[Plan] {
        &self.settings.plans
    }

    fn handle(&mut self, office: &mut Office, request: &Request) -> Handled {
        let route = request.route();
        let Some(route) = route.strip_prefix(&["api", "v1"]) else {
            return Err(Refusal::not_found());
        };
        match (request.method.as_str(), route) {
            ("GET", ["ssl-certificate"]) => Ok(self.list(office, request)),
            ("POST", ["ssl-certificate"]) => self.create(office, request),
            ("GET", ["ssl-certificate", id]) => self.show(office, id),
            ("DELETE", ["ssl-certificate", id]) => self.delete(office, id),
            ("POST", ["ssl-certificate", id, "renew"]) => self.renew(office, request, id),
            ("POST", ["ssl-certificate", id, "reissue"]) => self.reissue(office, request, id),
            ("POST", ["ssl-certificate", id, "validate"]) => self.validate(office, request, id),
            ("GET", ["ssl-certificate", id, "validation-details"]) => self.details(id),
            ("GET", ["ssl-certificate", id, file]) => match file.strip_prefix("download-") {
                Some(format) => self.download(office, id, format),
                None => Err(Refusal::not_found()),
            },
            ("GET", ["ssl-certificate-plan"]) => Ok(self.list_plans(request)),
            ("GET", ["ssl-certificate-plan", id]) => self.show_plan(id),
            // guess: a wrong method is as unknown as a wrong path.
            _ => Err(Refusal::not_found()),
        }
    }

    /// HTTP Basic (2).
    fn is_authorized(&self, request: &Request) -> bool {
        let pair = format!("{}:{}", self.settings.user, self.settings.key);
        let wanted = BASE64.encode(pair.as_bytes());
        let sent = request.header("authorization").unwrap_or_default();
        let (scheme, sent) = sent.split_once(' ').unwrap_or_default();
        scheme.eq_ignore_ascii_case("basic") && sent.trim() == wanted
    }

    fn view(&self, order: &Order) -> OrderView {
        let names = order.job.iter().flat_map(|job| &job.names);
        let current = order.current.as_ref();
        OrderView {
            id: order.id.clone(),
            status: order.status(&self.variants).to_owned(),
            client_reference: order.client_reference.clone(),
            plan: order.plan.id.clone(),
            paid_cents: order.payments.iter().map(|payment| payment.cents).sum(),
            certificate: current.map(|current| current.issued.der.clone()),
            names: names.map(|row| (row.name.clone(), row.proved)).collect(),
        }
    }
}
