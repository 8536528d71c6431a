//! One order from the first look to the certificate, and how it can end otherwise.

use renewd::ca::resello::{Download, PlanChoice};
use renewd::ca::{Issuance, Issuer, Reference};
use renewd::failure::FailureKind;
use renewd::pki::{self, AlternateName, Digest, KeyKind, KeyRequest, Subject};
use simulators::ca::{ChainMischief, Mischief};
use simulators::resello::{DeletedAs, PendingDownload};

use super::bench::{Bench, NAME};

#[tokio::test]
async fn an_order_brings_a_certificate_of_our_key_with_its_chain() {
    for download in [Download::Crt, Download::Pkcs7, Download::Zip] {
        let mut bench = Bench::granting(|faces| faces.ca_from_root = true).await;
        bench.settings.download = download;
        let request = bench.request("first", None);
        let bought = bench.obtain(&request).await;
        assert_eq!(bought.leaf.public_key, request.csr.public_key);
        let now = bought.leaf.not_before;
        let chain = pki::path::build(&bought.leaf, &bought.chain, &[], now).certificates;
        assert!(
            pki::ends_in_root(&chain) && chain.len() == 2,
            "{download:?}"
        );
        bench.assert_paid(1, "one order");
        let shown = &bench.shop.orders()[0];
        assert_eq!(shown.client_reference.as_deref(), Some("first"));
        // What is there is found.
        let found = bench.driver().find(&request).await.unwrap();
        assert_eq!(found, Some(bought.order));
    }
}

#[tokio::test]
async fn a_reference_with_a_hash_is_found_again() {
    let bench = Bench::granting(|_| {}).await;
    let request = bench.request("#123 & more/ä", None);
    let order = bench.order(&request).await;
    let found = bench.driver().find(&request).await.unwrap();
    assert_eq!(found, Some(order));
}

#[tokio::test]
async fn a_long_wait_is_pending_and_nothing_else() {
    let bench = Bench::granting(|faces| {
        faces.reads_before_active = 30;
        faces.pending_download = PendingDownload::Html;
    })
    .await;
    let bought = bench.buy().await;
    assert_eq!(bought.chain.len(), 2);
    bench.assert_paid(1, "thirty polls");
}

#[tokio::test]
async fn an_order_that_failed_is_refused_and_an_unknown_word_is_shown_to_a_person() {
    let bench = Bench::granting(|faces| faces.reads_before_active = 9).await;
    let request = bench.request("first", None);
    let order = bench.order(&request).await;
    assert!(bench.shop.end(&order.0, "on hold"));
    let Issuance::Pending {
        waiting_for,
        needs_person,
        ..
    } = bench.driver().poll(&order, &request).await.unwrap()
    else {
        panic!("an unknown word is no end");
    };
    assert!(
        needs_person && waiting_for.contains("on hold"),
        "{waiting_for}"
    );
    assert!(bench.shop.end(&order.0, "failed"));
    let Issuance::Refused { reason } = bench.driver().poll(&order, &request).await.unwrap() else {
        panic!("failed is an end");
    };
    assert!(reason.contains("is failed"), "{reason}");
    // It is not ordered again behind the back of whoever pays.
    assert_eq!(bench.driver().find(&request).await.unwrap(), Some(order));
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_of_our_key_is_left_to_the_engine() {
    for mischief in [Mischief::DropNames, Mischief::CaTrue, Mischief::Expired] {
        let bench = Bench::granting(|_| {}).await;
        bench.shop.mischief(mischief);
        let request = bench.request("first", None);
        let bought = bench.obtain(&request).await;
        assert_eq!(
            bought.leaf.public_key, request.csr.public_key,
            "{mischief:?}"
        );
        bench.assert_paid(1, "one order");
    }
}

#[tokio::test]
async fn a_certificate_of_another_key_is_never_taken_and_a_person_is_told() {
    let bench = Bench::granting(|_| {}).await;
    bench.shop.mischief(Mischief::WrongKey);
    let request = bench.request("first", None);
    let order = bench.order(&request).await;
    for _ in 0..3 {
        let issuance = bench.driver().poll(&order, &request).await.unwrap();
        let Issuance::Pending { needs_person, .. } = issuance else {
            panic!("{issuance:?}");
        };
        if needs_person {
            bench.assert_paid(1, "one order");
            return;
        }
    }
    panic!("nobody was told");
}

#[tokio::test]
async fn the_chain_is_given_as_it_comes() {
    for mischief in [
        ChainMischief::Shuffled,
        ChainMischief::WithoutRoot,
        ChainMischief::WithStranger,
    ] {
        let bench = Bench::granting(|faces| faces.crt_with_chain = true).await;
        bench.shop.chain_mischief(mischief);
        let bought = bench.buy().await;
        let now = bought.leaf.not_before;
        let chain = pki::path::build(&bought.leaf, &bought.chain, &[], now).certificates;
        assert!(!chain.is_empty(), "{mischief:?}");
    }
}

#[tokio::test]
async fn the_plan_is_looked_up_before_a_key_exists() {
    let mut bench = Bench::granting(|_| {}).await;
    let mut wanted = wanted();
    assert_eq!(bench.driver().objections(&wanted).await.unwrap(), [""; 0]);
    bench.settings.plan = PlanChoice::Name("Positive".to_owned());
    bench.settings.elliptic_keys = false;
    wanted.alternate_names.clear();
    let objections = bench.driver().objections(&wanted).await.unwrap();
    assert_eq!(objections.len(), 2, "{objections:?}");
    assert!(objections[0].contains("means RSA"), "{objections:?}");
    assert!(
        objections[1].contains("it may buy: PositiveSSL (3f7830c3"),
        "{objections:?}"
    );
    bench.assert_paid(0, "nothing was ordered");
}

#[tokio::test]
async fn an_order_that_the_shop_refuses_is_told_in_its_words() {
    for errors_with_200 in [true, false] {
        let mut bench = Bench::granting(|faces| faces.errors_with_200 = errors_with_200).await;
        bench.settings.applicant.approver_email_address = None;
        let request = bench.request("first", None);
        let failure = bench.driver().submit(&request).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused);
        let words = "approver_email_address: This field is required.";
        assert!(failure.detail.contains(words), "{failure}");
        bench.assert_paid(0, "nothing was ordered");
    }
}

#[tokio::test]
async fn a_cancelled_order_is_deleted_and_what_is_gone_may_be_cancelled_again() {
    for deleted_as in [DeletedAs::Gone, DeletedAs::Cancelled] {
        let bench = Bench::granting(|faces| faces.deleted_as = deleted_as).await;
        let bought = bench.buy().await;
        let words = bench.driver().cancel(&bought.order).await.unwrap();
        assert!(
            words.contains("is deleted and its certificate disabled"),
            "{words}"
        );
        let ledger = bench.shop.ledger();
        assert_eq!((ledger.deleted, ledger.refunded_cents), (1, 900));
        let words = bench.driver().cancel(&bought.order).await.unwrap();
        assert!(words.contains("has no order"), "{words}");
        let stranger = Reference("../x".to_owned());
        assert!(
            bench
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
