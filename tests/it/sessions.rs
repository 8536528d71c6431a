//! One session for a run of steps: how often renewd logs in for one renewal, how much it asks, and what it leaves behind
//! when it is cut off in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::State;
use renewd::renewal::{Checkpoint, Moment, NoCheckpoint, Step};
use renewd::store::CommitObserver;
use simulators::sonicos::{Action, Profile, Rule, Variants};

use crate::one_time_codes;
use crate::reloads::{Running, channel, until};
use crate::test_bed::{TODAY, TestBed};

/// What a renewal may cost a device (the acceptance criteria of the sessions).
const MOST_LOGINS: u64 = 3;
const MOST_REQUESTS: u64 = 38;

/// Every request to the device in its order: what a failed test prints.
fn breakdown(bed: &TestBed) -> String {
    let journal = bed.simulator.journal();
    let lines: Vec<String> = std::iter::zip(1.., &journal)
        .map(|(number, line)| format!("{number:>3}  {line}"))
        .collect();
    lines.join("\n")
}

/// That a plain renewal on a device of these `variants` took at most so many logins, and requests within the bound.
async fn assert_costs(variants: Variants, most_logins: u64) {
    let bed = TestBed::with(Profile::V8, variants).await;
    bed.run_once().await;
    bed.assert_renewed_once().await;
    let counters = bed.simulator.counters();
    assert!(
        counters.logins <= most_logins && counters.requests <= MOST_REQUESTS,
        "{} logins of {most_logins}, {} requests of {MOST_REQUESTS}:\n{}",
        counters.logins,
        counters.requests,
        breakdown(&bed)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_renewal_takes_one_login_to_obtain_and_one_to_install() {
    assert_costs(Variants::kind(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_cuts_the_connection_at_the_commit_costs_one_login_more() {
    let variants = Variants {
        drop_on_management_commit: true,
        session_lost_on_management_commit: true,
        ..Variants::kind()
    };
    assert_costs(variants, MOST_LOGINS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_with_the_commit_costs_one_login_more_and_no_refused_one() {
    let variants = Variants {
        session_lost_on_management_commit: true,
        ..Variants::kind()
    };
    assert_costs(variants, MOST_LOGINS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_pair_that_is_listed_late_is_waited_for_in_the_same_session() {
    let variants = Variants {
        key_ready_after_listings: 1,
        ..Variants::kind()
    };
    assert_costs(variants, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_time_codes_a_renewal_waits_for_two_at_most() {
    for cuts in [false, true] {
        let variants = Variants {
            drop_on_management_commit: cuts,
            session_lost_on_management_commit: cuts,
            ..Variants::kind()
        };
        let bed = one_time_codes::bed(variants).await;
        let report = bed.run_once().await;
        assert!(!report.has_failed(), "{report:#?}");
        bed.assert_renewed_once().await;
        let took = TODAY
            .parse::<jiff::Timestamp>()
            .unwrap()
            .duration_until(bed.clock.now());
        let counters = bed.simulator.counters();
        assert!(
            counters.logins <= MOST_LOGINS && took <= SignedDuration::from_secs(2 * 30 + 5),
            "{took:#}, {} logins:\n{}",
            counters.logins,
            breakdown(&bed)
        );
        assert_eq!(counters.failed_logins, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_could_not_be_closed_is_replaced_at_the_next_login() {
    let bed = TestBed::new(Profile::V8).await;
    bed.simulator
        .rule(Rule::once("DELETE", "/auth", Action::DropBefore));
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    assert_eq!(bed.simulator.counters().failed_logins, 0);
}

/// A renewal at whose first login these fail: it continues at the next login, without waiting until the device has
/// closed the session that it kept.
async fn replaces_the_session_that_was_left(profile: Profile, rules: &[Rule]) {
    let bed = TestBed::new(profile).await;
    for rule in rules {
        bed.simulator.rule(rule.clone());
    }
    let running = Running::start(&bed, Arc::new(NoCheckpoint), channel()).await;
    until("it goes on at the next login", async || {
        let renewals = bed.renewals().await;
        renewals
            .first()
            .is_some_and(|renewal| renewal.state == State::Completed)
    })
    .await;
    let began: jiff::Timestamp = TODAY.parse().unwrap();
    let took = began.duration_until(bed.clock.now());
    running.stop().await;
    let context = format!("{profile:?} {rules:?}: {}", breakdown(&bed));
    bed.assert_renewed_once().await;
    let idle = i64::from(bed.simulator.variants().idle_logout_minutes);
    assert!(took < SignedDuration::from_mins(idle), "{took:#} {context}");
    let counters = bed.simulator.counters();
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

impl CommitObserver for Panics {}

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
    let bed = TestBed::new(Profile::V8).await;
    let (command_sender, commands) = channel();
    let running = Running::start(
        &bed,
        Arc::new(Panics::default()),
        (command_sender, commands),
    )
    .await;
    until("it goes on after the panic", async || {
        let renewals = bed.renewals().await;
        renewals
            .first()
            .is_some_and(|renewal| renewal.state == State::Completed)
    })
    .await;
    let took = TODAY
        .parse::<jiff::Timestamp>()
        .unwrap()
        .duration_until(bed.clock.now());
    running.stop().await;
    bed.assert_renewed_once().await;
    let idle = i64::from(bed.simulator.variants().idle_logout_minutes);
    assert!(
        took < SignedDuration::from_mins(idle),
        "it waited {took:#} until the device had closed the session"
    );
}
