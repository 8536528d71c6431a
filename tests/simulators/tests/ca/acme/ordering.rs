//! Successful orders, and what a test can observe of them.

use rcgen::PublicKeyData as _;
use serde_json::json;
use simulators::acme::{OrderView, Variants};
use time::Duration;
use x509_parser::extensions::GeneralName;

use super::start;
use super::subscriber::{Request, Subscriber, names_body, problem};
use crate::client::parsed;

const NAME: [&str; 1] = ["fw.example.com"];

#[tokio::test]
async fn an_order_leads_to_a_certificate_of_its_key_and_its_names_and_nothing_else() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let names = ["fw.example.com", "vpn.example.com"];
    let order = subscriber.order(&names).await;
    subscriber.prove_all(&order).await;
    let request = Request::new(&names);
    let valid = subscriber.finalize(&order, &request).await.json();
    assert_eq!(valid["status"], "valid");
    let list = subscriber.download(&valid).await;
    assert_eq!(list.len(), 2);
    let (leaf, issuer) = (parsed(&list[0]), parsed(&list[1]));
    leaf.verify_signature(Some(issuer.public_key())).unwrap();
    assert_eq!(leaf.public_key().raw, request.key.subject_public_key_info());
    assert_eq!(leaf.subject().to_string(), "CN=fw.example.com");
    let alternate = leaf.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(alternate.general_names, names.map(GeneralName::DNSName));
    let counters = simulator.counters();
    assert_eq!(
        (counters.orders, counters.signed, counters.duplicates),
        (1, 1, 0)
    );
    let seen = OrderView {
        path: order.strip_prefix(&simulator.url()).unwrap().to_owned(),
        status: "valid".to_owned(),
        names: names.map(str::to_owned).to_vec(),
        profile: None,
        replaces: None,
        is_finalized: true,
        certificate: Some(list[0].clone()),
        renewal_id: simulator.orders()[0].renewal_id.clone(),
    };
    assert_eq!(simulator.orders(), [seen]);
}

#[tokio::test]
async fn the_unkind_server_issues_too() {
    let simulator = start(|settings| {
        settings.variants = Variants {
            always_valid: true,
            ..Variants::unkind()
        };
    })
    .await;
    let subscriber = Subscriber::registered(&simulator).await;
    assert_eq!(subscriber.issued(&NAME).await.len(), 2);
    let refused = simulator.journal().concat();
    assert!(refused.contains("badNonce"));
}

#[tokio::test]
async fn intermediate_statuses_last_the_configured_number_of_polls() {
    let simulator = start(|settings| {
        settings.variants.validation_polls = 1;
        settings.variants.ready_polls = 1;
        settings.variants.processing_polls = 2;
        settings.variants.poll_retry_after = Some(7);
    })
    .await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&NAME).await;
    let challenge = subscriber.challenge(&order, "http-01").await;
    let url = challenge["url"].as_str().unwrap();
    let answer = subscriber.post(url, &json!({})).await;
    assert_eq!(answer.json()["status"], "processing");
    assert_eq!(answer.header("retry-after").as_deref(), Some("7"));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(subscriber.read(&order).await.json()["status"].clone());
    }
    assert_eq!(statuses, ["pending", "pending", "ready"]);
    let answer = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(answer.json()["status"], "processing");
    assert_eq!(answer.header("retry-after").as_deref(), Some("7"));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(subscriber.read(&order).await.json()["status"].clone());
    }
    assert_eq!(statuses, ["processing", "processing", "valid"]);
}

#[tokio::test]
async fn an_order_is_ready_for_a_client_that_looked_at_its_authorizations_only() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let answer = subscriber.post("/new-order", &names_body(&NAME)).await;
    let authorization = answer.json()["authorizations"][0].clone();
    let authorization = authorization.as_str().unwrap();
    let challenges = subscriber.read(authorization).await.json()["challenges"].clone();
    let challenge = challenges[0]["url"].as_str().unwrap();
    subscriber.post(challenge, &json!({})).await;
    let proved = subscriber.read(authorization).await.json();
    assert_eq!(proved["status"], "valid");
    let order = answer.header("location").unwrap();
    let done = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(done.json()["status"], "valid");
}

#[tokio::test]
async fn a_profile_decides_on_lifetime_and_common_name() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let mut body = names_body(&NAME);
    body["profile"] = json!("shortlived");
    let order = subscriber.post("/new-order", &body).await;
    assert_eq!(order.json()["profile"], "shortlived");
    let order = order.header("location").unwrap();
    subscriber.prove_all(&order).await;
    let order = subscriber.finalize(&order, &Request::new(&NAME)).await;
    let list = subscriber.download(&order.json()).await;
    let leaf = parsed(&list[0]);
    assert_eq!(leaf.subject().to_string(), "");
    let validity = leaf.validity();
    let life = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(Duration::seconds(life), Duration::hours(160));
    body["profile"] = json!("longlived");
    let refused = subscriber.post("/new-order", &body).await;
    assert_eq!(problem(&refused), "invalidProfile");
}

#[tokio::test]
async fn an_address_is_certified_as_one_and_proved_by_http_only() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let names = ["192.0.2.7"];
    let order = subscriber.order(&names).await;
    let authorization = subscriber.authorization(&order).await;
    assert_eq!(
        authorization["identifier"],
        json!({"type": "ip", "value": "192.0.2.7"})
    );
    assert_eq!(authorization["challenges"].as_array().unwrap().len(), 1);
    let list = subscriber.issued(&names).await;
    let leaf = parsed(&list[0]);
    let alternate = leaf.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(
        alternate.general_names,
        [GeneralName::IPAddress(&[192, 0, 2, 7])]
    );
    simulator.set(|variants| variants.addresses_offered = false);
    let refused = subscriber.post("/new-order", &names_body(&names)).await;
    assert_eq!(problem(&refused), "unsupportedIdentifier");
}

#[tokio::test]
async fn a_request_must_have_the_names_of_its_order_and_a_key_of_its_own() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&NAME).await;
    let early = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(
        (early.status, problem(&early)),
        (403, "orderNotReady".to_owned())
    );
    subscriber.prove_all(&order).await;
    for names in [
        &["vpn.example.com"][..],
        &["fw.example.com", "vpn.example.com"],
    ] {
        let refused = subscriber.finalize(&order, &Request::new(names)).await;
        assert_eq!(problem(&refused), "badCSR");
    }
    let garbage = subscriber
        .post(&format!("{order}/finalize"), &json!({"csr": "AAAA"}))
        .await;
    assert_eq!(problem(&garbage), "badCSR");
    assert_eq!(simulator.finalizations(), 0);
    let done = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(done.json()["status"], "valid");
    let again = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(problem(&again), "orderNotReady");
}

#[tokio::test]
async fn a_key_that_is_certified_twice_is_counted() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let request = Request::new(&NAME);
    for _ in 0..2 {
        let order = subscriber.order(&NAME).await;
        subscriber.prove_all(&order).await;
        subscriber.finalize(&order, &request).await;
    }
    let counters = simulator.counters();
    assert_eq!(
        (counters.orders, counters.signed, counters.duplicates),
        (2, 2, 1)
    );
    assert_eq!(simulator.finalizations(), 2);
}

#[tokio::test]
async fn names_that_no_public_ca_certifies_are_rejected_and_named() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let refused = subscriber
        .post("/new-order", &names_body(&["fw.example.com", "fw"]))
        .await;
    assert_eq!(problem(&refused), "rejectedIdentifier");
    let about = refused.json()["subproblems"][0]["identifier"].clone();
    assert_eq!(about, json!({"type": "dns", "value": "fw"}));
    let nothing = subscriber
        .post("/new-order", &json!({"identifiers": []}))
        .await;
    assert_eq!(problem(&nothing), "malformed");
    assert_eq!(simulator.counters().orders, 0);
}

#[tokio::test]
async fn an_order_belongs_to_its_account() {
    let simulator = start(|_| {}).await;
    let owner = Subscriber::registered(&simulator).await;
    let order = owner.order(&NAME).await;
    let stranger = Subscriber::registered(&simulator).await;
    assert_eq!(problem(&stranger.read(&order).await), "unauthorized");
    let list = owner
        .read(&format!("{}/orders", owner.account.clone().unwrap()))
        .await;
    assert_eq!(list.json()["orders"], json!([order]));
}

#[tokio::test]
async fn a_valid_authorization_makes_the_next_order_ready_where_it_is_reused() {
    let simulator = start(|settings| settings.variants.authorizations_reused = true).await;
    let subscriber = Subscriber::registered(&simulator).await;
    subscriber.issued(&NAME).await;
    let second = subscriber.post("/new-order", &names_body(&NAME)).await;
    assert_eq!(second.json()["status"], "ready");
    assert_eq!(simulator.validations(), 1);
}
