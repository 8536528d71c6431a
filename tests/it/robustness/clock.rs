//! A clock that jumps: nothing is ordered more than it must be, nothing waits for a time that was never meant, and a
//! certificate that is not valid yet is reported.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::clock::{Clock, ManualClock};
use renewd::inventory::State;
use renewd::renewal::retry::REFUSED_LOGIN_LIMIT;
use renewd::renewal::{Checkpoint, Moment};
use renewd::store::{CommitObserver, Store};
use simulators::sonicos::Profile;

use crate::test_bed::{CERTIFICATE, TestBed};

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A test bed that has renewed its certificate.
async fn renewed() -> TestBed {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    bed
}

/// Nothing is put off further than a day, as far as it is put off at all.
async fn assert_nothing_starves(bed: &TestBed, store: &Store) {
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    let latest = bed.clock.now() + DAY + SignedDuration::from_hours(3);
    for (what, at) in [("look", row.due_check_at), ("probe", row.probe_at)] {
        assert!(
            at.is_none_or(|at| at <= latest),
            "the next {what} is at {at:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_forward_and_back_costs_one_order_and_starves_nothing() {
    let bed = renewed().await;
    bed.clock.advance(YEAR);
    bed.run_once().await;
    bed.run_once().await;
    let renewals = bed.renewals().await;
    assert_eq!(
        renewals.len(),
        2,
        "what has expired by this clock is renewed once"
    );
    assert_eq!(renewals[0].state, State::Completed);
    assert_eq!(bed.signatures(), 2);

    bed.clock.advance(-YEAR);
    for _ in 0..5 {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_mins(1));
    }
    assert_nothing_starves(&bed, &bed.store().await).await;
    assert_eq!(bed.signatures(), 2, "nothing more is ordered by itself");
    // It was issued at a time that is in the future again, and no client accepts it before.
    let drifted = bed.history().await;
    let drifted: Vec<_> = drifted
        .iter()
        .filter(|event| event.name == "certificate_not_yet_valid")
        .collect();
    assert_eq!(drifted.len(), 1, "reported once: {drifted:#?}");
    assert!(
        drifted[0]
            .fields
            .to_string()
            .contains("is the clock right?"),
        "{drifted:#?}"
    );

    let store = bed.store().await;
    store
        .request_renewal(CERTIFICATE, bed.clock.now(), &[])
        .await
        .unwrap();
    bed.run_once().await;
    assert_eq!(
        bed.signatures(),
        3,
        "an operator who requests it gets another"
    );
    let [shown, _] = bed.seen().await;
    assert!(shown.not_before <= bed.clock.now());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_waited_under_a_clock_ahead_continues_when_the_clock_is_right_again() {
    let bed = TestBed::new(Profile::V8).await;
    bed.write_password("wrong");
    bed.clock.advance(YEAR);
    bed.run_once().await;
    let ahead = bed.renewals().await[0].next_attempt_at.unwrap();
    bed.write_password(crate::test_bed::PASSWORD);
    bed.clock.advance(-YEAR);
    bed.run_once().await;
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 1);
    assert!(ahead > bed.clock.now() + YEAR - DAY);
    assert_eq!(
        renewals[0].state,
        State::Completed,
        "{:?}",
        renewals[0].last_error
    );
    assert_eq!(bed.signatures(), 1);
    bed.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_clock_before_the_issuance_nothing_is_ordered_and_afterwards_it_continues() {
    let bed = renewed().await;
    // A machine without a battery begins in another century.
    let today = bed.clock.now();
    bed.clock.set("2000-01-01T00:00:00Z".parse().unwrap());
    for _ in 0..3 {
        bed.run_once().await;
        bed.clock.advance(SignedDuration::from_mins(7));
    }
    assert_eq!(bed.signatures(), 1);
    bed.clock.set(today + SignedDuration::from_hours(2));
    bed.run_once().await;
    assert_eq!(bed.signatures(), 1);
    assert_nothing_starves(&bed, &bed.store().await).await;
    let row = bed.store().await.certificate(CERTIFICATE).await.unwrap();
    assert_eq!(
        row.unwrap().reported_condition,
        None,
        "the reported condition is over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_back_and_forth_again_and_again_cost_nothing() {
    let bed = renewed().await;
    let requests = bed.simulator.counters().requests;
    for round in 0..12 {
        let by = SignedDuration::from_hours(1 + round % 5);
        bed.clock.advance(by);
        bed.run_once().await;
        bed.clock.advance(-by);
        bed.run_once().await;
        assert_nothing_starves(&bed, &bed.store().await).await;
    }
    assert_eq!(bed.signatures(), 1);
    assert_eq!(bed.renewals().await.len(), 1);
    assert_eq!(
        bed.simulator.counters().requests,
        requests,
        "no login was needed"
    );
}

/// Sets the clock forward by a day at one moment of a renewal, and starts a second worker.
#[derive(Debug)]
struct Jump {
    clock: Arc<ManualClock>,
    database: String,
    /// The moment, by its place in the order; the last one is none.
    at: usize,
    passed: Mutex<Vec<Moment>>,
    second: Mutex<Option<String>>,
}

impl CommitObserver for Jump {}

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
    let bed = TestBed::new(Profile::V8).await;
    let jump = Arc::new(Jump {
        clock: Arc::clone(&bed.clock),
        database: bed.config().daemon.database.clone(),
        at,
        passed: Mutex::default(),
        second: Mutex::default(),
    });
    let clock = Arc::clone(&bed.clock);
    crate::test_bed::run_once(&bed.config_file(), clock, Arc::clone(&jump) as _).await;
    let passed = jump.passed.lock().unwrap().clone();
    let moment = passed.get(at);
    let second = jump.second.lock().unwrap().clone();
    assert_eq!(second, None, "a second worker began at {moment:?}");
    for _ in 0..4 {
        if bed.renewals().await[0].state.is_end() {
            break;
        }
        bed.clock.advance(SignedDuration::from_mins(12));
        bed.run_once().await;
    }
    let renewals = bed.renewals().await;
    let error = &renewals[0].last_error;
    assert_eq!(renewals[0].state, State::Completed, "{moment:?}: {error:?}");
    assert_eq!((renewals.len(), bed.signatures()), (1, 1), "{moment:?}");
    passed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_by_a_day_inside_a_step_lets_no_second_worker_in() {
    let moments = renewed_with_jump(usize::MAX).await;
    for at in (0..moments.len()).filter(|at| !matches!(moments[*at], Moment::Stored(_))) {
        renewed_with_jump(at).await;
    }
}
