//! Costs, refunds and the invalidation of certificates (purchase API reference 4).

use serde_json::json;
use simulators::ca::{Fault, On};
use simulators::resello::{Dcv, DeletedAs, Plan};

use super::request::{Firewall, start};
use super::shopper::{Envelope as _, Shopper, purchase};

#[tokio::test]
async fn an_order_costs_the_price_of_its_plan_once() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    Shopper::new(&shop)
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    let ledger = shop.ledger();
    assert_eq!((ledger.bought, ledger.charged_cents), (1, 900));
    assert_eq!(ledger.balance_cents, 99_100);
    let counters = shop.counters();
    assert_eq!(
        (counters.orders, counters.duplicates, counters.spent_cents),
        (1, 0, 900)
    );
}

#[tokio::test]
async fn a_repeated_order_for_the_same_key_is_paid_again_and_counted_as_a_duplicate() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let firewall = Firewall::new(&["fw.example.com"]);
    shop.fault(On::next("POST", "/ssl-certificate"), Fault::LostAfter);
    let lost = shopper
        .call("POST", "/ssl-certificate", &purchase(&firewall.csr))
        .await;
    assert!(lost.is_err());
    assert_eq!(
        shop.counters().spent_cents,
        900,
        "a lost answer was paid for"
    );
    shopper.buy(&firewall.csr).await;
    let counters = shop.counters();
    assert_eq!((counters.orders, counters.duplicates), (2, 1));
    assert_eq!(counters.spent_cents, 1_800);
}

#[tokio::test]
async fn a_repeated_renew_buys_twice() {
    let (shop, days) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    days.pass(70);
    let next = purchase(&Firewall::new(&["fw.example.com"]).csr);
    let path = format!("/ssl-certificate/{id}/renew");
    assert_eq!(shopper.post(&path, &next).await.result()["id"], json!(id));
    assert_eq!(shop.counters().duplicates, 0);
    shopper.post(&path, &next).await.result();
    assert_eq!(shop.ledger().renewed, 2);
    let counters = shop.counters();
    assert_eq!((counters.duplicates, counters.spent_cents), (1, 2_700));
}

#[tokio::test]
async fn a_second_renew_with_a_fresh_key_doubles_an_unfinished_one_too() {
    let (shop, days) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    days.pass(70);
    let path = format!("/ssl-certificate/{id}/renew");
    for _ in 0..2 {
        let csr = Firewall::new(&["fw.example.com"]).csr;
        shopper.post(&path, &purchase(&csr)).await.result();
    }
    assert_eq!(shop.counters().duplicates, 1);
}

#[tokio::test]
async fn an_early_renew_is_refused_and_costs_nothing() {
    let (shop, days) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    let next = purchase(&Firewall::new(&["fw.example.com"]).csr);
    let path = format!("/ssl-certificate/{id}/renew");
    days.pass(59);
    assert_eq!(
        shopper.post(&path, &next).await.refusal(),
        "renew_too_early"
    );
    assert_eq!(shop.counters().spent_cents, 900);
    days.pass(1);
    shopper.post(&path, &next).await.result();
    assert_eq!(shop.counters().spent_cents, 1_800);
}

#[tokio::test]
async fn with_the_term_as_the_limit_a_short_certificate_cannot_be_renewed_before_it_ends() {
    let (shop, days) = start(Dcv::Granted, |variants| variants.expires_with_term = true).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    days.pass(89);
    let next = purchase(&Firewall::new(&["fw.example.com"]).csr);
    let path = format!("/ssl-certificate/{id}/renew");
    assert_eq!(
        shopper.post(&path, &next).await.refusal(),
        "renew_too_early"
    );
}

#[tokio::test]
async fn a_delete_in_the_grace_period_refunds_and_a_later_one_does_not() {
    let (shop, days) = start(Dcv::Granted, |variants| {
        variants.deleted_as = DeletedAs::Cancelled;
    })
    .await;
    let shopper = Shopper::new(&shop);
    let soon = shopper
        .buy_active(&Firewall::new(&["a.example.com"]).csr)
        .await;
    let late = shopper
        .buy_active(&Firewall::new(&["b.example.com"]).csr)
        .await;
    days.pass(15);
    shopper
        .delete(&format!("/ssl-certificate/{soon}"))
        .await
        .result();
    let ledger = shop.ledger();
    assert_eq!((ledger.refunded_cents, ledger.balance_cents), (900, 99_100));
    days.pass(1);
    shopper
        .delete(&format!("/ssl-certificate/{late}"))
        .await
        .result();
    assert_eq!(shop.ledger().refunded_cents, 900);
    assert_eq!(shop.counters().spent_cents, 900);
    assert_eq!(shop.invalidated().len(), 2);
    assert_eq!(shopper.status(&late).await, "cancelled");
    let again = shopper.delete(&format!("/ssl-certificate/{late}")).await;
    assert_eq!(again.refusal(), "not_found");
}

#[tokio::test]
async fn a_delete_after_a_renew_refunds_the_renewal_only() {
    let (shop, days) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    days.pass(70);
    let next = purchase(&Firewall::new(&["fw.example.com"]).csr);
    shopper
        .post(&format!("/ssl-certificate/{id}/renew"), &next)
        .await
        .result();
    shopper
        .delete(&format!("/ssl-certificate/{id}"))
        .await
        .result();
    assert_eq!(shop.counters().spent_cents, 900);
    assert_eq!(
        shopper
            .get(&format!("/ssl-certificate/{id}"))
            .await
            .refusal(),
        "not_found"
    );
}

#[tokio::test]
async fn an_account_without_money_buys_nothing() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    order["plan"] = json!(Plan::extended_validated().id);
    for (field, value) in [
        ("chamber_of_commerce", "12345678"),
        ("department", "IT"),
        ("approver_first_name", "John"),
        ("approver_last_name", "Doe"),
        ("company_name", "Johns inc."),
    ] {
        order[field] = json!(value);
    }
    for _ in 0..5 {
        shopper.post("/ssl-certificate", &order).await.result();
    }
    let refused = shopper.post("/ssl-certificate", &order).await;
    assert_eq!(refused.refusal(), "insufficient_funds");
    assert_eq!(shop.ledger().balance_cents, 500);
    assert_eq!(shop.orders().len(), 5);
}

#[tokio::test]
async fn a_reissue_is_free_and_kills_the_certificate_at_once() {
    let (shop, days) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    let former = shop.orders()[0].certificate.clone().unwrap();
    days.pass(20);
    let other = Firewall::new(&["fw.example.com"]);
    let answer = shopper
        .post(
            &format!("/ssl-certificate/{id}/reissue"),
            &purchase(&other.csr),
        )
        .await;
    assert_eq!(answer.result()["status"], json!("pending"));
    assert_eq!(shop.invalidated(), std::slice::from_ref(&former));
    shopper.until_active(&id).await;
    let ledger = shop.ledger();
    assert_eq!((ledger.reissued, ledger.charged_cents), (1, 900));
    let present = shop.orders()[0].certificate.clone().unwrap();
    let ends = |der: &[u8]| {
        use x509_parser::prelude::FromDer as _;
        let (_, certificate) = x509_parser::prelude::X509Certificate::from_der(der).unwrap();
        certificate.validity().not_after.timestamp()
    };
    assert!(
        (ends(&former) - ends(&present)).abs() < 600,
        "a reissue extended the term"
    );
}

#[tokio::test]
async fn a_reissue_without_validation_is_active_in_its_own_answer() {
    let (shop, _) = start(Dcv::Granted, |variants| {
        variants.reissue_without_validation = true;
    })
    .await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    let next = purchase(&Firewall::new(&["fw.example.com"]).csr);
    let answer = shopper
        .post(&format!("/ssl-certificate/{id}/reissue"), &next)
        .await;
    assert_eq!(answer.result()["status"], json!("active"));
    assert_eq!(shop.counters().signed, 2);
}
