//! The settings of one firewall in a dry run: the firewall itself, the channel for reports, and the copy in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use tokio::sync::mpsc::Sender;

use crate::failure::Failure;
use crate::firewall::{
    self, Binding, Firewall, Identity, InstalledObject, ObjectKind, PendingChangesOfOthers,
};
use crate::inventory::Service;
use crate::pki::{Certificate, KeyRequest};

/// One firewall of a dry run; all sessions with it share its copy.
#[derive(Debug)]
pub struct Settings {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// The firewall itself.
    pub real: firewall::Settings,
    /// Gets a sentence for each thing that would be done.
    reported: Sender<String>,
    /// A login that failed is not tried again: that could lock the account.
    pub(super) copy: OnceCell<Result<Mutex<Copy>, Failure>>,
    expected: Mutex<BTreeMap<String, Expected>>,
}

/// What is known of a key pair on the device, or of one that will be there.
#[derive(Debug, Clone)]
pub struct Expected {
    /// For what it was made.
    pub request: KeyRequest,
    /// The certificate that was issued for it.
    pub leaf: Option<Certificate>,
}

/// What was seen on the device, as it would be by now.
#[derive(Debug)]
pub(super) struct Copy {
    pub identity: Identity,
    pub objects: Vec<InstalledObject>,
    pub bindings: Vec<Binding>,
    pub pending_changes_of_others: Option<PendingChangesOfOthers>,
    /// What services show that were pointed at another certificate.
    pub served: BTreeMap<Service, Certificate>,
}

impl Settings {
    /// A dry run of the firewall that `real` reaches; nothing is sent before the first session.
    pub fn new(name: Arc<str>, real: firewall::Settings, reported: Sender<String>) -> Self {
        Self {
            name,
            real,
            reported,
            copy: OnceCell::new(),
            expected: Mutex::default(),
        }
    }

    /// Lets the driver know of the key pair `alias`.
    pub fn expect(&self, alias: &str, expected: Expected) {
        lock(&self.expected).insert(alias.to_owned(), expected);
    }

    /// What one of `services` would show by now; `None` when none of them was pointed at another certificate.
    pub fn served(&self, services: &[Service]) -> Option<Certificate> {
        let copy = self.copy.get()?.as_ref().ok()?;
        let copy = lock(copy);
        services
            .iter()
            .find_map(|service| copy.served.get(service).cloned())
    }

    /// Remembers what was issued for the key pair `alias`.
    pub(super) fn issued(&self, alias: &str, leaf: &Certificate) {
        if let Some(expected) = lock(&self.expected).get_mut(alias) {
            expected.leaf = Some(leaf.clone());
        }
    }

    pub(super) fn expected(&self, alias: &str) -> Option<Expected> {
        lock(&self.expected).get(alias).cloned()
    }

    pub(super) fn report(&self, words: String) {
        // The receiver is closed when the dry run is over.
        let _ = self.reported.try_send(words);
    }
}

impl Copy {
    /// Reads everything that a renewal looks at.
    pub(super) async fn of(session: &mut dyn Firewall) -> Result<Self, Failure> {
        Ok(Self {
            identity: session.identify().await?,
            objects: session.installed().await?,
            bindings: session.bindings().await?,
            pending_changes_of_others: session.pending_changes_of_others().await?,
            served: BTreeMap::new(),
        })
    }

    /// Puts an object in the place of what has its name.
    pub(super) fn put(&mut self, alias: &str, kind: ObjectKind) {
        self.objects.retain(|object| object.alias != alias);
        self.objects.push(InstalledObject {
            alias: alias.to_owned(),
            kind,
            detail: Vec::new(),
        });
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
