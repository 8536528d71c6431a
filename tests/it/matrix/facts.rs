//! What renewd has stored and reported, and the state of its peers, all at one moment. This module only collects it;
//! `invariants.rs` says what must hold.

use std::collections::HashSet;

use jiff::Timestamp;
use renewd::event::EventKind;
use renewd::inventory::{Renewal, RenewalId};
use renewd::pki::Certificate;
use renewd::renewal::Step;
use renewd::store::{PastEvent, Store};
use simulators::sonicos::{Port, Simulator};

use super::authorities::Authority;

/// When the facts are collected: during the work, or when nothing is in progress any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    AfterCrash,
    AtEnd,
}

/// Everything that the invariants are about, of one moment.
#[derive(Debug, Clone)]
pub struct Facts {
    pub when: When,
    pub now: Timestamp,
    /// All of them, newest first for each certificate.
    pub renewals: Vec<Renewal>,
    /// How often each step with an intent was tried, by renewal.
    pub tried: HashSet<(RenewalId, Step)>,
    /// Of all certificates.
    pub history: Vec<PastEvent>,
    pub devices: Vec<DeviceFacts>,
    pub cas: Vec<CaFacts>,
    /// What was written, and where: logs, databases.
    pub texts: Vec<(String, Vec<u8>)>,
    /// What must be in none of the texts.
    pub secrets: Vec<String>,
}

/// A firewall, by its own counters.
#[derive(Debug, Clone)]
pub struct DeviceFacts {
    /// Its name in the configuration.
    pub name: String,
    /// SHA-256 of each certificate that it served before renewd came.
    pub first: Vec<String>,
    /// The names of its certificates and requests, each with the SHA-256 of its public key.
    pub names: Vec<(String, Option<String>)>,
    pub served: [Served; 2],
    pub pending: Vec<String>,
    pub sessions_open: u64,
    pub holds_configuration_mode: bool,
    pub commits_of_foreign_changes: u64,
    pub discards_of_foreign_changes: u64,
    pub locked_out: u64,
    pub journal: Vec<String>,
}

/// What one port shows.
#[derive(Debug, Clone)]
pub struct Served {
    /// SHA-256 of the certificate.
    pub fingerprint: String,
    /// SHA-256 of its public key.
    pub public_key: String,
    /// The name that is bound; none is the device's own certificate.
    pub bound: Option<String>,
}

/// A CA, by its own counters.
#[derive(Debug, Clone)]
pub struct CaFacts {
    /// Its name in the configuration.
    pub name: String,
    pub orders: u64,
    pub duplicates: u64,
    pub spent_cents: u64,
    pub price_cents: u64,
    /// Orders that may be placed in the time of a test.
    pub budget: Option<u64>,
    pub journal: Vec<String>,
}

impl Facts {
    /// What `store` holds of these certificates; what others say is added by the caller.
    pub async fn of_store(
        when: When,
        now: Timestamp,
        store: &Store,
        certificates: &[&str],
    ) -> Self {
        let (mut renewals, mut history) = (Vec::new(), Vec::new());
        for name in certificates {
            renewals.extend(store.renewals_of(name, MANY).await.unwrap());
            history.extend(store.history(name, MANY).await.unwrap());
        }
        let mut tried = HashSet::new();
        for renewal in &renewals {
            for step in INTENDED {
                if store.tries(&renewal.id, step.name()).await.unwrap() > 0 {
                    tried.insert((renewal.id.clone(), step));
                }
            }
        }
        Self {
            when,
            now,
            renewals,
            tried,
            history,
            devices: Vec::new(),
            cas: Vec::new(),
            texts: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// What the peers were asked last.
    pub fn tail(&self) -> String {
        let devices = self.devices.iter().map(|it| (&it.name, &it.journal));
        let cas = self.cas.iter().map(|it| (&it.name, &it.journal));
        let mut text = String::new();
        for (name, journal) in devices.chain(cas) {
            let last = &journal[journal.len().saturating_sub(TAIL)..];
            let lines = last.join("\n  ");
            text.extend([name.as_str(), ":\n  ", &lines, "\n"]);
        }
        text
    }

    /// Whether it may be that `step` has acted: its intent was stored.
    pub fn was_tried(&self, renewal: &Renewal, step: Step) -> bool {
        self.tried.contains(&(renewal.id.clone(), step))
    }

    /// The renewals of a firewall.
    pub fn renewals_at<'a>(&'a self, device: &'a DeviceFacts) -> impl Iterator<Item = &'a Renewal> {
        self.renewals
            .iter()
            .filter(|renewal| *renewal.firewall == *device.name)
    }

    /// Whether the history has one of these events for this renewal.
    pub fn is_reported(&self, renewal: &Renewal, kinds: &[EventKind]) -> bool {
        self.history.iter().any(|past| {
            past.renewal.as_ref() == Some(&renewal.id)
                && kinds.iter().any(|kind| kind.name() == past.name)
        })
    }
}

impl DeviceFacts {
    /// Of the firewall `name`, which served the certificate with the SHA-256 `first` before renewd came.
    pub fn of(name: &str, simulator: &Simulator, first: &str) -> Self {
        let counters = simulator.counters();
        let served = [Port::Management, Port::SslVpn].map(|port| {
            let certificate = Certificate::from_der(&simulator.served_der(port)).unwrap();
            Served {
                fingerprint: certificate.fingerprint.to_string(),
                public_key: certificate.public_key.to_string(),
                bound: simulator.bound(port),
            }
        });
        let names = simulator.certificates().into_iter();
        Self {
            name: name.to_owned(),
            first: vec![first.to_owned()],
            names: names
                .map(|name| (name.clone(), simulator.spki_sha256(&name)))
                .collect(),
            served,
            pending: simulator.pending(),
            sessions_open: counters.sessions_open,
            holds_configuration_mode: simulator.holds_configuration_mode(),
            commits_of_foreign_changes: counters.commits_of_foreign_changes,
            discards_of_foreign_changes: counters.discards_of_foreign_changes,
            locked_out: counters.locked_out,
            journal: simulator.journal(),
        }
    }

    /// Whether it has this key, under whatever name.
    pub fn has_key(&self, public_key: &str) -> bool {
        let mut keys = self.names.iter().map(|(_, key)| key.as_deref());
        keys.any(|key| key == Some(public_key))
    }

    /// Whether it has something of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|(known, _)| known == name)
    }
}

impl CaFacts {
    /// Of the CA `name`.
    pub fn of(name: &str, ca: &dyn Authority) -> Self {
        Self {
            name: name.to_owned(),
            orders: ca.orders(),
            duplicates: ca.duplicates(),
            spent_cents: ca.spent_cents(),
            price_cents: ca.price_cents(),
            budget: None,
            journal: ca.journal(),
        }
    }
}

/// The steps that store an intent.
const INTENDED: [Step; 5] = [
    Step::GenerateCsr,
    Step::Submit,
    Step::Import,
    Step::Bind,
    Step::RollBack,
];
const MANY: u32 = 10_000;
const TAIL: usize = 30;
