//! The installation of a certificate from the key pair to the handshake, and the refusals.

use std::net::SocketAddr;

use serde_json::json;
use simulators::sonicos::{CsrForm, ImportForm, Port, Profile};

use crate::client::served_leaf;
use crate::office::Office;
use crate::steps::{
    bind, generate, import_authorities, install, logged_in, request_body, spki_sha256, start,
};

#[tokio::test]
async fn a_certificate_is_requested_imported_and_served_on_every_profile() {
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
        assert_eq!(simulator.bound(Port::SslVpn).as_deref(), Some("fw-2026"));
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

    assert_eq!(simulator.pending(), ["address-object ipv4 office"]);

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
    let simulator = start(Profile::V8, |variants| {
        variants.key_ready_after_listings = 2;
    })
    .await;
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
    let simulator = start(Profile::V8, |variants| {
        variants.import_form = ImportForm::Multipart;
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

#[tokio::test]
async fn a_request_is_exported_in_every_form_with_the_same_bytes() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let der = generate(&mut client, "forms").await;
    let mut export = async |form: CsrForm| {
        simulator.set(|variants| variants.csr_form = form);
        client
            .call("GET", "/export/certificates/signing-request/name/forms", "")
            .await
            .unwrap()
    };
    assert_eq!(export(CsrForm::Der).await.body, der);
    assert!(
        export(CsrForm::NewPem)
            .await
            .text()
            .starts_with("-----BEGIN NEW CERTIFICATE REQUEST-----\n")
    );
    assert!(
        export(CsrForm::JsonString)
            .await
            .json()
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE REQUEST-----\n")
    );
    assert!(export(CsrForm::JsonObject).await.json()["signing_request"].is_string());
}

#[tokio::test]
async fn with_auto_commit_a_binding_is_served_at_once() {
    let simulator = start(Profile::V7_0, |variants| variants.auto_commit = true).await;
    let mut client = logged_in(&simulator).await;
    let before = simulator.served_der(Port::SslVpn);
    let body = r#"{"ssl_vpn":{"server":{"certificate":{"use_self_signed":true}}}}"#;
    client
        .call("PUT", "/ssl-vpn/server/base", body)
        .await
        .unwrap()
        .succeeded();
    assert_ne!(simulator.served_der(Port::SslVpn), before);
    let nothing = client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    assert_eq!(nothing.info("message"), "No changes made.");
}

#[tokio::test]
async fn a_ca_is_deleted_by_its_hash() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    import_authorities(&mut client, &Office::new()).await;
    let detail = client
        .call("GET", "/reporting/certificates/name/Office%20Root", "")
        .await
        .unwrap()
        .json();
    let hash = detail["ca_hash"]
        .as_str()
        .unwrap()
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    client
        .call("DELETE", &format!("/certificates/ca/{hash}"), "")
        .await
        .unwrap()
        .succeeded();
    assert!(!simulator.certificates().contains(&"Office Root".to_owned()));
}

#[tokio::test]
async fn unknown_and_incomplete_paths_are_distinguished() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let incomplete = client
        .call("GET", "/export/certificates/signing-request", "")
        .await
        .unwrap();
    assert_eq!(
        (incomplete.status, incomplete.info("code").as_str()),
        (400, "E_INVALID_API_CALL")
    );
    assert_eq!(
        client.call("GET", "/nonsense", "").await.unwrap().status,
        404
    );
}

#[tokio::test]
async fn certificate_operations_wait_for_a_commit_when_set() {
    let simulator = start(Profile::V8, |variants| {
        (variants.generation_is_pending, variants.imports_are_pending) = (true, true);
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let office = Office::new();
    client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body("later"),
        )
        .await
        .unwrap()
        .succeeded();
    assert!(!simulator.is_request("later"));
    client
        .call("PUT", "/import/certificates/ca-cert", &office.root_pem)
        .await
        .unwrap()
        .succeeded();
    assert_eq!(simulator.pending().len(), 2);
    client
        .call("POST", "/config/pending", "")
        .await
        .unwrap()
        .succeeded();
    assert!(simulator.is_request("later"));
    assert!(simulator.certificates().contains(&"Office Root".to_owned()));
}
