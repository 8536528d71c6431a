//! The built-in listener, asked over raw sockets. It belongs to the process: each test has a file of its own.

use std::net::SocketAddr;
use std::time::Duration;

use renewd::dcv::{Method, Proof, Settings, Validator, http};
use renewd::env::Env;
use renewd::failure::FailureKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::peers::free_address;

#[tokio::test]
async fn a_file_is_served_from_present_to_withdraw_and_then_the_port_is_free() {
    let address = free_address();
    let validator = validator(&[address]);
    assert_eq!(validator.method(), Method::Http);
    let missing = validator.missing(&file("one-0")).await.unwrap();
    assert!(missing.unwrap().contains("does not answer"));

    validator.present(&file("one-0")).await.unwrap();
    validator.present(&file("one-0")).await.unwrap();
    assert_eq!(validator.missing(&file("one-0")).await.unwrap(), None);
    let answer = get(address, &path("one-0"), "fw.example.com").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\none-0.thumbprint"), "{answer}");

    validator.withdraw(&file("one-0")).await.unwrap();
    validator.withdraw(&file("one-0")).await.unwrap();
    TcpListener::bind(address).await.expect("the port is free");
}

#[tokio::test]
async fn a_port_removed_from_the_configuration_during_a_validation_is_free_afterwards() {
    let (before, after) = (free_address(), free_address());
    let proof = file("reloaded");
    validator(&[before]).present(&proof).await.unwrap();
    let reloaded = validator(&[after]);
    reloaded.present(&proof).await.unwrap();
    reloaded.withdraw(&proof).await.unwrap();
    for address in [before, after] {
        TcpListener::bind(address).await.expect("the port is free");
    }
}

#[tokio::test]
async fn everything_but_the_validation_file_is_not_found() {
    let address = free_address();
    let validator = validator(&[address]);
    validator.present(&file("one-2")).await.unwrap();
    for (path, host) in [
        ("/", "fw.example.com"),
        (path("two-2").as_str(), "fw.example.com"),
    ] {
        let answer = get(address, path, host).await;
        assert!(
            answer.starts_with("HTTP/1.1 404 "),
            "{path} {host}: {answer}"
        );
    }
    let path = path("one-2");
    let post =
        format!("POST {path} HTTP/1.1\r\nHost: fw.example.com\r\nContent-Length: 2\r\n\r\nhi");
    assert!(
        exchange(address, post.as_bytes())
            .await
            .starts_with("HTTP/1.1 404 ")
    );
    let head = format!("HEAD {path} HTTP/1.1\r\nHost: fw.example.com\r\n\r\n");
    let answer = exchange(address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    validator.withdraw(&file("one-2")).await.unwrap();
}

#[tokio::test]
async fn a_huge_or_broken_request_is_turned_away_and_the_next_guest_is_served() {
    let address = free_address();
    let validator = validator(&[address]);
    validator.present(&file("one-3")).await.unwrap();
    let huge = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let answer = exchange(address, huge.as_bytes()).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let answer = exchange(
        address,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    )
    .await;
    assert!(!answer.contains("200 OK"), "{answer}");
    let answer = get(address, &path("one-3"), "fw.example.com").await;
    assert!(answer.ends_with("one-3.thumbprint"), "{answer}");
    validator.withdraw(&file("one-3")).await.unwrap();
}

#[tokio::test]
async fn a_connection_carries_one_request_only() {
    let address = free_address();
    let validator = validator(&[address]);
    validator.present(&file("one-4")).await.unwrap();
    let one = format!(
        "GET {} HTTP/1.1\r\nHost: fw.example.com\r\n\r\n",
        path("one-4")
    );
    let answer = exchange(address, one.repeat(3).as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    validator.withdraw(&file("one-4")).await.unwrap();
}

#[tokio::test]
async fn slow_guests_do_not_keep_the_ca_waiting() {
    let address = free_address();
    let validator = validator(&[address]);
    validator.present(&file("one-5")).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..32 {
        let mut guest = TcpStream::connect(address).await.unwrap();
        guest.write_all(b"GET / HT").await.unwrap();
        slow.push(guest);
    }
    let path = path("one-5");
    let answer = get(address, &path, "fw.example.com");
    let answer = tokio::time::timeout(Duration::from_secs(2), answer).await;
    assert!(answer.expect("in time").ends_with("one-5.thumbprint"));
    validator.withdraw(&file("one-5")).await.unwrap();
}

/// As nginx (`proxy_pass`) and Apache (`ProxyPass`) ask by default: under the name of the server behind them.
#[tokio::test]
async fn behind_a_proxy_that_replaces_the_host_the_validation_still_succeeds() {
    let address = free_address();
    let validator = validator(&[address]);
    validator.present(&file("one-9")).await.unwrap();
    for host in [&address.to_string(), "acme_backend", "localhost"] {
        let answer = get(address, &path("one-9"), host).await;
        assert!(
            answer.ends_with("\r\n\r\none-9.thumbprint"),
            "{host}: {answer}"
        );
    }
    let nameless = format!("GET {} HTTP/1.0\r\n\r\n", path("one-9"));
    let answer = exchange(address, nameless.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    validator.withdraw(&file("one-9")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn six_hundred_half_open_connections_do_not_delay_the_ca() {
    let address = free_address();
    let validator = validator(&[address]);
    validator.present(&file("one-10")).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..600 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let path = path("one-10");
    let answer = get(address, &path, "fw.example.com");
    // A half-open connection is given up after five seconds.
    let answer = tokio::time::timeout(Duration::from_secs(3), answer).await;
    assert!(answer.expect("in time").ends_with("one-10.thumbprint"));
    validator.withdraw(&file("one-10")).await.unwrap();
}

#[tokio::test]
async fn two_cas_share_a_port_and_it_closes_with_the_last_validation() {
    let address = free_address();
    let (first, second) = (validator(&[address]), validator(&[address]));
    first.present(&file("one-6")).await.unwrap();
    second.present(&file("two-6")).await.unwrap();
    first.withdraw(&file("one-6")).await.unwrap();
    assert_eq!(second.missing(&file("two-6")).await.unwrap(), None);
    let missing = first.missing(&file("one-6")).await.unwrap();
    assert!(missing.unwrap().contains("gives something else"));
    second.withdraw(&file("two-6")).await.unwrap();
    TcpListener::bind(address).await.expect("the port is free");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_and_none_stays_open() {
    let (free, taken) = (
        free_address(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let occupied = taken.local_addr().unwrap();
    let validator = validator(&[free, occupied]);
    let failure = validator.present(&file("one-7")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Local);
    assert!(
        failure.to_string().contains(&occupied.to_string()),
        "{failure}"
    );
    assert!(
        failure.detail.contains("another program listens there"),
        "{failure}"
    );
    let rehearsed = validator.rehearse(&file("one")).await.unwrap_err();
    assert_eq!(rehearsed, failure);
    assert_eq!(validator.check().await.unwrap_err(), failure);
    TcpListener::bind(free).await.expect("the port is free");
}

#[tokio::test]
async fn a_check_opens_nothing_for_longer_than_it_takes() {
    let address = free_address();
    let validator = validator(&[address]);
    let facts = validator.check().await.unwrap();
    assert_eq!(facts[0].1, "can be opened");
    validator.present(&file("one-8")).await.unwrap();
    assert_eq!(validator.check().await.unwrap()[0].1, "open, a proof is up");
    validator.withdraw(&file("one-8")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_never_blocks_a_validation() {
    let address = free_address();
    for _ in 0..50 {
        let tasks = ["one", "two", "three"].map(|token| {
            tokio::spawn(async move {
                let validator = validator(&[address]);
                validator.rehearse(&file(token)).await.unwrap();
                validator.present(&file(token)).await.unwrap();
                validator.rehearse(&file(token)).await.unwrap();
                validator.withdraw(&file(token)).await.unwrap();
            })
        });
        for task in tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_no_file_can_prove_is_refused() {
    let validator = validator(&[free_address()]);
    let record = Proof::Txt {
        name: "_acme-challenge.example.com".into(),
        value: "x".into(),
    };
    let failure = validator.present(&record).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Refused);
    assert_eq!(validator.rehearse(&record).await.unwrap_err(), failure);
    assert!(failure.detail.contains("a TXT record"), "{failure}");
    for (domain, path) in [
        ("example.com", "/etc/passwd"),
        ("example.com", "/.well-known/x y"),
        ("example.com\r\nX: y", "/.well-known/x"),
        ("", "/.well-known/x"),
        ("*.example.com", "/.well-known/x"),
        ("example.com:80", "/.well-known/x"),
        ("-example.com", "/.well-known/x"),
        ("example..com", "/.well-known/x"),
    ] {
        let proof = Proof::File {
            domain: domain.into(),
            path: path.into(),
            content: "x".into(),
        };
        let failure = validator.present(&proof).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused, "{domain} {path}");
    }
}

fn validator(listen: &[SocketAddr]) -> Validator {
    let settings = Settings::Http(http::Settings {
        listen: listen.to_vec(),
    });
    Validator::new(settings, Env::system())
}

fn file(token: &str) -> Proof {
    Proof::File {
        domain: "fw.example.com".to_owned(),
        path: path(token),
        content: format!("{token}.thumbprint"),
    }
}

fn path(token: &str) -> String {
    format!("/.well-known/acme-challenge/{token}")
}

async fn get(address: SocketAddr, path: &str, host: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    exchange(address, request.as_bytes()).await
}

/// The response until the other side closes, even if it does not read the whole request.
async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
