//! A clock that jumps: nothing is ordered more than it must be, nothing waits for a time that was never meant, and a
//! certificate that is not valid yet is told of.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::clock::{Clock, ManualClock};
use renewd::inventory::State;
use renewd::renewal::retry::REFUSED_LOGIN_LIMIT;
use renewd::renewal::{Checkpoint, Moment};
use renewd::store::{Store, Witness};
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
    for (what, at) in [("look", row.due_check_at), ("probe", row.probe_at)] {
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
        .filter(|event| event.name == "certificate_not_yet_valid")
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
    assert_eq!(
        row.unwrap().reported_condition,
        None,
        "what was told is over"
    );
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

/// Sets the clock forward by a day at one moment of a renewal, and lets a second worker look for something to do.
#[derive(Debug)]
struct Jump {
    clock: Arc<ManualClock>,
    database: String,
    /// The moment, by its place in the order; the last one is none.
    at: usize,
    passed: Mutex<Vec<Moment>>,
    second: Mutex<Option<String>>,
}

impl Witness for Jump {}

#[async_trait]
impl Checkpoint for Jump {
    async fn pass(&self, moment: Moment) {
        let place = {
            let mut passed = self.passed.lock().unwrap();
            passed.push(moment);
            passed.len() - 1
        };
        if place != self.at {
            return;
        }
        self.clock.advance(SignedDuration::from_hours(25));
        let store = Store::open(&self.database).await.unwrap();
        let now = self.clock.now();
        let until = now + SignedDuration::from_mins(1);
        let claim = store.claim("second", now, until, REFUSED_LOGIN_LIMIT);
        let claimed = claim.await.unwrap().map(|lease| lease.renewal.id.0);
        *self.second.lock().unwrap() = claimed;
        store.close().await;
    }
}

/// Renews once with a jump at the moment number `at`; returns the moments that were passed.
async fn renewed_with_jump(at: usize) -> Vec<Moment> {
    let lab = Lab::new(Profile::V8).await;
    let jump = Arc::new(Jump {
        clock: Arc::clone(&lab.clock),
        database: lab.desired().daemon.database.clone(),
        at,
        passed: Mutex::default(),
        second: Mutex::default(),
    });
    let clock = Arc::clone(&lab.clock);
    crate::lab::run_once(&lab.config_file(), clock, Arc::clone(&jump) as _).await;
    let passed = jump.passed.lock().unwrap().clone();
    let moment = passed.get(at);
    let second = jump.second.lock().unwrap().clone();
    assert_eq!(second, None, "a second worker began at {moment:?}");
    for _ in 0..4 {
        if lab.renewals().await[0].state.is_end() {
            break;
        }
        lab.clock.advance(SignedDuration::from_mins(12));
        lab.run_once().await;
    }
    let renewals = lab.renewals().await;
    let error = &renewals[0].last_error;
    assert_eq!(renewals[0].state, State::Completed, "{moment:?}: {error:?}");
    assert_eq!((renewals.len(), lab.signatures()), (1, 1), "{moment:?}");
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_a_day_inside_a_step_lets_no_second_worker_in() {
    let moments = renewed_with_jump(usize::MAX).await;
    for at in (0..moments.len()).filter(|at| !matches!(moments[*at], Moment::Stored(_))) {
        renewed_with_jump(at).await;
    }
}
