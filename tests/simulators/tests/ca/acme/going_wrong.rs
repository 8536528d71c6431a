//! Faults of orders that a test can set.

use std::sync::{Arc, Mutex};

use simulators::acme::{ProblemType, Simulator};
use simulators::ca::{ChainMischief, Fault, Mischief, On};
use time::{Duration, OffsetDateTime};

use super::start;
use super::subscriber::{Request, Subscriber, names_body, problem};
use crate::client::parsed;

const NAME: [&str; 1] = ["fw.example.com"];

/// The clock begins with today's date, which the certificate of the port needs.
async fn start_with_clock() -> (Simulator, Arc<Mutex<OffsetDateTime>>) {
    let clock = Arc::new(Mutex::new(OffsetDateTime::now_utc()));
    let hands = clock.clone();
    let simulator = start(|settings| {
        settings.common.now = Arc::new(move || *hands.lock().unwrap());
    })
    .await;
    (simulator, clock)
}

#[tokio::test]
async fn a_limit_on_orders_has_retry_after_in_both_forms() {
    let (simulator, clock) = start_with_clock().await;
    *clock.lock().unwrap() = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
    let subscriber = Subscriber::registered(&simulator).await;
    simulator.set(|variants| {
        variants.new_order_refused = Some(ProblemType::RateLimited);
        variants.refused_retry_after = Some(60);
    });
    let refused = subscriber.post("/new-order", &names_body(&NAME)).await;
    assert_eq!(
        (refused.status, problem(&refused)),
        (429, "rateLimited".to_owned())
    );
    assert_eq!(refused.header("retry-after").as_deref(), Some("60"));
    simulator.set(|variants| variants.retry_after_as_date = true);
    let refused = subscriber.post("/new-order", &names_body(&NAME)).await;
    let date = "Sun, 06 Nov 1994 08:50:37 GMT";
    assert_eq!(refused.header("retry-after").as_deref(), Some(date));
    assert_eq!(simulator.counters().orders, 0);
}

#[tokio::test]
async fn an_order_can_become_invalid_after_it_was_finalized() {
    let simulator = start(|settings| {
        settings.variants.order_fails = Some(ProblemType::ServerInternal);
        settings.variants.processing_polls = 1;
        settings.variants.unknown_status = true;
    })
    .await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&NAME).await;
    subscriber.prove_all(&order).await;
    let answer = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(answer.json()["status"], "dozing");
    let failed = subscriber.settled(&order, "dozing").await;
    assert_eq!(failed["status"], "invalid");
    assert_eq!(
        failed["error"]["type"],
        "urn:ietf:params:acme:error:serverInternal"
    );
    assert_eq!(simulator.counters().signed, 0);
}

#[tokio::test]
async fn a_refused_finalize_leaves_the_order_ready() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&NAME).await;
    subscriber.prove_all(&order).await;
    simulator.set(|variants| variants.finalize_refused = Some(ProblemType::ServerInternal));
    let refused = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(
        (refused.status, problem(&refused)),
        (500, "serverInternal".to_owned())
    );
    assert_eq!(simulator.orders()[0].status, "ready");
    simulator.set(|variants| variants.finalize_refused = None);
    let done = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(done.json()["status"], "valid");
}

#[tokio::test]
async fn a_lost_answer_to_finalize_has_finalized() {
    let simulator = start(|_| {}).await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&NAME).await;
    subscriber.prove_all(&order).await;
    simulator.fault(On::next("POST", "/finalize"), Fault::ServerErrorAfter);
    let lost = subscriber.finalize(&order, &Request::new(&NAME)).await;
    assert_eq!(lost.status, 500);
    let valid = subscriber.read(&order).await.json();
    assert_eq!(valid["status"], "valid");
    assert_eq!(subscriber.download(&valid).await.len(), 2);
    assert_eq!((simulator.finalizations(), simulator.faults_used()), (1, 1));
}

#[tokio::test]
async fn an_unfinished_order_expires() {
    let (simulator, clock) = start_with_clock().await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&NAME).await;
    *clock.lock().unwrap() += Duration::days(8);
    assert_eq!(subscriber.read(&order).await.json()["status"], "invalid");
    assert_eq!(subscriber.authorization(&order).await["status"], "expired");
    simulator.forget_orders();
    assert_eq!(subscriber.read(&order).await.status, 404);
}

#[tokio::test]
async fn mischief_with_certificates_and_chains_reaches_the_client() {
    let simulator = start(|settings| settings.variants.lifetime_seconds = Some(3600)).await;
    let subscriber = Subscriber::registered(&simulator).await;
    simulator.mischief(Mischief::CaTrue);
    simulator.chain_mischief(ChainMischief::WithRoot);
    let list = subscriber.issued(&NAME).await;
    assert_eq!(list.len(), 3);
    let leaf = parsed(&list[0]);
    assert!(leaf.is_ca());
    let validity = leaf.validity();
    let life = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(life, 3600);
}
