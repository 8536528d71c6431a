//! Wrong credentials, the forms of an error, undocumented final statuses (purchase API reference 3, 4.2).

use serde_json::json;
use simulators::ca::{Fault, On};
use simulators::resello::{Dcv, ErrorMessage, Variants};

use super::request::{Firewall, start};
use super::shopper::{Envelope as _, Shopper, purchase};

#[tokio::test]
async fn a_wrong_key_is_refused_and_counted() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::with_key(&shop, "another key");
    let refused = shopper
        .post(
            "/ssl-certificate",
            &purchase(&Firewall::new(&["fw.example.com"]).csr),
        )
        .await;
    assert_eq!(
        (refused.status, refused.refusal().as_str()),
        (401, "unauthorized")
    );
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("Basic "), "{challenge}");
    let counters = shop.counters();
    assert_eq!((counters.credentials_refused, counters.orders), (1, 0));
}

#[tokio::test]
async fn an_error_has_the_form_that_was_asked_for() {
    let (shop, _) = start(Dcv::Granted, |variants| variants.errors_with_200 = false).await;
    let shopper = Shopper::new(&shop);
    let nested = shopper.post("/ssl-certificate", &json!({})).await;
    assert_eq!(nested.status, 400);
    let message = &nested.json()["error"]["message"];
    assert_eq!(message["csr"][0]["code"], json!("required"));
    shop.set(|variants| variants.error_message = ErrorMessage::Texts);
    let texts = shopper.post("/ssl-certificate", &json!({})).await.json();
    assert_eq!(
        texts["error"]["message"]["csr"][0],
        json!("This field is required.")
    );
    shop.set(|variants| variants.error_message = ErrorMessage::Plain);
    let plain = shopper.post("/ssl-certificate", &json!({})).await.json();
    assert!(
        plain["error"]["message"]
            .as_str()
            .unwrap()
            .starts_with("csr: ")
    );
    assert_eq!(shopper.get("/ssl-certificate/unknown").await.status, 404);
}

#[tokio::test]
async fn an_order_may_end_in_an_undocumented_status() {
    let (shop, _) = start(Dcv::Granted, |variants| {
        variants.ends_as = Some("failed".to_owned());
    })
    .await;
    let shopper = Shopper::new(&shop);
    let firewall = Firewall::new(&["fw.example.com"]);
    let id = shopper.buy(&firewall.csr).await;
    assert_eq!(shopper.status(&id).await, "failed");
    assert_eq!(shopper.download(&id, "crt").await.refusal(), "not_active");
    shopper.buy(&firewall.csr).await;
    assert_eq!(
        shop.counters().duplicates,
        0,
        "to order again after a failure is right"
    );
}

#[tokio::test]
async fn the_unkind_shop_still_sells() {
    let (shop, _) = start(Dcv::Granted, |variants| *variants = Variants::unkind()).await;
    let shopper = Shopper::new(&shop);
    let order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    let answer = shopper.post("/ssl-certificate", &order).await.json();
    assert_eq!(answer["success"], json!("true"));
    let id = answer["result"]["id"].as_str().unwrap().to_owned();
    for _ in 0..8 {
        shopper.get(&format!("/ssl-certificate/{id}")).await;
    }
    assert_eq!(shop.orders()[0].status, "active");
}

#[tokio::test]
async fn every_exchange_of_a_good_run_can_be_failed_once() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    assert_eq!(
        shop.requests(),
        [
            "POST /api/v1/ssl-certificate".to_owned(),
            format!("GET /api/v1/ssl-certificate/{id}")
        ]
    );
    shop.fault(On::any(1), Fault::LostBefore);
    let order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    assert!(
        shopper
            .call("POST", "/ssl-certificate", &order)
            .await
            .is_err()
    );
    assert_eq!((shop.counters().orders, shop.faults_used()), (1, 1));
}
