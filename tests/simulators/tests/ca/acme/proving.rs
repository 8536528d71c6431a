//! Challenges, which are validated by real connections.

use std::net::SocketAddr;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use simulators::acme::{ProblemType, Simulator, Variants};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use super::start;
use super::subscriber::{Subscriber, problem};

const TXT_NAME: &str = "_acme-challenge.fw.example.com";

async fn start_honest(change: impl FnOnce(&mut Variants)) -> (Simulator, Subscriber, String) {
    let simulator = start(|settings| {
        settings.variants.always_valid = false;
        change(&mut settings.variants);
    })
    .await;
    let subscriber = Subscriber::registered(&simulator).await;
    let order = subscriber.order(&["fw.example.com"]).await;
    (simulator, subscriber, order)
}

/// Answers every request with this page, and reports how the first line and the host of each began.
async fn web_server(page: String) -> (u16, JoinHandle<()>, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, requests) = tokio::sync::mpsc::channel(16);
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 2048];
            let length = stream.read(&mut request).await.unwrap();
            seen.send(String::from_utf8_lossy(&request[..length]).into_owned())
                .await
                .unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
                page.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, server, requests)
}

/// Answers one kind of question: any question, with one TXT record or with NXDOMAIN.
async fn name_server(text: Option<String>) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let mut message = vec![0; 512];
            let (length, client) = socket.recv_from(&mut message).await.unwrap();
            message.truncate(length);
            message[2] |= 0x80;
            match &text {
                None => message[3] = 3,
                Some(text) => {
                    message[7] = 1;
                    let length = u8::try_from(text.len()).unwrap();
                    message.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, length + 1, length]);
                    message.extend(text.as_bytes());
                }
            }
            socket.send_to(&message, client).await.unwrap();
        }
    });
    (address, server)
}

fn digest(subscriber: &Subscriber, challenge: &Value) -> String {
    let token = challenge["token"].as_str().unwrap();
    BASE64URL_NOPAD.encode(&Sha256::digest(subscriber.key_authorization(token)))
}

/// The error of the challenge of this kind.
async fn error(subscriber: &Subscriber, order: &str, kind: &str) -> Value {
    let challenge = subscriber.challenge(order, kind).await;
    assert_eq!(challenge["status"], "invalid");
    challenge["error"].clone()
}

#[tokio::test]
async fn a_page_is_fetched_from_every_vantage_point_with_the_name_as_host() {
    let (simulator, subscriber, order) = start_honest(|variants| variants.vantage_points = 3).await;
    let challenge = subscriber.challenge(&order, "http-01").await;
    let token = challenge["token"].as_str().unwrap();
    let page = subscriber.key_authorization(token) + "\r\n";
    let (port, server, mut requests) = web_server(page).await;
    simulator.set(|variants| variants.http_port = port);
    assert_eq!(
        subscriber.prove(&order, &challenge).await["status"],
        "ready"
    );
    for _ in 0..3 {
        let request = requests.recv().await.unwrap().to_lowercase();
        let line = format!("GET /.well-known/acme-challenge/{token} HTTP/1.1\r\n");
        assert!(request.starts_with(&line.to_lowercase()), "{request}");
        assert!(request.contains("host: fw.example.com\r\n"), "{request}");
    }
    assert!(requests.try_recv().is_err());
    server.abort();
}

#[tokio::test]
async fn a_wrong_page_is_unauthorized_and_makes_the_order_invalid() {
    let (simulator, subscriber, order) = start_honest(|_| {}).await;
    let (port, server, _requests) = web_server("something else".to_owned()).await;
    simulator.set(|variants| variants.http_port = port);
    let challenge = subscriber.challenge(&order, "http-01").await;
    assert_eq!(
        subscriber.prove(&order, &challenge).await["status"],
        "invalid"
    );
    let error = error(&subscriber, &order, "http-01").await;
    assert_eq!(error["type"], "urn:ietf:params:acme:error:unauthorized");
    assert!(error["detail"].as_str().unwrap().contains("something else"));
    assert_eq!(subscriber.authorization(&order).await["status"], "invalid");
    server.abort();
}

#[tokio::test]
async fn a_closed_port_is_a_connection_problem() {
    let (simulator, subscriber, order) = start_honest(|_| {}).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = closed.local_addr().unwrap().port();
    drop(closed);
    simulator.set(|variants| variants.http_port = port);
    let challenge = subscriber.challenge(&order, "http-01").await;
    assert_eq!(
        subscriber.prove(&order, &challenge).await["status"],
        "invalid"
    );
    let error = error(&subscriber, &order, "http-01").await;
    assert_eq!(error["type"], "urn:ietf:params:acme:error:connection");
}

#[tokio::test]
async fn a_given_txt_record_is_a_proof_and_a_wrong_one_is_none() {
    for right in [true, false] {
        let (simulator, subscriber, order) = start_honest(|_| {}).await;
        let challenge = subscriber.challenge(&order, "dns-01").await;
        simulator.txt(TXT_NAME, "of an older order");
        if right {
            simulator.txt(TXT_NAME, &digest(&subscriber, &challenge));
        }
        let outcome = subscriber.prove(&order, &challenge).await;
        assert_eq!(outcome["status"], if right { "ready" } else { "invalid" });
    }
    let (simulator, subscriber, order) = start_honest(|_| {}).await;
    let challenge = subscriber.challenge(&order, "dns-01").await;
    simulator.txt(TXT_NAME, &digest(&subscriber, &challenge));
    simulator.clear_txt(TXT_NAME);
    subscriber.prove(&order, &challenge).await;
    let error = error(&subscriber, &order, "dns-01").await;
    assert!(error["detail"].as_str().unwrap().contains("no TXT record"));
}

#[tokio::test]
async fn a_dns_server_is_asked_for_the_txt_record() {
    let (simulator, subscriber, order) = start_honest(|_| {}).await;
    let challenge = subscriber.challenge(&order, "dns-01").await;
    let (address, server) = name_server(Some(digest(&subscriber, &challenge))).await;
    simulator.set(|variants| variants.dns_server = Some(address));
    assert_eq!(
        subscriber.prove(&order, &challenge).await["status"],
        "ready"
    );
    server.abort();
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_a_dns_problem() {
    let (simulator, subscriber, order) = start_honest(|_| {}).await;
    let (address, server) = name_server(None).await;
    simulator.set(|variants| variants.dns_server = Some(address));
    let challenge = subscriber.challenge(&order, "dns-01").await;
    assert_eq!(
        subscriber.prove(&order, &challenge).await["status"],
        "invalid"
    );
    let error = error(&subscriber, &order, "dns-01").await;
    assert_eq!(error["type"], "urn:ietf:params:acme:error:dns");
    assert!(error["detail"].as_str().unwrap().contains("NXDOMAIN"));
    server.abort();
}

#[tokio::test]
async fn a_wildcard_is_proved_by_a_txt_record_only() {
    let (_simulator, subscriber, _) = start_honest(|_| {}).await;
    let order = subscriber.order(&["*.example.com"]).await;
    let authorization = subscriber.authorization(&order).await;
    assert_eq!(authorization["wildcard"], json!(true));
    assert_eq!(authorization["identifier"]["value"], "example.com");
    let challenges = authorization["challenges"].as_array().unwrap();
    assert!(challenges.len() == 1 && challenges[0]["type"] == "dns-01");
}

#[tokio::test]
async fn a_challenge_is_validated_once_however_often_the_client_requests_it() {
    let (simulator, subscriber, order) = start_honest(|variants| {
        variants.always_valid = true;
        variants.validation_polls = 2;
    })
    .await;
    let challenge = subscriber.challenge(&order, "http-01").await;
    let url = challenge["url"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(subscriber.post(url, &json!({})).await.status, 200);
    }
    assert_eq!(
        subscriber.settled(&order, "pending").await["status"],
        "ready"
    );
    assert_eq!(
        subscriber.post(url, &json!({})).await.json()["status"],
        "valid"
    );
    assert_eq!(simulator.validations(), 1);
}

#[tokio::test]
async fn every_kind_of_failure_can_be_had() {
    for kind in [
        ProblemType::Connection,
        ProblemType::Dns,
        ProblemType::Caa,
        ProblemType::RateLimited,
        ProblemType::NeverHeardOf,
    ] {
        let (_simulator, subscriber, order) =
            start_honest(|variants| variants.validation_fails = Some(kind)).await;
        let challenge = subscriber.challenge(&order, "http-01").await;
        assert_eq!(
            subscriber.prove(&order, &challenge).await["status"],
            "invalid"
        );
        let error = error(&subscriber, &order, "http-01").await;
        let wanted = format!("urn:ietf:params:acme:error:{}", kind.word());
        assert_eq!(error["type"], wanted);
    }
}

#[tokio::test]
async fn the_challenge_of_an_unknown_type_has_no_token_and_cannot_be_answered() {
    let (_simulator, subscriber, order) =
        start_honest(|variants| variants.unknown_challenge = true).await;
    let challenge = subscriber.challenge(&order, "dns-persist-01").await;
    assert_eq!(challenge["token"], Value::Null);
    let refused = subscriber
        .post(challenge["url"].as_str().unwrap(), &json!({}))
        .await;
    assert_eq!(problem(&refused), "malformed");
}
