//! One session for a run of steps: how often renewd logs in for one renewal, how much it asks, and what it leaves behind
//! when it is cut off in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::State;
use renewd::renewal::{Checkpoint, Moment, NoCheckpoint, Step};
use renewd::store::Witness;
use simulators::sonicos::{Action, Faces, Profile, Rule};

use crate::lab::{Lab, TODAY};
use crate::one_time_codes;
use crate::reloads::{Running, channel, until};

/// What a renewal may cost a device (the acceptance criteria of the sessions).
const MOST_LOGINS: u64 = 3;
const MOST_REQUESTS: u64 = 38;

/// Every request to the device in its order: what a failed test prints.
fn breakdown(lab: &Lab) -> String {
    let journal = lab.simulator.journal();
    let lines: Vec<String> = std::iter::zip(1.., &journal)
        .map(|(number, line)| format!("{number:>3}  {line}"))
        .collect();
    lines.join("\n")
}

/// That a plain renewal on a device of these `faces` took at most so many logins, and requests within the bound.
async fn assert_costs(faces: Faces, most_logins: u64) {
    let lab = Lab::with(Profile::V8, faces).await;
    lab.run_once().await;
    lab.assert_renewed_once().await;
    let counters = lab.simulator.counters();
    assert!(
        counters.logins <= most_logins && counters.requests <= MOST_REQUESTS,
        "{} logins of {most_logins}, {} requests of {MOST_REQUESTS}:\n{}",
        counters.logins,
        counters.requests,
        breakdown(&lab)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_renewal_takes_one_login_to_obtain_and_one_to_install() {
    assert_costs(Faces::kind(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_cuts_the_connection_at_the_commit_costs_one_login_more() {
    let faces = Faces {
        drop_on_management_commit: true,
        session_lost_on_management_commit: true,
        ..Faces::kind()
    };
    assert_costs(faces, MOST_LOGINS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_with_the_commit_costs_one_login_more_and_no_refused_one() {
    let faces = Faces {
        session_lost_on_management_commit: true,
        ..Faces::kind()
    };
    assert_costs(faces, MOST_LOGINS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_is_listed_late_is_waited_for_in_the_same_session() {
    let faces = Faces {
        key_ready_after_listings: 1,
        ..Faces::kind()
    };
    assert_costs(faces, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_time_codes_a_renewal_waits_for_two_at_most() {
    for cuts in [false, true] {
        let faces = Faces {
            drop_on_management_commit: cuts,
            session_lost_on_management_commit: cuts,
            ..Faces::kind()
        };
        let lab = one_time_codes::lab(faces).await;
        let report = lab.run_once().await;
        assert!(!report.has_failed(), "{report:#?}");
        lab.assert_renewed_once().await;
        let took = TODAY
            .parse::<jiff::Timestamp>()
            .unwrap()
            .duration_until(lab.clock.now());
        let counters = lab.simulator.counters();
        assert!(
            counters.logins <= MOST_LOGINS && took <= SignedDuration::from_secs(2 * 30 + 5),
            "{took:#}, {} logins:\n{}",
            counters.logins,
            breakdown(&lab)
        );
        assert_eq!(counters.failed_logins, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_could_not_be_closed_is_replaced_at_the_next_login() {
    let lab = Lab::new(Profile::V8).await;
    lab.simulator
        .rule(Rule::once("DELETE", "/auth", Action::DropBefore));
    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
    assert_eq!(lab.simulator.counters().failed_logins, 0);
}

/// A renewal at whose first login these go wrong: it goes on at the next login, without waiting until the device has closed
/// the session that it kept.
async fn replaces_the_session_that_was_left(profile: Profile, rules: &[Rule]) {
    let lab = Lab::new(profile).await;
    for rule in rules {
        lab.simulator.rule(rule.clone());
    }
    let running = Running::start(&lab, Arc::new(NoCheckpoint), channel()).await;
    until("it goes on at the next login", async || {
        let renewals = lab.renewals().await;
        renewals
            .first()
            .is_some_and(|renewal| renewal.state == State::Completed)
    })
    .await;
    let began: jiff::Timestamp = TODAY.parse().unwrap();
    let took = began.duration_until(lab.clock.now());
    running.stop().await;
    let context = format!("{profile:?} {rules:?}: {}", breakdown(&lab));
    lab.assert_renewed_once().await;
    let idle = i64::from(lab.simulator.faces().idle_logout_minutes);
    assert!(took < SignedDuration::from_mins(idle), "{took:#} {context}");
    let counters = lab.simulator.counters();
    assert_eq!(
        (counters.sessions_replaced, counters.failed_logins),
        (1, 0),
        "{context}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_login_was_never_answered_is_replaced_at_the_next_login() {
    for profile in [Profile::V6_5, Profile::V7_0, Profile::V8] {
        // The first request asks how to log in.
        let lost = Rule::once("POST", "/auth", Action::DropAfter).repeated(1, 1);
        replaces_the_session_that_was_left(profile, &[lost]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_could_not_be_closed_right_after_the_login_is_replaced_at_the_next_login() {
    for profile in [Profile::V6_5, Profile::V8] {
        let rules = [
            Rule::once("GET", "/version", Action::DropBefore),
            Rule::once("DELETE", "/auth", Action::DropBefore),
        ];
        replaces_the_session_that_was_left(profile, &rules).await;
    }
}

/// Panics in the middle of a session, once.
#[derive(Debug, Default)]
struct Panics(AtomicBool);

impl Witness for Panics {}

#[async_trait]
impl Checkpoint for Panics {
    async fn pass(&self, moment: Moment) {
        let is_there = moment == Moment::Acted(Step::Import);
        assert!(
            !is_there || self.0.swap(true, Ordering::SeqCst),
            "as a defect of a step would"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_panic_left_open_is_replaced_at_the_next_login() {
    let lab = Lab::new(Profile::V8).await;
    let (poke, pokes) = channel();
    let running = Running::start(&lab, Arc::new(Panics::default()), (poke, pokes)).await;
    until("it goes on after the panic", async || {
        let renewals = lab.renewals().await;
        renewals
            .first()
            .is_some_and(|renewal| renewal.state == State::Completed)
    })
    .await;
    let took = TODAY
        .parse::<jiff::Timestamp>()
        .unwrap()
        .duration_until(lab.clock.now());
    running.stop().await;
    lab.assert_renewed_once().await;
    let idle = i64::from(lab.simulator.faces().idle_logout_minutes);
    assert!(
        took < SignedDuration::from_mins(idle),
        "it waited {took:#} until the device had closed the session"
    );
}
