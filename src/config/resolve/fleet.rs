//! All elements of all files: double names, references between them, services that two certificates want.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Name;
use crate::ca;
use crate::config::desired::{Daemon, Desired, ManagedFirewall};
use crate::config::findings::{Findings, Place};
use crate::config::{suggest, values};
use crate::firewall::Settings;
use crate::inventory::{Endpoint, ManagedCertificate, RenewalPolicy, Service};
use crate::pki::KeyRequest;

/// Everything that was written, before it is looked at as a whole.
#[derive(Debug, Default)]
pub(in crate::config) struct Fleet {
    pub cas: Vec<Element<ca::Settings>>,
    pub firewalls: Vec<Element<DraftFirewall>>,
    pub certificates: Vec<DraftCertificate>,
}

/// A named element; its value is `None` when something about it was wrong.
#[derive(Debug)]
pub(in crate::config) struct Element<T> {
    pub name: Option<Name>,
    pub value: Option<T>,
}

/// A firewall with what only certificates ask of it.
#[derive(Debug)]
pub(in crate::config) struct DraftFirewall {
    pub managed: ManagedFirewall,
    pub ssl_vpn_port: u16,
}

/// A certificate with its references unresolved.
#[derive(Debug)]
pub(in crate::config) struct DraftCertificate {
    pub name: Option<Name>,
    pub firewall: Option<Name>,
    pub ca: Option<Name>,
    pub request: Option<KeyRequest>,
    pub services: Vec<(Service, Place)>,
    pub verify: Option<Vec<Endpoint>>,
    pub policy: RenewalPolicy,
}

/// Elements by name.
type ByName<T> = BTreeMap<Arc<str>, Named<T>>;

struct Named<T> {
    place: Place,
    value: Option<T>,
}

impl Fleet {
    /// Looks at the whole. What it returns may be used only when nothing was found wrong.
    pub fn finish(self, daemon: Option<Daemon>, findings: &mut Findings) -> Option<Desired> {
        let cas = by_name(self.cas, "[[ca]]", findings);
        let firewalls = by_name(self.firewalls, "[[firewall]]", findings);
        let mut bound = HashMap::new();
        let mut certificates = Vec::with_capacity(self.certificates.len());
        for mut draft in self.certificates {
            let name = draft.name.take();
            let firewall = refer(draft.firewall.take(), &firewalls, "[[firewall]]", findings);
            let ca = refer(draft.ca.take(), &cas, "[[ca]]", findings);
            if let Some(firewall) = &firewall {
                check_services(&draft, name.as_ref(), firewall, &mut bound, findings);
            }
            let value = draft.resolve(name.as_ref(), firewall, ca, &firewalls);
            certificates.push(Element { name, value });
        }
        let certificates = by_name(certificates, "[[certificate]]", findings);
        Some(Desired {
            daemon: daemon?,
            cas: values_of(cas, |settings| settings),
            firewalls: values_of(firewalls, |draft| draft.managed),
            certificates: values_of(certificates, Arc::new),
        })
    }
}

impl DraftCertificate {
    fn resolve(
        self,
        name: Option<&Name>,
        firewall: Option<Arc<str>>,
        ca: Option<Arc<str>>,
        firewalls: &ByName<DraftFirewall>,
    ) -> Option<ManagedCertificate> {
        let firewall = firewall?;
        let device = firewalls.get(&firewall)?.value.as_ref();
        let services: Vec<Service> = self.services.iter().map(|(service, _)| *service).collect();
        let verify = match self.verify {
            Some(verify) => verify,
            None => device?.addresses(&services),
        };
        Some(ManagedCertificate {
            name: name?.text.clone(),
            firewall,
            ca: ca?,
            request: self.request?,
            services,
            verify,
            policy: self.policy,
        })
    }
}

impl DraftFirewall {
    /// Where these services show their certificate.
    fn addresses(&self, services: &[Service]) -> Vec<Endpoint> {
        let Settings::Sonicos(settings) = &self.managed.settings;
        let Some(management) = values::management(&settings.url) else {
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

fn by_name<T>(elements: Vec<Element<T>>, section: &str, findings: &mut Findings) -> ByName<T> {
    let mut known: ByName<T> = BTreeMap::new();
    for Element { name, value } in elements {
        let Some(Name { text, place }) = name else {
            continue;
        };
        if let Some(first) = known.get(&text) {
            let hint = format!("the first is at {}", findings.describe(first.place));
            let message = format!("there are two {section} with the name `{text}`");
            findings.error(place, message, Some(hint));
            continue;
        }
        known.insert(text, Named { place, value });
    }
    known
}

/// The name as `known` has it, so that all share one text.
fn refer<T>(
    name: Option<Name>,
    known: &ByName<T>,
    section: &str,
    findings: &mut Findings,
) -> Option<Arc<str>> {
    let Name { text, place } = name?;
    if let Some((name, _)) = known.get_key_value(&text) {
        return Some(name.clone());
    }
    let names = known.keys().map(|name| &**name);
    let hint = suggest::hint(&text, names, &format!("the names of {section} are"));
    findings.error(
        place,
        format!("there is no {section} with the name `{text}`"),
        Some(hint),
    );
    None
}

/// A service shows one certificate: two that want the same service would replace each other for ever.
fn check_services(
    draft: &DraftCertificate,
    name: Option<&Name>,
    firewall: &Arc<str>,
    bound: &mut HashMap<(Arc<str>, Service), (Arc<str>, Place)>,
    findings: &mut Findings,
) {
    let name = name.map_or_else(|| Arc::from("without a name"), |name| name.text.clone());
    for (service, place) in &draft.services {
        let key = (firewall.clone(), *service);
        let Some((other, first)) = bound.get(&key) else {
            bound.insert(key, (name.clone(), *place));
            continue;
        };
        let message =
            format!("`{service}` of firewall `{firewall}` has a certificate already: `{other}`");
        let hint = format!(
            "a service uses one certificate; the other is at {}",
            findings.describe(*first)
        );
        findings.error(*place, message, Some(hint));
    }
}

fn values_of<T, U>(known: ByName<T>, change: impl Fn(T) -> U) -> BTreeMap<Arc<str>, U> {
    let value = |(name, named): (Arc<str>, Named<T>)| Some((name, change(named.value?)));
    known.into_iter().filter_map(value).collect()
}
