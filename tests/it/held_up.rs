//! Binds and roll-backs that something holds up: other administrators, firewalls that are busy or refuse, certificates and
//! addresses that are gone.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::event::Level;
use renewd::inventory::{Renewal, State};
use renewd::renewal::Moment;
use renewd::store::PastEvent;
use simulators::sonicos::{Action, On, Profile, Rule, Variants};

use crate::survives_crash::kill_at;
use crate::test_bed::TestBed;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const PRINTER: &str = "address-object ipv4 printer";

/// A renewal that is bound and not proven: the verification has just failed.
async fn verification_failed(variants: Variants) -> TestBed {
    let bed = TestBed::with(Profile::V8, variants).await;
    kill_at(
        &bed.config_file(),
        Moment::Stored(State::VerificationFailed),
    );
    bed.clock.advance(MINUTE);
    bed
}

fn serves_the_old_one() -> Variants {
    Variants {
        keep_serving_old_after_bind: true,
        ..Variants::kind()
    }
}

fn serves_a_wrong_one() -> Variants {
    Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    }
}

async fn newest(bed: &TestBed) -> Renewal {
    bed.renewals().await.swap_remove(0)
}

async fn events(bed: &TestBed, name: &str) -> Vec<PastEvent> {
    let mut history = bed.history().await;
    history.retain(|event| event.name == name);
    history
}

/// Runs at once and then whenever something is due, until `longest` has passed or the renewal has ended.
async fn live(bed: &TestBed, longest: SignedDuration) -> Renewal {
    let end = bed.clock.now() + longest;
    loop {
        bed.run_once().await;
        let renewal = newest(bed).await;
        match renewal.next_attempt_at.filter(|_| !renewal.state.is_end()) {
            Some(next) if next < end => bed.clock.set(next.max(bed.clock.now())),
            _ => return renewal,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_that_requests_seconds_each_time_ends_the_run_and_is_retried_with_backoff() {
    let bed = verification_failed(serves_the_old_one()).await;
    let wait = ("Retry-After".to_owned(), "5".to_owned());
    let busy = Action::Status(503, "Service unavailable".to_owned(), vec![wait]);
    bed.simulator
        .rule(Rule::once("", "", busy).repeated(0, u32::MAX));
    let began = bed.clock.now();
    let report = bed.run_once().await;
    assert!(report.has_failed());
    let renewal = newest(&bed).await;
    assert_eq!(renewal.state, State::VerificationFailed);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    let took = began.duration_until(bed.clock.now());
    assert!(took < 10 * MINUTE, "{took:#}");
    assert!(renewal.attempts <= 6, "{} attempts", renewal.attempts);
    let renewal = live(&bed, 24 * HOUR).await;
    assert_eq!(renewal.state, State::VerificationFailed);
    let attempts = renewal.attempts;
    assert!((20..=45).contains(&attempts), "{attempts} in a day");
    let alerts = events(&bed, "attention_needed").await.len();
    assert!((1..=3).contains(&alerts), "{alerts} alerts in a day");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_after_all_while_an_administrator_holds_the_roll_back_up_stays() {
    let bed = verification_failed(serves_the_old_one()).await;
    let other = bed.simulator.other_administrator();
    other.has_pending_change(PRINTER);
    bed.run_once().await;
    let renewal = newest(&bed).await;
    assert_eq!(renewal.state, State::VerificationFailed);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    // The services have restarted at last.
    other.leaves();
    bed.simulator.set(|variants| *variants = Variants::kind());
    other.binds("fw-initial");
    other.binds(&renewal.alias);
    bed.clock.set(renewal.next_attempt_at.unwrap());
    bed.run_once().await;
    bed.assert_renewed_once().await;
    assert!(!bed.has_event("binding_put_back").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_whose_response_is_lost_after_a_busy_time_is_checked_at_once() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once_meeting(State::Imported, |other| other.has_pending_change(PRINTER))
        .await;
    let renewal = newest(&bed).await;
    assert_eq!(renewal.state, State::Imported);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    bed.simulator.other_administrator().leaves();
    let lost = Rule::once("POST", "/config/pending", Action::DropAfter);
    bed.simulator.rule(lost);
    bed.clock.set(renewal.next_attempt_at.unwrap());
    let began = bed.clock.now();
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let took = began.duration_until(bed.clock.now());
    assert!(took < MINUTE, "{took:#}");
}

async fn assert_missing_rollback_reported_once(bed: &TestBed, why: &str) {
    let renewal = newest(bed).await;
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::NotRolledBack, "{error:?}");
    let alerts = events(bed, "renewal_not_rolled_back").await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].level, Level::Alert);
    let words = alerts[0].fields["detail"].as_str().unwrap();
    for part in [why, &renewal.alias, "renewd renew hq-portal"] {
        assert!(words.contains(part), "{words}");
    }
    bed.assert_left_in_order();
}

/// The device is in order again, and an operator asks for another certificate.
async fn is_renewed_on_request(bed: &TestBed) {
    bed.simulator.set(|variants| *variants = Variants::kind());
    bed.decide().await;
    bed.run_once().await;
    let renewal = newest(bed).await;
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::Completed, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_previous_certificate_the_roll_back_ends_and_the_firewall_stays_known() {
    let bed = verification_failed(serves_a_wrong_one()).await;
    bed.simulator.other_administrator().deletes("fw-initial");
    live(&bed, HOUR).await;
    assert_missing_rollback_reported_once(&bed, "no longer has fw-initial").await;
    // Its management page serves what renewd bound, which no configured pin names.
    is_renewed_on_request(&bed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_that_is_refused_each_time_ends_within_the_retry_table() {
    let bed = verification_failed(serves_a_wrong_one()).await;
    let refusal = Action::SuccessFalseWith200("Not allowed by the policy.".to_owned());
    let refusal = Rule::once("PUT", "", refusal).repeated(0, 100);
    bed.simulator.rule(refusal);
    let began = bed.clock.now();
    live(&bed, 24 * HOUR).await;
    let took = began.duration_until(bed.clock.now());
    assert!(took < HOUR, "{took:#}");
    let why = "the firewall refuses to bind what was bound before";
    assert_missing_rollback_reported_once(&bed, why).await;
    assert_eq!(events(&bed, "attention_needed").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_died_since_the_last_probe_is_reported_and_rolls_nothing_back() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    bed.simulator
        .set(|variants| variants.refuse_connections_on_ssl_vpn = true);
    bed.decide().await;
    bed.run_once().await;
    let renewal = newest(&bed).await;
    let error = &renewal.last_error;
    assert_eq!(bed.renewals().await.len(), 2);
    assert_eq!(renewal.state, State::Completed, "{error:?}");
    let address = bed.simulator.ssl_vpn().to_string();
    for name in ["endpoint_not_ready", "endpoint_not_updated"] {
        let reported = events(&bed, name).await;
        assert_eq!(reported.len(), 1, "{name}");
        let words = reported[0].fields["detail"].as_str().unwrap();
        assert!(words.contains(&address), "{words}");
    }
    assert!(!bed.has_event("verification_failed").await);
    bed.assert_left_in_order();
}
