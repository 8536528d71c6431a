//! A clock that jumps: nothing is ordered more than it must be, nothing waits for a time that was never meant, and a
//! certificate that is not valid yet is told of.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::State;
use renewd::store::Store;
use simulators::sonicos::Profile;

use crate::lab::{CERTIFICATE, Lab};

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A laboratory that has renewed its certificate.
async fn renewed() -> Lab {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once().await;
    lab.assert_renewed_once().await;
    lab
}

/// Nothing is put off further than a day, as far as it is put off at all.
async fn assert_nothing_starves(lab: &Lab, store: &Store) {
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    let latest = lab.clock.now() + DAY + SignedDuration::from_hours(3);
    for (what, at) in [("look", row.look_at), ("probe", row.probe_at)] {
        assert!(
            at.is_none_or(|at| at <= latest),
            "the next {what} is at {at:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_forward_and_back_costs_one_order_and_starves_nothing() {
    let lab = renewed().await;
    lab.clock.advance(YEAR);
    lab.run_once().await;
    lab.run_once().await;
    let renewals = lab.renewals().await;
    assert_eq!(
        renewals.len(),
        2,
        "what has expired by this clock is renewed once"
    );
    assert_eq!(renewals[0].state, State::Completed);
    assert_eq!(lab.signatures(), 2);

    lab.clock.advance(-YEAR);
    for _ in 0..5 {
        lab.run_once().await;
        lab.clock.advance(SignedDuration::from_mins(1));
    }
    assert_nothing_starves(&lab, &lab.store().await).await;
    assert_eq!(lab.signatures(), 2, "nothing more is ordered by itself");
    // It was issued in a future that did not come, and is of no use to anybody before.
    let drifted = lab.history().await;
    let drifted: Vec<_> = drifted
        .iter()
        .filter(|event| event.name == "certificate_drifted")
        .collect();
    assert_eq!(drifted.len(), 1, "told once: {drifted:#?}");
    assert!(
        drifted[0]
            .fields
            .to_string()
            .contains("is the clock right?"),
        "{drifted:#?}"
    );

    let store = lab.store().await;
    store
        .request_renewal(CERTIFICATE, lab.clock.now(), &[])
        .await
        .unwrap();
    lab.run_once().await;
    assert_eq!(lab.signatures(), 3, "a person who asks for it gets another");
    let [shown, _] = lab.seen().await;
    assert!(shown.not_before <= lab.clock.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_waited_under_a_clock_ahead_goes_on_when_it_is_right_again() {
    let lab = Lab::new(Profile::V8).await;
    lab.write_password("wrong");
    lab.clock.advance(YEAR);
    lab.run_once().await;
    let ahead = lab.renewals().await[0].next_attempt_at.unwrap();
    lab.write_password(crate::lab::PASSWORD);
    lab.clock.advance(-YEAR);
    lab.run_once().await;
    let renewals = lab.renewals().await;
    assert_eq!(renewals.len(), 1);
    assert!(ahead > lab.clock.now() + YEAR - DAY);
    assert_eq!(
        renewals[0].state,
        State::Completed,
        "{:?}",
        renewals[0].last_error
    );
    assert_eq!(lab.signatures(), 1);
    lab.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn before_its_certificates_were_issued_nothing_is_ordered_and_afterwards_it_goes_on() {
    let lab = renewed().await;
    // A machine without a battery begins in another century.
    let today = lab.clock.now();
    lab.clock.set("2000-01-01T00:00:00Z".parse().unwrap());
    for _ in 0..3 {
        lab.run_once().await;
        lab.clock.advance(SignedDuration::from_mins(7));
    }
    assert_eq!(lab.signatures(), 1);
    lab.clock.set(today + SignedDuration::from_hours(2));
    lab.run_once().await;
    assert_eq!(lab.signatures(), 1);
    assert_nothing_starves(&lab, &lab.store().await).await;
    let row = lab.store().await.certificate(CERTIFICATE).await.unwrap();
    assert_eq!(row.unwrap().told, None, "what was told is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_back_and_forth_again_and_again_cost_nothing() {
    let lab = renewed().await;
    let requests = lab.simulator.counters().requests;
    for round in 0..12 {
        let by = SignedDuration::from_hours(1 + round % 5);
        lab.clock.advance(by);
        lab.run_once().await;
        lab.clock.advance(-by);
        lab.run_once().await;
        assert_nothing_starves(&lab, &lab.store().await).await;
    }
    assert_eq!(lab.signatures(), 1);
    assert_eq!(lab.renewals().await.len(), 1);
    assert_eq!(
        lab.simulator.counters().requests,
        requests,
        "no login was needed"
    );
}
