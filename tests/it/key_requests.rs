//! Key pairs that a firewall refuses to make, and requests that never reached it: counted as what they are, and given up
//! where the same answer comes again and again.

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::inventory::{Renewal, State};
use renewd::renewal::Step;
use simulators::sonicos::{Action, Profile, Rule, Variants};

use crate::test_bed::TestBed;

const REQUEST: &str = "/certificates/generate-signing-request";

/// Lets the daemon work until the renewal has ended or waits for longer than `longest` from now.
async fn run(bed: &TestBed, longest: SignedDuration) -> Renewal {
    let end = bed.clock.now() + longest;
    loop {
        bed.run_once().await;
        let renewal = bed.renewals().await.swap_remove(0);
        match renewal.next_attempt_at {
            Some(at) if at < end && !renewal.state.is_end() => bed.clock.set(at),
            _ => return renewal,
        }
    }
}

async fn details(bed: &TestBed, name: &str) -> Vec<String> {
    let history = bed.history().await;
    history
        .iter()
        .filter(|event| event.name == name)
        .filter_map(|event| event.fields["detail"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_refused_each_time_is_given_up_and_never_waited_for() {
    let bed = TestBed::with(Profile::V8, Variants::kind()).await;
    let refusal = Action::SuccessFalseWith200("Invalid country name.".to_owned());
    bed.simulator
        .rule(Rule::once("POST", REQUEST, refusal).repeated(0, 1000));
    let renewal = run(&bed, SignedDuration::from_hours(12)).await;
    assert_eq!(renewal.state, State::Failed, "{renewal:#?}");
    let reported = details(&bed, "renewal_failed").await;
    assert!(
        reported[0].contains("Invalid country name."),
        "{reported:?}"
    );
    let waited = details(&bed, "renewal_waiting").await;
    assert_eq!(waited, [""; 0], "nothing was asked for");
    assert_eq!(details(&bed, "attention_needed").await.len(), 2);
    bed.assert_left_in_order();
}

/// A device that words its refusals differently each time and needs long between them is given up as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_leaves_no_intent_behind() {
    let bed = TestBed::with(Profile::V8, Variants::kind()).await;
    for action in [
        Action::SuccessFalseWith200("Invalid country name.".to_owned()),
        Action::Status(503, "busy".to_owned(), Vec::new()),
    ] {
        bed.simulator.rule(Rule::once("POST", REQUEST, action));
    }
    for _ in 0..2 {
        bed.run_once().await;
        let renewal = bed.renewals().await.swap_remove(0);
        let store = bed.store().await;
        let intent = store.intent(&renewal.id, Step::GenerateCsr.name()).await;
        assert_eq!(intent.unwrap(), None, "{renewal:#?}");
        assert!(renewal.is_failing(), "{renewal:#?}");
        bed.clock.set(renewal.next_attempt_at.unwrap());
    }
    assert!(!bed.run_once().await.has_failed());
    bed.assert_renewed_once().await;
}

/// Uncommitted changes of another administrator are reported repeatedly. A wait for a key pair that was not requested
/// never hides them.
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_another_administrator_are_reported_again_and_stay_visible() {
    let bed = TestBed::with(Profile::V8, Variants::kind()).await;
    bed.simulator
        .other_administrator()
        .has_pending_change("address-object ipv4 printer");
    let renewal = run(&bed, SignedDuration::from_hours(49)).await;
    assert_eq!(renewal.state, State::Planned);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("busy"));
    let words = renewal.last_error.unwrap();
    assert!(words.contains("waiting for"), "{words}");
    assert_eq!(details(&bed, "renewal_waiting").await, [""; 0]);
    let alerts = details(&bed, "attention_needed").await.len();
    assert!((3..=5).contains(&alerts), "{alerts} alerts in two days");
}
