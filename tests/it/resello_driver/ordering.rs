//! One order from the first request to the certificate, and the other ways in which it can end.

use renewd::ca::resello::{Download, PlanChoice};
use renewd::ca::{Issuance, Issuer, Reference};
use renewd::failure::FailureKind;
use renewd::pki::{self, AlternateName, Digest, KeyKind, KeyRequest, Subject};
use simulators::ca::{ChainMischief, Mischief};
use simulators::resello::{DeletedAs, PendingDownload};

use super::fixture::{Fixture, NAME};

#[tokio::test]
async fn an_order_brings_a_certificate_of_our_key_with_its_chain() {
    for download in [Download::Crt, Download::Pkcs7, Download::Zip] {
        let mut fixture = Fixture::granting(|variants| variants.ca_from_root = true).await;
        fixture.settings.download = download;
        let request = fixture.request("first", None);
        let bought = fixture.obtain(&request).await;
        assert_eq!(bought.leaf.public_key, request.csr.public_key);
        let now = bought.leaf.not_before;
        let chain = pki::path::build(&bought.leaf, &bought.chain, &[], now).certificates;
        assert!(
            pki::ends_in_root(&chain) && chain.len() == 2,
            "{download:?}"
        );
        fixture.assert_paid(1, "one order");
        let shown = &fixture.shop.orders()[0];
        assert_eq!(shown.client_reference.as_deref(), Some("first"));
        // What is there is found.
        let found = fixture.driver().find(&request).await.unwrap();
        assert_eq!(found, Some(bought.order));
    }
}

#[tokio::test]
async fn a_reference_with_a_hash_is_found_again() {
    let fixture = Fixture::granting(|_| {}).await;
    let request = fixture.request("#123 & more/ä", None);
    let order = fixture.order(&request).await;
    let found = fixture.driver().find(&request).await.unwrap();
    assert_eq!(found, Some(order));
}

#[tokio::test]
async fn a_long_wait_is_reported_as_pending_only() {
    let fixture = Fixture::granting(|variants| {
        variants.reads_before_active = 30;
        variants.pending_download = PendingDownload::Html;
    })
    .await;
    let bought = fixture.buy().await;
    assert_eq!(bought.chain.len(), 2);
    fixture.assert_paid(1, "thirty polls");
}

#[tokio::test]
async fn an_order_that_failed_is_refused_and_an_unknown_status_is_reported() {
    let fixture = Fixture::granting(|variants| variants.reads_before_active = 9).await;
    let request = fixture.request("first", None);
    let order = fixture.order(&request).await;
    assert!(fixture.shop.end(&order.0, "on hold"));
    let Issuance::Pending {
        waiting_for,
        needs_person,
        ..
    } = fixture.driver().poll(&order, &request).await.unwrap()
    else {
        panic!("an unknown word is no end");
    };
    assert!(
        needs_person && waiting_for.contains("on hold"),
        "{waiting_for}"
    );
    assert!(fixture.shop.end(&order.0, "failed"));
    let Issuance::Refused { reason } = fixture.driver().poll(&order, &request).await.unwrap()
    else {
        panic!("failed is an end");
    };
    assert!(reason.contains("is failed"), "{reason}");
    // It is not ordered again without the operator's consent.
    assert_eq!(fixture.driver().find(&request).await.unwrap(), Some(order));
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_of_our_key_is_left_to_the_engine() {
    for mischief in [Mischief::DropNames, Mischief::CaTrue, Mischief::Expired] {
        let fixture = Fixture::granting(|_| {}).await;
        fixture.shop.mischief(mischief);
        let request = fixture.request("first", None);
        let bought = fixture.obtain(&request).await;
        assert_eq!(
            bought.leaf.public_key, request.csr.public_key,
            "{mischief:?}"
        );
        fixture.assert_paid(1, "one order");
    }
}

#[tokio::test]
async fn a_certificate_for_another_key_is_never_taken_and_an_alert_is_raised() {
    let fixture = Fixture::granting(|_| {}).await;
    fixture.shop.mischief(Mischief::WrongKey);
    let request = fixture.request("first", None);
    let order = fixture.order(&request).await;
    for _ in 0..3 {
        let issuance = fixture.driver().poll(&order, &request).await.unwrap();
        let Issuance::Pending { needs_person, .. } = issuance else {
            panic!("{issuance:?}");
        };
        if needs_person {
            fixture.assert_paid(1, "one order");
            return;
        }
    }
    panic!("no alert was raised");
}

#[tokio::test]
async fn the_chain_is_returned_unchanged() {
    for mischief in [
        ChainMischief::Shuffled,
        ChainMischief::WithoutRoot,
        ChainMischief::WithStranger,
    ] {
        let fixture = Fixture::granting(|variants| variants.crt_with_chain = true).await;
        fixture.shop.chain_mischief(mischief);
        let bought = fixture.buy().await;
        let now = bought.leaf.not_before;
        let chain = pki::path::build(&bought.leaf, &bought.chain, &[], now).certificates;
        assert!(!chain.is_empty(), "{mischief:?}");
    }
}

#[tokio::test]
async fn the_plan_is_looked_up_before_a_key_exists() {
    let mut fixture = Fixture::granting(|_| {}).await;
    let mut wanted = wanted();
    assert_eq!(fixture.driver().preflight(&wanted).await.unwrap(), [""; 0]);
    fixture.settings.plan = PlanChoice::Name("Positive".to_owned());
    fixture.settings.elliptic_keys = false;
    wanted.alternate_names.clear();
    let problems = fixture.driver().preflight(&wanted).await.unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("means RSA"), "{problems:?}");
    assert!(
        problems[1].contains("it may buy: PositiveSSL (3f7830c3"),
        "{problems:?}"
    );
    fixture.assert_paid(0, "nothing was ordered");
}

#[tokio::test]
async fn an_order_that_the_shop_refuses_is_reported_with_its_message() {
    for errors_with_200 in [true, false] {
        let mut fixture =
            Fixture::granting(|variants| variants.errors_with_200 = errors_with_200).await;
        fixture.settings.applicant.approver_email_address = None;
        let request = fixture.request("first", None);
        let failure = fixture.driver().submit(&request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused);
        let words = "approver_email_address: This field is required.";
        assert!(failure.detail.contains(words), "{failure}");
        fixture.assert_paid(0, "nothing was ordered");
    }
}

#[tokio::test]
async fn a_cancelled_order_is_deleted_and_what_is_gone_may_be_cancelled_again() {
    for deleted_as in [DeletedAs::Gone, DeletedAs::Cancelled] {
        let fixture = Fixture::granting(|variants| variants.deleted_as = deleted_as).await;
        let bought = fixture.buy().await;
        let words = fixture.driver().cancel(&bought.order).await.unwrap();
        assert!(
            words.contains("is deleted and its certificate disabled"),
            "{words}"
        );
        let ledger = fixture.shop.ledger();
        assert_eq!((ledger.deleted, ledger.refunded_cents), (1, 900));
        let words = fixture.driver().cancel(&bought.order).await.unwrap();
        assert!(words.contains("has no order"), "{words}");
        let stranger = Reference("../x".to_owned());
        assert!(
            fixture
                .driver()
                .cancel(&stranger)
                .await
                .unwrap()
                .contains("no order")
        );
    }
}

fn wanted() -> KeyRequest {
    KeyRequest {
        subject: Subject {
            common_name: Some(NAME.to_owned()),
            ..Subject::default()
        },
        alternate_names: vec![AlternateName::Domain(NAME.to_owned())],
        key: KeyKind::Ecdsa(256),
        digest: Digest::Sha256,
    }
}
