//! Requests that are refused before any action.

use serde_json::{Value, json};

use super::start;
use super::subscriber::{Subscriber, names_body, problem};

const NEW_ORDER: &str = "/new-order";

/// Sends a valid newOrder whose header or body a test has changed.
async fn changed(
    subscriber: &Subscriber,
    change: impl FnOnce(&mut Value),
    break_jws: impl FnOnce(&mut Value),
) -> (u16, String) {
    let mut header = subscriber.header(NEW_ORDER).await;
    change(&mut header);
    let mut jws = subscriber.sign(&header, &names_body(&["fw.example.com"]).to_string());
    break_jws(&mut jws);
    let answer = subscriber.send(NEW_ORDER, &jws).await;
    (answer.status, problem(&answer))
}

fn refused(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[tokio::test]
async fn each_part_of_a_signed_request_is_checked() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let header = async |change: fn(&mut Value)| changed(&subscriber, change, |_| {}).await;
    let body = async |change: fn(&mut Value)| changed(&subscriber, |_| {}, change).await;
    assert_eq!(header(|_| {}).await, refused(201, ""));
    assert_eq!(
        header(|header| header["nonce"] = json!("AAAA")).await,
        refused(400, "badNonce")
    );
    assert_eq!(
        header(|header| header["url"] = json!("https://127.0.0.1/new-order")).await,
        refused(403, "unauthorized")
    );
    assert_eq!(
        header(|header| header["alg"] = json!("none")).await,
        refused(400, "badSignatureAlgorithm")
    );
    assert_eq!(
        header(|header| header["jwk"] = json!({})).await,
        refused(400, "malformed")
    );
    let other_text = json!("eyJpZGVudGlmaWVycyI6W119");
    let tampered = changed(&subscriber, |_| {}, |jws| jws["payload"] = other_text).await;
    assert_eq!(tampered, refused(400, "malformed"));
    assert_eq!(
        body(|jws| jws["header"] = json!({})).await,
        refused(400, "malformed")
    );
    assert_eq!(simulator.counters().orders, 1);
}

#[tokio::test]
async fn another_key_cannot_sign_for_an_account() {
    let simulator = start(|_| {}).await;
    let owner = Subscriber::registered(&simulator).await;
    let mut thief = Subscriber::new(&simulator);
    thief.account = owner.account.clone();
    let answer = thief
        .post(NEW_ORDER, &names_body(&["fw.example.com"]))
        .await;
    assert_eq!(problem(&answer), "malformed");
    assert_eq!(simulator.counters().credentials_refused, 1);
    assert_eq!(simulator.counters().orders, 0);
}

#[tokio::test]
async fn a_nonce_is_good_once_and_every_answer_to_a_post_brings_another() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let header = subscriber.header(NEW_ORDER).await;
    let jws = subscriber.sign(&header, &names_body(&["fw.example.com"]).to_string());
    let first = subscriber.send(NEW_ORDER, &jws).await;
    let second = subscriber.send(NEW_ORDER, &jws).await;
    assert_eq!(
        (first.status, problem(&second)),
        (201, "badNonce".to_owned())
    );
    let mut header = header;
    header["nonce"] = json!(second.header("replay-nonce").unwrap());
    let jws = subscriber.sign(&header, &names_body(&["fw.example.com"]).to_string());
    assert_eq!(subscriber.send(NEW_ORDER, &jws).await.status, 201);
}

#[tokio::test]
async fn a_switch_refuses_every_third_valid_nonce() {
    let simulator = start(|settings| settings.variants.bad_nonce_every = 3).await;
    let subscriber = Subscriber::new(&simulator);
    let mut outcomes = Vec::new();
    for _ in 0..6 {
        let header = subscriber.header("/new-account").await;
        let jws = subscriber.sign(&header, r#"{"termsOfServiceAgreed": true}"#);
        let answer = subscriber.send("/new-account", &jws).await;
        outcomes.push((answer.status, problem(&answer)));
    }
    let good = refused(200, "");
    let bad = refused(400, "badNonce");
    let first = refused(201, "");
    assert_eq!(
        outcomes,
        [first, good.clone(), bad.clone(), good.clone(), good, bad]
    );
}

#[tokio::test]
async fn only_public_resources_are_read_without_a_signature() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&["fw.example.com"]).await;
    let path = order.strip_prefix(&simulator.url()).unwrap();
    assert_eq!(subscriber.client.get(path).await.unwrap().status, 405);
    let body = names_body(&["fw.example.com"]);
    let unsigned = subscriber.client.post(NEW_ORDER, &body).await.unwrap();
    assert_eq!(unsigned.status, 415);
    let directory = subscriber.client.get("/directory").await.unwrap().json();
    assert_eq!(
        directory["newOrder"],
        json!(format!("{}/new-order", simulator.url()))
    );
    assert_eq!(directory["meta"]["profiles"].as_object().unwrap().len(), 3);
    let head = subscriber
        .client
        .send("HEAD", "/new-nonce", "text/plain", b"")
        .await;
    assert_eq!(head.unwrap().status, 200);
}
