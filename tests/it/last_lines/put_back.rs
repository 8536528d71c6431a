//! An older binding that is put back, by an administrator or by a central management with an older copy.

use renewd::inventory::State;
use simulators::sonicos::{Faces, Profile};

use super::{DAY, HOUR, live, once};
use crate::lab::Lab;

async fn renewed(managed: bool) -> Lab {
    let faces = Faces {
        managed_centrally: managed,
        ..Faces::kind()
    };
    let lab = Lab::with(Profile::V8, faces).await;
    once(&lab).await;
    lab.assert_renewed_once().await;
    lab
}

async fn reported(lab: &Lab) -> Vec<String> {
    let history = lab.history().await;
    let put_back = history
        .iter()
        .filter(|event| event.name == "binding_put_back");
    put_back
        .map(|event| event.fields["detail"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_central_management_puts_back_is_bound_again_without_another_order() {
    for managed in [true, false] {
        let lab = renewed(managed).await;
        let renewed = lab.seen().await;
        lab.simulator.other_administrator().binds("fw-initial");
        lab.clock.advance(2 * DAY);
        live(&lab, HOUR).await;
        let reported = reported(&lab).await;
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
        assert_eq!(lab.seen().await, renewed, "bound again");
        assert_eq!(lab.signatures(), 1, "nothing is ordered for it");
        assert_eq!(lab.simulator.counters().key_pairs_generated, 1);
        assert_eq!(lab.renewals().await[0].state, State::Completed);
        lab.assert_left_in_order();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_back_again_and_again_is_bound_again_once_a_day_and_is_in_the_last_line() {
    let lab = renewed(true).await;
    let other = lab.simulator.other_administrator();
    let mut last = String::new();
    for _ in 0..24 {
        other.binds("fw-initial");
        lab.clock.advance(2 * HOUR);
        let told = live(&lab, HOUR).await;
        last = told.line.clone();
        if !last.is_empty() {
            let address = lab.simulator.management().to_string();
            told.is(
                1,
                &[&address, "an older binding was put back"],
                &["central management", "renewd renew hq-portal"],
            );
        }
    }
    assert!(!last.is_empty(), "it is not bound again each time");
    let renewals = lab.renewals().await.len();
    assert!((3..=5).contains(&renewals), "{renewals} in two days");
    assert_eq!(lab.signatures(), 1);
    // An operator who asks gets it bound at once, and no new certificate.
    lab.decide().await;
    assert_eq!(live(&lab, HOUR).await.line, "");
    assert_eq!(lab.signatures(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_back_before_the_verification_is_reported_as_such_and_not_ordered_again() {
    let faces = Faces {
        managed_centrally: true,
        ..Faces::kind()
    };
    let lab = Lab::with(Profile::V8, faces).await;
    lab.run_once_meeting(State::Bound, |other| other.binds("fw-initial"))
        .await;
    assert_eq!(lab.renewals().await[0].state, State::RolledBack);
    let reported = reported(&lab).await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    for part in [
        "before renewd has bound it back",
        "most likely by its central management",
    ] {
        assert!(reported[0].contains(part), "{reported:?}");
    }
    // Nothing puts it back any more: what was obtained is installed a day later.
    lab.clock.advance(DAY + HOUR);
    assert_eq!(live(&lab, HOUR).await.line, "");
    assert_eq!(lab.renewals().await[0].state, State::Completed);
    assert_eq!(lab.signatures(), 1);
    lab.assert_left_in_order();
}
