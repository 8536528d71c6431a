//! The main job, on every generation of SonicOS.

use renewd::inventory::State;
use simulators::sonicos::{Faces, Profile};

use crate::lab::Lab;

async fn renews(profile: Profile, faces: Faces) {
    let lab = Lab::with(profile, faces).await;
    let [before, _] = lab.seen().await;
    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
    let [after, _] = lab.seen().await;
    assert_ne!(after.fingerprint, before.fingerprint);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_expiry_is_renewed_on_sonicos_7_0() {
    renews(Profile::V7_0, Faces::kind()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_expiry_is_renewed_on_sonicos_7_with_session_security() {
    renews(Profile::V7_X, Faces::kind()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_expiry_is_renewed_on_sonicos_8() {
    renews(Profile::V8, Faces::kind()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinarily_unkind_device_is_renewed_all_the_same() {
    for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
        renews(profile, Faces::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_does_nothing() {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once().await;
    let requests = lab.simulator.counters().requests;
    let report = lab.run_once().await;
    assert!(
        report.worked_on.is_empty() && report.waiting.is_empty(),
        "{report:#?}"
    );
    assert_eq!(
        lab.simulator.counters().requests,
        requests,
        "the second run talked to the firewall"
    );
    lab.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_certificate_is_trusted_although_only_the_old_one_is_pinned() {
    let lab = Lab::new(Profile::V8).await;
    lab.run_once().await;
    lab.clock.advance(jiff::SignedDuration::from_hours(1));
    let store = lab.store().await;
    store
        .request_renewal(crate::lab::CERTIFICATE, jiff::Timestamp::UNIX_EPOCH, &[])
        .await
        .unwrap();
    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    let renewals = lab.renewals().await;
    assert_eq!(renewals.len(), 2);
    assert!(
        renewals
            .iter()
            .all(|renewal| renewal.state == State::Completed)
    );
    assert_eq!(
        lab.simulator.counters().key_pairs_present,
        1,
        "the old one of ours was retired"
    );
    assert!(!lab.simulator.certificates().contains(&renewals[1].alias));
    assert!(
        lab.simulator
            .certificates()
            .contains(&"fw-initial".to_owned()),
        "what is not ours stays"
    );
}
