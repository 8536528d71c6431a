//! Faults of single exchanges, the same for every CA; tried on one.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use simulators::ca::{Fault, On, RetryAfter};
use simulators::{Barrier, ConnectionFault};
use time::OffsetDateTime;

use crate::client::Applicant;
use crate::venafi::{ORDERS, body, client, start};

#[tokio::test]
async fn an_answer_lost_after_the_act_leaves_an_order_and_one_lost_before_leaves_none() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let applicant = Applicant::new("fw.example.com");
    simulator.fault(On::next("POST", "certificaterequests"), Fault::LostBefore);
    let lost = client.post(ORDERS, &body(&applicant)).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(simulator.counters().orders, 0);
    simulator.fault(On::next("POST", "certificaterequests"), Fault::LostAfter);
    assert!(client.post(ORDERS, &body(&applicant)).await.is_err());
    assert_eq!(simulator.counters().orders, 1);
    assert!(client.post(ORDERS, &body(&applicant)).await.is_ok());
    let counters = simulator.counters();
    assert_eq!((counters.orders, counters.duplicates), (2, 1));
    assert_eq!(simulator.faults_used(), 2);
    assert_eq!(simulator.requests(), vec![format!("POST {ORDERS}"); 3]);
}

#[tokio::test]
async fn a_reset_is_seen_as_one() {
    let simulator = start(|_| {}).await;
    simulator.fault(On::any(1), Fault::Reset);
    let reset = client(&simulator)
        .get("/v1/useraccounts")
        .await
        .unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn refused_connections_return_when_set() {
    let simulator = start(|_| {}).await;
    simulator.refuse_connections(true);
    assert!(client(&simulator).get("/v1/useraccounts").await.is_err());
    simulator.refuse_connections(false);
    let answer = client(&simulator).get("/v1/useraccounts").await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(simulator.counters().requests, 1);
}

#[tokio::test]
async fn each_fault_that_answers_looks_as_it_should() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let moment = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
    let faults = [
        (Fault::Unauthorized, 401, None),
        (Fault::Forbidden, 403, None),
        (Fault::TooManyRequests(RetryAfter::Silent), 429, None),
        (
            Fault::TooManyRequests(RetryAfter::Seconds(7)),
            429,
            Some("7"),
        ),
        (
            Fault::Unavailable(RetryAfter::Date(moment)),
            503,
            Some("Sun, 06 Nov 1994 08:49:37 GMT"),
        ),
        (Fault::ServerError, 500, None),
        (Fault::Garbage, 200, None),
        (Fault::LoginPage, 200, None),
        (Fault::LoginRedirect, 302, None),
        (Fault::Truncated, 200, None),
    ];
    for (fault, status, retry_after) in faults {
        simulator.fault(On::any(1), fault.clone());
        let answer = client.get("/v1/useraccounts").await.unwrap();
        assert_eq!(answer.status, status, "{fault:?}");
        assert_eq!(answer.header("retry-after").as_deref(), retry_after);
        assert_eq!(answer.json(), Value::Null, "{fault:?}");
    }
    let answer = client.get("/v1/useraccounts").await.unwrap();
    assert_ne!(answer.json(), Value::Null);
}

#[tokio::test]
async fn every_exchange_of_a_run_can_be_failed_once() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    for nth in 1..=3 {
        simulator.fault(On::any(nth), Fault::ServerErrorAfter);
    }
    for _ in 0..3 {
        assert_eq!(client.get("/v1/useraccounts").await.unwrap().status, 500);
    }
    assert_eq!(client.get("/v1/useraccounts").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_held_ca_acts_on_release_even_when_the_client_is_gone() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    let barrier = Barrier::new();
    simulator.fault(On::next("POST", ""), Fault::HoldBefore(barrier.clone()));
    let held = tokio::spawn(async move {
        client
            .post(ORDERS, &body(&Applicant::new("fw.example.com")))
            .await
    });
    barrier.wait_reached().await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    assert_eq!(simulator.counters().orders, 0);
    barrier.release();
    while simulator.counters().orders == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reset_after_the_act_leaves_an_order() {
    let simulator = start(|_| {}).await;
    simulator.fault(On::any(1), Fault::ResetAfter);
    let client = client(&simulator);
    let order = body(&Applicant::new("fw.example.com"));
    let reset = client.post(ORDERS, &order).await.unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
    assert_eq!(simulator.counters().orders, 1);
}

#[tokio::test]
async fn a_silent_ca_never_answers_whether_it_acted_or_not() {
    let simulator = start(|_| {}).await;
    for (fault, orders) in [(Fault::SilentBefore, 0), (Fault::SilentAfter, 1)] {
        simulator.fault(On::any(1), fault.clone());
        let order = body(&Applicant::new("fw.example.com"));
        let client = client(&simulator);
        let waiting = tokio::time::timeout(PATIENCE, client.post(ORDERS, &order));
        assert!(waiting.await.is_err(), "{fault:?}");
        assert_eq!(simulator.counters().orders, orders, "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_short_announces_more_than_comes() {
    let simulator = start(|_| {}).await;
    simulator.fault(On::any(1), Fault::CutShort);
    let answer = client(&simulator).get("/v1/useraccounts").await.unwrap();
    let announced: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len(), announced / 2);
}

#[tokio::test]
async fn a_slow_answer_is_complete_for_a_patient_client() {
    let simulator = start(|_| {}).await;
    simulator.fault(On::any(1), Fault::Drip(Duration::from_micros(10)));
    let answer = client(&simulator).get("/v1/useraccounts").await.unwrap();
    assert_ne!(answer.json(), Value::Null);
    simulator.fault(On::any(1), Fault::Drip(PATIENCE));
    let client = client(&simulator);
    let waiting = tokio::time::timeout(PATIENCE, client.get("/v1/useraccounts"));
    assert!(waiting.await.is_err());
}

#[tokio::test]
async fn connections_are_counted_and_go_wrong_one_at_a_time() {
    let simulator = start(|_| {}).await;
    let client = client(&simulator);
    simulator.connection_fault(1, ConnectionFault::Refused);
    simulator.connection_fault(2, ConnectionFault::WrongCertificate);
    simulator.connection_fault(3, ConnectionFault::Silent);
    let refused = client.get("/v1/useraccounts").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionReset);
    let stranger = client.get("/v1/useraccounts").await.unwrap_err();
    assert_eq!(stranger.kind(), ErrorKind::InvalidData, "{stranger}");
    let waiting = tokio::time::timeout(PATIENCE, client.get("/v1/useraccounts"));
    assert!(waiting.await.is_err());
    assert_eq!(client.get("/v1/useraccounts").await.unwrap().status, 200);
    assert_eq!((simulator.connections(), simulator.faults_used()), (4, 3));
    assert_eq!(simulator.counters().requests, 1);
    assert_eq!(simulator.bytes_sent_to_impostor(), 0);
}

#[tokio::test]
async fn each_exchange_has_a_connection_of_its_own_when_set() {
    let simulator = start(|_| {}).await;
    simulator.one_request_each(true);
    let answer = client(&simulator).get("/v1/useraccounts").await.unwrap();
    assert_eq!(answer.header("connection").as_deref(), Some("close"));
}

/// Long enough for a simulator to act, short enough for a test.
const PATIENCE: Duration = Duration::from_millis(300);
