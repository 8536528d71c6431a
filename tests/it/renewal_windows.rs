//! A CA that announces a renewal window (RFC 9773), and one that limits orders: the real engine
//! against the simulated ACME server.

use jiff::{SignedDuration, Timestamp};
use renewd::clock::Clock;
use renewd::inventory::State;
use simulators::acme::Window;
use simulators::sonicos::{Profile, Variants};

use crate::contract::Subject;
use crate::contract::acme::Acme;
use crate::test_bed::{CERTIFICATE, TestBed, today};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A test bed whose certificate was just obtained by ACME.
async fn renewed(keys: &str) -> (Acme, TestBed) {
    renewd::tls::install_provider();
    let clock = today();
    let acme = Acme::with(clock.clone(), |variants| variants.always_valid = true).await;
    let bed = TestBed::with_ca(
        Profile::V8,
        Variants::kind(),
        clock,
        &acme.driver_with(keys),
    )
    .await;
    acme.prepare(&bed);
    bed.run_once().await;
    bed.assert_installed_once().await;
    (acme, bed)
}

/// Runs the daemon now and then until `until`.
async fn live(bed: &TestBed, until: Timestamp, pause: SignedDuration) {
    while bed.clock.now() < until {
        bed.run_once().await;
        bed.clock.advance(pause);
    }
}

fn days_from_today(days: i64) -> Timestamp {
    today().now() + SignedDuration::from_hours(24 * days)
}

fn window(from: Timestamp, to: Timestamp) -> Window {
    let time = |at: Timestamp| time::OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap();
    Window {
        start: time(from),
        end: time(to),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_at_the_chosen_moment_of_its_window_and_replaces_the_old_one() {
    let (acme, bed) = renewed("").await;
    let end = days_from_today(40) + 12 * HOUR;
    acme.simulator
        .renewal_window(Some(window(days_from_today(40), end)));
    live(&bed, days_from_today(2), HOUR).await;
    let store = bed.store().await;
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    let reported = row.window_of_current().unwrap().clone();
    assert!(days_from_today(40) <= reported.chosen && reported.chosen < end);
    live(&bed, days_from_today(39), 12 * HOUR).await;
    assert_eq!(bed.renewals().await.len(), 1, "not before the window");
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    let kept = row.window_of_current().unwrap();
    assert_eq!(kept.chosen, reported.chosen, "the moment is kept");
    // The simulated CA names the same window for the next certificate, which is too young to be renewed until tomorrow.
    live(&bed, end + 2 * HOUR, HOUR).await;
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 2);
    assert_eq!(renewals[0].reason, "renewal_window");
    assert_eq!(
        renewals[0].state,
        State::Completed,
        "{:?}",
        renewals[0].last_error
    );
    let late = reported.chosen.duration_until(renewals[0].planned_at);
    assert!(late <= HOUR, "planned {late:?} after the moment");
    let orders = acme.simulator.orders();
    assert!(orders[1].replaces.is_some(), "{orders:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_moves_the_window_to_the_past_and_the_explanation_is_reported() {
    let (acme, bed) = renewed("").await;
    live(&bed, days_from_today(1), HOUR).await;
    assert_eq!(bed.renewals().await.len(), 1);
    let past = days_from_today(1) - HOUR;
    acme.simulator
        .renewal_window(Some(window(past, past + HOUR / 2)));
    let why = "https://ca.example/incident".to_owned();
    acme.simulator
        .set(|variants| variants.explanation = Some(why.clone()));
    // The CA requested the next poll after six hours.
    live(&bed, days_from_today(1) + 8 * HOUR, HOUR).await;
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 2);
    assert_eq!(renewals[0].reason, "renewal_window");
    assert_eq!(
        renewals[0].state,
        State::Completed,
        "{:?}",
        renewals[0].last_error
    );
    let reported = bed.history().await;
    let explained = reported.iter().any(|event| {
        event.name == "renewal_info_updated" && event.fields.to_string().contains(&why)
    });
    assert!(explained, "{reported:#?}");
}

/// The CA requests that each certificate be replaced at once. renewd waits longer each time.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_requests_immediate_renewal_each_time_is_followed_with_backoff() {
    let (acme, bed) = renewed("").await;
    let past = days_from_today(0) - 48 * HOUR;
    acme.simulator
        .renewal_window(Some(window(past, past + HOUR / 2)));
    live(&bed, days_from_today(20), 6 * HOUR).await;
    let mut planned: Vec<i64> = Vec::new();
    for renewal in bed.renewals().await.iter().rev() {
        planned.push(
            days_from_today(0)
                .duration_until(renewal.planned_at)
                .as_hours()
                / 24,
        );
    }
    assert_eq!(planned, [0, 1, 3, 7, 15], "days");
    assert_eq!(acme.simulator.orders().len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_after_the_end_is_overridden_by_the_last_twentieth() {
    let (acme, bed) = renewed("").await;
    acme.simulator
        .renewal_window(Some(window(days_from_today(200), days_from_today(201))));
    live(&bed, days_from_today(90), 12 * HOUR).await;
    let renewals = bed.renewals().await;
    assert!(renewals.len() >= 2, "it was left to expire");
    assert_eq!(renewals[renewals.len() - 2].reason, "emergency");
    let planned = renewals[renewals.len() - 2].planned_at;
    assert!(planned < days_from_today(90), "{planned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_beyond_the_limits_waits_for_its_turn_and_explain_says_so() {
    let limits = r#", limits = { names = { orders = 1, within = "7d" } }"#;
    let (acme, bed) = renewed(limits).await;
    let store = bed.store().await;
    let now = bed.clock.now();
    store.request_renewal(CERTIFICATE, now, &[]).await.unwrap();
    bed.run_once().await;
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::CsrExported);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("order_limit"));
    let config = bed.config();
    let wanted = &config.certificates[CERTIFICATE];
    let explanation = renewd::status::explain(&store, &config, wanted, now);
    let explanation = explanation.await.unwrap().unwrap();
    let words = explanation.now.join("\n");
    assert!(
        words.contains("its turn within the limits of office"),
        "{words}"
    );
    assert_eq!(acme.simulator.orders().len(), 1);
    let turn = renewal.next_attempt_at.unwrap();
    assert!(now.duration_until(turn) > 6 * 24 * HOUR, "{turn}");
    bed.clock.set(turn);
    bed.run_once().await;
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
}
