//! Maintenance windows: obtain at any time, bind inside only, and loudly outside when nothing else is left.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::clock::ManualClock;
use renewd::inventory::State;
use renewd::renewal::{Checkpoint, Moment, Step};
use renewd::status;
use renewd::store::{CommitObserver, PastEvent};
use simulators::sonicos::{Action, Port, Profile, Replacement, ReplacementKey, Rule};

use crate::test_bed::{self, CERTIFICATE, TestBed};

/// Every test begins on Sunday 2026-11-22 at 10:00 UTC; the certificate expires ten days later.
async fn bed(window: &str) -> TestBed {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure_window(window);
    bed
}

async fn explained(bed: &TestBed) -> status::Explanation {
    let config = bed.config();
    let wanted = &config.certificates[CERTIFICATE];
    let store = bed.store().await;
    let now = renewd::clock::Clock::now(bed.clock.as_ref());
    status::explain(&store, &config, wanted, now)
        .await
        .unwrap()
        .unwrap()
}

async fn overrides(bed: &TestBed) -> Vec<PastEvent> {
    let mut reported = bed.history().await;
    reported.retain(|event| event.name == "maintenance_window_overridden");
    reported
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_the_window_it_is_obtained_and_waits_and_inside_it_is_bound() {
    // Two o'clock in Amsterdam is one o'clock UTC in winter.
    let bed =
        bed(r#"start = "0 2 * * TUE", duration = "1h", time_zone = "Europe/Amsterdam""#).await;
    let before = bed.seen().await;
    let report = bed.run_once().await;
    assert!(
        !report.has_failed(),
        "waiting for a window is no failure: {report:#?}"
    );
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::Imported);
    assert_eq!(
        renewal.last_error_kind.as_deref(),
        Some("maintenance_window")
    );
    let opens = "2026-11-24T01:00:00Z".parse().unwrap();
    assert_eq!(renewal.next_attempt_at, Some(opens));
    assert_eq!(
        bed.seen().await,
        before,
        "nothing is bound outside the window"
    );
    assert_eq!(bed.signatures(), 1);

    let explanation = explained(&bed).await;
    let words = [explanation.now, explanation.next].concat().join("\n");
    assert!(words.contains("it waits (maintenance_window)"), "{words}");
    assert!(
        words.contains("the step bind is taken at 2026-11-24T01:00:00Z"),
        "{words}"
    );
    assert!(
        words.contains("\"0 2 * * TUE\", 1h, Europe/Amsterdam) opens at 2026-11-24T01:00:00Z"),
        "{words}"
    );

    bed.clock.set("2026-11-24T00:50:00Z".parse().unwrap());
    bed.run_once().await;
    assert_eq!(
        bed.simulator.bound(Port::Management).as_deref(),
        Some("fw-initial")
    );
    bed.clock.set(opens);
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    assert!(!bed.has_event("maintenance_window_overridden").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_an_operator_binds_before_the_window_opens_is_verified_and_completed() {
    let bed = bed(r#"start = "0 2 * * TUE", duration = "1h", time_zone = "UTC""#).await;
    bed.run_once().await;
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Imported);
    bed.simulator.other_administrator().binds(&renewal.alias);
    bed.clock.set(renewal.next_attempt_at.unwrap());
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_that_an_operator_installed_does_not_wait_for_the_window() {
    let window = r#"start = "0 2 * * TUE", duration = "1h", time_zone = "UTC""#;
    let bed = bed(window).await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::Imported);
    let now = bed.device_time();
    let ended = Replacement {
        name: "by-hand".to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now - time::Duration::days(90),
        not_after: now - time::Duration::days(1),
        key: ReplacementKey::EcdsaP256,
    };
    let other = bed.simulator.other_administrator();
    other.replaces_certificate(&ended).unwrap();
    // Its pin is written down, as it must be.
    bed.configure_window(window);
    bed.clock.advance(SignedDuration::from_hours(1));
    bed.run_once().await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    assert!(bed.has_event("maintenance_window_overridden").await);
}

/// Once a week: for this certificate, on Thursdays.
fn look_seldom(bed: &TestBed) {
    let written = std::fs::read_to_string(bed.config_file()).unwrap();
    let seldom = written.replace("[daemon]", "[daemon]\nprobe_interval = \"7d\"");
    std::fs::write(bed.config_file(), seldom).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_installed_unseen_can_wait_where_the_one_seen_before_could_not() {
    // The second window comes after the last twentieth of what is served at first.
    let window = r#"start = "0 2 24,28 * *", duration = "1h", time_zone = "UTC""#;
    let bed = bed(window).await;
    look_seldom(&bed);
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::Imported);
    let now = bed.device_time();
    let fresh = Replacement {
        name: "by-hand".to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now - time::Duration::days(1),
        not_after: now + time::Duration::days(89),
        key: ReplacementKey::EcdsaP256,
    };
    let other = bed.simulator.other_administrator();
    other.replaces_certificate(&fresh).unwrap();
    bed.configure_window(window);
    look_seldom(&bed);
    // The daemon was down in the first window.
    bed.clock.set("2026-11-24T12:00:00Z".parse().unwrap());
    bed.run_once().await;
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::Imported);
    let opens = "2026-11-28T02:00:00Z".parse().unwrap();
    assert_eq!(renewal.next_attempt_at, Some(opens));
    bed.clock.set(opens);
    bed.run_once().await;
    bed.assert_renewed_once().await;
    assert!(!bed.has_event("maintenance_window_overridden").await);
}

/// The window closes while the bind is under way.
#[derive(Debug)]
struct Closing(Arc<ManualClock>);

impl CommitObserver for Closing {}

#[async_trait]
impl Checkpoint for Closing {
    async fn pass(&self, moment: Moment) {
        if moment == Moment::Intended(Step::Bind) {
            self.0.advance(SignedDuration::from_mins(3));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_whose_response_was_lost_as_the_window_closed_is_checked_at_once() {
    let next_window = "2026-11-23T09:00:00Z".parse().unwrap();
    for (drops, is_bound) in [(Action::DropAfter, true), (Action::DropBefore, false)] {
        let bed = bed(r#"start = "0 9 * * *", duration = "62m", time_zone = "UTC""#).await;
        let before = bed.seen().await;
        bed.simulator
            .rule(Rule::once("POST", "/config/pending", drops));
        let clock = Arc::clone(&bed.clock);
        test_bed::run_once(
            &bed.config_file(),
            clock,
            Arc::new(Closing(bed.clock.clone())),
        )
        .await;
        if is_bound {
            bed.assert_renewed_once().await;
            continue;
        }
        let renewal = &bed.renewals().await[0];
        assert_eq!(renewal.state, State::Imported);
        assert_eq!(renewal.next_attempt_at, Some(next_window));
        assert_eq!(bed.seen().await, before);
        bed.clock.set(next_window);
        bed.run_once().await;
        bed.assert_renewed_once().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_the_window_it_is_bound_at_once() {
    let bed = bed(r#"start = "0 9 * * *", duration = "2h""#).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    assert!(!bed.has_event("renewal_waiting").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_no_window_before_the_expiry_it_is_bound_at_once_and_reported() {
    let bed = bed(r#"start = "0 2 1 1 *", duration = "3h""#).await;
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    let reported = overrides(&bed).await;
    assert_eq!(reported.len(), 1);
    let words = reported[0].fields["detail"].as_str().unwrap();
    assert!(
        words.contains("no window \"0 2 1 1 *\" opens before"),
        "{words}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_yields_after_refusals_inside_of_it_is_reported_once() {
    // The next window comes after the certificate's end.
    let bed = bed(r#"start = "0 9 22 * *", duration = "90m", time_zone = "UTC""#).await;
    let refused = Action::Status(503, "busy".to_owned(), Vec::new());
    let rule = Rule::once("POST", "/config/pending", refused);
    bed.simulator.rule(rule.repeated(0, 3));
    for reported in [0, 1, 1] {
        bed.run_once().await;
        assert_eq!(bed.renewals().await[0].state, State::Imported);
        assert_eq!(overrides(&bed).await.len(), reported);
        bed.clock.advance(SignedDuration::from_hours(6));
    }
    bed.run_once().await;
    bed.assert_renewed_once().await;
    assert_eq!(overrides(&bed).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_was_missed_is_not_made_up_for_outside_of_it() {
    let bed = bed(r#"start = "0 2 * * TUE,THU", duration = "1h""#).await;
    bed.run_once().await;
    // The daemon was down on Tuesday.
    bed.clock.set("2026-11-24T12:00:00Z".parse().unwrap());
    bed.run_once().await;
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::Imported);
    assert_eq!(
        renewal.next_attempt_at,
        Some("2026-11-26T02:00:00Z".parse().unwrap())
    );
    bed.clock.set("2026-11-26T02:30:00Z".parse().unwrap());
    bed.run_once().await;
    bed.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_previous_certificate_is_the_one_before_the_attempt_that_bound() {
    let window = r#"start = "0 9 * * *", duration = "2h", time_zone = "UTC""#;
    let bed = bed(window).await;
    let second = TestBed::new(Profile::V8).await;
    crate::rolls_back::also_verify(&bed, &second.simulator.ssl_vpn().to_string());
    bed.run_once_meeting(State::Imported, |other| {
        other.has_pending_change("address-object ipv4 printer");
    })
    .await;
    let renewal = bed.renewals().await.swap_remove(0);
    assert_eq!(renewal.state, State::Imported);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));

    // A day later there is another certificate, and the second address is switched off.
    let now = bed.device_time();
    let other = bed.simulator.other_administrator();
    other.leaves();
    let fresh = Replacement {
        name: "by-hand".to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now - time::Duration::days(80),
        not_after: now + time::Duration::days(9),
        key: ReplacementKey::EcdsaP256,
    };
    other.replaces_certificate(&fresh).unwrap();
    bed.configure_window(window);
    crate::rolls_back::also_verify(&bed, &second.simulator.ssl_vpn().to_string());
    second.simulator.stop().await;
    bed.clock.advance(SignedDuration::from_hours(24));
    bed.run_once().await;
    let renewal = bed.renewals().await.swap_remove(0);
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::Completed, "{error:?}");
    let before = renewal.obtained.previous_bindings.unwrap();
    assert!(before.contains("by-hand"), "{before}");
}
