//! A firewall in a dry run. Changes are reported and applied to a copy in memory.
//!
//! The real device is read in one session. That session is closed before the copy is changed. No call that changes
//! something is sent to the device.

mod settings;

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;

use settings::{Copy, lock};
pub use settings::{Expected, Settings};

use super::{
    Binding, Firewall, Identity, InstalledObject, KnownDevice, ObjectKind, PendingChangesOfOthers,
};
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, Csr, Fingerprint, KeyBundle, KeyRequest, PrivateKey};
use crate::transfer::Transfers;

/// A session with the copy.
#[derive(Debug)]
pub struct DryRun(Arc<Settings>);

impl DryRun {
    /// A session with the copy; the first one logs in to the device and reads it.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn open(
        settings: &Arc<Settings>,
        known: &KnownDevice<'_>,
        env: &Env,
        transfers: &Transfers,
    ) -> Result<Self, Failure> {
        let look = || async {
            let connecting = super::connect(&settings.real, known, env, transfers);
            // Boxed, because it could come back here.
            let mut session = Box::pin(connecting).await?;
            let copy = Copy::of(session.as_mut()).await;
            if let Err(failure) = session.close().await {
                tracing::debug!(error = %failure, "the session could not be closed; the device will end it when idle");
            }
            copy.map(Mutex::new)
        };
        match settings.copy.get_or_init(look).await {
            Ok(_) => Ok(Self(Arc::clone(settings))),
            Err(failure) => Err(failure.clone()),
        }
    }

    fn copy(&self) -> Result<MutexGuard<'_, Copy>, Failure> {
        let unopened = || Failure::new(FailureKind::Local, "dry run", "it has no copy yet");
        let copy = self.0.copy.get().ok_or_else(unopened)?;
        copy.as_ref().map(lock).map_err(Clone::clone)
    }

    /// The copy that a change is applied to. Like the device, it refuses changes while another administrator has
    /// uncommitted changes.
    fn change(&self, words: String) -> Result<MutexGuard<'_, Copy>, Failure> {
        let copy = self.copy()?;
        if let Some(PendingChangesOfOthers { by, summary }) = &copy.pending_changes_of_others {
            let detail = format!("uncommitted changes that are not ours, by {by}: {summary}");
            return Err(Failure::new(FailureKind::Busy, words, detail).waiting_for(by.as_str()));
        }
        self.0.report(words);
        Ok(copy)
    }
}

#[async_trait]
impl Firewall for DryRun {
    async fn identify(&mut self) -> Result<Identity, Failure> {
        Ok(self.copy()?.identity.clone())
    }

    async fn installed(&mut self) -> Result<Vec<InstalledObject>, Failure> {
        Ok(self.copy()?.objects.clone())
    }

    async fn is_absent(&mut self, alias: &str) -> Result<bool, Failure> {
        let copy = self.copy()?;
        Ok(copy.objects.iter().all(|object| object.alias != alias))
    }

    async fn generate_csr(&mut self, alias: &str, request: &KeyRequest) -> Result<(), Failure> {
        let words = format!(
            "generate a key pair ({}) on {} with a request for {}, as {alias}",
            request.key,
            self.0.name,
            host_names(request)
        );
        self.change(words)?.put(alias, ObjectKind::PendingRequest);
        let made = Expected {
            request: request.clone(),
            leaf: None,
        };
        self.0.expect(alias, made);
        Ok(())
    }

    async fn export_csr(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        let expected = self.0.expected(alias);
        let call = format!("fetch the request {alias} from {}", self.0.name);
        let missing = || Failure::new(FailureKind::Refused, &*call, "there is no such request");
        let request = expected.ok_or_else(missing)?.request;
        let local = |error: &dyn Display| Failure::new(FailureKind::Local, &*call, error);
        // A key of 4096 bits takes seconds.
        let making = tokio::task::spawn_blocking(move || {
            Csr::make(&request, &PrivateKey::generate(request.key)?)
        });
        let csr = making.await.map_err(|error| local(&error))?;
        let csr = csr.map_err(|error| local(&error))?;
        self.0.report(call);
        Ok(csr.der)
    }

    async fn import_chain(&mut self, chain: &[Certificate]) -> Result<(), Failure> {
        if !chain.is_empty() {
            let words = "put the certificates of the CA on";
            drop(self.change(format!("{words} {}, where it lacks them", self.0.name))?);
        }
        Ok(())
    }

    async fn import_signed(&mut self, alias: &str, leaf: &Certificate) -> Result<(), Failure> {
        let words = format!("put the issued certificate on {}, as {alias}", self.0.name);
        self.change(words)?.put(alias, ObjectKind::Certificate);
        self.0.issued(alias, leaf);
        Ok(())
    }

    async fn import_key_pair(&mut self, alias: &str, bundle: &KeyBundle) -> Result<(), Failure> {
        let words = format!(
            "put the key pair that renewd made on {} with its certificate, as {alias}",
            self.0.name
        );
        self.change(words)?.put(alias, ObjectKind::Certificate);
        self.0.issued(alias, &bundle.leaf);
        Ok(())
    }

    async fn mismatches(
        &mut self,
        _alias: &str,
        _leaf: &Certificate,
    ) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    fn also_accept(&mut self, _fingerprint: Fingerprint) {}

    async fn bindings(&mut self) -> Result<Vec<Binding>, Failure> {
        Ok(self.copy()?.bindings.clone())
    }

    async fn bind(&mut self, bindings: &[Binding]) -> Result<(), Failure> {
        let pointed: Vec<String> = bindings.iter().map(pointed).collect();
        let words = format!("point {} on {}", pointed.join(" and "), self.0.name);
        let mut copy = self.change(words)?;
        let is_other = |old: &Binding| bindings.iter().all(|new| new.service != old.service);
        copy.bindings.retain(is_other);
        for binding in bindings {
            let expected = binding
                .alias
                .as_deref()
                .and_then(|alias| self.0.expected(alias));
            let leaf = expected.and_then(|expected| expected.leaf);
            copy.served.extend(leaf.map(|leaf| (binding.service, leaf)));
            copy.bindings.push(binding.clone());
        }
        Ok(())
    }

    async fn remove(&mut self, alias: &str) -> Result<(), Failure> {
        let words = format!("remove {alias} from {}", self.0.name);
        let mut copy = self.change(words)?;
        copy.objects.retain(|object| object.alias != alias);
        Ok(())
    }

    async fn pending_changes_of_others(
        &mut self,
    ) -> Result<Option<PendingChangesOfOthers>, Failure> {
        Ok(self.copy()?.pending_changes_of_others.clone())
    }

    async fn specification(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    async fn close(self: Box<Self>) -> Result<(), Failure> {
        Ok(())
    }
}

/// `ssl-vpn at hq-portal-261122-ddm5fd`.
fn pointed(binding: &Binding) -> String {
    let alias = binding.alias.as_deref();
    let alias = alias.unwrap_or("the device's own certificate");
    format!("{} at {alias}", binding.service)
}

fn host_names(request: &KeyRequest) -> String {
    let names: Vec<String> = request
        .host_names()
        .iter()
        .map(ToString::to_string)
        .collect();
    match &request.subject.common_name {
        Some(name) if names.is_empty() => name.clone(),
        _ => names.join(", "),
    }
}
