//! Probes the management page of a firewall whose pins decide about a login, where no certificate has its address in
//! `endpoints`: without this a certificate that no pin accepts would only be seen when a renewal has to log in.

use std::sync::Arc;

use super::address::no_pin;
use super::event_of;
use crate::event::{Event, EventKind};
use crate::inventory::{Endpoint, ManagedCertificate, TrackedCertificate};
use crate::pki::Fingerprint;
use crate::probe::ProbeResult;
use crate::renewal::Engine;
use crate::renewal::engine::PinsOf;
use crate::store::StoreError;
use crate::tls::Anchor;

/// A management page that was probed.
pub(super) struct Page {
    address: Endpoint,
    /// What it serves; `None`: it does not answer.
    served: Option<Fingerprint>,
}

/// Probes the management page of the firewall of `wanted`; `None`: it needs no probe of its own.
pub(super) async fn probe(engine: &Engine, wanted: &ManagedCertificate) -> Option<Page> {
    let address = page_without_certificate(engine, wanted)?;
    let served = match engine.peers.probe(&address, None).await {
        ProbeResult::Served(certificate, _) => Some(certificate.fingerprint),
        ProbeResult::Unreadable(fingerprint, _) => Some(fingerprint),
        ProbeResult::Unreachable(_) => None,
    };
    Some(Page { address, served })
}

/// Reports once that `page` serves a certificate that none of `pins` accepts; where the stored pins cannot be verified there
/// are none, and nothing is reported.
///
/// A page that does not answer is not reported: it may be closed for this network, and a login would say so.
pub(super) async fn record(
    engine: &Engine,
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
    page: Option<Page>,
    pins: Option<&[Fingerprint]>,
) -> Result<(), StoreError> {
    let untrusted = match page {
        None => None,
        Some(Page { address, served }) => {
            let (Some(served), Some(pins)) = (served, pins) else {
                return Ok(());
            };
            (!pins.contains(&served)).then_some((address, served))
        }
    };
    let fingerprint = untrusted.as_ref().map(|(_, served)| *served);
    if row.management_untrusted == fingerprint {
        return Ok(());
    }
    let event = untrusted.map(|(address, served)| {
        let words = no_pin(&address.to_string(), &served, &wanted.firewall);
        Event {
            firewall: Some(Arc::clone(&wanted.firewall)),
            ..event_of(
                EventKind::ManagementCertificateUntrusted,
                &wanted.name,
                words,
            )
        }
    });
    engine
        .store
        .record_management(
            &wanted.firewall,
            fingerprint.as_ref(),
            event.as_slice(),
            engine.env.clock.now(),
        )
        .await
}

/// The management page, where the trust is pins and no certificate of the firewall has its address in `endpoints`.
fn page_without_certificate(engine: &Engine, wanted: &ManagedCertificate) -> Option<Endpoint> {
    let firewall = engine.config.firewalls.get(&wanted.firewall)?;
    let page = firewall.settings.management()?;
    let has_pins = matches!(firewall.settings.trust().anchor, Anchor::Pins(_));
    let is_probed =
        |one: &ManagedCertificate| one.firewall == wanted.firewall && one.endpoints.contains(&page);
    let mut certificates = engine.config.certificates.values();
    (has_pins && !certificates.any(|one| is_probed(one))).then_some(page)
}

/// As `accepted_of`, with what the database holds now.
pub(super) async fn accepted(
    engine: &Engine,
    wanted: &ManagedCertificate,
) -> Result<Option<Vec<Fingerprint>>, StoreError> {
    let firewall = engine.store.firewall(&wanted.firewall).await?;
    let stored = engine.pins(&firewall).await?;
    Ok(accepted_of(engine, wanted, &stored))
}

/// The fingerprints that a login to the firewall accepts; `None`: it does not go by fingerprints, or the `stored` ones cannot
/// be verified.
pub(super) fn accepted_of(
    engine: &Engine,
    wanted: &ManagedCertificate,
    stored: &PinsOf,
) -> Option<Vec<Fingerprint>> {
    let firewall = engine.config.firewalls.get(&wanted.firewall)?;
    let Anchor::Pins(configured) = &firewall.settings.trust().anchor else {
        return None;
    };
    let stored = &stored.as_ref().ok()?.trusted;
    Some(stored.iter().chain(configured).copied().collect())
}
