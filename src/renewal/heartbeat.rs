//! Keeps a claim while a step runs, and stops the step when it is lost. Only where others wait for its end: a lease there
//! is shorter than the slowest step, so that a daemon that died is not waited for longer than needed.
//!
//! Its intervals are real time, whatever the clock of the schedule shows: they are about this process being alive.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::time::{Instant, sleep, sleep_until};

use super::engine::{Engine, later};
use crate::store::{LeaseKey, StoreError};

/// Does `work` as long as the claim is ours. `None`: it was lost, or could not be kept for so long that others may take it
/// soon; the work was dropped in the middle.
pub(super) async fn while_kept<T>(
    engine: &Engine,
    key: &LeaseKey,
    work: impl Future<Output = T>,
) -> Option<T> {
    let lease_policy = engine.store.lease_policy();
    let mut work = pin!(work);
    let Some(beat) = lease_policy.beat else {
        return Some(work.await);
    };
    let mut kept = Instant::now();
    loop {
        let lost_at = kept + lease_policy.lost_after;
        tokio::select! {
            biased;
            done = before(lost_at, work.as_mut()) => return done,
            () = sleep_until(lost_at) => return None,
            () = sleep(beat) => {}
        }
        let asked = Instant::now();
        let until = later(engine.now(), lease_policy.lease);
        tokio::select! {
            biased;
            done = before(lost_at, work.as_mut()) => return done,
            () = sleep_until(lost_at) => return None,
            prolonged = engine.store.prolong(key, until) => match prolonged {
                Ok(()) => kept = asked,
                Err(StoreError::LeaseLost) => return None,
                Err(error) => tracing::debug!(%error, "a claim could not be prolonged yet"),
            }
        }
    }
}

/// The result of `work`, each piece of which begins before `end`; `None` after it. A process that was stopped for longer
/// than its lease finds answers in its buffers when it continues, and the work would send the next request at once, while
/// another worker has the firewall.
async fn before<T>(end: Instant, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|context| {
        if Instant::now() >= end {
            return Poll::Ready(None);
        }
        work.as_mut().poll(context).map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::disallowed_methods,
        reason = "it stands for a process that was stopped"
    )]

    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_lay_ready_for_a_process_that_was_stopped_is_not_done() {
        let mut sent = Vec::new();
        let work = async {
            sent.push("first");
            // As if it was stopped here, and the answer came meanwhile.
            std::thread::sleep(Duration::from_millis(30));
            tokio::task::yield_now().await;
            sent.push("second");
        };
        let end = Instant::now() + Duration::from_millis(10);
        let mut work = Box::pin(work);
        assert_eq!(before(end, work.as_mut()).await, None);
        drop(work);
        assert_eq!(sent, ["first"]);
    }
}
