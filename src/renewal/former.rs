//! Rows of an older renewd that carry no code: authenticated once in the life of a state directory, and only beside a
//! database that is a file. An account that can write that file can read the sealing key as well (ADR 22).

use std::sync::Arc;

use super::engine::Engine;
use super::{known_rows, left, pins};
use crate::event::{Event, EventKind};
use crate::inventory::Service;
use crate::pki::Fingerprint;
use crate::private_file;
use crate::seal::SealError;
use crate::store::{PendingPin, StoreError};

impl Engine {
    /// Authenticates what a renewd before schema 5 had stored of pins, and one before schema 6 of known certificates. On a
    /// server they stay as they are: they do not count, and that is reported.
    ///
    /// # Errors
    /// The store's.
    pub async fn authenticate_former(&self) -> Result<(), StoreError> {
        let pending = self.former_pending().await?;
        if self.store.is_shared() {
            return Ok(());
        }
        let [pins, known] = [PINS, KNOWN].map(|file| self.config.daemon.state_directory.join(file));
        if !pins.exists() {
            let done = self.authenticate_former_pins(&pending).await?;
            self.settled(&pins, done);
        }
        if !known.exists() {
            let done = self.authenticate_former_known().await?;
            self.settled(&known, done);
        }
        Ok(())
    }

    /// What open renewals have bound to a management port, or are about to. What they bound elsewhere is no pin.
    async fn former_pending(&self) -> Result<Vec<PendingPin>, StoreError> {
        let mut pending = Vec::new();
        for pin in self.store.former_pending().await? {
            if self.binds_management(&pin).await? {
                pending.push(pin);
            } else {
                let store = &self.store;
                store
                    .settle_former_pending(&pin.renewal, None, &[], self.now())
                    .await?;
            }
        }
        Ok(pending)
    }

    async fn binds_management(&self, pin: &PendingPin) -> Result<bool, StoreError> {
        let Some(renewal) = self.store.renewal(&pin.renewal).await? else {
            return Ok(false);
        };
        let wanted = self.config.certificates.get(&renewal.certificate);
        let binds = |services: &[Service]| services.contains(&Service::WebManagement);
        if let Some(wanted) = wanted.filter(|wanted| wanted.firewall == renewal.firewall) {
            return Ok(binds(&wanted.services));
        }
        let tracked = self.store.certificate(&renewal.certificate).await?;
        let bound = tracked.and_then(|tracked| left::as_bound(&renewal, &tracked));
        Ok(bound.is_some_and(|bound| binds(&bound.services)))
    }

    async fn authenticate_former_pins(
        &self,
        pending: &[PendingPin],
    ) -> Result<Result<(), SealError>, StoreError> {
        let sealer = self.sealer();
        for known in self.store.former_pins().await? {
            let trust = known.pins_for.as_deref().unwrap_or_default();
            let code = match pins::authenticate(&sealer, &known.name, trust, &known.pins) {
                Ok(code) => code,
                Err(problem) => return Ok(Err(problem)),
            };
            let events = [taken_over(&known.name, &known.pins)];
            self.store
                .authenticate_former(&known.name, &code, &events, self.now())
                .await?;
        }
        for pin in pending {
            let Some(trust) = self.trust_text(&pin.firewall) else {
                continue;
            };
            let (firewall, print) = (&*pin.firewall, pin.fingerprint);
            let code = pins::authenticate_pending(&sealer, firewall, &trust, &pin.renewal, print);
            let code = match code {
                Ok(code) => code,
                Err(problem) => return Ok(Err(problem)),
            };
            let events = [taken_over(firewall, &[print])];
            let pin_is = Some((&*trust, &*code));
            self.store
                .settle_former_pending(&pin.renewal, pin_is, &events, self.now())
                .await?;
        }
        Ok(Ok(()))
    }

    async fn authenticate_former_known(&self) -> Result<Result<(), SealError>, StoreError> {
        let sealer = self.sealer();
        for (name, row) in self.store.former_known().await? {
            let print = row.fingerprint;
            let known =
                known_rows::authenticate(&sealer, &name, print, row.is_adopted, row.known_at);
            match known {
                Ok(known) => {
                    let store = &self.store;
                    store
                        .authenticate_former_known(&name, print, &known.code)
                        .await?;
                }
                Err(problem) => return Ok(Err(problem)),
            }
        }
        Ok(Ok(()))
    }

    /// An edited dump that is restored later is not taken for an upgrade.
    fn settled(&self, marker: &std::path::Path, done: Result<(), SealError>) {
        if let Err(problem) = done {
            tracing::warn!(%problem, "what was stored before the upgrade does not count");
            return;
        }
        let random = self.env.random.as_ref();
        if let Err(error) = private_file::replace(marker, NOTE.as_bytes(), random) {
            tracing::warn!(%error, file = %marker.display(), "cannot be written");
        }
    }
}

fn taken_over(firewall: &str, fingerprints: &[Fingerprint]) -> Event {
    let learned: Vec<String> = fingerprints.iter().map(ToString::to_string).collect();
    Event {
        firewall: Some(Arc::from(firewall)),
        detail: Some(format!("{firewall}: SHA-256 {}", learned.join(" "))),
        ..Event::new(EventKind::PinAuthenticated)
    }
}

/// Files of the state directory that say that it was done.
const PINS: &str = "pins.authenticated";
const KNOWN: &str = "known.authenticated";
const NOTE: &str =
    "Pins and known certificates in the database count only with a code under the sealing key.\n";
