//! What happens when the proof fails.

use renewd::inventory::State;
use simulators::sonicos::{Faces, On, Profile};

use crate::lab::Lab;

async fn rolls_back(faces: Faces) -> Lab {
    let lab = Lab::with(Profile::V8, faces).await;
    let before = lab.seen().await;
    let report = lab.run_once().await;
    assert!(report.has_failed());
    let renewals = lab.renewals().await;
    assert_eq!(renewals.len(), 1);
    assert_eq!(
        renewals[0].state,
        State::RolledBack,
        "{:?}",
        renewals[0].last_error
    );
    assert_eq!(
        lab.seen().await,
        before,
        "the previous certificate is served again"
    );
    assert!(lab.has_event("renewal_rolled_back").await);
    let alert = lab
        .history()
        .await
        .into_iter()
        .find(|event| event.name == "renewal_rolled_back")
        .unwrap();
    assert_eq!(alert.level, renewd::event::Level::Alert);
    lab.assert_left_in_order();
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_serves_another_certificate_gets_its_previous_one_back() {
    rolls_back(Faces {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Faces::kind()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_goes_on_serving_the_old_one_is_set_back_too() {
    rolls_back(Faces {
        keep_serving_old_after_bind: true,
        ..Faces::kind()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_certificate_is_never_deleted_without_proof() {
    let lab = rolls_back(Faces {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Faces::kind()
    })
    .await;
    assert!(
        lab.simulator
            .certificates()
            .contains(&"fw-initial".to_owned())
    );
    assert_eq!(lab.simulator.counters().deletes, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_renewd_itself_put_there_is_kept_until_the_next_one_is_proven() {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once().await;
    lab.assert_renewed_once().await;
    let before = lab.seen().await;
    lab.simulator
        .set(|faces| faces.keep_serving_old_after_bind = true);
    lab.clock.advance(jiff::SignedDuration::from_hours(65 * 24));
    assert!(lab.run_once().await.has_failed());
    let renewals = lab.renewals().await;
    let (next, first) = (&renewals[0], &renewals[1]);
    assert_eq!(next.state, State::RolledBack, "{:?}", next.last_error);
    assert_eq!(lab.seen().await, before);
    assert!(lab.simulator.certificates().contains(&first.alias));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_back_is_not_followed_by_another_order_at_once() {
    let lab = rolls_back(Faces {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Faces::kind()
    })
    .await;
    lab.run_once().await;
    assert_eq!(lab.renewals().await.len(), 1);
    assert_eq!(lab.signatures(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_on_the_management_port_gets_no_credentials_until_a_person_trusts_it() {
    let faces = Faces {
        serve_wrong_certificate_after_bind: On::Management,
        ..Faces::kind()
    };
    let lab = Lab::with(Profile::V8, faces).await;
    let pin = lab.simulator.fingerprint();
    // Longer than the session stays open in which it was bound.
    lab.configure(&pin, "proof_grace = \"30s\"");
    let before = lab.seen().await;
    let report = lab.run_once().await;
    assert!(report.has_failed());
    let renewal = &lab.renewals().await[0];
    assert_eq!(renewal.state, State::Unproven);
    assert_eq!(renewal.last_error_kind.as_deref(), Some("untrusted"));
    assert!(lab.has_event("person_needed").await);
    let requests = lab.simulator.counters().requests;

    // A person looked at the device, and trusts what it shows now besides what it showed before.
    let stranger = lab.simulator.fingerprint();
    lab.configure(&format!("{pin}\", \"{stranger}"), "proof_grace = \"5s\"");
    let store = lab.store().await;
    store
        .request_renewal(crate::lab::CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    lab.run_once().await;
    assert!(lab.simulator.counters().requests > requests);
    assert_eq!(lab.renewals().await[0].state, State::RolledBack);
    assert_eq!(lab.seen().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_rolled_back_is_installed_again_later_without_another_order() {
    let lab = rolls_back(Faces {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Faces::kind()
    })
    .await;
    lab.simulator.set(|faces| *faces = Faces::kind());
    lab.clock.advance(jiff::SignedDuration::from_hours(25));
    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    let renewals = lab.renewals().await;
    assert_eq!(renewals.len(), 2);
    assert_eq!(renewals[0].state, State::Completed);
    assert_eq!(renewals[0].alias, renewals[1].alias);
    assert_eq!(lab.signatures(), 1, "the CA signed once");
    assert_eq!(lab.simulator.counters().key_pairs_generated, 1);
}
