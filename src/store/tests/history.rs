//! The history: complete, in order, and never changed.

use super::*;
use crate::event::{Event, EventKind, Level};

#[tokio::test]
async fn events_are_read_back_newest_first_with_their_fields() {
    let (store, _folder) = store().await;
    let mut failed = of_portal(EventKind::StepFailed);
    failed.renewal = Some(RenewalId("r1".to_owned()));
    failed.error_kind = Some("unreachable".to_owned());
    failed.state = Some(State::Planned);
    failed.attempt = Some(3);
    store
        .record(&[of_portal(EventKind::RenewalPlanned), failed], at(1))
        .await
        .unwrap();
    store.record(&[], at(2)).await.unwrap();
    store
        .record(
            &[
                of_portal(EventKind::RenewalHeld),
                Event::new(EventKind::DaemonReady),
            ],
            at(3),
        )
        .await
        .unwrap();

    let past = store.history("portal", 10).await.unwrap();
    let seen: Vec<_> = past
        .iter()
        .map(|event| (event.id, event.name.as_str(), event.level, event.at))
        .collect();
    assert_eq!(
        seen,
        [
            (3, "renewal_held", Level::Alert, at(3)),
            (2, "step_failed", Level::Warning, at(1)),
            (1, "renewal_planned", Level::Info, at(1)),
        ]
    );
    assert_eq!(past[1].renewal, Some(RenewalId("r1".to_owned())));
    let fields = serde_json::json!({"error.kind": "unreachable", "state": "planned", "attempt": 3});
    assert_eq!(past[1].fields, fields);
    assert_eq!(store.history("portal", 1).await.unwrap().len(), 1);
    assert!(store.history("vpn", 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn thousands_of_events_at_once_are_stored_in_their_order() {
    let (store, _folder) = store().await;
    let events: Vec<Event> = (0..1201)
        .map(|n| Event {
            attempt: Some(n),
            ..of_portal(EventKind::StepFailed)
        })
        .collect();
    store.record(&events, at(1)).await.unwrap();
    let past = store.history("portal", 2000).await.unwrap();
    let seen: Vec<_> = past
        .iter()
        .rev()
        .map(|event| (event.id, event.fields["attempt"].as_i64()))
        .collect();
    let reported: Vec<_> = (0..1201).map(|n| (n + 1, Some(n))).collect();
    assert_eq!(seen, reported);
}

#[tokio::test]
async fn an_event_that_is_not_valid_is_reported() {
    let (store, _folder) = store().await;
    store
        .record(&[of_portal(EventKind::RenewalHeld)], at(1))
        .await
        .unwrap();
    for meddling in [
        "UPDATE history SET level = 'shrill'",
        "UPDATE history SET level = 'info', fields = 'no json'",
    ] {
        meddle(&store, meddling).await;
        let read = store.history("portal", 1).await;
        assert!(matches!(read, Err(StoreError::Broken { .. })), "{read:?}");
    }
}

/// But for the one that gives an event its hash, where it has none, and the one that removes the oldest events behind a
/// checkpoint.
#[test]
fn no_statement_of_the_store_changes_or_deletes_history() {
    let store = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store");
    let (mut files, mut hashing, mut removing) = (0, 0, 0);
    for folder in [store.to_owned(), format!("{store}/history")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let source = std::fs::read_to_string(&path).unwrap();
                let deletes = source.matches("DELETE FROM history ").count();
                assert!(
                    deletes == 0 || path.ends_with("retention.rs"),
                    "{}",
                    path.display()
                );
                removing += deletes;
                for (_, change) in source
                    .match_indices("UPDATE history")
                    .map(|(at, _)| source.split_at(at))
                {
                    assert!(
                        change.starts_with("UPDATE history SET hash = "),
                        "{}",
                        path.display()
                    );
                    assert!(
                        source.contains("history.hash IS NULL"),
                        "{}",
                        path.display()
                    );
                    hashing += 1;
                }
                files += 1;
            }
        }
    }
    assert!(files > 5, "the sources of the store were not found");
    assert_eq!((hashing, removing), (1, 1));
}

fn of_portal(kind: EventKind) -> Event {
    Event {
        certificate: Some(Arc::from("portal")),
        ..Event::new(kind)
    }
}
