//! Attackers on the path, and faults that resemble one.

use rcgen::KeyPair;
use simulators::sonicos::{Profile, Replacement, ReplacementKey, Variants};

use super::{DAY, HOUR, live, once};
use crate::test_bed::{CERTIFICATE, TestBed};
use renewd::clock::Clock;
use renewd::renewal::known_rows;
use renewd::seal::Sealer;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_replaced_in_transit_is_held_with_a_hint() {
    for (profile, keys) in [
        (Profile::V6_5, "file_transfer = { protocol = \"scp\" }"),
        (Profile::V8, ""),
    ] {
        let bed = TestBed::with_keys(profile, Variants::kind(), keys).await;
        let key = KeyPair::generate().unwrap();
        bed.simulator.replace_requests(key.serialize_der());
        let reported = live(&bed, DAY).await;
        reported.is(
            1,
            &["replaced on its way", "HELD for an operator"],
            &["revoke the certificate", "renewd renew hq-portal"],
        );
    }
}

/// Another administrator imports a certificate with its key and binds both services to it.
fn replace_by_hand(bed: &TestBed) {
    let now = bed.device_time();
    let replacement = Replacement {
        name: "by-hand".to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now,
        not_after: now + time::Duration::days(90),
        key: ReplacementKey::EcdsaP256,
    };
    let other = bed.simulator.other_administrator();
    other.replaces_certificate(&replacement).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_known_is_named_with_its_address_and_how_to_adopt_it() {
    let bed = TestBed::new(Profile::V8).await;
    assert_eq!(once(&bed).await.line, "");
    replace_by_hand(&bed);
    bed.clock.advance(2 * DAY);
    let reported = live(&bed, HOUR).await;
    let address = bed.simulator.management().to_string();
    let fingerprint = bed.seen().await[0].fingerprint.to_string();
    reported.is(
        1,
        &[&address, &fingerprint],
        &["renewd adopt hq-portal --fingerprint", &fingerprint],
    );
    // Accepted as what is served, it is still no pin, so that no login is possible.
    let store = bed.store().await;
    let now = bed.clock.now();
    let seen = bed.seen().await[0].fingerprint;
    let sealer = Sealer::new(None, bed.folder.path(), bed.env().random);
    let known = known_rows::authenticate(&sealer, CERTIFICATE, seen, true, now).unwrap();
    store.adopt(CERTIFICATE, &known, &[], now).await.unwrap();
    store.close().await;
    let reported = live(&bed, HOUR).await;
    reported.is(
        1,
        &["no pin accepts", &address, &fingerprint],
        &["`trust`", &fingerprint],
    );
    // Pinned, everything is in order, at once.
    bed.configure(&fingerprint, "verify_timeout = \"5s\"");
    bed.clock.advance(2 * HOUR);
    assert_eq!(live(&bed, HOUR).await.line, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_that_offers_less_than_before_gets_no_login_and_says_so() {
    for (basic, md5) in [(true, false), (false, true)] {
        let bed = TestBed::new(Profile::V7_X).await;
        once(&bed).await;
        bed.simulator.set(|variants| {
            (variants.digest_sha256, variants.digest_md5) = (false, Some(md5));
            (variants.basic, variants.chap) = (Some(basic), Some(false));
            variants.session_security = Some(!basic);
        });
        bed.clock.advance(61 * DAY);
        let reported = live(&bed, HOUR).await;
        reported.is(
            1,
            &["login"],
            &["`minimum_login`", "renewd renew hq-portal"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_management_certificate_that_no_pin_names_stops_a_due_renewal() {
    let bed = TestBed::new(Profile::V8).await;
    bed.configure(&"ab".repeat(32), "verify_timeout = \"5s\"");
    let reported = live(&bed, HOUR).await;
    reported.is(
        1,
        &["the firewall showed SHA-256"],
        &["renewd probe", "`trust`"],
    );
}
