//! Another administrator at the web interface of the same device, controlled by a test. It never uses the API.

use std::sync::Arc;

use time::OffsetDateTime;

use super::binding::Binding;
use super::certificates::Row;
use super::pending::{Change, ChangeKind};
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
            owner: Holder::Other,
            kind: ChangeKind::Foreign(line.to_owned()),
        });
        device.journal.push(format!(
            "- another administrator has a pending change: {line}"
        ));
    }

    /// At that request to the API from now on, the first being 1, before the device acts: takes configuration mode and
    /// changes something without committing it.
    pub fn comes_at_request(&self, number: u64, line: &str) {
        let mut device = self.0.device();
        let at = device.counters.requests + number;
        device.visitor = Some((at, line.to_owned()));
    }

    /// Commits the pending changes: a commit has no owner, so it includes the changes of the API.
    pub fn commits(&self) {
        let mut device = self.0.device();
        device
            .journal
            .push("- another administrator commits".to_owned());
        device.apply_pending();
    }

    /// Imports a certificate with its key (a PKCS#12 file of the web interface, 3.6) and binds both services to it.
    ///
    /// # Errors
    /// When the certificate cannot be created.
    pub fn replaces_certificate(&self, replacement: &Replacement) -> std::io::Result<()> {
        {
            let mut device = self.0.device();
            let row = Row::imported(replacement, device.now()).map_err(std::io::Error::other)?;
            device.certificates.rows.push(row);
        }
        self.binds(&replacement.name);
        Ok(())
    }

    /// Imports a certificate with its key and binds the SSL VPN alone to it: the services of a firewall often have
    /// different ones.
    ///
    /// # Errors
    /// When the certificate cannot be created.
    pub fn gives_ssl_vpn_its_own(&self, replacement: &Replacement) -> std::io::Result<()> {
        let mut device = self.0.device();
        let row = Row::imported(replacement, device.now()).map_err(std::io::Error::other)?;
        device.certificates.rows.push(row);
        device.journal.push(format!(
            "- another administrator binds {} to the SSL VPN",
            replacement.name
        ));
        let before = device.bindings.clone();
        device.bindings.ssl_vpn = Binding::Name(replacement.name.clone());
        device.serve_bindings(&before);
        Ok(())
    }

    /// Binds both services to a certificate that is on the device.
    pub fn binds(&self, name: &str) {
        let mut device = self.0.device();
        device.journal.push(format!(
            "- another administrator binds {name} to both services"
        ));
        let before = device.bindings.clone();
        let binding = Binding::Name(name.to_owned());
        device.bindings.management = binding.clone();
        device.bindings.ssl_vpn = binding;
        device.serve_bindings(&before);
    }

    /// Deletes a certificate that no service uses.
    pub fn deletes(&self, name: &str) {
        let mut device = self.0.device();
        device
            .journal
            .push(format!("- another administrator deletes {name}"));
        device.certificates.rows.retain(|row| row.name != name);
    }

    /// Logs out: the mode is free, the uncommitted changes are lost (1.4).
    pub fn leaves(&self) {
        let mut device = self.0.device();
        device
            .pending
            .retain(|change| change.owner != Holder::Other);
        if device.mode == Some(Holder::Other) {
            device.mode = None;
        }
        device
            .journal
            .push("- another administrator leaves".to_owned());
    }
}

/// A certificate that an administrator brings along.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// Its name on the device.
    pub name: String,
    /// Subject common name and only DNS name.
    pub common_name: String,
    /// Start of its validity.
    pub not_before: OffsetDateTime,
    /// End of its validity.
    pub not_after: OffsetDateTime,
    /// Its key.
    pub key: ReplacementKey,
}

/// The key of a [`Replacement`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplacementKey {
    /// On the curve P-256.
    EcdsaP256,
    /// On the curve P-384.
    EcdsaP384,
}
