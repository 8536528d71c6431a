//! Renewal information and replacement.

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use simulators::acme::{ProblemType, Simulator, Window};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::ParsedExtension;

use super::start;
use super::subscriber::{Subscriber, names_body, problem};
use crate::client::{HttpAnswer, parsed};

const NAME: [&str; 1] = ["fw.example.com"];

/// As defined in RFC 9773 4.1.
fn renewal_id(leaf: &[u8]) -> String {
    let leaf = parsed(leaf);
    let authority = leaf
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.clone(),
            _ => None,
        })
        .unwrap();
    let part = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    format!("{}.{}", part(authority.0), part(leaf.raw_serial()))
}

async fn information(subscriber: &Subscriber, id: &str) -> HttpAnswer {
    let path = format!("/renewal-info/{id}");
    subscriber.client.get(&path).await.unwrap()
}

/// A server and the id of a certificate that it has issued.
async fn issued() -> (Simulator, Subscriber, String) {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let list = subscriber.issued(&NAME).await;
    let id = renewal_id(&list[0]);
    (simulator, subscriber, id)
}

async fn replace(subscriber: &Subscriber, names: &[&str], id: &str) -> HttpAnswer {
    let mut body = names_body(names);
    body["replaces"] = json!(id);
    subscriber.post("/new-order", &body).await
}

#[tokio::test]
async fn the_window_lies_at_two_thirds_of_the_life() {
    let (simulator, subscriber, id) = issued().await;
    assert_eq!(
        simulator.orders()[0].renewal_id.as_deref(),
        Some(id.as_str())
    );
    let answer = information(&subscriber, &id).await;
    assert_eq!(answer.header("retry-after").as_deref(), Some("21600"));
    let window = answer.json()["suggestedWindow"].clone();
    let moment = |name: &str| -> OffsetDateTime {
        let format = &time::format_description::well_known::Rfc3339;
        OffsetDateTime::parse(window[name].as_str().unwrap(), format).unwrap()
    };
    let (start, end) = (moment("start"), moment("end"));
    let leaf = simulator.orders()[0].certificate.clone().unwrap();
    let begin = parsed(&leaf).validity().not_before.timestamp();
    let width: Duration = end - start;
    let middle: OffsetDateTime = start + width / 2;
    assert_eq!(
        middle.unix_timestamp() - begin,
        Duration::days(60).whole_seconds()
    );
    // The reference rounds 43.2 hours.
    assert_eq!(width, Duration::minutes(43 * 60 + 12));
}

#[tokio::test]
async fn a_test_sets_the_window_and_its_explanation() {
    let (simulator, subscriber, id) = issued().await;
    let start = OffsetDateTime::from_unix_timestamp(1_735_790_400).unwrap();
    let end = start + Duration::days(1);
    simulator.renewal_window(Some(Window { start, end }));
    simulator.set(|variants| {
        variants.explanation = Some("https://ca.example/incident".to_owned());
        variants.ari_retry_after = None;
    });
    let answer = information(&subscriber, &id).await;
    let wanted = json!({
        "suggestedWindow": {"start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z"},
        "explanationURL": "https://ca.example/incident",
    });
    assert_eq!(answer.json(), wanted);
    assert_eq!(answer.header("retry-after"), None);
}

#[tokio::test]
async fn a_certificate_is_replaced_once_by_its_own_account() {
    let (simulator, subscriber, id) = issued().await;
    let stranger = Subscriber::registered(&simulator).await;
    assert_eq!(
        problem(&replace(&stranger, &NAME, &id).await),
        "unauthorized"
    );
    let unknown = replace(&subscriber, &NAME, "AAAA.AQ").await;
    assert_eq!(
        (unknown.status, problem(&unknown)),
        (404, "malformed".to_owned())
    );
    let other_name = replace(&subscriber, &["vpn.example.com"], &id).await;
    assert_eq!(problem(&other_name), "malformed");
    let first = replace(&subscriber, &NAME, &id).await;
    assert_eq!((first.status, &first.json()["replaces"]), (201, &json!(id)));
    assert_eq!(simulator.orders()[1].replaces.as_deref(), Some(id.as_str()));
    let second = replace(&subscriber, &NAME, &id).await;
    assert_eq!(
        (second.status, problem(&second)),
        (409, "alreadyReplaced".to_owned())
    );
}

#[tokio::test]
async fn a_replacement_that_fails_leaves_the_certificate_to_be_replaced() {
    let (simulator, subscriber, id) = issued().await;
    simulator.set(|variants| variants.validation_fails = Some(ProblemType::Dns));
    let order = replace(&subscriber, &NAME, &id)
        .await
        .header("location")
        .unwrap();
    let challenge = subscriber.challenge(&order, "http-01").await;
    assert_eq!(
        subscriber.prove(&order, &challenge).await["status"],
        "invalid"
    );
    assert_eq!(replace(&subscriber, &NAME, &id).await.status, 201);
}

#[tokio::test]
async fn a_switch_refuses_every_replacement_and_no_other_order() {
    let (simulator, subscriber, id) = issued().await;
    simulator.set(|variants| variants.replaces_refused = Some(ProblemType::AlreadyReplaced));
    assert_eq!(replace(&subscriber, &NAME, &id).await.status, 409);
    subscriber.order(&NAME).await;
}

#[tokio::test]
async fn a_server_without_renewal_information_ignores_replaces() {
    let (simulator, subscriber, id) = issued().await;
    simulator.set(|variants| variants.ari_offered = false);
    let directory = subscriber.client.get("/directory").await.unwrap().json();
    assert_eq!(directory["renewalInfo"], Value::Null);
    assert_eq!(information(&subscriber, &id).await.status, 404);
    let order = replace(&subscriber, &NAME, "AAAA.AQ").await;
    assert_eq!(
        (order.status, &order.json()["replaces"]),
        (201, &Value::Null)
    );
}
