//! Retention: what is removed, what never is, and that a history whose oldest events are gone is still verified.

use sqlx::{AssertSqlSafe, Row};

use super::*;
use crate::event::{Event, EventKind};
use crate::seal::Sealer;
use crate::store::{EventBatch, Head, Misfit, REMEMBERED, RenewalCursor, Verdict};

/// The events `first` to `last`, each a second after the one before and of its own renewal.
async fn report(store: &Store, first: u32, last: u32) {
    for n in first..=last {
        let event = Event {
            certificate: Some(Arc::from("portal")),
            renewal: Some(RenewalId(format!("r{n}"))),
            ..Event::new(EventKind::StepFailed)
        };
        store.record(&[event], at(n.into())).await.unwrap();
    }
}

async fn with_twelve() -> (Store, Home, Sealer, TempDir) {
    let (store, home) = store().await;
    report(&store, 1, 12).await;
    let folder = tempfile::tempdir().unwrap();
    let sealer = sealer(folder.path());
    (store, home, sealer, folder)
}

async fn remove(store: &Store, before: i64, sealer: &Sealer) -> EventBatch {
    let now = at(1_000_000);
    store.remove_events(at(before), sealer, now).await.unwrap()
}

async fn verdict(store: &Store, reported: Option<&Head>, sealer: &Sealer) -> Verdict {
    store.verify_history(reported, sealer).await.unwrap()
}

async fn run(store: &Store, statement: &str) -> u64 {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&store.writer)
        .await;
    done.unwrap().rows_affected()
}

async fn ids(store: &Store, statement: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(statement.to_owned()))
        .fetch_all(&store.writer)
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn head_of(store: &Store, id: i64) -> Head {
    let hash = ids(store, &format!("SELECT hash FROM history WHERE id = {id}")).await;
    format!("{id}:{}", hash[0]).parse().unwrap()
}

#[tokio::test]
async fn the_oldest_events_go_and_the_rest_is_verified_from_the_checkpoint_on() {
    let (store, _home, sealer, _folder) = with_twelve().await;
    let removed = remove(&store, 6, &sealer).await;
    assert_eq!(removed, EventBatch::Removed { events: 5, last: 5 });
    assert_eq!(remove(&store, 6, &sealer).await, EventBatch::Nothing);
    let found = verdict(&store, None, &sealer).await;
    assert_eq!((found.misfit, found.events), (None, 7));
    assert_eq!((found.since, found.head.unwrap().id), (Some(at(6)), 12));
    let checkpoint = found.checkpoint.unwrap();
    assert_eq!((checkpoint.head.id, checkpoint.removed), (5, 5));

    // It goes on from there, and so does the chain.
    let removed = remove(&store, 9, &sealer).await;
    assert_eq!(removed, EventBatch::Removed { events: 3, last: 8 });
    report(&store, 13, 20).await;
    let found = verdict(&store, None, &sealer).await;
    assert_eq!((found.misfit, found.events), (None, 12));
    assert_eq!(found.checkpoint.unwrap().removed, 8);
}

#[tokio::test]
async fn the_newest_event_and_those_of_an_open_renewal_stay_and_a_clock_that_was_ahead_keeps_nothing()
 {
    let (store, _home, sealer, _folder) = with_twelve().await;
    store
        .sync_inventory(&[configured("portal", "hq", "1")], at(13))
        .await
        .unwrap();
    store
        .plan(&renewal("r5", "portal", "hq"), &[])
        .await
        .unwrap();
    let removed = remove(&store, 500, &sealer).await;
    assert_eq!(removed, EventBatch::Removed { events: 4, last: 4 });
    assert_eq!(remove(&store, 500, &sealer).await, EventBatch::Nothing);
    run(&store, "UPDATE renewal SET ended_at = 1").await;
    let ahead = Event::new(EventKind::DaemonReady);
    store.record(&[ahead], at(9_000_000)).await.unwrap();
    report(&store, 15, 16).await;
    let removed = remove(&store, 500, &sealer).await;
    assert_eq!(
        removed,
        EventBatch::Removed {
            events: 11,
            last: 15
        }
    );
    assert_eq!(remove(&store, 500, &sealer).await, EventBatch::Nothing);
    let found = verdict(&store, None, &sealer).await;
    assert_eq!((found.misfit, found.events), (None, 1));
}

#[tokio::test]
async fn a_batch_is_bounded_and_a_great_many_follow_in_turn() {
    let (store, _home, sealer, _folder) = with_twelve().await;
    let many = vec![Event::new(EventKind::DaemonReady); 1100];
    store.record(&many, at(20)).await.unwrap();
    let mut batches = Vec::new();
    while let EventBatch::Removed { events, .. } = remove(&store, 500, &sealer).await {
        batches.push(events);
        assert_eq!(verdict(&store, None, &sealer).await.misfit, None);
    }
    assert_eq!(batches, [500, 500, 111]);
}

/// Changes of another program after five of twelve are removed, and how they are detected.
const MEDDLING: &[(&[&str], Misfit)] = &[
    (
        &["UPDATE history SET at = at + 1 WHERE id = 8"],
        Misfit::Changed(8),
    ),
    (
        &["UPDATE history SET hash = replace(hash, '0', '1') WHERE id = 6"],
        Misfit::Changed(6),
    ),
    (
        &["DELETE FROM history WHERE id = 9"],
        Misfit::Missing { first: 9, last: 9 },
    ),
    // More than the checkpoint says.
    (
        &["DELETE FROM history WHERE id <= 7"],
        Misfit::Missing { first: 6, last: 7 },
    ),
    (
        &["DELETE FROM history"],
        Misfit::Missing { first: 6, last: 12 },
    ),
    (
        &[
            "DELETE FROM history",
            "UPDATE bookkeeping SET value = 5 WHERE name = 'last_event'",
        ],
        Misfit::Missing { first: 6, last: 6 },
    ),
    (
        &["DELETE FROM history_checkpoint"],
        Misfit::Missing { first: 1, last: 5 },
    ),
    (
        &[
            "UPDATE history_checkpoint SET event = 7",
            "DELETE FROM history WHERE id <= 7",
        ],
        Misfit::Checkpoint(7),
    ),
    (
        &["UPDATE history_checkpoint SET hash = replace(hash, '0', '1')"],
        Misfit::Checkpoint(5),
    ),
    (
        &["UPDATE history_checkpoint SET removed = 4"],
        Misfit::Checkpoint(5),
    ),
    (
        &["UPDATE history_checkpoint SET removed_at = 4"],
        Misfit::Checkpoint(5),
    ),
    (
        &["UPDATE history_checkpoint SET code = 'mac-1:AAAA'"],
        Misfit::Checkpoint(5),
    ),
    (
        &[
            "INSERT INTO history_checkpoint (event, hash, removed, removed_at, code) \
               SELECT 8, hash, 8, removed_at, code FROM history_checkpoint",
        ],
        Misfit::Checkpoint(8),
    ),
    (
        &[
            "INSERT INTO history SELECT 3, at, name, level, certificate, renewal, fields, hash FROM history WHERE id = 6",
        ],
        Misfit::PutIn(3),
    ),
];

#[tokio::test]
async fn what_is_changed_cut_off_or_removed_beyond_the_checkpoint_is_found() {
    for (statements, found) in MEDDLING {
        let (store, _home, sealer, _folder) = with_twelve().await;
        remove(&store, 6, &sealer).await;
        for statement in *statements {
            assert!(run(&store, statement).await > 0, "{statement}");
        }
        let misfit = verdict(&store, None, &sealer).await.misfit;
        assert_eq!(misfit.as_ref(), Some(found), "{statements:?}");
    }
}

/// Another sealing key, and none at all: what renewd stored cannot be distinguished from what another program stored.
#[tokio::test]
async fn without_its_sealing_key_a_checkpoint_counts_for_nothing_and_nothing_more_is_removed() {
    let (store, _home, sealer, folder) = with_twelve().await;
    remove(&store, 6, &sealer).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = self::sealer(elsewhere.path());
    let found = verdict(&store, None, &other).await;
    assert_eq!(found.misfit, Some(Misfit::Checkpoint(5)));
    let refused = remove(&store, 9, &other).await;
    assert_eq!(refused, EventBatch::Broken(Misfit::Checkpoint(5)));

    std::fs::write(folder.path().join("seal.key"), "not a key").unwrap();
    assert!(matches!(
        remove(&store, 9, &sealer).await,
        EventBatch::NoKey(_)
    ));
    let found = verdict(&store, None, &sealer).await;
    assert!(found.misfit.is_none() && found.unverifiable.is_some());
    assert_eq!(
        ids(&store, "SELECT CAST(COUNT(*) AS TEXT) FROM history").await,
        ["7"]
    );
}

/// An old checkpoint, put back together with nothing, shows that what was removed since is gone.
#[tokio::test]
async fn a_checkpoint_that_was_kept_from_before_does_not_hide_what_was_removed_since() {
    let (store, _home, sealer, _folder) = with_twelve().await;
    remove(&store, 4, &sealer).await;
    run(
        &store,
        "CREATE TABLE kept AS SELECT * FROM history_checkpoint",
    )
    .await;
    remove(&store, 6, &sealer).await;
    run(&store, "DELETE FROM history_checkpoint").await;
    run(&store, "INSERT INTO history_checkpoint SELECT * FROM kept").await;
    let found = verdict(&store, None, &sealer).await;
    assert_eq!(found.misfit, Some(Misfit::Missing { first: 4, last: 5 }));
}

#[tokio::test]
async fn an_event_that_does_not_fit_is_never_removed() {
    let (store, _home, sealer, _folder) = with_twelve().await;
    run(&store, "UPDATE history SET level = 'info' WHERE id = 4").await;
    let removed = remove(&store, 10, &sealer).await;
    assert_eq!(removed, EventBatch::Removed { events: 3, last: 3 });
    let refused = remove(&store, 10, &sealer).await;
    assert_eq!(refused, EventBatch::Broken(Misfit::Changed(4)));
    let misfit = verdict(&store, None, &sealer).await.misfit;
    assert_eq!(misfit, Some(Misfit::Changed(4)));
}

#[tokio::test]
async fn a_given_head_is_compared_while_its_event_or_the_checkpoint_at_it_is_kept() {
    let (store, _home, sealer, _folder) = with_twelve().await;
    let heads = [
        head_of(&store, 3).await,
        head_of(&store, 5).await,
        head_of(&store, 9).await,
    ];
    remove(&store, 6, &sealer).await;
    for (head, is_removed) in heads.iter().zip([true, false, false]) {
        let found = verdict(&store, Some(head), &sealer).await;
        assert_eq!(
            (found.misfit, found.is_reported_removed),
            (None, is_removed),
            "{head}"
        );
    }
    for id in [5, 9] {
        let other = Head {
            id,
            hash: heads[0].hash.clone(),
        };
        let misfit = verdict(&store, Some(&other), &sealer).await.misfit;
        assert_eq!(misfit, Some(Misfit::Rewritten(id)));
    }
    let ahead = Head {
        id: 13,
        hash: heads[0].hash.clone(),
    };
    let misfit = verdict(&store, Some(&ahead), &sealer).await.misfit;
    assert_eq!(
        misfit,
        Some(Misfit::CutOff {
            reported: 13,
            last: 12
        })
    );
}

#[tokio::test]
async fn a_batch_that_was_broken_off_before_its_commit_has_removed_nothing() {
    let (store, home, sealer, _folder) = with_twelve().await;
    // The row of the checkpoint is refused: all of the batch is.
    run(&store, "ALTER TABLE history_checkpoint RENAME TO elsewhere").await;
    let failed = store.remove_events(at(6), &sealer, at(99)).await;
    assert!(failed.is_err());
    run(&store, "ALTER TABLE elsewhere RENAME TO history_checkpoint").await;
    store.close().await;
    let store = Store::open(&url(&home)).await.unwrap();
    let found = verdict(&store, None, &sealer).await;
    assert_eq!(
        (found.misfit, found.events, found.checkpoint),
        (None, 12, None)
    );
}

#[tokio::test]
async fn a_jump_of_the_clock_holds_the_removal_for_a_day() {
    let (store, _home, _sealer, _folder) = with_twelve().await;
    let day = |days: i64| at(days * 86_400);
    let may = async |now| store.may_remove(now).await.unwrap();
    assert!(may(day(1)).await, "a day after the last event");
    assert!(may(day(2)).await);
    // Six years ahead, again and again at each start, and back.
    assert!(!may(day(2192)).await);
    assert!(!may(day(2192)).await);
    assert!(!may(day(3)).await, "back again: the clock was changed");
    assert!(may(day(4)).await);
    // A daemon of another machine, whose clock is behind by some seconds.
    assert!(may(day(4) - SignedDuration::from_secs(30)).await);
    assert!(!may(day(100)).await, "it stood still");
    assert!(may(day(101)).await);
}

/// A renewal of `certificate` on `firewall` that came to `state` and ended then.
async fn ended(store: &Store, id: &str, certificate: &str, state: &str, second: i64) {
    let mut past = renewal(id, certificate, "hq");
    past.planned_at = at(second);
    assert!(store.plan(&past, &[]).await.unwrap(), "{id}");
    let statement = format!(
        "UPDATE renewal SET state = '{state}', ended_at = {}, fingerprint = '{}' WHERE id = '{id}'",
        at(second + 1).as_microsecond(),
        Fingerprint::of(id.as_bytes())
    );
    run(store, &statement).await;
    for statement in [
        format!(
            "INSERT INTO intent (renewal, step, reference, opened_at, tried_at, tries, closed_at) \
                 VALUES ('{id}', 'submit', 'x', {0}, {0}, 1, {0})",
            at(second).as_microsecond()
        ),
        format!("INSERT INTO order_slot (renewal) VALUES ('{id}')"),
    ] {
        run(store, &statement).await;
    }
}

async fn remove_renewals(store: &Store, before: i64) -> u64 {
    let (mut all, mut cursor) = (0, RenewalCursor::default());
    loop {
        let now = at(1_000_000);
        let (removed, next) = store
            .remove_renewals(at(before), &cursor, now)
            .await
            .unwrap();
        all += removed;
        match next {
            Some(next) => cursor = next,
            None => return all,
        }
    }
}

const LEFT: &str = "SELECT id FROM renewal ORDER BY planned_at, id";

#[tokio::test]
async fn ended_renewals_go_with_their_intents_but_not_the_last_completed_one_nor_what_followed_it()
{
    let (store, _folder) = store_with_portal().await;
    for (n, state) in ["completed", "failed", "completed", "rolled_back", "failed"]
        .iter()
        .enumerate()
    {
        let n = i64::try_from(n).unwrap();
        ended(&store, &format!("p{n}"), "portal", state, 10 * n).await;
    }
    let mut open = renewal("open", "portal", "hq");
    open.planned_at = at(60);
    assert!(store.plan(&open, &[]).await.unwrap());
    assert_eq!(remove_renewals(&store, 11).await, 1, "p0 alone is older");
    assert_eq!(remove_renewals(&store, 500).await, 1);
    assert_eq!(ids(&store, LEFT).await, ["p2", "p3", "p4", "open"]);
    let intents = ids(&store, "SELECT renewal FROM intent ORDER BY renewal").await;
    assert_eq!(intents, ["p2", "p3", "p4"]);
    let slots = ids(&store, "SELECT renewal FROM order_slot ORDER BY renewal").await;
    assert_eq!(slots, ["p2", "p3", "p4"]);
    assert_eq!(remove_renewals(&store, 500).await, 0);
}

#[tokio::test]
async fn of_a_certificate_that_was_never_completed_as_many_stay_as_decisions_look_at() {
    let (store, _folder) = store_with_portal().await;
    for n in 0..REMEMBERED + 3 {
        ended(
            &store,
            &format!("p{n:02}"),
            "portal",
            "failed",
            10 * i64::from(n),
        )
        .await;
    }
    let before = store.renewals_of("portal", REMEMBERED).await.unwrap();
    assert_eq!(remove_renewals(&store, 5000).await, 3);
    let after = store.renewals_of("portal", REMEMBERED + 9).await.unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
}

#[tokio::test]
async fn a_renewal_whose_certificate_is_served_or_valid_or_counts_in_a_budget_stays() {
    let (store, _folder) = store_with_portal().await;
    for (n, id) in [
        "served", "unknown", "valid", "over", "counted", "old", "last",
    ]
    .iter()
    .enumerate()
    {
        ended(
            &store,
            id,
            "portal",
            "completed",
            10 * i64::try_from(n).unwrap(),
        )
        .await;
    }
    let served = |id: &str| Fingerprint::of(id.as_bytes());
    let insert = format!(
        "INSERT INTO served (certificate, address, fingerprint, unknown_fingerprint, probed_at) \
         VALUES ('portal', 'a:1', '{}', '{}', 1)",
        served("served"),
        served("unknown")
    );
    run(&store, &insert).await;
    for (id, days) in [("valid", 100), ("over", 1)] {
        let mut params = rcgen::CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
        params.not_before = time::OffsetDateTime::from_unix_timestamp(at(0).as_second()).unwrap();
        params.not_after = params.not_before + time::Duration::days(days);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        run(
            &store,
            &format!("UPDATE renewal SET leaf_pem = '{pem}' WHERE id = '{id}'"),
        )
        .await;
    }
    let tried = at(900).as_microsecond();
    run(
        &store,
        &format!("UPDATE intent SET tried_at = {tried} WHERE renewal = 'counted'"),
    )
    .await;
    assert_eq!(remove_renewals(&store, 500).await, 2);
    assert_eq!(
        ids(&store, LEFT).await,
        ["served", "unknown", "valid", "counted", "last"]
    );
}

#[tokio::test]
async fn the_last_completed_renewal_on_each_firewall_stays_and_a_great_many_are_removed_in_batches()
{
    let (store, _folder) = store_with_portal().await;
    for n in 0..250 {
        ended(&store, &format!("p{n:03}"), "portal", "completed", 10 * n).await;
    }
    run(&store, "INSERT INTO firewall (name) VALUES ('branch')").await;
    run(
        &store,
        "UPDATE renewal SET firewall = 'branch' WHERE id <= 'p199'",
    )
    .await;
    let (removed, next) = store
        .remove_renewals(at(9000), &RenewalCursor::default(), at(9001))
        .await
        .unwrap();
    assert!(removed == 100 && next.is_some(), "{removed} at once");
    assert_eq!(remove_renewals(&store, 9000).await, 148);
    assert_eq!(ids(&store, LEFT).await, ["p199", "p249"]);
}
