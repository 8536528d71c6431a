//! Other administrators' work.

use renewd::inventory::State;
use simulators::sonicos::{Action, Faces, Gate, Profile, Rule};

use crate::lab::Lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_somebody_has_not_committed_stops_every_write_and_is_told() {
    let lab = Lab::new(Profile::V8).await;
    lab.simulator
        .other_administrator()
        .has_pending_change("address-object ipv4 printer");
    let report = lab.run_once().await;
    assert!(report.has_failed());
    let renewal = &lab.renewals().await[0];
    assert_eq!(renewal.state, State::Planned);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    let words = renewal.last_error.as_deref().unwrap();
    assert!(words.contains("waiting for"), "{words}");
    assert_eq!(lab.simulator.counters().key_pairs_generated, 0);
    assert_eq!(lab.simulator.counters().commits, 0);
    lab.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_comes_between_our_write_and_our_commit_is_not_committed() {
    let lab = Lab::with(Profile::V8, Faces::kind()).await;
    let gate = Gate::new();
    lab.simulator.rule(Rule::once(
        "PUT",
        "/ssl-vpn/server/base",
        Action::HoldAfter(gate.clone()),
    ));
    let other = lab.simulator.other_administrator();
    let meddle = async {
        gate.wait_reached().await;
        other.has_pending_change("address-object ipv4 printer");
        gate.release();
    };
    let (report, ()) = tokio::join!(lab.run_once(), meddle);
    assert!(report.has_failed());
    assert_eq!(lab.simulator.counters().commits_of_foreign_changes, 0);
    assert_eq!(lab.simulator.counters().discards_of_foreign_changes, 0);
    let renewal = &lab.renewals().await[0];
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
async fn what_waited_for_somebody_goes_on_when_he_is_done() {
    let lab = Lab::new(Profile::V7_X).await;
    let other = lab.simulator.other_administrator();
    other.has_pending_change("address-object ipv4 printer");
    lab.run_once().await;
    other.commits();
    other.leaves();
    // A person need not wait for the next attempt.
    let store = lab.store().await;
    store
        .request_renewal(crate::lab::CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
}
