//! Handles a probe that ended in a panic: an operator is notified, and the next probe is scheduled normally. Without
//! that it would be due at once, again and again.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{PollKind, event_of};
use crate::event::EventKind;
use crate::inventory::{ServedCertificate, probe_schedule};
use crate::renewal::Engine;
use crate::store::{ProbeRecord, StoreError};

/// Stores that the probe of `certificate` panicked.
///
/// # Errors
/// The store's.
pub async fn after_panic(
    engine: &Engine,
    poll: PollKind,
    certificate: &Arc<str>,
) -> Result<(), StoreError> {
    let Some(row) = engine.store.certificate(certificate).await? else {
        return Ok(());
    };
    let now = engine.env.clock.now();
    let event = event_of(EventKind::AttentionNeeded, certificate, PANICKED.to_owned());
    let events = std::slice::from_ref(&event);
    if let (PollKind::Window, Some(current)) = (poll, &row.current) {
        let window = row.window_of_current();
        let ask_again_at = now.saturating_add(PAUSE).ok();
        let name = &row.name;
        engine
            .store
            .record_window(
                name,
                current.fingerprint,
                window,
                ask_again_at,
                None,
                events,
                now,
            )
            .await?;
    } else {
        let interval = engine.config.daemon.probe_interval;
        let current = row
            .current
            .as_ref()
            .and_then(ServedCertificate::certificate);
        let next = probe_schedule::next(certificate, current.as_ref(), interval, now);
        let probe_record = ProbeRecord {
            reported_condition: row.reported_condition,
            next_probe_at: next,
            events,
            ..ProbeRecord::default()
        };
        engine
            .store
            .record_probe(certificate, &probe_record, now)
            .await?;
    }
    Ok(())
}

const PANICKED: &str =
    "its probe panicked: a defect of renewd; the log of this moment contains the location";
/// Before the CA is asked again.
const PAUSE: SignedDuration = SignedDuration::from_hours(6);
