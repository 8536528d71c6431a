//! Binds and roll-backs that something holds up: other administrators, firewalls that are busy or refuse, certificates and
//! addresses that are gone.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::event::Level;
use renewd::inventory::{Renewal, State};
use renewd::renewal::Moment;
use renewd::store::PastEvent;
use simulators::sonicos::{Action, Faces, On, Profile, Rule};

use crate::lab::Lab;
use crate::survives_crash::kill_at;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const PRINTER: &str = "address-object ipv4 printer";

/// A renewal that is bound and not proven: the verification has just failed.
async fn verification_failed(faces: Faces) -> Lab {
    let lab = Lab::with(Profile::V8, faces).await;
    kill_at(
        &lab.config_file(),
        Moment::Stored(State::VerificationFailed),
    );
    lab.clock.advance(MINUTE);
    lab
}

fn serves_the_old_one() -> Faces {
    Faces {
        keep_serving_old_after_bind: true,
        ..Faces::kind()
    }
}

fn serves_a_wrong_one() -> Faces {
    Faces {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Faces::kind()
    }
}

async fn newest(lab: &Lab) -> Renewal {
    lab.renewals().await.swap_remove(0)
}

async fn events(lab: &Lab, name: &str) -> Vec<PastEvent> {
    let mut history = lab.history().await;
    history.retain(|event| event.name == name);
    history
}

/// Runs at once and then whenever something is due, until `longest` has passed or the renewal has ended.
async fn live(lab: &Lab, longest: SignedDuration) -> Renewal {
    let end = lab.clock.now() + longest;
    loop {
        lab.run_once().await;
        let renewal = newest(lab).await;
        match renewal.next_attempt_at.filter(|_| !renewal.state.is_end()) {
            Some(next) if next < end => lab.clock.set(next.max(lab.clock.now())),
            _ => return renewal,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_that_asks_for_seconds_each_time_ends_the_run_and_is_called_ever_more_seldom() {
    let lab = verification_failed(serves_the_old_one()).await;
    let wait = ("Retry-After".to_owned(), "5".to_owned());
    let busy = Action::Status(503, "Service unavailable".to_owned(), vec![wait]);
    lab.simulator
        .rule(Rule::once("", "", busy).repeated(0, u32::MAX));
    let began = lab.clock.now();
    let report = lab.run_once().await;
    assert!(report.has_failed());
    let renewal = newest(&lab).await;
    assert_eq!(renewal.state, State::VerificationFailed);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    let took = began.duration_until(lab.clock.now());
    assert!(took < 10 * MINUTE, "{took:#}");
    assert!(renewal.attempts <= 6, "{} attempts", renewal.attempts);
    let renewal = live(&lab, 24 * HOUR).await;
    assert_eq!(renewal.state, State::VerificationFailed);
    let attempts = renewal.attempts;
    assert!((20..=45).contains(&attempts), "{attempts} in a day");
    let alerts = events(&lab, "attention_needed").await.len();
    assert!((1..=3).contains(&alerts), "{alerts} alerts in a day");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_after_all_while_an_administrator_holds_the_roll_back_up_stays() {
    let lab = verification_failed(serves_the_old_one()).await;
    let other = lab.simulator.other_administrator();
    other.has_pending_change(PRINTER);
    lab.run_once().await;
    let renewal = newest(&lab).await;
    assert_eq!(renewal.state, State::VerificationFailed);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    // The services have restarted at last.
    other.leaves();
    lab.simulator.set(|faces| *faces = Faces::kind());
    other.binds("fw-initial");
    other.binds(&renewal.alias);
    lab.clock.set(renewal.next_attempt_at.unwrap());
    lab.run_once().await;
    lab.assert_renewed_once().await;
    assert!(!lab.has_event("binding_put_back").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_whose_answer_is_lost_after_a_busy_time_is_looked_for_at_once() {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once_meeting(State::Imported, |other| other.has_pending_change(PRINTER))
        .await;
    let renewal = newest(&lab).await;
    assert_eq!(renewal.state, State::Imported);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    lab.simulator.other_administrator().leaves();
    let lost = Rule::once("POST", "/config/pending", Action::DropAfter);
    lab.simulator.rule(lost);
    lab.clock.set(renewal.next_attempt_at.unwrap());
    let began = lab.clock.now();
    lab.run_once().await;
    lab.assert_renewed_once().await;
    let took = began.duration_until(lab.clock.now());
    assert!(took < MINUTE, "{took:#}");
}

async fn told_once_that_nothing_was_bound_back(lab: &Lab, why: &str) {
    let renewal = newest(lab).await;
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::NotRolledBack, "{error:?}");
    let alerts = events(lab, "renewal_not_rolled_back").await;
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].level, Level::Alert);
    let words = alerts[0].fields["detail"].as_str().unwrap();
    for part in [why, &renewal.alias, "renewd renew hq-portal"] {
        assert!(words.contains(part), "{words}");
    }
    lab.assert_left_in_order();
}

/// The device is in order again, and an operator asks for another certificate.
async fn is_renewed_on_request(lab: &Lab) {
    lab.simulator.set(|faces| *faces = Faces::kind());
    lab.decide().await;
    lab.run_once().await;
    let renewal = newest(lab).await;
    let error = &renewal.last_error;
    assert_eq!(renewal.state, State::Completed, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_previous_certificate_is_gone_the_roll_back_ends_and_its_firewall_stays_known() {
    let lab = verification_failed(serves_a_wrong_one()).await;
    lab.simulator.other_administrator().deletes("fw-initial");
    live(&lab, HOUR).await;
    told_once_that_nothing_was_bound_back(&lab, "no longer has fw-initial").await;
    // Its management page serves what renewd bound, which no configured pin names.
    is_renewed_on_request(&lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_that_is_refused_each_time_ends_within_the_retry_table() {
    let lab = verification_failed(serves_a_wrong_one()).await;
    let refusal = Action::SuccessFalseWith200("Not allowed by the policy.".to_owned());
    let refusal = Rule::once("PUT", "", refusal).repeated(0, 100);
    lab.simulator.rule(refusal);
    let began = lab.clock.now();
    live(&lab, 24 * HOUR).await;
    let took = began.duration_until(lab.clock.now());
    assert!(took < HOUR, "{took:#}");
    let why = "the firewall refuses to bind what was bound before";
    told_once_that_nothing_was_bound_back(&lab, why).await;
    assert_eq!(events(&lab, "attention_needed").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_died_since_the_last_probe_is_reported_and_rolls_nothing_back() {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once().await;
    lab.assert_renewed_once().await;
    lab.simulator
        .set(|faces| faces.refuse_connections_on_ssl_vpn = true);
    lab.decide().await;
    lab.run_once().await;
    let renewal = newest(&lab).await;
    let error = &renewal.last_error;
    assert_eq!(lab.renewals().await.len(), 2);
    assert_eq!(renewal.state, State::Completed, "{error:?}");
    let address = lab.simulator.ssl_vpn().to_string();
    for name in ["endpoint_not_ready", "endpoint_not_updated"] {
        let told = events(&lab, name).await;
        assert_eq!(told.len(), 1, "{name}");
        let words = told[0].fields["detail"].as_str().unwrap();
        assert!(words.contains(&address), "{words}");
    }
    assert!(!lab.has_event("verification_failed").await);
    lab.assert_left_in_order();
}
