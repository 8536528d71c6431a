//! Orders from purchase to certificate, and how they are found again (purchase API reference 3, 4, 6).

use serde_json::json;
use simulators::resello::{Dcv, Plan, ReferenceMatch, Variants};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::request::{Firewall, pems, start};
use super::shopper::{Envelope as _, Shopper, purchase};

#[tokio::test]
async fn an_order_is_pending_then_active_and_carries_the_key_of_the_request() {
    let (shop, _) = start(Dcv::Granted, |variants| variants.reads_before_active = 2).await;
    let shopper = Shopper::new(&shop);
    let firewall = Firewall::new(&["fw.example.com", "vpn.example.com"]);
    let id = shopper.buy(&firewall.csr).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(shopper.status(&id).await);
    }
    assert_eq!(seen, ["pending", "pending", "active"]);
    let leaf = pems(&shopper.download(&id, "crt").await.body).remove(0);
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert_eq!(leaf.public_key().raw, firewall.public_key());
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let names: Vec<String> = names
        .value
        .general_names
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        ["DNSName(fw.example.com)", "DNSName(vpn.example.com)"]
    );
}

#[tokio::test]
async fn every_missing_field_is_named() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    let nothing = shopper.post("/ssl-certificate", &json!({})).await;
    assert_eq!(nothing.status, 200, "errors come with 200 (3)");
    assert_eq!(nothing.wrong_fields(), ["csr", "dcv_type", "plan"]);
    let mut order = purchase(&Firewall::new(&["fw.example.com"]).csr);
    order["plan"] = json!(Plan::organization_validated().id);
    order["dcv_type"] = json!("EMAIL");
    let expected = [
        "approver_email_address",
        "approver_first_name",
        "approver_last_name",
        "chamber_of_commerce",
        "company_name",
        "department",
    ];
    assert_eq!(
        shopper
            .post("/ssl-certificate", &order)
            .await
            .wrong_fields(),
        expected
    );
    assert_eq!(shop.counters().orders, 0);
}

#[tokio::test]
async fn an_order_is_found_by_its_encoded_reference_once_the_index_knows_it() {
    let (shop, _) = start(Dcv::Granted, |variants| variants.hidden_lists = 2).await;
    let shopper = Shopper::new(&shop);
    let id = shopper.buy(&Firewall::new(&["fw.example.com"]).csr).await;
    let path = "/ssl-certificate?client_reference=fw01%2F%231";
    let mut totals = Vec::new();
    for _ in 0..3 {
        totals.push(shopper.get(path).await.json()["total"].clone());
    }
    assert_eq!(totals, [json!(0), json!(0), json!(1)]);
    assert_eq!(shopper.get(path).await.result()[0]["id"], json!(id));
    let cut = shopper
        .get("/ssl-certificate?client_reference=fw01%2F")
        .await;
    assert_eq!(
        cut.json()["total"],
        json!(0),
        "the filter compares the whole text"
    );
    shop.set(|variants| variants.reference_match = ReferenceMatch::Partial);
    let cut = shopper
        .get("/ssl-certificate?client_reference=fw01%2F")
        .await;
    assert_eq!(cut.json()["total"], json!(1));
}

#[tokio::test]
async fn lists_have_pages() {
    let (shop, _) = start(Dcv::Granted, |variants| variants.largest_page = 2).await;
    let shopper = Shopper::new(&shop);
    for _ in 0..3 {
        shopper.buy(&Firewall::new(&["fw.example.com"]).csr).await;
    }
    let first = shopper.get("/ssl-certificate?limit=50").await.json();
    assert_eq!((&first["total"], &first["limit"]), (&json!(3), &json!(2)));
    let last = shopper
        .get("/ssl-certificate?limit=2&offset=2")
        .await
        .json();
    assert_eq!(last["result"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_renew_keeps_its_id_and_first_still_returns_active() {
    let (shop, days) = start(Dcv::Granted, |variants| {
        *variants = Variants {
            stale_active_answers: 2,
            reads_before_active: 1,
            ..Variants::kind()
        };
    })
    .await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    let former = shopper.download(&id, "crt").await.body;
    days.pass(70);
    let next = Firewall::new(&["fw.example.com"]);
    let mut order = purchase(&next.csr);
    order["client_reference"] = json!("second");
    let answer = shopper
        .post(&format!("/ssl-certificate/{id}/renew"), &order)
        .await;
    assert_eq!(answer.result()["status"], json!("active"), "the old state");
    assert_eq!(shopper.download(&id, "crt").await.body, former);
    assert_eq!(pems(&shopper.download(&id, "csr").await.body), [next.der()]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(shopper.status(&id).await);
    }
    assert_eq!(seen, ["active", "pending", "active"]);
    let leaf = pems(&shopper.download(&id, "crt").await.body).remove(0);
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert_eq!(leaf.public_key().raw, next.public_key());
    assert_eq!(shop.orders()[0].client_reference.as_deref(), Some("second"));
    assert!(shop.invalidated().is_empty(), "a renew kills nothing");
}

#[tokio::test]
async fn a_renew_may_get_an_id_of_its_own() {
    let (shop, days) = start(Dcv::Granted, |variants| variants.renew_gives_new_id = true).await;
    let shopper = Shopper::new(&shop);
    let id = shopper
        .buy_active(&Firewall::new(&["fw.example.com"]).csr)
        .await;
    days.pass(70);
    let next = purchase(&Firewall::new(&["fw.example.com"]).csr);
    let answer = shopper
        .post(&format!("/ssl-certificate/{id}/renew"), &next)
        .await;
    let renewed = answer.result()["id"].as_str().unwrap().to_owned();
    assert_ne!(renewed, id);
    shopper.until_active(&renewed).await;
    assert_eq!(shopper.status(&id).await, "active");
}

#[tokio::test]
async fn a_renew_may_keep_the_reference_and_show_the_former_request() {
    let (shop, days) = start(Dcv::Granted, |variants| {
        variants.renew_keeps_reference = true;
        variants.csr_lags = true;
    })
    .await;
    let shopper = Shopper::new(&shop);
    let (former, next) = (
        Firewall::new(&["fw.example.com"]),
        Firewall::new(&["fw.example.com"]),
    );
    let id = shopper.buy_active(&former.csr).await;
    days.pass(70);
    let mut order = purchase(&next.csr);
    order["client_reference"] = json!("second");
    let renew = format!("/ssl-certificate/{id}/renew");
    let answer = shopper.post(&renew, &order).await.result();
    assert_eq!(answer["client_reference"], json!("fw01/#1"));
    let shown = shopper.download(&id, "csr").await.body;
    assert_eq!(pems(&shown), [former.der()]);
    shopper.until_active(&id).await;
    let shown = shopper.download(&id, "csr").await.body;
    assert_eq!(pems(&shown), [next.der()]);
}

#[tokio::test]
async fn without_alternate_names_a_certificate_has_its_common_name_only() {
    let (shop, _) = start(Dcv::Granted, |variants| {
        variants.honours_alternate_names = false;
    })
    .await;
    let shopper = Shopper::new(&shop);
    let firewall = Firewall::new(&["fw.example.com", "vpn.example.com"]);
    let id = shopper.buy_active(&firewall.csr).await;
    let leaf = pems(&shopper.download(&id, "crt").await.body).remove(0);
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names.len(), 1);
}

#[tokio::test]
async fn plans_are_listed_by_ids_and_by_part_of_a_name() {
    let (shop, _) = start(Dcv::Granted, |_| {}).await;
    let shopper = Shopper::new(&shop);
    assert_eq!(
        shopper.get("/ssl-certificate-plan").await.json()["total"],
        json!(3)
    );
    let named = shopper
        .get("/ssl-certificate-plan?name=positive")
        .await
        .result();
    assert_eq!(named[0]["renew_days_before_expiration"], json!(30));
    let (one, two) = (Plan::domain_validated().id, Plan::extended_validated().id);
    let both = shopper
        .get(&format!("/ssl-certificate-plan?id={one},{two}"))
        .await;
    assert_eq!(both.json()["total"], json!(2));
    let single = shopper.get(&format!("/ssl-certificate-plan/{one}")).await;
    assert_eq!(single.result()["interval"], json!(12));
}
