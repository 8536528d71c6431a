//! Other administrators' work.

use renewd::inventory::State;
use simulators::sonicos::{Action, Barrier, Profile, Rule, Variants};

use crate::test_bed::TestBed;

#[tokio::test(flavor = "multi_thread")]
async fn an_uncommitted_change_of_another_administrator_stops_every_write_and_is_reported() {
    let bed = TestBed::new(Profile::V8).await;
    bed.simulator
        .other_administrator()
        .has_pending_change("address-object ipv4 printer");
    let report = bed.run_once().await;
    assert!(report.has_failed());
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::Planned);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    let words = renewal.last_error.as_deref().unwrap();
    assert!(words.contains("waiting for"), "{words}");
    assert_eq!(bed.simulator.counters().key_pairs_generated, 0);
    assert_eq!(bed.simulator.counters().commits, 0);
    bed.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_change_between_our_write_and_our_commit_is_not_committed() {
    let bed = TestBed::with(Profile::V8, Variants::kind()).await;
    let barrier = Barrier::new();
    bed.simulator.rule(Rule::once(
        "PUT",
        "/ssl-vpn/server/base",
        Action::HoldAfter(barrier.clone()),
    ));
    let other = bed.simulator.other_administrator();
    let meddle = async {
        barrier.wait_reached().await;
        other.has_pending_change("address-object ipv4 printer");
        barrier.release();
    };
    let (report, ()) = tokio::join!(bed.run_once(), meddle);
    assert!(report.has_failed());
    assert_eq!(bed.simulator.counters().commits_of_foreign_changes, 0);
    assert_eq!(bed.simulator.counters().discards_of_foreign_changes, 0);
    let renewal = &bed.renewals().await[0];
    assert_eq!(renewal.state, State::Imported, "{:?}", renewal.last_error);
    assert!(
        renewal
            .last_error
            .as_deref()
            .unwrap()
            .contains("waiting for")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_waited_for_another_administrator_continues_after_the_commit() {
    let bed = TestBed::new(Profile::V7_X).await;
    let other = bed.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    bed.run_once().await;
    other.commits();
    other.leaves();
    // An operator need not wait for the next attempt.
    let store = bed.store().await;
    store
        .request_renewal(
            crate::test_bed::CERTIFICATE,
            jiff::Timestamp::UNIX_EPOCH,
            &[],
        )
        .await
        .unwrap();
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
}
