//! An older binding that is put back, by an administrator or by a central management with an older copy.

use renewd::inventory::State;
use simulators::sonicos::{Profile, Variants};

use super::{DAY, HOUR, live, once};
use crate::test_bed::TestBed;

async fn renewed(managed: bool) -> TestBed {
    let variants = Variants {
        managed_centrally: managed,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    once(&bed).await;
    bed.assert_renewed_once().await;
    bed
}

async fn reported(bed: &TestBed) -> Vec<String> {
    let history = bed.history().await;
    let put_back = history
        .iter()
        .filter(|event| event.name == "binding_put_back");
    put_back
        .map(|event| event.fields["detail"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_central_management_reverts_the_bind_it_is_repeated_without_another_order() {
    for managed in [true, false] {
        let bed = renewed(managed).await;
        let renewed = bed.seen().await;
        bed.simulator.other_administrator().binds("fw-initial");
        bed.clock.advance(2 * DAY);
        live(&bed, HOUR).await;
        let reported = reported(&bed).await;
        assert_eq!(reported.len(), 1, "both addresses in one: {reported:?}");
        for words in &reported {
            assert_eq!(
                words.contains("most likely by its central management"),
                managed,
                "{words}"
            );
            assert!(
                words.contains("NSM") && words.contains("renewd renew hq-portal"),
                "{words}"
            );
        }
        assert_eq!(bed.seen().await, renewed, "bound again");
        assert_eq!(bed.signatures(), 1, "nothing is ordered for it");
        assert_eq!(bed.simulator.counters().key_pairs_generated, 1);
        assert_eq!(bed.renewals().await[0].state, State::Completed);
        bed.assert_left_in_order();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_that_is_reverted_repeatedly_is_repeated_once_a_day_and_reported_in_the_last_line() {
    let bed = renewed(true).await;
    let other = bed.simulator.other_administrator();
    let mut last = String::new();
    for _ in 0..24 {
        other.binds("fw-initial");
        bed.clock.advance(2 * HOUR);
        let reported = live(&bed, HOUR).await;
        last = reported.line.clone();
        if !last.is_empty() {
            let address = bed.simulator.management().to_string();
            reported.is(
                1,
                &[&address, "an older binding was put back"],
                &["central management", "renewd renew hq-portal"],
            );
        }
    }
    assert!(!last.is_empty(), "it is not bound again each time");
    let renewals = bed.renewals().await.len();
    assert!((3..=5).contains(&renewals), "{renewals} in two days");
    assert_eq!(bed.signatures(), 1);
    // On an operator's request it is bound at once, without a new certificate.
    bed.decide().await;
    assert_eq!(live(&bed, HOUR).await.line, "");
    assert_eq!(bed.signatures(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bind_that_is_reverted_before_the_verification_is_reported_and_not_ordered_again() {
    let variants = Variants {
        managed_centrally: true,
        ..Variants::kind()
    };
    let bed = TestBed::with(Profile::V8, variants).await;
    bed.run_once_meeting(State::Bound, |other| other.binds("fw-initial"))
        .await;
    assert_eq!(bed.renewals().await[0].state, State::RolledBack);
    let reported = reported(&bed).await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    for part in [
        "before renewd has bound it back",
        "most likely by its central management",
    ] {
        assert!(reported[0].contains(part), "{reported:?}");
    }
    // Nothing puts it back any more: what was obtained is installed a day later.
    bed.clock.advance(DAY + HOUR);
    assert_eq!(live(&bed, HOUR).await.line, "");
    assert_eq!(bed.renewals().await[0].state, State::Completed);
    assert_eq!(bed.signatures(), 1);
    bed.assert_left_in_order();
}
