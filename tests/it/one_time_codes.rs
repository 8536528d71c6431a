//! Two-factor login: a code is good once, whatever happens between two logins.

use std::sync::Arc;

use jiff::SignedDuration;
use renewd::failure::FailureKind;
use renewd::firewall::{Known, NEXT_CODE};
use renewd::inventory::State;
use renewd::renewal::{ConfiguredPeers, Peers, Runtime, StoredCodes};
use renewd::transfer::Transfers;
use simulators::sonicos::{Faces, Profile};

use crate::lab::{CERTIFICATE, Lab};

const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A laboratory whose device, which otherwise behaves as `faces` say, takes each code once.
pub async fn lab(faces: Faces) -> Lab {
    let faces = Faces {
        totp_secret: Some(KEY.to_owned()),
        totp_code_only_once: true,
        ..faces
    };
    let mut lab = Lab::with(Profile::V7_X, faces).await;
    let secret = lab.folder.path().join("totp");
    crate::lab::write_secret(&secret, KEY);
    lab.set_keys(&format!("totp = {{ file = \"{}\" }}", secret.display()));
    lab
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_one_time_codes_never_uses_one_twice() {
    let lab = lab(Faces::kind()).await;
    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
    assert_eq!(lab.simulator.counters().failed_logins, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_used_before_a_restart_is_not_used_after_it() {
    let lab = lab(Faces::kind()).await;
    // The first run ends right after a login.
    lab.let_ca_fail();
    lab.run_once().await;
    assert_eq!(lab.renewals().await[0].state, State::CsrExported);
    lab.let_ca_work();
    let store = lab.store().await;
    let now = renewd::clock::Clock::now(lab.clock.as_ref());
    store.request_renewal(CERTIFICATE, now, &[]).await.unwrap();
    store.close().await;

    let report = lab.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
    assert_eq!(lab.simulator.counters().failed_logins, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_left_is_replaced_with_the_next_code_and_not_with_the_same() {
    let lab = lab(Faces::kind()).await;
    let surroundings = lab.surroundings();
    let transfers = Transfers::new(lab.folder.path(), &surroundings);
    let runtime = Runtime::default();
    // As after a reload: other peers, the same process.
    let peers = || {
        let desired = Arc::new(lab.desired());
        let (transfers, runtime) = (transfers.clone(), runtime.clone());
        ConfiguredPeers::with_runtime(desired, lab.surroundings(), transfers, runtime)
    };
    let store = lab.store().await;
    let codes = StoredCodes::of(&store, "hq");
    let known = Known {
        codes: Some(&codes),
        ..Known::default()
    };
    let later = |seconds| lab.clock.advance(SignedDuration::from_secs(seconds));
    drop(peers().firewall("hq", &known).await.unwrap());
    runtime.session_was_left("hq");

    let again = peers().firewall("hq", &known).await.err().unwrap();
    assert_eq!(again.waiting_for.as_deref(), Some(NEXT_CODE), "{again}");
    later(30);
    let full = peers().firewall("hq", &known).await.err().unwrap();
    assert_eq!(full.kind, FailureKind::Busy, "{full}");
    assert_ne!(full.waiting_for.as_deref(), Some(NEXT_CODE), "{full}");
    let asked = lab.simulator.counters().requests;
    later(29);
    let again = peers().firewall("hq", &known).await.err().unwrap();
    assert_eq!(again.waiting_for.as_deref(), Some(NEXT_CODE), "{again}");
    assert_eq!(lab.simulator.counters().requests, asked, "nothing is sent");
    later(1);
    let session = peers().firewall("hq", &known).await.unwrap();
    session.close().await.unwrap();
    assert_eq!(runtime.left_session("hq"), None);
    assert_eq!(lab.simulator.counters().failed_logins, 0);
    lab.assert_left_in_order();
}
