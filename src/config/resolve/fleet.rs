//! All elements of all files: double names, references between them, services that two certificates want.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::SignedDuration;

use super::Name;
use super::transfers::{FTP_HINT, FTP_WARNING};
use crate::ca;
use crate::config::diagnostics::{Diagnostics, FileSpan};
use crate::config::model::{Config, Daemon, ManagedFirewall};
use crate::config::suggest;
use crate::inventory::{Budget, Endpoint, ManagedCertificate, Service};

/// Everything that was written so far.
#[derive(Debug)]
pub(in crate::config) struct Fleet {
    cas: Section<ca::Settings>,
    firewalls: Section<Arc<ManagedFirewall>>,
    certificates: Section<Arc<ManagedCertificate>>,
    budgets: BTreeMap<Arc<str>, Budget>,
    chain_roots: BTreeMap<Arc<str>, Vec<PathBuf>>,
    /// As they were added: to put them into one list would hold them twice.
    drafts: Vec<Vec<DraftCertificate>>,
    /// The first firewall whose transfers are made to go by FTP, and how many there are.
    forced_ftp: Option<(FileSpan, usize)>,
}

/// Elements in the order in which they were written, not yet compared with others. A value is left out when something
/// about it was wrong.
#[derive(Debug, Default)]
pub(in crate::config) struct Elements {
    pub cas: Vec<DraftCa>,
    pub firewalls: Vec<DraftFirewall>,
    pub certificates: Vec<DraftCertificate>,
}

/// The elements of one kind; the value of an element is left out when something about it was wrong.
#[derive(Debug)]
struct Section<T> {
    header: &'static str,
    names: HashMap<Arc<str>, FileSpan>,
    // A tree that grows in the order of its keys stays half empty; built at once from a list it is full.
    values: Vec<(Arc<str>, T)>,
}

/// A CA with the budget that was written for it.
#[derive(Debug)]
pub(in crate::config) struct DraftCa {
    pub name: Option<Name>,
    /// `None` when something about it was wrong.
    pub value: Option<ca::Settings>,
    /// `None`: it depends on how many certificates the CA has.
    pub budget: Option<Budget>,
    /// Files of certificates.
    pub chain_roots: Vec<PathBuf>,
}

/// A firewall with what is reported for all of them together.
#[derive(Debug)]
pub(in crate::config) struct DraftFirewall {
    pub name: Option<Name>,
    /// `None` when something about it was wrong.
    pub value: Option<Arc<ManagedFirewall>>,
    /// Where its transfers are made to go by FTP.
    pub forced_ftp: Option<FileSpan>,
}

/// A certificate with its references unresolved.
#[derive(Debug)]
pub(in crate::config) struct DraftCertificate {
    pub name: Option<Name>,
    pub firewall: Option<Name>,
    pub ca: Option<Name>,
    pub services: Vec<(Service, FileSpan)>,
    /// Its `endpoints` are derived from the firewall.
    pub endpoints_are_default: bool,
    /// `None` when something about it was wrong.
    pub certificate: Option<Arc<ManagedCertificate>>,
}

/// The default order budget of a day: far more than any fleet needs, and far less than an endless loop would order.
const ORDERS: u32 = 50;
const ORDERS_PER_CERTIFICATE: u32 = 10;
const ORDERS_WITHIN: SignedDuration = SignedDuration::from_hours(24);

impl Default for Fleet {
    fn default() -> Self {
        Self {
            cas: Section::new("[[ca]]"),
            firewalls: Section::new("[[firewall]]"),
            certificates: Section::new("[[certificate]]"),
            budgets: BTreeMap::new(),
            chain_roots: BTreeMap::new(),
            drafts: Vec::new(),
            forced_ftp: None,
        }
    }
}

impl Fleet {
    /// Adds elements; what they refer to may follow later.
    pub fn add(&mut self, elements: Elements, diagnostics: &mut Diagnostics) {
        for draft in elements.cas {
            if let (Some(name), Some(budget)) = (&draft.name, draft.budget) {
                self.budgets.insert(Arc::clone(&name.text), budget);
            }
            if let Some(name) = &draft.name
                && !draft.chain_roots.is_empty()
            {
                let name = Arc::clone(&name.text);
                self.chain_roots.insert(name, draft.chain_roots);
            }
            self.cas.add(draft.name.as_ref(), draft.value, diagnostics);
        }
        for draft in elements.firewalls {
            if let Some(place) = draft.forced_ftp {
                self.forced_ftp.get_or_insert((place, 0)).1 += 1;
            }
            self.firewalls
                .add(draft.name.as_ref(), draft.value, diagnostics);
        }
        for draft in &elements.certificates {
            self.certificates
                .add(draft.name.as_ref(), None, diagnostics);
        }
        self.drafts.push(elements.certificates);
    }

    /// Whether no certificate was written.
    pub fn is_empty(&self) -> bool {
        self.drafts.iter().all(Vec::is_empty)
    }

    /// Looks at the whole. What it returns may be used only when nothing was found wrong.
    pub fn finish(
        mut self,
        daemon: Option<Daemon>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Config> {
        self.warn_of_ftp(diagnostics);
        let firewalls: BTreeMap<_, _> = self.firewalls.values.drain(..).collect();
        let mut whole = Whole {
            diagnostics,
            bound: HashMap::new(),
            guesses: GUESSES,
        };
        for mut draft in std::mem::take(&mut self.drafts).into_iter().flatten() {
            let firewall = whole.refer(draft.firewall.take(), &self.firewalls);
            let ca = whole.refer(draft.ca.take(), &self.cas);
            if let Some(firewall) = &firewall {
                whole.check_services(&draft, firewall);
            }
            if let (Some(firewall), Some(ca)) = (firewall, ca)
                && let Some(certificate) = draft.resolve(firewall, ca, &firewalls)
            {
                let name = certificate.name.clone();
                self.certificates.values.push((name, certificate));
            }
        }
        self.check_addresses(&firewalls, whole.diagnostics);
        let order_budgets = self.order_budgets();
        Some(Config {
            daemon: daemon?,
            order_budgets,
            written_budgets: self.budgets,
            chain_roots: self.chain_roots,
            cas: self.cas.values.into_iter().collect(),
            firewalls,
            certificates: self.certificates.values.into_iter().collect(),
        })
    }

    /// The budget of each CA: what is written, else enough for every certificate several times a day.
    fn order_budgets(&self) -> BTreeMap<Arc<str>, Budget> {
        let mut certificates: HashMap<&str, u32> = HashMap::new();
        for (_, certificate) in &self.certificates.values {
            *certificates.entry(&certificate.ca).or_default() += 1;
        }
        let by_default = |ca: &str| {
            let certificates = certificates.get(ca).copied().unwrap_or_default();
            Budget {
                orders: certificates
                    .saturating_mul(ORDERS_PER_CERTIFICATE)
                    .saturating_add(ORDERS),
                within: ORDERS_WITHIN,
            }
        };
        let budget = |ca: &Arc<str>| {
            self.budgets
                .get(ca)
                .copied()
                .unwrap_or_else(|| by_default(ca))
        };
        let cas = self.cas.values.iter();
        cas.map(|(ca, _)| (Arc::clone(ca), budget(ca))).collect()
    }

    /// An address of a service serves the certificate of that service: another one that is to be proven there is bound and
    /// rolled back again and again.
    fn check_addresses(
        &self,
        firewalls: &BTreeMap<Arc<str>, Arc<ManagedFirewall>>,
        diagnostics: &mut Diagnostics,
    ) {
        let certificates = || self.certificates.values.iter().map(|(_, one)| one);
        let mut holders: HashMap<(&str, Endpoint), &Arc<str>> = HashMap::new();
        for certificate in certificates() {
            let own = firewalls.get(&certificate.firewall);
            let addresses = own.map(|firewall| firewall.addresses(&certificate.services));
            for address in addresses.unwrap_or_default() {
                holders
                    .entry((&certificate.firewall, address))
                    .or_insert(&certificate.name);
            }
        }
        for certificate in certificates() {
            let own = firewalls.get(&certificate.firewall);
            let own = own.map(|firewall| firewall.addresses(&certificate.services));
            let own = own.unwrap_or_default();
            for address in certificate
                .endpoints
                .iter()
                .filter(|one| !own.contains(one))
            {
                let (firewall, name) = (&certificate.firewall, &certificate.name);
                let holder = holders.get(&(&**firewall, address.clone()));
                let place = self.certificates.names.get(name);
                if let (Some(holder), Some(place)) = (holder, place) {
                    let message = format!(
                        "`{name}` is to be proven at {address}, where a service of firewall `{firewall}` serves `{holder}`"
                    );
                    let hint =
                        "name in `endpoints` only addresses of services that this certificate has";
                    diagnostics.error(*place, message, Some(hint.to_owned()));
                }
            }
        }
    }

    /// Once for all firewalls that ask for it themselves: no operator reads ten thousand warnings.
    fn warn_of_ftp(&self, diagnostics: &mut Diagnostics) {
        let Some((place, firewalls)) = self.forced_ftp.filter(|_| !diagnostics.any_error()) else {
            return;
        };
        let message = match firewalls {
            1 => FTP_WARNING.to_owned(),
            _ => format!("{FTP_WARNING}; {firewalls} firewalls ask for it"),
        };
        diagnostics.warning(place, message, Some(FTP_HINT.to_owned()));
    }
}

impl<T> Section<T> {
    fn new(header: &'static str) -> Self {
        Self {
            header,
            names: HashMap::new(),
            values: Vec::new(),
        }
    }

    /// Adds an element. A broken one keeps its name, so that what refers to it is right.
    fn add(&mut self, name: Option<&Name>, value: Option<T>, diagnostics: &mut Diagnostics) {
        let Some(Name { text, place }) = name else {
            return;
        };
        if let Some(first) = self.names.get(text) {
            let hint = format!("the first is at {}", diagnostics.describe(*first));
            let message = format!("there are two {} with the name `{text}`", self.header);
            diagnostics.error(*place, message, Some(hint));
            return;
        }
        self.names.insert(text.clone(), *place);
        self.values.extend(value.map(|value| (text.clone(), value)));
    }
}

impl DraftCertificate {
    fn resolve(
        self,
        firewall: Arc<str>,
        ca: Arc<str>,
        firewalls: &BTreeMap<Arc<str>, Arc<ManagedFirewall>>,
    ) -> Option<Arc<ManagedCertificate>> {
        let mut shared = self.certificate?;
        let certificate = Arc::make_mut(&mut shared);
        if self.endpoints_are_default {
            certificate.endpoints = firewalls.get(&firewall)?.addresses(&certificate.services);
        }
        certificate.firewall = firewall;
        certificate.ca = ca;
        Some(shared)
    }
}

impl ManagedFirewall {
    /// Where these services show their certificate.
    fn addresses(&self, services: &[Service]) -> Vec<Endpoint> {
        let Some(management) = self.settings.management() else {
            return Vec::new();
        };
        let address = |service: &Service| match service {
            Service::WebManagement => management.clone(),
            Service::SslVpn => Endpoint {
                host: management.host.clone(),
                port: self.ssl_vpn_port,
            },
        };
        services.iter().map(address).collect()
    }
}

/// What is looked at across all certificates.
struct Whole<'a> {
    diagnostics: &'a mut Diagnostics,
    /// Which certificate a service has.
    bound: HashMap<(Arc<str>, Service), Holder>,
    /// Comparisons of names that may still be spent on "did you mean".
    guesses: usize,
}

/// The certificate that has a service, and where that is written.
struct Holder {
    certificate: Option<Arc<str>>,
    place: FileSpan,
}

impl Whole<'_> {
    /// The name as its own element has it, so that all share one text.
    fn refer<T>(&mut self, name: Option<Name>, section: &Section<T>) -> Option<Arc<str>> {
        let Name { text, place } = name?;
        if let Some((name, _)) = section.names.get_key_value(&text) {
            return Some(name.clone());
        }
        let header = section.header;
        let message = format!("there is no {header} with the name `{text}`");
        let hint = self.guess(&text, section);
        self.diagnostics.error(place, message, Some(hint));
        None
    }

    fn guess<T>(&mut self, text: &str, section: &Section<T>) -> String {
        let header = section.header;
        let Some(left) = self.guesses.checked_sub(section.names.len()) else {
            return format!("is the file with its {header} missing or broken?");
        };
        self.guesses = left;
        let mut names: Vec<&str> = section.names.keys().map(|name| &**name).collect();
        names.sort_unstable();
        let lead = format!("the names of {header} are");
        suggest::hint(text, names.iter().copied(), &lead)
    }

    /// A service shows one certificate: two that want the same service would replace each other for ever.
    fn check_services(&mut self, draft: &DraftCertificate, firewall: &Arc<str>) {
        for (service, place) in &draft.services {
            let key = (firewall.clone(), *service);
            let Some(holder) = self.bound.get(&key) else {
                let certificate = draft.name.as_ref().map(|name| name.text.clone());
                let place = *place;
                self.bound.insert(key, Holder { certificate, place });
                continue;
            };
            let other = holder
                .certificate
                .as_deref()
                .unwrap_or("one without a name");
            let message = format!(
                "`{service}` of firewall `{firewall}` has a certificate already: `{other}`"
            );
            let elsewhere = self.diagnostics.describe(holder.place);
            let hint = format!("a service uses one certificate; the other is at {elsewhere}");
            self.diagnostics.error(*place, message, Some(hint));
        }
    }
}

/// A file of ten thousand firewalls that was renamed must not keep an operator waiting for guesses.
const GUESSES: usize = 200_000;
