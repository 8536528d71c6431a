//! Probes the management page of a firewall whose pins decide about a login, where no certificate has its address in
//! `verify`: without this a certificate that no pin accepts would only be seen when a renewal has to log in.

use std::sync::Arc;

use super::address::no_pin;
use super::told;
use crate::event::{Event, EventKind};
use crate::inventory::{Endpoint, ManagedCertificate, TrackedCertificate};
use crate::pki::Fingerprint;
use crate::probe::Sight;
use crate::renewal::Engine;
use crate::store::StoreError;
use crate::tls::Anchor;

/// Probes the management page of the firewall of `wanted` and reports once a certificate that no pin accepts.
///
/// A page that does not answer is not reported: it may be closed for this network, and a login would say so.
pub(super) async fn observe(
    engine: &Engine,
    wanted: &ManagedCertificate,
    row: &TrackedCertificate,
) -> Result<(), StoreError> {
    let untrusted = match page_without_certificate(engine, wanted) {
        None => None,
        Some(page) => match untrusted(engine, wanted, &page).await? {
            Found::Accepted => None,
            Found::Untrusted(fingerprint) => Some((page, fingerprint)),
            Found::Unknown => return Ok(()),
        },
    };
    let fingerprint = untrusted.as_ref().map(|(_, fingerprint)| *fingerprint);
    if row.management_untrusted == fingerprint {
        return Ok(());
    }
    let event = untrusted.map(|(page, fingerprint)| {
        let words = no_pin(&page.to_string(), &fingerprint, &wanted.firewall);
        Event {
            firewall: Some(Arc::clone(&wanted.firewall)),
            ..told(
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
            engine.surroundings.clock.now(),
        )
        .await
}

/// What a probe of the management page found.
enum Found {
    /// A pin accepts what it serves.
    Accepted,
    /// No pin accepts it.
    Untrusted(Fingerprint),
    /// It does not answer, or the stored pins cannot be verified.
    Unknown,
}

async fn untrusted(
    engine: &Engine,
    wanted: &ManagedCertificate,
    page: &Endpoint,
) -> Result<Found, StoreError> {
    // Before and after: a bind may come between, and both certificates are right then.
    let before = accepted(engine, wanted).await?;
    let served = match engine.peers.look(page, None).await {
        Sight::Shown(certificate, _) => certificate.fingerprint,
        Sight::Unreadable(fingerprint, _) => fingerprint,
        Sight::Unreachable(_) => return Ok(Found::Unknown),
    };
    Ok(match (before, accepted(engine, wanted).await?) {
        (Some(before), Some(after)) if before.contains(&served) || after.contains(&served) => {
            Found::Accepted
        }
        (Some(_), Some(_)) => Found::Untrusted(served),
        _ => Found::Unknown,
    })
}

/// The management page, where the trust is pins and no certificate of the firewall has its address in `verify`.
fn page_without_certificate(engine: &Engine, wanted: &ManagedCertificate) -> Option<Endpoint> {
    let firewall = engine.desired.firewalls.get(&wanted.firewall)?;
    let page = firewall.settings.management()?;
    let has_pins = matches!(firewall.settings.trust().anchor, Anchor::Pins(_));
    let is_probed =
        |one: &ManagedCertificate| one.firewall == wanted.firewall && one.verify.contains(&page);
    let mut certificates = engine.desired.certificates.values();
    (has_pins && !certificates.any(|one| is_probed(one))).then_some(page)
}

/// The fingerprints that a login to the firewall accepts; `None`: it does not go by fingerprints, or those that the database
/// holds cannot be verified.
pub(super) async fn accepted(
    engine: &Engine,
    wanted: &ManagedCertificate,
) -> Result<Option<Vec<Fingerprint>>, StoreError> {
    let configured = engine.desired.firewalls.get(&wanted.firewall);
    let anchor = configured.map(|firewall| &firewall.settings.trust().anchor);
    let Some(Anchor::Pins(configured)) = anchor else {
        return Ok(None);
    };
    let firewall = engine.store.firewall(&wanted.firewall).await?;
    let stored = engine.pins(&firewall).await?;
    Ok(stored.ok().map(|stored| {
        let mut pins = stored.trusted;
        pins.extend(configured);
        pins
    }))
}
