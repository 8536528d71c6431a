//! A clock that was ahead: nothing that was put off under it waits until it is there again.

use super::*;

const YEAR: i64 = 365 * 86_400;
const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test]
async fn what_was_put_off_under_a_clock_ahead_is_due_when_it_is_set_back() {
    let (store, lease, _folder) = store_with_lease().await;
    let ahead = at(YEAR + 60);
    record_probe(&store, "portal", None, None, ahead, None, &[], at(YEAR))
        .await
        .unwrap();
    store
        .intend(&lease, "submit", "ref", at(YEAR))
        .await
        .unwrap();
    store
        .postpone(&lease, 1, Some(ahead), "busy", "", &[], at(YEAR))
        .await
        .unwrap();
    let far = SignedDuration::from_mins(26);
    store
        .clock_moved_back(at(YEAR), at(100), HOUR, far)
        .await
        .unwrap();
    let row = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(row.probe_at, Some(at(100)));
    let renewal = store.renewal(&lease.renewal.id).await.unwrap().unwrap();
    assert_eq!(renewal.next_attempt_at, Some(at(100)));
    let intent = store.intent(&lease.renewal.id, "submit").await.unwrap();
    let intent = intent.unwrap();
    assert_eq!((intent.opened_at, intent.tried_at), (at(100), at(100)));
}

#[tokio::test]
async fn what_is_put_off_as_usual_stays_put_off() {
    let (store, lease, _folder) = store_with_lease().await;
    let soon = at(900);
    record_probe(&store, "portal", None, None, soon, None, &[], at(0))
        .await
        .unwrap();
    store
        .postpone(&lease, 1, Some(soon), "busy", "", &[], at(0))
        .await
        .unwrap();
    store
        .clock_moved_back(at(YEAR), at(100), HOUR, HOUR)
        .await
        .unwrap();
    let row = store.certificate("portal").await.unwrap().unwrap();
    assert_eq!(row.probe_at, Some(soon));
    let renewal = store.renewal(&lease.renewal.id).await.unwrap().unwrap();
    assert_eq!(renewal.next_attempt_at, Some(soon));
    assert_eq!(renewal.planned_at, at(0));
}

#[tokio::test]
async fn a_claim_of_a_clock_ahead_ends_as_early_as_any_other() {
    let (store, _folder) = store_with_portal().await;
    let planned = renewal("r1", "portal", "hq");
    assert!(store.plan(&planned, &[]).await.unwrap());
    assert!(claim(&store, "dead", YEAR).await.is_some());
    let far = SignedDuration::from_mins(26);
    store
        .clock_moved_back(at(YEAR), at(0), HOUR, far)
        .await
        .unwrap();
    assert!(claim(&store, "us", 26 * 60 - 1).await.is_none());
    assert!(claim(&store, "us", 26 * 60).await.is_some());
}

#[tokio::test]
async fn a_time_step_of_a_code_is_taken_once_and_none_before_it() {
    let (store, _folder) = store().await;
    assert!(store.take_code_step("hq", at(60)).await.unwrap());
    for taken in [60, 30] {
        assert!(!store.take_code_step("hq", at(taken)).await.unwrap());
    }
    assert!(store.take_code_step("branch", at(30)).await.unwrap());
    assert!(store.take_code_step("hq", at(90)).await.unwrap());
}

#[tokio::test]
async fn a_code_of_a_clock_ahead_is_not_waited_for() {
    let (store, _folder) = store().await;
    assert!(store.take_code_step("hq", at(YEAR)).await.unwrap());
    let set_back = store.clock_moved_back(at(YEAR), at(75), HOUR, HOUR);
    set_back.await.unwrap();
    assert!(!store.take_code_step("hq", at(60)).await.unwrap());
    assert!(store.take_code_step("hq", at(90)).await.unwrap());
}

#[tokio::test]
async fn a_beat_is_kept_until_the_daemon_rests() {
    let (store, _folder) = store().await;
    assert_eq!(store.last_beat().await.unwrap(), None);
    store.beat(at(7)).await.unwrap();
    assert_eq!(store.last_beat().await.unwrap(), Some(at(7)));
    assert_eq!(store.last_write().await.unwrap(), Some(at(7)));
    store.mark_stopped().await.unwrap();
    assert_eq!(store.last_beat().await.unwrap(), None);
    assert_eq!(store.last_write().await.unwrap(), Some(at(7)));
}

#[tokio::test]
async fn what_happened_under_a_clock_ahead_happened_by_now() {
    let (store, lease, _folder) = store_with_lease().await;
    let obtained = Obtained {
        previous_bound_at: Some(at(YEAR)),
        ..Obtained::default()
    };
    store.keep(&lease, &obtained).await.unwrap();
    let served = Served {
        address: "vpn.example.com:443".to_owned(),
        known: None,
        is_wanted: true,
        unknown: None,
        unreachable: Some(Unreachable {
            since: at(YEAR - 60),
            words: "refused".to_owned(),
        }),
        unreachable_reported_at: Some(at(YEAR)),
        reported: None,
        probed_at: at(YEAR),
    };
    let observation = Observation {
        served,
        is_verified: false,
    };
    let observations = [(observation, Vec::new())];
    let probe_record = ProbeRecord {
        observations: &observations,
        next_probe_at: at(YEAR + 60),
        ..ProbeRecord::default()
    };
    store
        .record_probe("portal", &probe_record, at(YEAR))
        .await
        .unwrap();
    store
        .clock_moved_back(at(YEAR), at(100), HOUR, HOUR)
        .await
        .unwrap();
    let renewal = store.renewal(&lease.renewal.id).await.unwrap().unwrap();
    assert_eq!(renewal.obtained.previous_bound_at, Some(at(100)));
    let row = store.certificate("portal").await.unwrap().unwrap();
    let served = &row.served[0];
    assert_eq!(served.unreachable.as_ref().unwrap().since, at(100));
    assert_eq!(served.unreachable_reported_at, Some(at(100)));
}

#[tokio::test]
async fn what_was_planned_under_a_clock_ahead_is_known_to_be() {
    let (store, _folder) = store_with_portal().await;
    let planned = Renewal {
        planned_at: at(YEAR),
        ..renewal("r1", "portal", "hq")
    };
    assert!(store.plan(&planned, &[]).await.unwrap());
    store
        .clock_moved_back(at(YEAR), at(100), HOUR, HOUR)
        .await
        .unwrap();
    let renewal = store.renewal(&planned.id).await.unwrap().unwrap();
    assert!(renewal.planned_ahead);
    assert_eq!(renewal.planned_at, at(100));
}
