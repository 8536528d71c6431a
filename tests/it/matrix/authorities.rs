//! The CAs of a driver pair, behind one trait: the orders that they received, and the secrets that may not leak.

use std::path::PathBuf;
use std::sync::Arc;

use renewd::ca;
use renewd::clock::ManualClock;
use renewd::config::Config;
use renewd::pki::{Certificate, KeyKind};
use simulators::Observer;

use super::driver_pair::Kind;
use super::outside_program::OutsideProgram;
use crate::contract::acme::Acme;
use crate::contract::pam360::Pam360;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Port, Subject};
use crate::test_bed::{LOCAL_CA, TestBed};

/// The CA of a test bed.
pub trait Authority: Send + Sync {
    /// `driver.NAME = { … }`; FOLDER stands for the test bed's folder.
    fn driver(&self) -> String;
    /// Puts what the configuration names into the test bed's folder.
    fn prepare(&mut self, bed: &TestBed);
    /// Orders that may have cost something.
    fn orders(&self) -> u64;
    /// Of those, orders for a key that had one already.
    fn duplicates(&self) -> u64;
    /// Money spent, in cents.
    fn spent_cents(&self) -> u64 {
        0
    }
    /// What one order costs, in cents.
    fn price_cents(&self) -> u64 {
        0
    }
    /// What must be in no log and no database.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
    /// What it was asked, one line each.
    fn journal(&self) -> Vec<String>;
    /// From now on, `observer` is notified of everything that it does.
    fn observed_by(&self, observer: Observer);
    /// The exchanges, where it has any.
    fn port(&self) -> Option<&dyn Port>;
}

/// Starts a CA of this kind.
pub async fn start(kind: Kind, clock: &Arc<ManualClock>) -> Box<dyn Authority> {
    let clock = Arc::clone(clock);
    match kind {
        Kind::Local => Box::new(Local::default()),
        Kind::Acme => Box::new(Simulated(Acme::start(clock).await)),
        Kind::Venafi => Box::new(Simulated(Venafi::start(clock).await)),
        Kind::Pam360 => Box::new(Simulated(Pam360::start(clock).await)),
        Kind::Resello => Box::new(Simulated(Resello::start(clock).await)),
        Kind::Exec => Box::new(OutsideProgram::start(clock).await),
    }
}

struct Simulated<S>(S);

impl<S: Subject> Authority for Simulated<S> {
    fn driver(&self) -> String {
        self.0.driver()
    }
    fn prepare(&mut self, bed: &TestBed) {
        self.0.prepare(bed);
    }
    fn orders(&self) -> u64 {
        self.0.orders()
    }
    fn duplicates(&self) -> u64 {
        self.0.port().counters().duplicates
    }
    fn spent_cents(&self) -> u64 {
        self.0.port().counters().spent_cents
    }
    fn price_cents(&self) -> u64 {
        self.0.price_cents()
    }
    fn secrets(&self) -> Vec<String> {
        self.0.secrets()
    }
    fn journal(&self) -> Vec<String> {
        self.0.port().journal()
    }
    fn observed_by(&self, observer: Observer) {
        self.0.port().observed_by(observer);
    }
    fn port(&self) -> Option<&dyn Port> {
        Some(self.0.port())
    }
}

/// The CA inside renewd: its deeds are files.
#[derive(Default)]
struct Local {
    issued: PathBuf,
}

impl Local {
    fn signed(&self) -> Vec<Certificate> {
        let Ok(files) = std::fs::read_dir(&self.issued) else {
            return Vec::new();
        };
        let paths = files.map(|file| file.unwrap().path());
        let of_orders = paths.filter(|path| path.extension().is_some_and(|end| end == "pem"));
        let leaf = |path: PathBuf| {
            let text = std::fs::read_to_string(path).unwrap();
            Certificate::all_from_pem(&text).unwrap().swap_remove(0)
        };
        of_orders.map(leaf).collect()
    }
}

impl Authority for Local {
    fn driver(&self) -> String {
        LOCAL_CA.to_owned()
    }
    fn prepare(&mut self, bed: &TestBed) {
        self.issued = bed.folder.path().join("ca/office");
        let Config { cas, .. } = bed.config();
        if let ca::Settings::Local(settings) = &cas["office"] {
            let key = KeyKind::Ecdsa(256);
            ca::local::init(settings, "Test CA", key, 10, &bed.env()).unwrap();
        }
    }
    fn orders(&self) -> u64 {
        u64::try_from(self.signed().len()).unwrap()
    }
    fn duplicates(&self) -> u64 {
        let signed = self.signed();
        let keys: std::collections::HashSet<_> =
            signed.iter().map(|leaf| leaf.public_key).collect();
        u64::try_from(signed.len() - keys.len()).unwrap()
    }
    fn journal(&self) -> Vec<String> {
        Vec::new()
    }
    fn observed_by(&self, _observer: Observer) {}
    fn port(&self) -> Option<&dyn Port> {
        None
    }
}

impl Authority for OutsideProgram {
    fn driver(&self) -> String {
        Self::driver()
    }
    fn prepare(&mut self, bed: &TestBed) {
        Self::prepare(self, bed);
    }
    fn orders(&self) -> u64 {
        u64::try_from(Self::orders(self)).unwrap()
    }
    /// The same request is the same order here; another one for the same key would be counted as an order.
    fn duplicates(&self) -> u64 {
        0
    }
    fn journal(&self) -> Vec<String> {
        Self::journal(self)
    }
    fn observed_by(&self, observer: Observer) {
        Self::observed_by(self, observer);
    }
    fn port(&self) -> Option<&dyn Port> {
        None
    }
}
