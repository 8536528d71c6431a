//! A simulated ACME server (RFC 8555) with renewal information (RFC 9773) and profiles (draft-ietf-acme-profiles).
//!
//! Written from the RFCs, whose sections are cited by number, and where they leave something open, from the behaviour of Let's
//! Encrypt. It verifies signatures and nonces, validates challenges for real, and signs. Not implemented: revocation, change of
//! keys, alternate chains, pre-authorization, tls-alpn-01, CAA, redirects during http-01.

mod accounts;
mod authorizations;
mod call;
mod dns;
mod identifier;
mod jws;
mod orders;
mod renewal;
mod settings;
mod validation;
mod variants;
mod wire;

use std::collections::HashMap;

pub use self::renewal::Window;
pub use self::settings::{ExternalAccount, Profile, Settings};
pub use self::variants::{ProblemType, Variants};

use self::accounts::{Account, Status};
use self::authorizations::Authorization;
use self::call::{Nonces, base};
use self::identifier::Identifier;
use self::orders::Order;
use self::wire::{Handled, Problem};
use crate::ca::{Common, Model, Office, Reply, Request};

/// A running server.
pub type Simulator = crate::ca::Simulator<Acme>;

/// The state of the server.
#[derive(Debug)]
pub struct Acme {
    settings: Settings,
    variants: Variants,
    nonces: Nonces,
    accounts: Vec<Account>,
    orders: Vec<Order>,
    authorizations: Vec<Authorization>,
    /// TXT records for when no DNS server is given.
    txt: HashMap<String, Vec<String>>,
    /// Of every certificate, instead of its own.
    window: Option<Window>,
    validations: u64,
    /// Looks at objects that were denied, by path.
    denied: HashMap<String, u32>,
}

/// An order as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderView {
    /// The path of its URL.
    pub path: String,
    /// Its present status.
    pub status: String,
    /// Its names, sorted.
    pub names: Vec<String>,
    /// The requested profile.
    pub profile: Option<String>,
    /// The certificate that it replaces, by its id in renewal information.
    pub replaces: Option<String>,
    /// Whether it was ever finalized.
    pub is_finalized: bool,
    /// The leaf (DER), once there is one.
    pub certificate: Option<Vec<u8>>,
    /// The id of that leaf in renewal information.
    pub renewal_id: Option<String>,
}

/// An account as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The path of its URL.
    pub path: String,
    /// `mailto:` URLs.
    pub contact: Vec<String>,
    /// The kid of the external account that it is bound to.
    pub external: Option<String>,
    /// Whether it may order.
    pub is_valid: bool,
}

impl Simulator {
    /// The URL to configure in a client.
    pub fn directory_url(&self) -> String {
        format!("{}/directory", self.url())
    }

    /// Every order so far, in the order of their arrival.
    pub fn orders(&self) -> Vec<OrderView> {
        let view = |order: &Order| OrderView {
            path: format!("/order/{}", order.id),
            status: order.state.word().to_owned(),
            names: order.identifiers.iter().map(Identifier::text).collect(),
            profile: order.profile.clone(),
            replaces: order.replaces.clone(),
            is_finalized: order.csr.is_some(),
            certificate: order.issued.as_ref().map(|issued| issued.der.clone()),
            renewal_id: order.renewal_id.clone(),
        };
        self.with(|acme, _| acme.orders.iter().map(view).collect())
    }

    /// Every account so far that was not forgotten.
    pub fn accounts(&self) -> Vec<AccountView> {
        let view = |account: &Account| AccountView {
            path: format!("/account/{}", account.id),
            contact: account.contact.clone(),
            external: account.external.clone(),
            is_valid: account.status == Status::Valid,
        };
        self.with(|acme, _| {
            let known = acme.accounts.iter();
            known
                .filter(|account| account.status != Status::Forgotten)
                .map(view)
                .collect()
        })
    }

    /// Orders that were finalized.
    pub fn finalizations(&self) -> usize {
        let orders = self.orders();
        orders.iter().filter(|order| order.is_finalized).count()
    }

    /// Proofs that were looked at.
    pub fn validations(&self) -> u64 {
        self.with(|acme, _| acme.validations)
    }

    /// Adds a TXT record, such as `_acme-challenge.fw.example.com`, for when no DNS server is given.
    pub fn txt(&self, name: &str, value: &str) {
        self.with(|acme, _| {
            let values = acme.txt.entry(name.to_owned()).or_default();
            values.push(value.to_owned());
        });
    }

    /// Removes all TXT records of a name.
    pub fn clear_txt(&self, name: &str) {
        self.with(|acme, _| acme.txt.remove(name));
    }

    /// The window of every certificate from now on; none: each has its own, after two thirds of its life.
    pub fn renewal_window(&self, window: Option<Window>) {
        self.with(|acme, _| acme.window = window);
    }

    /// Every account so far is unknown from now on.
    pub fn forget_accounts(&self) {
        self.with(|acme, _| {
            for account in &mut acme.accounts {
                account.status = Status::Forgotten;
            }
        });
    }

    /// Every order so far, and with it every certificate, is unknown from now on.
    pub fn forget_orders(&self) {
        self.with(|acme, _| acme.orders.clear());
    }
}

impl Model for Acme {
    type Settings = Settings;
    type Variants = Variants;
    const NAME: &'static str = "Simulated ACME";

    fn common(settings: &Settings) -> &Common {
        &settings.common
    }

    fn open(settings: Settings, _: &mut Office) -> Self {
        Self {
            variants: settings.variants.clone(),
            settings,
            nonces: Nonces::default(),
            accounts: Vec::new(),
            orders: Vec::new(),
            authorizations: Vec::new(),
            txt: HashMap::new(),
            window: None,
            validations: 0,
            denied: HashMap::new(),
        }
    }

    fn variants(&mut self) -> &mut Variants {
        &mut self.variants
    }

    fn answer(&mut self, office: &mut Office, request: &Request) -> Reply {
        let reply = self
            .handle(office, request)
            .unwrap_or_else(|problem| self.refused(office, problem));
        let index = format!("<{}/directory>;rel=\"index\"", base(request));
        let reply = reply.header("Link", &index);
        // 6.5: every answer to a POST has a nonce for the next one.
        if request.method == "POST" || request.path == "/new-nonce" {
            reply
                .header("Replay-Nonce", &self.nonces.fresh(office))
                .header("Cache-Control", "no-store")
        } else {
            reply
        }
    }
}

impl Acme {
    /// The prefix of URLs.
    fn links(&self, call: &call::AcmeCall) -> String {
        if self.variants.relative_urls {
            String::new()
        } else {
            call.base.clone()
        }
    }

    /// Denies the first requests for an object, as a switch defines.
    fn deny(&mut self, path: &str, what: &str) -> Result<(), Problem> {
        let looks = self.denied.entry(path.to_owned()).or_default();
        if *looks >= self.variants.unknown_looks {
            return Ok(());
        }
        *looks += 1;
        Err(Problem::not_found(what))
    }

    /// 7.1: only the directory, nonces and renewal information are available without a signature.
    fn handle(&mut self, office: &mut Office, request: &Request) -> Handled {
        let route = request.route();
        match (request.method.as_str(), route.as_slice()) {
            ("GET", ["directory"]) => Ok(Reply::json(200, &self.directory(&base(request)))),
            ("HEAD", ["new-nonce"]) => Ok(Reply::empty(200)),
            ("GET", ["new-nonce"]) => Ok(Reply::empty(204)),
            ("GET", ["renewal-info", id]) => self.renewal_info(office, id),
            ("POST", _) => self.handle_signed(office, request),
            // 6.3
            _ => Err(Problem::malformed("this is read with POST-as-GET").with_status(405)),
        }
    }

    fn handle_signed(&mut self, office: &mut Office, request: &Request) -> Handled {
        let call = self.admit(office, request)?;
        match request.route().as_slice() {
            ["new-account"] => self.new_account(office, &call),
            ["account", id] => self.account(&call, id),
            ["account", id, "orders"] => self.orders_of_account(&call, id),
            ["new-order"] => self.new_order(office, &call),
            ["order", id] => self.order(office, &call, id),
            ["order", id, "finalize"] => self.finalize(office, &call, id),
            ["authorization", id] => self.authorization(office, &call, id),
            ["challenge", id, number] => self.challenge(office, &call, id, number),
            ["certificate", id] => self.certificate(office, &call, id),
            _ => Err(Problem::not_found("this URL")),
        }
    }

    fn refused(&self, office: &Office, problem: Problem) -> Reply {
        let seconds = problem.retry_after;
        let reply = match problem.kind {
            // 7.3.3
            ProblemType::UserActionRequired => {
                let terms = format!("<{}>;rel=\"terms-of-service\"", self.settings.terms);
                Reply::from(problem).header("Link", &terms)
            }
            _ => Reply::from(problem),
        };
        self.wait(office, reply, seconds)
    }
}
