//! `POST /direct/cli`: lines in, the object of a `show` or the envelope out, under the rules of the API.

use serde_json::{Value, json};
use simulators::sonicos::{NonConfigMode, Port, Profile, Variants};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::client::{Client, HttpAnswer, Login, connect};
use crate::steps::{generate, log_in, logged_in, start};

#[tokio::test]
async fn a_listing_is_json_like_that_of_the_api_in_three_forms() {
    let simulator = start(Profile::V7_X, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let api = client
        .call("GET", "/reporting/certificates/imported", "")
        .await
        .unwrap()
        .json();
    let lines = "show certificates status imported";
    assert_eq!(run(&mut client, lines).await.json(), api);
    simulator.set(|variants| variants.cli_listing_in_object = true);
    assert_eq!(run(&mut client, lines).await.json()["certificates"], api);
    simulator.set(|variants| variants.cli_shows_text = true);
    let text = run(&mut client, lines).await;
    assert_eq!(text.header("content-type"), ["text/plain; charset=UTF-8"]);
    assert!(text.text().starts_with("Certificate "), "{}", text.text());
    let all = run(&mut client, "show certificates status").await.text();
    assert!(all.contains("Built-in Public Root CA"), "{all}");
}

#[tokio::test]
async fn who_asks_for_text_gets_text() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    log_in(&mut Client::new(simulator.management(), Login::Basic)).await;
    let lines = "show certificates status";
    let head = format!(
        "POST /api/sonicos/direct/cli HTTP/1.1\r\nHost: fw\r\nAccept: text/plain\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{lines}",
        lines.len()
    );
    let mut stream = connect(simulator.management()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\r\n\r\nCertificate "), "{answer}");
}

#[tokio::test]
async fn one_certificate_is_shown_by_name_and_a_missing_one_is_refused() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let shown = run(&mut client, "show certificate name \"fw-initial\" status").await;
    assert_eq!(shown.json()["certificate"], "fw-initial");
    let missing = run(&mut client, "show certificate name nothing status").await;
    assert_eq!(
        (missing.status, missing.info("message").as_str()),
        (400, "no certificate found for this name")
    );
}

#[tokio::test]
async fn services_are_bound_and_committed_with_one_entry_for_each_action() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let lines = "administration\nweb-management certificate use-self-signed\nexit\n\
                 ssl-vpn server\ncertificate use-self-signed\nexit\ncommit\nend\nexit\n";
    let answer = run(&mut client, lines).await.succeeded();
    assert_eq!(
        messages(&answer),
        ["Command succeeded", "Command succeeded", "Changes made."]
    );
    assert_eq!(
        (
            simulator.bound(Port::Management),
            simulator.bound(Port::SslVpn)
        ),
        (None, None)
    );
}

#[tokio::test]
async fn a_request_is_deleted_and_a_certificate_in_use_is_not() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    generate(&mut client, "fw-2026").await;
    let lines = "certificates\nno certificate \"fw-2026\"\nno certificate \"fw-initial\"\ncommit";
    let answer = run(&mut client, lines).await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        messages(&answer),
        [
            "Certificate has been successfully deleted",
            "Certificate is in use"
        ]
    );
    assert_eq!(answer.json()["status"]["success"], false);
    assert_eq!(simulator.counters().deletes, 1);
}

#[tokio::test]
async fn an_unknown_command_is_refused_with_a_message() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let cases = [
        (
            "import ca-cert ftp ftp://192.0.2.1/ca.pem",
            "command 'import' not found",
        ),
        (
            "certificates\nexport signing-request fw-initial",
            "Incomplete command.",
        ),
        (
            "certificates\nexport signing-request fw-initial ftp http://192.0.2.1/",
            "'http' is not a reasonable value.",
        ),
        ("certificates now", "'now' is not a reasonable value."),
    ];
    for (lines, message) in cases {
        let answer = run(&mut client, lines).await;
        assert_eq!(
            (answer.status, answer.info("message").as_str()),
            (400, message),
            "{lines}"
        );
    }
    let json = client.call("POST", "/direct/cli", "{}").await.unwrap();
    assert_eq!(json.status, 400);
    simulator.set(|variants| variants.direct_cli = false);
    let unknown = run(&mut client, "show certificates status").await;
    assert_eq!(unknown.info("message"), "API not found.");
}

#[tokio::test]
async fn another_administrator_lets_it_show_but_not_change() {
    let simulator = start(Profile::V7_0, |variants| {
        variants.non_config_mode = NonConfigMode::NotAllowed400;
    })
    .await;
    let mut client = logged_in(&simulator).await;
    simulator.other_administrator().takes_configuration_mode();
    assert_eq!(
        run(&mut client, "show certificates status").await.status,
        200
    );
    let refused = run(&mut client, "ssl-vpn server\ncertificate use-self-signed").await;
    assert_eq!(refused.info("message"), "Not allowed in current mode");
    client
        .call("POST", "/config-mode", "")
        .await
        .unwrap()
        .succeeded();
    run(&mut client, "ssl-vpn server\ncertificate use-self-signed")
        .await
        .succeeded();
    assert_eq!(simulator.pending().len(), 1);
}

#[tokio::test]
async fn it_needs_the_session_of_the_address_and_is_closed_with_it() {
    let simulator = start(Profile::V7_0, |_| {}).await;
    let mut client = Client::new(simulator.management(), Login::Basic);
    assert_eq!(run(&mut client, "commit").await.status, 401);
    log_in(&mut client).await;
    // 1.3: without session security the address is enough.
    client.login = Login::Nothing;
    run(&mut client, "commit").await.succeeded();
    simulator.set(|variants| variants.too_many_sessions = true);
    client.login = Login::Basic;
    let second = client.call("POST", "/auth", "{}").await.unwrap();
    assert_eq!(second.status, 503);
    client.call("DELETE", "/auth", "").await.unwrap();
    assert_eq!(run(&mut client, "commit").await.status, 401);
}

#[tokio::test]
async fn a_locked_account_runs_no_line() {
    let simulator = start(Profile::V7_X, |variants| variants.lockout_after = 1).await;
    let mut client = logged_in(&simulator).await;
    let mut stranger = Client::new(simulator.management(), client.login.clone());
    stranger.password = "guessed".to_owned();
    assert_eq!(run(&mut stranger, "commit").await.status, 401);
    assert_eq!(simulator.counters().locked_out, 1);
    let locked = run(&mut client, "show certificates status").await;
    assert_eq!(
        (locked.status, locked.info("message").as_str()),
        (401, "Account is locked.")
    );
}

#[tokio::test]
async fn a_commit_that_cuts_the_connection_loses_the_answer_of_all_lines() {
    let simulator = start(Profile::V7_0, |variants| {
        *variants = Variants {
            drop_on_management_commit: true,
            session_lost_on_management_commit: true,
            ..Variants::kind()
        };
    })
    .await;
    let mut client = logged_in(&simulator).await;
    let lines = "administration\nweb-management certificate use-self-signed\ncommit\nend";
    assert!(
        client
            .call_as("POST", "/direct/cli", "text/plain", lines.as_bytes())
            .await
            .is_err()
    );
    assert_eq!(simulator.bound(Port::Management), None);
    assert_eq!(simulator.counters().sessions_open, 0);
}

#[tokio::test]
async fn a_device_may_hand_out_its_own_specification() {
    let simulator = start(Profile::V8, |_| {}).await;
    let mut client = logged_in(&simulator).await;
    let off = client.call("GET", "/openapi", "").await.unwrap();
    assert_eq!(off.info("message"), "API not found.");
    simulator.set(|variants| variants.set_by_name("openapi", "json").unwrap());
    let document = client.call("GET", "/openapi", "").await.unwrap().json();
    assert_eq!(document["info"]["title"], "SonicOS API");
    assert_eq!(
        document.pointer("/paths/~1certificates~1generate-signing-request"),
        Some(&json!({}))
    );
}

pub async fn run(client: &mut Client, lines: &str) -> HttpAnswer {
    client
        .call_as("POST", "/direct/cli", "text/plain", lines.as_bytes())
        .await
        .unwrap()
}

/// The messages of all entries.
pub fn messages(answer: &HttpAnswer) -> Vec<String> {
    let json = answer.json();
    let info = json.pointer("/status/info").and_then(Value::as_array);
    info.into_iter()
        .flatten()
        .map(|entry| entry["message"].as_str().unwrap().to_owned())
        .collect()
}
