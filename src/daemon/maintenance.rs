//! The daily maintenance of the database, beside the loop: checks for damage, removes what is older than
//! `keep_history`, and logs where the history ends.

use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, EventKind};
use crate::renewal::Engine;
use crate::seal::Sealer;
use crate::store::{EventBatch, RenewalCursor, Store, StoreError};

/// Does all of it once.
///
/// # Errors
/// The store's.
pub(super) async fn maintain(engine: &Engine) -> Result<(), StoreError> {
    let store = &engine.store;
    store.maintain().await?;
    if let Some(kept) = engine.config.daemon.keep_history {
        let now = engine.env.clock.now();
        remove_old(store, &engine.sealer(), kept, now).await?;
    }
    log_history_head(store).await;
    Ok(())
}

/// Removes what is older than `kept`, as much as one day may; the rest follows on the next.
async fn remove_old(
    store: &Store,
    sealer: &Sealer,
    kept: SignedDuration,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Ok(before) = now.checked_sub(kept) else {
        return Ok(());
    };
    if !store.may_remove(now).await? {
        tracing::warn!(
            "nothing older than keep_history is removed today: the time was not looked at for a month, or the clock was \
             changed; it goes on in a day"
        );
        return Ok(());
    }
    let renewals = remove_renewals(store, before, now).await?;
    let (events, last) = remove_events(store, sealer, before, now).await?;
    if renewals == 0 && events == 0 {
        return Ok(());
    }
    let up_to = last.map_or_else(String::new, |last| format!(" (up to event {last})"));
    let event = Event {
        detail: Some(format!(
            "older than {before:.0}: {events} events{up_to} and {renewals} ended renewals"
        )),
        ..Event::new(EventKind::HistoryRemoved)
    };
    store.record(&[event], now).await
}

async fn remove_renewals(
    store: &Store,
    before: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut all = 0;
    let mut cursor = RenewalCursor::default();
    for _ in 0..MOST_BATCHES {
        let (removed, next) = store.remove_renewals(before, &cursor, now).await?;
        all += removed;
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    Ok(all)
}

/// How many, and which was the last.
async fn remove_events(
    store: &Store,
    sealer: &Sealer,
    before: Timestamp,
    now: Timestamp,
) -> Result<(i64, Option<i64>), StoreError> {
    let (mut all, mut up_to) = (0, None);
    for _ in 0..MOST_BATCHES {
        let problem = match store.remove_events(before, sealer, now).await? {
            EventBatch::Removed { events, last } => {
                all += events;
                up_to = Some(last);
                continue;
            }
            EventBatch::Nothing => break,
            EventBatch::Broken(misfit) => misfit.to_string(),
            EventBatch::NoKey(problem) => problem.to_string(),
        };
        let event = Event {
            detail: Some(format!("nothing more of the history is removed: {problem}")),
            ..Event::new(EventKind::HistoryNotRemoved)
        };
        event.log();
        break;
    }
    Ok((all, up_to))
}

/// Logs where the history ends. An attacker who changes the database cannot change a log that was sent elsewhere.
pub(super) async fn log_history_head(store: &Store) {
    match store.history_head().await {
        Ok(Some(head)) => {
            let event = Event {
                detail: Some(head.to_string()),
                ..Event::new(EventKind::HistoryHead)
            };
            event.log();
        }
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "the end of the history could not be read"),
    }
}

/// Of events five hundred each, of renewals a hundred: far more than a fleet of ten thousand makes in a day.
const MOST_BATCHES: usize = 200;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::sync::Arc;

    use super::*;
    use crate::random::SeededRandom;

    /// A fleet with one event and one probe a day.
    #[tokio::test]
    async fn what_is_older_goes_day_by_day_and_the_history_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/renewd.db", folder.path().display());
        let store = Store::open(&url).await.unwrap();
        let sealer = Sealer::new(None, folder.path(), Arc::new(SeededRandom::new(7)));
        let kept = SignedDuration::from_hours(24 * 10);
        let name: Arc<str> = Arc::from("portal");
        for day in 0..30 {
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (20_000 + day));
            let event = Event::of_certificate(EventKind::RenewalRequested, &name);
            store.record(&[event], now).await.unwrap();
            remove_old(&store, &sealer, kept, now).await.unwrap();
        }
        let left = store.history("portal", 99).await.unwrap();
        assert_eq!(left.len(), 11, "today and the ten days before");
        let verdict = store.verify_history(None, &sealer).await.unwrap();
        assert_eq!(verdict.misfit, None);
        let checkpoint = verdict.checkpoint.unwrap();
        assert_eq!(checkpoint.removed_at, left[0].at);
        assert_eq!(
            verdict.head.unwrap().id,
            checkpoint.removed + verdict.events
        );
        // Each removal is an event itself, and these are removed in their turn.
        assert_eq!(verdict.events, 11 + 11);
    }
}
