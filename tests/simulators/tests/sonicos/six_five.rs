//! SonicOS 6.5: HTTP/1.0, its paths, and files that the device brings and fetches itself.

use data_encoding::BASE64;
use serde_json::json;
use simulators::sonicos::{
    FtpMode, P10Form, P10Name, Port, Profile, Settings, Simulator, Tampering, TransferFault,
    TransferProtocols, TransferSpelling, UrlForm, Variants,
};
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

use crate::client::{self, Client, HttpAnswer, Login};
use crate::ftp_server::FtpServer;
use crate::office::Office;
use crate::scp_server::ScpServer;
use crate::steps::{log_in, request_body, start};

const GENERATE: &str = "/certificates/generate-signing-request";

async fn device(change: impl FnOnce(&mut Variants)) -> (Simulator, Client) {
    let simulator = start(Profile::V6_5, change).await;
    let mut client = Client::new(simulator.management(), Login::Basic);
    log_in(&mut client).await;
    (simulator, client)
}

async fn with_request(change: impl FnOnce(&mut Variants)) -> (Simulator, Client) {
    let (simulator, mut client) = device(change).await;
    let made = client.call("POST", GENERATE, &request_body("fw")).await;
    made.unwrap().succeeded();
    (simulator, client)
}

async fn export(client: &mut Client, url: &str) -> HttpAnswer {
    let path = format!("/certificates/export/signing-request/name/fw/ftp/{url}");
    client.call("PUT", &path, "").await.unwrap()
}

fn der(pem: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(pem.to_vec()).unwrap();
    let letters: String = text
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect();
    BASE64.decode(letters.as_bytes()).unwrap()
}

#[tokio::test]
async fn the_login_looks_like_the_trace() {
    let (simulator, _) = device(|_| {}).await;
    let head = "POST /api/sonicos/auth HTTP/1.1\r\nAccept: application/json\r\n\
        Authorization: Basic cmVuZXdkOmNvcnJlY3QgaG9yc2U=\r\nContent-Length: 18\r\n\r\n{\"override\": true}";
    let mut stream = client::connect(simulator.management()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(
        answer,
        "HTTP/1.0 200 OK\r\nServer: SonicWALL\r\nExpires: -1\r\nCache-Control: no-cache\r\n\
         Content-type: application/json; charset=UTF-8\r\nX-Content-Type-Options: nosniff\r\n\r\n\
         {\"status\":{\"success\":true,\"info\":[{\"level\":\"info\",\"code\":\"E_OK\",\"message\":\"Success.\"}]}}"
    );
}

#[tokio::test]
async fn a_header_before_accept_is_refused() {
    let (simulator, _) = device(|_| {}).await;
    for (names, status) in [
        (["Accept", "User-Agent"], " 200 "),
        (["User-Agent", "Accept"], " 406 "),
    ] {
        let [first, second] = names;
        let head =
            format!("GET /api/sonicos/version HTTP/1.1\r\n{first}: x/y\r\n{second}: x/y\r\n\r\n");
        let mut stream = client::connect(simulator.management()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(&answer[8..13], status, "{answer}");
    }
}

#[tokio::test]
async fn paths_of_later_firmware_are_unknown() {
    let (_simulator, mut client) = with_request(|_| {}).await;
    let version = client.call("GET", "/version", "").await.unwrap().json();
    assert_eq!(version["firmware_version"], "SonicOS Enhanced 6.5.4.4-44n");
    let path = "/export/certificates/signing-request/name/fw";
    let export = client.call("GET", path, "").await.unwrap();
    assert_eq!(
        (export.status, export.info("message").as_str()),
        (400, "API endpoint is incomplete.")
    );
    for (method, path) in [
        ("GET", "/reporting/certificates"),
        ("GET", "/ssl-vpn/server/base"),
        ("PUT", "/import/certificates/ca-cert"),
    ] {
        let answer = client.call(method, path, "").await.unwrap();
        assert_eq!(answer.status, 404, "{path}");
    }
    let settings = client.call("GET", "/ssl-vpn/server", "").await.unwrap();
    let name = json!("fw-initial");
    assert_eq!(
        settings.json()["ssl_vpn"]["server"]["certificate"]["name"],
        name
    );
}

#[tokio::test]
async fn a_certificate_is_requested_signed_and_bound_by_ftp() {
    let (simulator, mut client) = with_request(|_| {}).await;
    let (server, office) = (FtpServer::start().await, Office::new());
    export(&mut client, &server.url("")).await.succeeded();
    let request = der(&server.file("fw.p10").unwrap());
    server.offer("root.pem", &office.root_pem);
    server.offer("issuing.pem", &office.intermediate_pem);
    server.offer("fw.pem", &office.sign(&request));
    for path in [
        format!("ca-cert/ftp/{}", server.url("root.pem")),
        format!("ca-cert/ftp/{}", server.url("issuing.pem")),
        format!("signed-cert/name/fw/ftp/{}", server.url("fw.pem")),
    ] {
        let path = format!("/certificates/import/{path}");
        client.call("PUT", &path, "").await.unwrap().succeeded();
    }
    let body = json!({"ssl_vpn": {"server": {"certificate": {"name": "fw"}}}}).to_string();
    let bound = client.call("PUT", "/ssl-vpn/server", &body).await;
    bound.unwrap().succeeded();
    let committed = client.call("POST", "/config/pending", "").await;
    committed.unwrap().succeeded();
    assert_eq!(simulator.bound(Port::SslVpn).as_deref(), Some("fw"));
    let counters = simulator.counters();
    assert_eq!(
        (counters.transfers_brought, counters.transfers_fetched),
        (1, 3)
    );
    assert_eq!((counters.imports, counters.ca_imports), (1, 2));
    assert!(!simulator.journal().join("\n").contains("secret"));
}

#[tokio::test]
async fn every_way_to_a_data_connection_works() {
    for (mode, command) in [
        (FtpMode::Passive, "PASV"),
        (FtpMode::ExtendedPassive, "EPSV"),
        (FtpMode::Active, "PORT"),
        (FtpMode::ExtendedActive, "EPRT"),
    ] {
        let (_simulator, mut client) = with_request(|variants| variants.ftp_mode = mode).await;
        let server = FtpServer::start().await;
        export(&mut client, &server.url("in/box/"))
            .await
            .succeeded();
        assert!(server.file("in/box/fw.p10").is_some(), "{command}");
        assert!(server.commands().contains(&command.to_owned()));
    }
}

#[tokio::test]
async fn only_one_spelling_is_known() {
    let url = FtpServer::start().await;
    let put = format!(
        "/certificates/export/signing-request/name/fw/ftp/{}",
        url.url("")
    );
    let post = format!(
        "/certificates/export/signing-request-ftp/name/fw/url/{}/",
        url.url("")
    );
    for (spelling, statuses) in [
        (TransferSpelling::Put, [200, 404]),
        (TransferSpelling::Post, [404, 200]),
        (TransferSpelling::CliOnly, [404, 404]),
    ] {
        let (_simulator, mut client) =
            with_request(|variants| variants.transfer_spelling = Some(spelling)).await;
        let first = client.call("PUT", &put, "").await.unwrap().status;
        let second = client.call("POST", &post, "").await.unwrap().status;
        assert_eq!([first, second], statuses, "{spelling:?}");
    }
}

#[tokio::test]
async fn a_file_has_the_form_and_the_name_of_the_variants() {
    let (simulator, mut client) = with_request(|variants| {
        (variants.p10_form, variants.p10_name) = (P10Form::Der, P10Name::Alias);
    })
    .await;
    let server = FtpServer::start().await;
    export(&mut client, &server.url("")).await.succeeded();
    let file = server.file("fw").unwrap();
    X509CertificationRequest::from_der(&file).unwrap();
    simulator.set(|variants| variants.url_form = UrlForm::File);
    export(&mut client, &server.url("other.csr"))
        .await
        .succeeded();
    assert_eq!(server.file("other.csr"), Some(file));
    assert_eq!(export(&mut client, &server.url("")).await.status, 400);
}

#[tokio::test]
async fn a_bad_url_is_refused_without_a_connection() {
    let (simulator, mut client) = with_request(|variants| variants.url_port = false).await;
    let port = FtpServer::start().await;
    for url in [
        "ftp%3A%2F%2Fa%3Ab%40ftp.example.com%2F",
        "scp%3A%2F%2Fa%3Ab%40127.0.0.1%2F",
    ] {
        assert_eq!(export(&mut client, url).await.status, 400, "{url}");
    }
    assert_eq!(export(&mut client, &port.url("")).await.status, 400);
    assert_eq!(simulator.counters().transfers_failed, 0);
    assert!(port.commands().is_empty());
}

#[tokio::test]
async fn a_server_that_refuses_is_reported_without_its_password() {
    let (simulator, mut client) = with_request(|_| {}).await;
    let server = FtpServer::start().await;
    let url = server.url("").replace("secret", "guessed");
    let refused = export(&mut client, &url).await;
    assert_eq!(refused.status, 400);
    assert!(refused.info("message").contains("530 Login incorrect."));
    assert_eq!(simulator.counters().transfers_failed, 1);
    assert!(!simulator.journal().join("\n").contains("guessed"));
}

#[tokio::test]
async fn a_fault_applies_to_one_transfer_only() {
    for (fault, reported) in [
        (TransferFault::NotConnected, "connection refused"),
        (TransferFault::HungUp, "connection closed"),
        (TransferFault::Silent, "timed out"),
        (TransferFault::WrongPassword, "530 Login incorrect."),
    ] {
        let (simulator, mut client) = with_request(|variants| {
            variants.transfer_timeout_ms = std::time::Duration::from_millis(200);
        })
        .await;
        let server = FtpServer::start().await;
        simulator.transfer_fault(1, fault);
        let refused = export(&mut client, &server.url("")).await;
        assert!(refused.info("message").contains(reported), "{refused:?}");
        assert_eq!(server.file("fw.p10"), None, "{fault:?}");
        export(&mut client, &server.url("")).await.succeeded();
        assert!(server.file("fw.p10").is_some(), "{fault:?}");
        assert_eq!(simulator.faults_used(), 1);
    }
}

#[tokio::test]
async fn half_a_file_is_uploaded_as_if_it_were_complete() {
    let (simulator, mut client) = with_request(|_| {}).await;
    let server = FtpServer::start().await;
    simulator.transfer_fault(2, TransferFault::Halved);
    export(&mut client, &server.url("")).await.succeeded();
    let whole = server.file("fw.p10").unwrap();
    export(&mut client, &server.url("")).await.succeeded();
    assert_eq!(server.file("fw.p10").unwrap(), whole[..whole.len() / 2]);
}

#[tokio::test]
async fn an_answer_before_the_transfer_or_lost_does_not_stop_the_file() {
    let (simulator, mut client) =
        with_request(|variants| variants.transfer_answer_lost = true).await;
    let server = FtpServer::start().await;
    let path = format!(
        "/certificates/export/signing-request/name/fw/ftp/{}",
        server.url("")
    );
    assert!(client.call("PUT", &path, "").await.is_err());
    assert!(server.file("fw.p10").is_some());
    simulator.set(|variants| {
        (
            variants.transfer_answer_lost,
            variants.answers_before_transfer,
        ) = (false, true);
    });
    export(&mut client, &server.url("later/")).await.succeeded();
    let arrives = async {
        while server.file("later/fw.p10").is_none() {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, arrives).await.unwrap();
}

#[tokio::test]
async fn a_refusal_after_the_answer_is_in_the_journal_only() {
    let (simulator, mut client) =
        with_request(|variants| variants.answers_before_transfer = true).await;
    let server = FtpServer::start().await;
    server.offer("fw.pem", "no certificate");
    let url = server.url("fw.pem");
    let path = format!("/certificates/import/signed-cert/name/fw/ftp/{url}");
    client.call("PUT", &path, "").await.unwrap().succeeded();
    let reported = async {
        let line = "- refused what was fetched: Invalid certificate format";
        while !simulator.journal().contains(&line.to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(20);
    tokio::time::timeout(limit, reported).await.unwrap();
    assert!(simulator.is_request("fw"));
}

#[tokio::test]
async fn a_listing_with_an_expired_certificate_is_no_json() {
    let mut settings = Settings::new(Profile::V6_5);
    settings.variants = Variants::kind();
    settings.initial.not_after = OffsetDateTime::now_utc() - Duration::days(1);
    let simulator = Simulator::start(settings).await.unwrap();
    let mut client = Client::new(simulator.management(), Login::Basic);
    log_in(&mut client).await;
    let (path, lines) = ("/direct/cli", b"show certificates status");
    let listing = client.call_as("POST", path, "text/plain", lines).await;
    let listing = listing.unwrap();
    assert!(listing.text().contains(":expired"), "{}", listing.text());
    assert!(listing.json().is_null());
    simulator.set(|variants| variants.unquoted_expired = Some(false));
    let listing = client.call_as("POST", path, "text/plain", lines).await;
    assert!(!listing.unwrap().json().is_null());
}

#[tokio::test]
async fn files_go_by_scp_as_well() {
    let (simulator, mut client) = with_request(|_| {}).await;
    let (server, office) = (ScpServer::start().await, Office::new());
    let path = "/certificates/export/signing-request/name/fw/scp";
    for (folder, file) in [("", ". fw.p10"), ("in/", "in/ fw.p10")] {
        let path = format!("{path}/{}", server.url(folder));
        client.call("PUT", &path, "").await.unwrap().succeeded();
        assert!(server.file(file).is_some(), "{file}");
    }
    simulator.set(|variants| (variants.needs_ca_first, variants.scp_from_root) = (false, true));
    let request = der(&server.file(". fw.p10").unwrap());
    server.offer("/fw.pem", &office.sign(&request));
    let path = "/certificates/import/signed-cert/name/fw/scp";
    let missing = format!("{path}/{}", server.url("other.pem"));
    let refused = client.call("PUT", &missing, "").await.unwrap();
    assert!(refused.info("message").contains("not there"), "{refused:?}");
    let path = format!("{path}/{}", server.url("fw.pem"));
    client.call("PUT", &path, "").await.unwrap().succeeded();
    assert!(!simulator.is_request("fw"));
}

#[tokio::test]
async fn scp_can_be_broken_pinned_or_refused() {
    let (simulator, mut client) = with_request(|_| {}).await;
    let server = ScpServer::start().await;
    let path = "/certificates/export/signing-request/name/fw/scp";
    let good = format!("{path}/{}", server.url(""));
    let wrong = good.replace("secret", "guessed");
    let refused = client.call("PUT", &wrong, "").await.unwrap();
    assert!(refused.info("message").contains("login incorrect"));
    simulator.set(|variants| variants.scp_host_key = Some("SHA256:other".to_owned()));
    assert_eq!(client.call("PUT", &good, "").await.unwrap().status, 400);
    simulator.set(|variants| variants.scp_host_key = Some(server.fingerprint.clone()));
    client.call("PUT", &good, "").await.unwrap().succeeded();
    simulator.set(|variants| variants.transfer_protocols = TransferProtocols::ScpBroken);
    assert_eq!(client.call("PUT", &good, "").await.unwrap().status, 400);
    let counters = simulator.counters();
    assert_eq!(
        (counters.transfers_brought, counters.transfers_failed),
        (1, 3)
    );
}

#[tokio::test]
async fn an_unknown_protocol_is_an_unknown_call() {
    let (_simulator, mut client) =
        with_request(|variants| variants.transfer_protocols = TransferProtocols::ScpOnly).await;
    let server = FtpServer::start().await;
    assert_eq!(export(&mut client, &server.url("")).await.status, 404);
}

#[tokio::test]
async fn a_request_can_be_swapped_in_every_part() {
    let (simulator, mut client) = with_request(|_| {}).await;
    let server = FtpServer::start().await;
    let mut seen = Vec::new();
    for tampering in [
        Tampering::Nothing,
        Tampering::Subject,
        Tampering::AlternateName,
        Tampering::Key,
        Tampering::KeyType,
        Tampering::KeySize,
    ] {
        simulator.set(|variants| variants.csr_tampered = tampering);
        export(&mut client, &server.url("")).await.succeeded();
        let request = der(&server.file("fw.p10").unwrap());
        let (_, parsed) = X509CertificationRequest::from_der(&request).unwrap();
        parsed.verify_signature().unwrap();
        let info = &parsed.certification_request_info;
        let extensions = format!(
            "{:?}",
            parsed.requested_extensions().unwrap().collect::<Vec<_>>()
        );
        let length = info.subject_pki.subject_public_key.data.len();
        seen.push((info.subject.to_string(), extensions, length));
        if tampering == Tampering::Key {
            assert_ne!(
                Some(crate::steps::spki(info.subject_pki.raw)),
                simulator.spki_sha256("fw")
            );
        }
    }
    let [honest, subject, alternate, key, kind, size] = seen.try_into().unwrap();
    assert!(subject.0 != honest.0 && subject.1 == honest.1);
    assert!(alternate.0 == honest.0 && alternate.1 != honest.1);
    assert_eq!(key, honest);
    assert!(kind.2 > 200 && size.2 == 97 && honest.2 == 65);
}
