//! What follows a look that ended in a panic: a person is told, and the next one comes in its time. Without that it would
//! be due at once, again and again.

use std::sync::Arc;

use jiff::SignedDuration;

use super::{Look, told};
use crate::event::EventKind;
use crate::inventory::{Shown, looks};
use crate::renewal::Engine;
use crate::store::{Sighting, StoreError};

/// Stores that the look at `certificate` panicked.
///
/// # Errors
/// The store's.
pub async fn after_panic(
    engine: &Engine,
    look: Look,
    certificate: &Arc<str>,
) -> Result<(), StoreError> {
    let Some(row) = engine.store.certificate(certificate).await? else {
        return Ok(());
    };
    let now = engine.surroundings.clock.now();
    let event = told(EventKind::AttentionNeeded, certificate, PANICKED.to_owned());
    let events = std::slice::from_ref(&event);
    if let (Look::Window, Some(shown)) = (look, &row.shown) {
        let window = row.window_of_shown();
        let ask_again_at = now.saturating_add(PAUSE).ok();
        let name = &row.name;
        engine
            .store
            .record_window(
                name,
                shown.fingerprint,
                window,
                ask_again_at,
                None,
                events,
                now,
            )
            .await?;
    } else {
        let interval = engine.desired.daemon.probe_interval;
        let shown = row.shown.as_ref().and_then(Shown::certificate);
        let next = looks::next(certificate, shown.as_ref(), interval, now);
        let sighting = Sighting {
            reported_condition: row.reported_condition,
            next_probe_at: next,
            events,
            ..Sighting::default()
        };
        engine
            .store
            .record_sight(certificate, &sighting, now)
            .await?;
    }
    Ok(())
}

const PANICKED: &str =
    "a look at it panicked: a defect of renewd; the log of this moment has its place";
/// Before the CA is asked again.
const PAUSE: SignedDuration = SignedDuration::from_hours(6);
