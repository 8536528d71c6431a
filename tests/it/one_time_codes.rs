//! Two-factor login: a code is good once, whatever happens between two logins.

use std::sync::Arc;

use jiff::SignedDuration;
use renewd::failure::FailureKind;
use renewd::firewall::{KnownDevice, NEXT_CODE};
use renewd::inventory::State;
use renewd::renewal::{ConfiguredPeers, Peers, Runtime, StoredCodes};
use renewd::transfer::Transfers;
use simulators::sonicos::{Profile, Variants};

use crate::test_bed::{CERTIFICATE, TestBed};

const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A test bed whose device, which otherwise behaves as `variants` say, takes each code once.
pub async fn bed(variants: Variants) -> TestBed {
    let variants = Variants {
        totp_secret: Some(KEY.to_owned()),
        totp_code_only_once: true,
        ..variants
    };
    let mut bed = TestBed::with(Profile::V7_X, variants).await;
    let secret = bed.folder.path().join("totp");
    crate::test_bed::write_secret(&secret, KEY);
    bed.set_keys(&format!("totp = {{ file = \"{}\" }}", secret.display()));
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_one_time_codes_never_uses_one_twice() {
    let bed = bed(Variants::kind()).await;
    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    assert_eq!(bed.simulator.counters().failed_logins, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_used_before_a_restart_is_not_used_after_it() {
    let bed = bed(Variants::kind()).await;
    // The first run ends right after a login.
    bed.let_ca_fail();
    bed.run_once().await;
    assert_eq!(bed.renewals().await[0].state, State::CsrExported);
    bed.let_ca_work();
    let store = bed.store().await;
    let now = renewd::clock::Clock::now(bed.clock.as_ref());
    store.request_renewal(CERTIFICATE, now, &[]).await.unwrap();
    store.close().await;

    let report = bed.run_once().await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    assert_eq!(bed.simulator.counters().failed_logins, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_left_is_replaced_with_the_next_code_and_not_with_the_same() {
    let bed = bed(Variants::kind()).await;
    let env = bed.env();
    let transfers = Transfers::new(bed.folder.path(), &env);
    let runtime = Runtime::default();
    // As after a reload: other peers, the same process.
    let peers = || {
        let config = Arc::new(bed.config());
        let (transfers, runtime) = (transfers.clone(), runtime.clone());
        ConfiguredPeers::with_runtime(config, bed.env(), transfers, runtime)
    };
    let store = bed.store().await;
    let codes = StoredCodes::of(&store, "hq");
    let known = KnownDevice {
        codes: Some(&codes),
        ..KnownDevice::default()
    };
    let later = |seconds| bed.clock.advance(SignedDuration::from_secs(seconds));
    drop(peers().firewall("hq", &known).await.unwrap());
    runtime.session_was_left("hq");

    let again = peers().firewall("hq", &known).await.err().unwrap();
    assert_eq!(again.waiting_for.as_deref(), Some(NEXT_CODE), "{again}");
    later(30);
    let full = peers().firewall("hq", &known).await.err().unwrap();
    assert_eq!(full.kind, FailureKind::Busy, "{full}");
    assert_ne!(full.waiting_for.as_deref(), Some(NEXT_CODE), "{full}");
    let asked = bed.simulator.counters().requests;
    later(29);
    let again = peers().firewall("hq", &known).await.err().unwrap();
    assert_eq!(again.waiting_for.as_deref(), Some(NEXT_CODE), "{again}");
    assert_eq!(bed.simulator.counters().requests, asked, "nothing is sent");
    later(1);
    let session = peers().firewall("hq", &known).await.unwrap();
    session.close().await.unwrap();
    assert_eq!(runtime.left_session("hq"), None);
    assert_eq!(bed.simulator.counters().failed_logins, 0);
    bed.assert_left_in_order();
}
