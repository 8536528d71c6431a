//! The chain of the history: it fits while no other program changes events, and it shows where one did.

use sqlx::AssertSqlSafe;

use super::*;
use crate::event::{Event, EventKind};
use crate::store::{Head, Misfit, Verdict};

/// A history of twelve events, each with something in every column.
async fn with_twelve() -> (Store, Home) {
    let (store, folder) = store().await;
    let reported: Vec<Event> = (1..=12)
        .map(|n| Event {
            certificate: Some(Arc::from(format!("portal-{n}"))),
            renewal: Some(RenewalId(format!("r{n}"))),
            attempt: Some(n),
            ..Event::new(EventKind::StepFailed)
        })
        .collect();
    store.record(&reported[..5], at(1)).await.unwrap();
    store.record(&reported[5..], at(2)).await.unwrap();
    (store, folder)
}

async fn verified(store: &Store, reported: Option<&Head>) -> Verdict {
    // No event was removed: there is no checkpoint to be verified.
    let sealer = sealer(Path::new("/nowhere"));
    store.verify_history(reported, &sealer).await.unwrap()
}

async fn verdict(store: &Store) -> Verdict {
    verified(store, None).await
}

async fn misfit_after(meddling: &[&'static str]) -> Option<Misfit> {
    let (store, _folder) = with_twelve().await;
    for statement in meddling {
        meddle(&store, statement).await;
    }
    let verdict = verdict(&store).await;
    if let Some(misfit) = &verdict.misfit {
        assert_eq!(verdict.events, misfit.event().min(13) - 1, "{misfit}");
    }
    verdict.misfit
}

#[tokio::test]
async fn an_unchanged_history_is_unbroken_and_reports_its_head() {
    let (store, _folder) = with_twelve().await;
    let found = verdict(&store).await;
    assert_eq!((found.events, found.since), (12, Some(at(1))));
    assert_eq!((found.misfit, found.chained_late), (None, 0));
    let head = store.history_head().await.unwrap();
    assert_eq!(found.head, head);
    assert_eq!(head.unwrap().id, 12);
}

#[tokio::test]
async fn a_history_without_an_event_is_unbroken() {
    let (store, _folder) = store().await;
    let found = verdict(&store).await;
    assert_eq!((found.events, found.head, found.misfit), (0, None, None));
    assert_eq!(store.history_head().await.unwrap(), None);
}

/// The encoding is documented, so that others can compute it: this was done with another program.
#[tokio::test]
async fn the_hash_is_that_of_the_documented_text() {
    let (store, _folder) = store().await;
    let event = Event {
        certificate: Some(Arc::from("büro")),
        attempt: Some(3),
        ..Event::new(EventKind::StepFailed)
    };
    store.record(&[event], at(0)).await.unwrap();
    let head = store.history_head().await.unwrap().unwrap();
    assert_eq!(head.to_string(), format!("1:{DOCUMENTED}"));
}

#[tokio::test]
async fn every_way_to_store_events_goes_on_with_the_same_chain() {
    let (store, _folder) = with_twelve().await;
    let fleet: Vec<_> = (0..300)
        .map(|n| configured(&format!("c{n}"), "hq", "1"))
        .collect();
    store.sync_inventory(&fleet, at(3)).await.unwrap();
    let many = vec![Event::new(EventKind::DaemonReady); 100];
    store.record(&many, at(4)).await.unwrap();
    store.record(&many[..1], at(5)).await.unwrap();
    let found = verdict(&store).await;
    assert_eq!((found.events, found.misfit), (12 + 300 + 101, None));
}

#[tokio::test]
async fn a_change_in_any_column_is_found_and_named() {
    for change in [
        "at = at + 1",
        "name = 'step_faile'",
        "level = 'info'",
        "certificate = 'portal-70'",
        "certificate = NULL",
        "renewal = 'r'",
        "renewal = NULL",
        "fields = '{}'",
        "fields = fields || ' '",
        // What is cut off one column and put to the next is another event.
        "certificate = certificate || renewal, renewal = ''",
        "hash = replace(hash, '0', '1')",
    ] {
        let (store, _folder) = with_twelve().await;
        let statement = AssertSqlSafe(format!("UPDATE history SET {change} WHERE id = 7"));
        sqlx::query(statement).execute(&store.writer).await.unwrap();
        let found = verdict(&store).await;
        assert_eq!(found.misfit, Some(Misfit::Changed(7)), "{change}");
        assert_eq!(found.events, 6);
    }
    let unhashed = misfit_after(&["UPDATE history SET hash = NULL WHERE id = 7"]).await;
    assert_eq!(unhashed, Some(Misfit::Unhashed(7)));
    // Elsewhere a column of numbers takes nothing else.
    if matches!(home(), Home::Folder(_)) {
        let unreadable = misfit_after(&["UPDATE history SET at = 'yesterday' WHERE id = 7"]).await;
        assert_eq!(unreadable, Some(Misfit::Unreadable(7)));
    }
}

#[tokio::test]
async fn an_event_that_was_changed_together_with_its_hash_betrays_itself_at_the_next_one() {
    let (store, _folder) = with_twelve().await;
    let (other, _elsewhere) = with_twelve().await;
    meddle(
        &store,
        "UPDATE history SET at = 0, hash = '00' WHERE id = 7",
    )
    .await;
    let hash = other.history_head().await.unwrap().unwrap().hash;
    let statement = AssertSqlSafe(format!("UPDATE history SET hash = '{hash}' WHERE id = 7"));
    sqlx::query(statement).execute(&store.writer).await.unwrap();
    assert_eq!(verdict(&store).await.misfit, Some(Misfit::Changed(7)));
}

#[tokio::test]
async fn what_was_taken_out_put_in_or_exchanged_is_found_and_named() {
    let missing = |first, last| Some(Misfit::Missing { first, last });
    let gone = |statement| async move { misfit_after(&[statement]).await };
    assert_eq!(
        gone("DELETE FROM history WHERE id = 1").await,
        missing(1, 1)
    );
    let some = "DELETE FROM history WHERE id BETWEEN 4 AND 6";
    assert_eq!(gone(some).await, missing(4, 6));
    assert_eq!(
        gone("DELETE FROM history WHERE id > 9").await,
        missing(10, 12)
    );
    assert_eq!(gone("DELETE FROM history").await, missing(1, 12));

    for (id, found) in [("-3", -3), ("0", 0), ("13", 13)] {
        let (store, _folder) = with_twelve().await;
        let statement = AssertSqlSafe(format!(
            "INSERT INTO history SELECT {id}, at, name, level, certificate, renewal, fields, hash \
             FROM history WHERE id = 5"
        ));
        sqlx::query(statement).execute(&store.writer).await.unwrap();
        assert_eq!(verdict(&store).await.misfit, Some(Misfit::PutIn(found)));
    }
    let shifted = misfit_after(&[
        "UPDATE history SET id = -id WHERE id > 4",
        "UPDATE history SET id = 1 - id WHERE id < 0",
        "INSERT INTO history SELECT 5, at, name, level, certificate, renewal, fields, hash FROM history WHERE id = 4",
        "UPDATE bookkeeping SET value = 13 WHERE name = 'last_event'",
    ])
    .await;
    assert_eq!(shifted, Some(Misfit::Changed(5)));
    let exchanged = misfit_after(&[
        "UPDATE history SET id = -1 WHERE id = 6",
        "UPDATE history SET id = 6 WHERE id = 7",
        "UPDATE history SET id = 7 WHERE id = -1",
    ])
    .await;
    assert_eq!(exchanged, Some(Misfit::Changed(6)));
}

#[tokio::test]
async fn what_the_chain_alone_cannot_show_a_head_from_outside_shows() {
    let (store, _folder) = with_twelve().await;
    let reported = store.history_head().await.unwrap().unwrap();
    store
        .record(&[Event::new(EventKind::DaemonReady)], at(9))
        .await
        .unwrap();
    let with_head = async |reported: &Head| verified(&store, Some(reported)).await.misfit;
    assert_eq!(with_head(&reported).await, None);

    // The end is cut off, and the counter with it.
    meddle(&store, "DELETE FROM history WHERE id > 8").await;
    meddle(
        &store,
        "UPDATE bookkeeping SET value = 8 WHERE name = 'last_event'",
    )
    .await;
    assert_eq!(verdict(&store).await.misfit, None);
    let cut = Some(Misfit::CutOff {
        reported: 12,
        last: 8,
    });
    assert_eq!(with_head(&reported).await, cut);

    // What is appended then has the old ids and another past.
    let more = vec![Event::new(EventKind::DaemonReady); 5];
    store.record(&more, at(10)).await.unwrap();
    assert_eq!(verdict(&store).await.misfit, None);
    assert_eq!(with_head(&reported).await, Some(Misfit::Rewritten(12)));
}

#[tokio::test]
async fn an_end_that_was_taken_out_stops_no_renewal_and_stays_seen() {
    let (store, _folder) = with_twelve().await;
    meddle(&store, "DELETE FROM history WHERE id > 10").await;
    let event = Event::new(EventKind::DaemonReady);
    store.record(&[event], at(9)).await.unwrap();
    let missing = Misfit::Missing {
        first: 11,
        last: 12,
    };
    assert_eq!(verdict(&store).await.misfit, Some(missing));
}

#[tokio::test]
async fn events_from_before_the_chain_are_chained_by_the_upgrade_once() {
    let (store, folder) = with_twelve().await;
    let more = vec![Event::new(EventKind::DaemonReady); 200];
    store.record(&more, at(3)).await.unwrap();
    let before = verdict(&store).await;
    for statement in [
        "ALTER TABLE history DROP COLUMN hash",
        "DELETE FROM bookkeeping WHERE name IN ('chained_late', 'to_be_chained')",
        "DELETE FROM _sqlx_migrations WHERE version = 4",
    ] {
        meddle(&store, statement).await;
    }
    store.close().await;

    let store = Store::open(&url(&folder)).await.unwrap();
    let after = verdict(&store).await;
    assert_eq!((after.chained_late, after.misfit), (212, None));
    assert_eq!(after.head, before.head, "the same events, the same chain");
    let event = Event::new(EventKind::DaemonReady);
    store.record(&[event], at(9)).await.unwrap();
    assert_eq!(verdict(&store).await.misfit, None);

    // Who takes hashes away later gets no new ones.
    meddle(&store, "UPDATE history SET hash = NULL").await;
    store.close().await;
    let store = Store::open(&url(&folder)).await.unwrap();
    assert_eq!(verdict(&store).await.misfit, Some(Misfit::Unhashed(1)));
}

#[test]
fn a_head_is_read_as_it_is_written() {
    let text = format!("12:{}", "0a".repeat(32));
    let head: Head = text.to_uppercase().parse().unwrap();
    assert_eq!(head.to_string(), text);
    for text in ["", "12", "12:", "0:0a", ":0a", "12:zz", &text[..40]] {
        assert!(text.parse::<Head>().is_err(), "{text}");
    }
}

/// `printf '64:000…000,1:1,16:1800000000000000,11:step_failed,7:warning,5:büro,-,13:{"attempt":3},' | sha256sum`
const DOCUMENTED: &str = "e2d9f6637ee3985c4336eded2c0b2e1dba29f9adbc698bbb06fcfdf5be7b11f9";
