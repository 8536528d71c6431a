//! A person at the web interface of the same device, moved by a test. Never goes through the API.

use std::sync::Arc;

use super::pending::{Change, ChangeKind, Owner};
use super::server::Shared;
use super::session::Holder;

/// Another administrator.
#[derive(Debug, Clone)]
pub struct OtherAdministrator(pub(super) Arc<Shared>);

impl OtherAdministrator {
    /// Takes configuration mode, from the API's session too (1.4).
    pub fn takes_configuration_mode(&self) {
        let mut device = self.0.device();
        device.mode = Some(Holder::Other);
        device
            .journal
            .push("- another administrator takes configuration mode".to_owned());
    }

    /// Changes something without committing it, for instance `address-object ipv4 office`.
    pub fn has_pending_change(&self, line: &str) {
        let mut device = self.0.device();
        device.pending.push(Change {
            owner: Owner::Other,
            kind: ChangeKind::Foreign(line.to_owned()),
        });
        device.journal.push(format!(
            "- another administrator has a pending change: {line}"
        ));
    }

    /// Commits what is pending: a commit has no owner, so the API's changes go with it.
    pub fn commits(&self) {
        let mut device = self.0.device();
        device
            .journal
            .push("- another administrator commits".to_owned());
        device.apply_pending();
    }

    /// Logs out: the mode is free, the uncommitted changes are lost (1.4).
    pub fn leaves(&self) {
        let mut device = self.0.device();
        device.pending.retain(|change| change.owner != Owner::Other);
        if device.mode == Some(Holder::Other) {
            device.mode = None;
        }
        device
            .journal
            .push("- another administrator leaves".to_owned());
    }
}
