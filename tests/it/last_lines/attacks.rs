//! Attackers on the path, and what looks like one.

use rcgen::KeyPair;
use simulators::sonicos::{Faces, Profile, Replacement, ReplacementKey};

use super::{DAY, HOUR, live, once};
use crate::lab::{CERTIFICATE, Lab};
use renewd::clock::Clock;
use renewd::renewal::known_rows;
use renewd::seal::Sealer;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_replaced_on_its_way_is_held_with_what_to_check() {
    for (profile, keys) in [
        (Profile::V6_5, "file_transfer = { protocol = \"scp\" }"),
        (Profile::V8, ""),
    ] {
        let lab = Lab::with_keys(profile, Faces::kind(), keys).await;
        let key = KeyPair::generate().unwrap();
        lab.simulator.replace_requests(key.serialize_der());
        let told = live(&lab, DAY).await;
        told.is(
            1,
            &["replaced on its way", "HELD for a person"],
            &["revoke the certificate", "renewd renew hq-portal"],
        );
    }
}

/// Another administrator imports a certificate with its key and binds both services to it.
fn replace_by_hand(lab: &Lab) {
    let now = lab.device_time();
    let replacement = Replacement {
        name: "by-hand".to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now,
        not_after: now + time::Duration::days(90),
        key: ReplacementKey::EcdsaP256,
    };
    let other = lab.simulator.other_administrator();
    other.replaces_certificate(&replacement).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_known_is_named_with_its_address_and_how_to_adopt_it() {
    let lab = Lab::new(Profile::V8).await;
    assert_eq!(once(&lab).await.line, "");
    replace_by_hand(&lab);
    lab.clock.advance(2 * DAY);
    let told = live(&lab, HOUR).await;
    let address = lab.simulator.management().to_string();
    let fingerprint = lab.seen().await[0].fingerprint.to_string();
    told.is(
        1,
        &[&address, &fingerprint],
        &["renewd adopt hq-portal --fingerprint", &fingerprint],
    );
    // Accepted as what is served, it is still no pin, so that no login is possible.
    let store = lab.store().await;
    let now = lab.clock.now();
    let seen = lab.seen().await[0].fingerprint;
    let sealer = Sealer::new(None, lab.folder.path(), lab.surroundings().random);
    let known = known_rows::authenticate(&sealer, CERTIFICATE, seen, true, now).unwrap();
    store.adopt(CERTIFICATE, &known, &[], now).await.unwrap();
    store.close().await;
    let told = live(&lab, HOUR).await;
    told.is(
        1,
        &["no pin accepts", &address, &fingerprint],
        &["`trust`", &fingerprint],
    );
    // Pinned, everything is in order, at once.
    lab.configure(&fingerprint, "verify_timeout = \"5s\"");
    lab.clock.advance(2 * HOUR);
    assert_eq!(live(&lab, HOUR).await.line, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_that_offers_less_than_before_gets_no_login_and_says_so() {
    for (basic, md5) in [(true, false), (false, true)] {
        let lab = Lab::new(Profile::V7_X).await;
        once(&lab).await;
        lab.simulator.set(|faces| {
            (faces.digest_sha256, faces.digest_md5) = (false, Some(md5));
            (faces.basic, faces.chap) = (Some(basic), Some(false));
            faces.session_security = Some(!basic);
        });
        lab.clock.advance(61 * DAY);
        let told = live(&lab, HOUR).await;
        told.is(
            1,
            &["login"],
            &["`minimum_login`", "renewd renew hq-portal"],
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_management_certificate_that_no_pin_names_stops_a_due_renewal() {
    let lab = Lab::new(Profile::V8).await;
    lab.configure(&"ab".repeat(32), "verify_timeout = \"5s\"");
    let told = live(&lab, HOUR).await;
    told.is(
        1,
        &["the firewall showed SHA-256"],
        &["renewd probe", "`trust`"],
    );
}
