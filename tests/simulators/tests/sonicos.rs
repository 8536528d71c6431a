//! The simulated SonicWall seen from outside: every login scheme, the whole way of a certificate, and some unkind faces.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod client;

use std::net::SocketAddr;

use client::{Client, Login, Office, served_leaf};
use data_encoding::BASE64;
use serde_json::json;
use simulators::sonicos::{
    Action, Faces, Gate, ImportForm, Offer, Port, Profile, Rule, Settings, Simulator,
};

const SHA256: Login = Login::Digest("SHA-256", "auth");

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
        let simulator = start(Profile::V7_X, |faces| {
            (faces.session_variant, faces.integrity_protection) = (Offer::Allowed, Offer::Allowed);
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
    let simulator = start(Profile::V8, |faces| faces.refused_nonce_one_in = 3).await;
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
    let mut anybody = Client::new(simulator.management(), Login::Nothing);
    assert_eq!(
        anybody.call("GET", "/version", "").await.unwrap().status,
        200
    );
    assert_eq!(
        anybody.call("DELETE", "/auth", "").await.unwrap().status,
        200
    );
    let refused = anybody.call("GET", "/version", "").await.unwrap();
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
        faces: Faces {
            totp_secret: Some("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".to_owned()),
            ..Faces::kind()
        },
        now: std::sync::Arc::new(|| time::OffsetDateTime::from_unix_timestamp(59).unwrap()),
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
async fn a_certificate_goes_all_the_way_on_every_profile() {
    for profile in [Profile::V7_0, Profile::V7_X, Profile::V8] {
        let simulator = start(profile, |_| {}).await;
        let mut client = logged_in(&simulator).await;
        let initial = simulator.served_der(Port::Management);
        install(&mut client, &Office::new(), "fw-2026").await;
        bind(&mut client, "fw-2026").await;
        client
            .call("POST", "/config/pending", "")
            .await
            .unwrap()
            .succeeded();
        for address in [simulator.management(), simulator.ssl_vpn()] {
            let leaf = served_leaf(address).await.unwrap();
            assert_ne!(leaf, initial);
            assert_eq!(Some(spki_sha256(&leaf)), simulator.spki_sha256("fw-2026"));
        }
        client
            .call("DELETE", "/certificates/name/fw-initial", "")
            .await
            .unwrap()
            .succeeded();
        client
            .call("DELETE", "/auth", "")
            .await
            .unwrap()
            .succeeded();
        let counters = simulator.counters();
        assert_eq!(
            (
                counters.key_pairs_generated,
                counters.key_pairs_present,
                counters.commits
            ),
            (1, 1, 1)
        );
        assert_eq!(
            (counters.sessions_open, counters.commits_of_foreign_changes),
            (0, 0)
        );
        assert!(!simulator.certificates().contains(&"fw-initial".to_owned()));
    }
}

#[tokio::test]
async fn the_way_is_the_same_on_an_unkind_device() {
    let simulator = start(Profile::V8, |faces| {
        *faces = Faces {
            lost_answer_one_in: 0,
            error_after_applying_one_in: 0,
            ..Faces::unkind()
        }
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let refused = client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body("early"),
        )
        .await
        .unwrap();
    assert_eq!(refused.info("message"), "Non config mode");
    client
        .call("POST", "/config-mode", "")
        .await
        .unwrap()
        .succeeded();
    install(&mut client, &Office::new(), "fw-2026").await;
    bind(&mut client, "fw-2026").await;
    assert!(
        client.call("POST", "/config/pending", "").await.is_err(),
        "the connection is cut at this commit"
    );
    assert_eq!(simulator.counters().sessions_open, 0);
    assert_eq!(
        Some(spki_sha256(
            &served_leaf(simulator.management()).await.unwrap()
        )),
        simulator.spki_sha256("fw-2026")
    );
}

#[tokio::test]
async fn pending_changes_are_lost_with_the_session_and_a_commit_takes_those_of_others() {
    let simulator = start(Profile::V8, |_| {}).await;
    let other = simulator.other_administrator();
    other.has_pending_change("address-object ipv4 office");
    let mut client = logged_in(&simulator).await;
    client
        .call(
            "PUT",
            "/ssl-vpn/server/base",
            r#"{"ssl_vpn":{"server":{"certificate":{"use_self_signed":true}}}}"#,
        )
        .await
        .unwrap()
        .succeeded();
    let pending = client
        .call("GET", "/config/pending", "")
        .await
        .unwrap()
        .json();
    assert_eq!(pending["address_object"], "ipv4 office");
    assert_eq!(
        pending["ssl_vpn"]["server"]["certificate"]["use_self_signed"],
        true
    );
    client
        .call("DELETE", "/auth", "")
        .await
        .unwrap()
        .succeeded();

    let mut client = logged_in(&simulator).await;
    let pending = client
        .call("GET", "/config/pending", "")
        .await
        .unwrap()
        .json();
    assert_eq!(pending, json!({"address_object": "ipv4 office"}));
    client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(simulator.counters().commits_of_foreign_changes, 1);
}

#[tokio::test]
async fn a_bound_certificate_and_a_wrong_key_are_refused() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let in_use = client
        .call("DELETE", "/certificates/name/fw-initial", "")
        .await
        .unwrap();
    assert_eq!(
        (in_use.status, in_use.info("message").as_str()),
        (400, "Certificate is in use")
    );

    let office = Office::new();
    let first = generate(&mut client, "first").await;
    generate(&mut client, "second").await;
    let certificate = office.sign(&first);
    let untrusted = client
        .call(
            "PUT",
            "/import/certificates/signed-cert/name/first",
            &certificate,
        )
        .await
        .unwrap();
    assert!(untrusted.info("message").contains("Untrusted CA"));
    import_authorities(&mut client, &office).await;
    let mismatch = client
        .call(
            "PUT",
            "/import/certificates/signed-cert/name/second",
            &certificate,
        )
        .await
        .unwrap();
    assert_eq!(mismatch.info("message"), "Public/private key mismatch");
    let again = client
        .call("PUT", "/import/certificates/ca-cert", &office.root_pem)
        .await
        .unwrap();
    assert_eq!(again.info("message"), "Certificate already exists");
    let duplicate = client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body("first"),
        )
        .await
        .unwrap();
    assert_eq!(
        duplicate.info("message"),
        "Duplicate local certificate name"
    );
}

#[tokio::test]
async fn a_new_request_shows_up_only_after_some_listings() {
    let simulator = start(Profile::V8, |faces| faces.key_ready_after_listings = 2).await;
    let mut client = logged_in(&simulator).await;
    client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body("slow"),
        )
        .await
        .unwrap()
        .succeeded();
    assert_eq!(
        client
            .call("GET", "/export/certificates/signing-request/name/slow", "")
            .await
            .unwrap()
            .status,
        400
    );
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(
            client
                .call("GET", "/reporting/certificates", "")
                .await
                .unwrap()
                .text()
                .contains("slow"),
        );
    }
    assert_eq!(seen, [false, false, true]);
}

#[tokio::test]
async fn a_device_that_wants_multipart_refuses_the_raw_body() {
    let simulator = start(Profile::V8, |faces| {
        faces.import_form = ImportForm::Multipart
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let office = Office::new();
    let raw = client
        .call("PUT", "/import/certificates/ca-cert", &office.root_pem)
        .await
        .unwrap();
    assert_eq!(raw.status, 400);
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"ca.pem\"\r\n\r\n{}\r\n--b--\r\n",
        office.root_pem
    );
    let multipart = client
        .call_as(
            "PUT",
            "/import/certificates/ca-cert",
            "multipart/form-data; boundary=b",
            body.as_bytes(),
        )
        .await
        .unwrap();
    multipart.succeeded();
}

#[tokio::test]
async fn a_wrong_certificate_on_the_wire_goes_away_when_the_previous_one_is_bound_again() {
    let simulator = start(Profile::V8, |faces| {
        faces.serve_wrong_certificate_after_bind = true
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let initial = simulator.fingerprint();
    install(&mut client, &Office::new(), "fw-2026").await;
    bind(&mut client, "fw-2026").await;
    client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    let wrong = served_leaf(simulator.management()).await.unwrap();
    assert_ne!(Some(spki_sha256(&wrong)), simulator.spki_sha256("fw-2026"));
    assert_ne!(simulator.fingerprint(), initial);
    bind(&mut client, "fw-initial").await;
    client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(simulator.fingerprint(), initial);
}

#[tokio::test]
async fn an_answer_lost_by_rule_leaves_the_key_pair_on_the_device() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    simulator.rule(Rule::once(
        "POST",
        "/certificates/generate",
        Action::DropAfter,
    ));
    assert!(
        client
            .call(
                "POST",
                "/certificates/generate-signing-request",
                &request_body("lost")
            )
            .await
            .is_err()
    );
    assert!(simulator.is_request("lost"));
    simulator.rule(Rule::once(
        "POST",
        "/certificates/generate",
        Action::DropBefore,
    ));
    assert!(
        client
            .call(
                "POST",
                "/certificates/generate-signing-request",
                &request_body("never")
            )
            .await
            .is_err()
    );
    assert_eq!(simulator.counters().key_pairs_generated, 1);
}

#[tokio::test]
async fn the_device_acts_on_release_even_when_the_client_is_gone() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let gate = Gate::new();
    simulator.rule(Rule::once(
        "POST",
        "/certificates/generate",
        Action::HoldBefore(gate.clone()),
    ));
    let held = tokio::spawn(async move {
        client
            .call(
                "POST",
                "/certificates/generate-signing-request",
                &request_body("held"),
            )
            .await
    });
    gate.wait_reached().await;
    held.abort();
    assert!(held.await.unwrap_err().is_cancelled());
    assert_eq!(simulator.counters().key_pairs_generated, 0);
    gate.release();
    while simulator.counters().key_pairs_generated == 0 {
        tokio::task::yield_now().await;
    }
    assert!(simulator.is_request("held"));
}

async fn start(profile: Profile, change: impl FnOnce(&mut Faces)) -> Simulator {
    let mut settings = Settings {
        faces: Faces::kind(),
        ..Settings::new(profile)
    };
    change(&mut settings.faces);
    Simulator::start(settings).await.unwrap()
}

async fn logged_in(simulator: &Simulator) -> Client {
    let mut client = Client::new(simulator.management(), SHA256);
    log_in(&mut client).await;
    client
}

async fn log_in(client: &mut Client) -> client::Answer {
    client
        .call("POST", "/auth", r#"{"override": true}"#)
        .await
        .unwrap()
        .succeeded()
}

/// The request, DER.
async fn generate(client: &mut Client, alias: &str) -> Vec<u8> {
    client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body(alias),
        )
        .await
        .unwrap()
        .succeeded();
    for _ in 0..10 {
        if client
            .call("GET", "/reporting/certificates", "")
            .await
            .unwrap()
            .text()
            .contains(alias)
        {
            break;
        }
    }
    let path = format!("/export/certificates/signing-request/name/{alias}");
    let pem = client.call("GET", &path, "").await.unwrap().text();
    let letters: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    BASE64.decode(letters.as_bytes()).unwrap()
}

async fn install(client: &mut Client, office: &Office, alias: &str) {
    let request = generate(client, alias).await;
    import_authorities(client, office).await;
    let path = format!("/import/certificates/signed-cert/name/{alias}");
    client
        .call("PUT", &path, &office.sign(&request))
        .await
        .unwrap()
        .succeeded();
    let listing = client
        .call("GET", "/reporting/certificates", "")
        .await
        .unwrap()
        .json();
    let row = listing
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["certificate"] == alias)
        .unwrap();
    assert_eq!(
        (&row["type"], &row["validated"]),
        (&json!("Local certificate"), &json!("Yes"))
    );
}

async fn import_authorities(client: &mut Client, office: &Office) {
    for pem in [&office.root_pem, &office.intermediate_pem] {
        client
            .call("PUT", "/import/certificates/ca-cert", pem)
            .await
            .unwrap()
            .succeeded();
    }
}

async fn bind(client: &mut Client, alias: &str) {
    let certificate = json!({"name": alias});
    let management = json!({"administration": {"web_management": {"certificate": certificate}}});
    client
        .call("PUT", "/administration/global", &management.to_string())
        .await
        .unwrap()
        .succeeded();
    let ssl_vpn = json!({"ssl_vpn": {"server": {"certificate": certificate}}});
    client
        .call("PUT", "/ssl-vpn/server/base", &ssl_vpn.to_string())
        .await
        .unwrap()
        .succeeded();
}

fn request_body(alias: &str) -> String {
    json!({"certificates": {"generate_signing_request": [{
        "alias": alias,
        "distinguished_name": {
            "element1": {"country": "United States"},
            "element4": {"organization": "My Company"},
            "element5": {"department": "IT"},
            "element6": {"common_name": "fw.example.com"},
        },
        "alternate_name": {"domain_name": "fw.example.com"},
        "signature_algorithm": "sha-256",
        "key": {"type": "ecdsa", "size": "256"},
        "generate": true,
    }]}})
    .to_string()
}

fn spki_sha256(der: &[u8]) -> String {
    use sha2::Digest as _;
    use x509_parser::prelude::{FromDer, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    client::hex(&sha2::Sha256::digest(certificate.public_key().raw))
}

/// Both ports are on loopback unless told otherwise.
#[tokio::test]
async fn the_ports_are_on_loopback() {
    let simulator = start(Profile::V8, |_| {}).await;
    let addresses: [SocketAddr; 2] = [simulator.management(), simulator.ssl_vpn()];
    assert!(
        addresses
            .iter()
            .all(|address| address.ip().is_loopback() && address.port() != 0)
    );
    simulator.stop().await;
    assert!(served_leaf(addresses[0]).await.is_err());
}
