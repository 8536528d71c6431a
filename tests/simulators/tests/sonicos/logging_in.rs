//! Every login scheme, the identification of later requests, and the lockout.

use std::sync::{Arc, Mutex};

use serde_json::json;
use simulators::sonicos::{Offer, Profile, Settings, Simulator, Variants};
use time::{Duration, OffsetDateTime};

use crate::client::{self, Client, Login};
use crate::steps::{SHA256, log_in, logged_in, start};

#[tokio::test]
async fn digest_logs_in_with_every_algorithm_and_both_qualities() {
    let variants = [
        ("SHA-256", "auth"),
        ("MD5", "auth"),
        ("SHA-256-sess", "auth"),
        ("MD5-sess", "auth-int"),
        ("SHA-256", "auth-int"),
    ];
    for (algorithm, quality) in variants {
        let simulator = start(Profile::V7_X, |variants| {
            (variants.session_variant, variants.integrity_protection) =
                (Offer::Allowed, Offer::Allowed);
        })
        .await;
        let mut client = Client::new(simulator.management(), Login::Digest(algorithm, quality));
        let login = log_in(&mut client).await;
        assert_eq!(login.info("config_mode"), "Yes", "{algorithm} {quality}");
        let version = client.call("GET", "/version", "").await.unwrap();
        assert_eq!(version.json()["model"], "TZ 370", "{algorithm} {quality}");
    }
}

#[tokio::test]
async fn a_nonce_serves_ten_requests_then_the_next_one_is_handed_out() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = Client::new(simulator.management(), SHA256);
    log_in(&mut client).await;
    let mut handed_out = 0;
    for _ in 0..25 {
        let answer = client.call("GET", "/version", "").await.unwrap();
        assert_eq!(answer.status, 200);
        handed_out += answer.header("authentication-info").len();
    }
    assert_eq!((handed_out, client.stale), (2, 0));
    assert_eq!(simulator.counters().failed_logins, 0);
}

#[tokio::test]
async fn a_good_nonce_is_sometimes_called_stale() {
    let simulator = start(Profile::V8, |variants| variants.refused_nonce_one_in = 3).await;
    let mut client = Client::new(simulator.management(), SHA256);
    log_in(&mut client).await;
    for _ in 0..20 {
        assert_eq!(
            client.call("GET", "/version", "").await.unwrap().status,
            200
        );
    }
    assert!(client.stale > 0);
    assert_eq!(simulator.counters().failed_logins, 0);
}

#[tokio::test]
async fn basic_opens_a_session_that_belongs_to_the_address_on_7_0() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    log_in(&mut Client::new(simulator.management(), Login::Basic)).await;
    let mut anonymous = Client::new(simulator.management(), Login::Nothing);
    assert_eq!(
        anonymous.call("GET", "/version", "").await.unwrap().status,
        200
    );
    assert_eq!(
        anonymous.call("DELETE", "/auth", "").await.unwrap().status,
        200
    );
    let refused = anonymous.call("GET", "/version", "").await.unwrap();
    assert_eq!((refused.status, refused.body.len()), (401, 0));
}

#[tokio::test]
async fn basic_is_off_on_8() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = Client::new(simulator.management(), Login::Basic);
    let answer = client.call("POST", "/auth", "{}").await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("www-authenticate").len(), 1);
    assert_eq!(simulator.counters().failed_logins, 0);
}

#[tokio::test]
async fn chap_logs_in_and_session_security_continues_with_digest() {
    use md5::Digest as _;
    let simulator = start(Profile::V7_X, |_| {}).await;
    let mut client = Client::new(simulator.management(), SHA256);
    client.login = Login::Nothing;
    let challenge = client.call("GET", "/auth", "").await.unwrap().json();
    let unhex = |value: &serde_json::Value| {
        data_encoding::HEXLOWER
            .decode(value.as_str().unwrap().as_bytes())
            .unwrap()
    };
    let secret = [
        unhex(&challenge["id"]),
        b"correct horse".to_vec(),
        unhex(&challenge["challenge"]),
    ]
    .concat();
    let digest = client::hex(&md5::Md5::digest(&secret));
    let body = json!({"override": true, "id": challenge["id"], "user": "renewd", "digest": digest});
    client
        .call("POST", "/auth", &body.to_string())
        .await
        .unwrap()
        .succeeded();
    assert_eq!(
        client.call("GET", "/version", "").await.unwrap().status,
        401
    );
    client.login = SHA256;
    assert_eq!(
        client.call("GET", "/version", "").await.unwrap().status,
        200
    );
}

#[tokio::test]
async fn a_totp_login_gives_a_bearer_token() {
    let settings = Settings {
        // RFC 6238 appendix B: 287082 is the code of the 59th second.
        variants: Variants {
            totp_secret: Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()),
            ..Variants::kind()
        },
        now: Arc::new(|| OffsetDateTime::from_unix_timestamp(59).unwrap()),
        ..Settings::new(Profile::V8)
    };
    let simulator = Simulator::start(settings).await.unwrap();
    let mut client = Client::new(simulator.management(), Login::Nothing);
    let body = |code: &str| {
        json!({"user": "renewd", "password": "correct horse", "tfa": code, "override": true})
            .to_string()
    };
    assert_eq!(
        client
            .call("POST", "/tfa", &body("000000"))
            .await
            .unwrap()
            .status,
        401
    );
    let token = client
        .call("POST", "/tfa", &body("287082"))
        .await
        .unwrap()
        .succeeded()
        .info("bearer_token");
    client.login = Login::Bearer(token);
    assert_eq!(
        client.call("GET", "/version", "").await.unwrap().status,
        200
    );
}

#[tokio::test]
async fn five_wrong_passwords_lock_the_account() {
    let simulator = start(Profile::V8, |_| {}).await;
    for _ in 0..5 {
        let mut client = Client::new(simulator.management(), SHA256);
        client.password = "wrong".to_owned();
        assert_eq!(
            client.call("POST", "/auth", "{}").await.unwrap().status,
            401
        );
    }
    let mut right = Client::new(simulator.management(), SHA256);
    assert_eq!(right.call("POST", "/auth", "{}").await.unwrap().status, 401);
    assert_eq!(
        (
            simulator.counters().failed_logins,
            simulator.counters().locked_out
        ),
        (5, 1)
    );
}

#[tokio::test]
async fn only_override_replaces_an_open_session() {
    let simulator = start(Profile::V8, |_| {}).await;
    logged_in(&simulator).await;
    let mut second = Client::new(simulator.management(), SHA256);
    assert_eq!(
        second.call("POST", "/auth", "{}").await.unwrap().status,
        503
    );
    log_in(&mut second).await;
    assert_eq!(simulator.counters().logins, 2);
}

#[tokio::test]
async fn an_idle_session_is_closed_by_the_device_clock() {
    let clock = Arc::new(Mutex::new(OffsetDateTime::now_utc()));
    let hands = clock.clone();
    let settings = Settings {
        now: Arc::new(move || *hands.lock().unwrap()),
        ..Settings::new(Profile::V8)
    };
    let simulator = Simulator::start(settings).await.unwrap();
    let mut client = logged_in(&simulator).await;
    *clock.lock().unwrap() += Duration::minutes(6);
    let refused = client.call("GET", "/version", "").await.unwrap();
    assert_eq!(
        (refused.status, refused.info("code").as_str()),
        (401, "E_UNAUTHORIZED")
    );
}

#[tokio::test]
async fn a_disabled_api_and_a_read_only_user_are_reported() {
    let simulator = start(Profile::V8, |variants| variants.api_disabled = true).await;
    let mut client = Client::new(simulator.management(), SHA256);
    let disabled = client.call("POST", "/auth", "{}").await.unwrap();
    assert_eq!(
        (disabled.status, disabled.info("code").as_str()),
        (403, "E_DISABLED")
    );
    simulator
        .set(|variants| (variants.api_disabled, variants.read_only_administrator) = (false, true));
    assert_eq!(log_in(&mut client).await.info("config_mode"), "No");
    assert_eq!(
        client
            .call("POST", "/config-mode", "")
            .await
            .unwrap()
            .status,
        403
    );
}

#[tokio::test]
async fn no_secret_is_in_the_journal() {
    let simulator = start(Profile::V7_X, |_| {}).await;
    let token = logged_in(&simulator)
        .await
        .call("POST", "/auth", r#"{"override": true}"#)
        .await
        .unwrap()
        .info("bearer_token");
    assert!(!token.is_empty());
    let journal = simulator.journal().join("\n");
    assert!(
        !journal.contains(&token) && !journal.contains("correct horse"),
        "{journal}"
    );
    assert!(journal.contains("POST /auth 200 (digest)"), "{journal}");
}
