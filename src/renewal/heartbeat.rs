//! Keeps a claim while a step runs, and says when it is lost. Only where others wait for its end: a lease there is shorter
//! than the slowest step, so that a daemon that died is not waited for longer than needed.
//!
//! Its intervals are real time, whatever the clock of the schedule shows: they are about this process being alive.

use tokio::time::Instant;

use super::engine::{Engine, later};
use crate::store::{StoreError, Ticket};

/// Returns when the claim is lost, or could not be kept for so long that others may take it soon.
pub(super) async fn until_lost(engine: &Engine, ticket: &Ticket) {
    let tenure = engine.store.tenure();
    let Some(beat) = tenure.beat else {
        return std::future::pending().await;
    };
    let mut kept = Instant::now();
    loop {
        tokio::time::sleep(beat).await;
        let asked = Instant::now();
        let until = later(engine.now(), tenure.lease);
        let prolonged = engine.store.prolong(ticket, until);
        match tokio::time::timeout_at(kept + tenure.lost_after, prolonged).await {
            Ok(Ok(())) => kept = asked,
            Ok(Err(StoreError::LeaseLost)) | Err(_) => return,
            Ok(Err(error)) => tracing::debug!(%error, "a claim could not be prolonged yet"),
        }
    }
}
