//! The main job, on every generation of SonicOS.

use renewd::inventory::State;
use simulators::sonicos::{Profile, Variants};

use crate::test_bed::TestBed;

async fn renews(profile: Profile, variants: Variants) {
    let bed = TestBed::with(profile, variants).await;
    let [before, _] = bed.seen().await;
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    let [after, _] = bed.seen().await;
    assert_ne!(after.fingerprint, before.fingerprint);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_expiry_is_renewed_on_sonicos_7_0() {
    renews(Profile::V7_0, Variants::kind()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_expiry_is_renewed_on_sonicos_7_with_session_security() {
    renews(Profile::V7_X, Variants::kind()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_near_its_expiry_is_renewed_on_sonicos_8() {
    renews(Profile::V8, Variants::kind()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_with_common_faults_is_still_renewed() {
    for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
        renews(profile, Variants::default()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_does_nothing() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    let requests = bed.simulator.counters().requests;
    let report = bed.run_once().await;
    assert!(
        report.worked_on.is_empty() && report.waiting.is_empty(),
        "{report:#?}"
    );
    assert_eq!(
        bed.simulator.counters().requests,
        requests,
        "the second run talked to the firewall"
    );
    bed.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_certificate_is_trusted_although_only_the_old_one_is_pinned() {
    let bed = TestBed::new(Profile::V8).await;
    bed.run_once().await;
    bed.clock.advance(jiff::SignedDuration::from_hours(1));
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
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 2);
    assert!(
        renewals
            .iter()
            .all(|renewal| renewal.state == State::Completed)
    );
    assert_eq!(
        bed.simulator.counters().key_pairs_present,
        1,
        "the old one of ours was retired"
    );
    assert!(!bed.simulator.certificates().contains(&renewals[1].alias));
    assert!(
        bed.simulator
            .certificates()
            .contains(&"fw-initial".to_owned()),
        "what is not ours stays"
    );
}
