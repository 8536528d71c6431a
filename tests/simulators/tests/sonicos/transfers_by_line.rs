//! File transfers that commands request: over the API, and at a terminal.

use p12_keystore::EncryptionAlgorithm;
use simulators::sonicos::{Port, Profile, Settings, Simulator, TransferSpelling, Variants};

use crate::client::{Client, Login, served_leaf};
use crate::direct_cli::{messages, run};
use crate::ftp_server::FtpServer;
use crate::key_pairs::{der, issue, pkcs12};
use crate::office::Office;
use crate::steps::{log_in, request_body};
use crate::terminal::{CONFIG, TOP, Terminal};

const CERTIFICATES: &str = "(config-certificates)# ";
const FILE_PASSWORD: &str = "one-time";

#[tokio::test]
async fn a_device_that_knows_no_call_for_it_does_everything_over_direct_cli() {
    let (simulator, mut client) = device(|variants| {
        variants.transfer_spelling = Some(TransferSpelling::CliOnly);
        (variants.delete_call, variants.binding_calls) = (false, false);
    })
    .await;
    let (server, office) = (FtpServer::start().await, Office::new());
    generate(&mut client).await;
    let url = |path: &str| plain_url(&server, path);
    let lines = format!(
        "certificates\nexport signing-request fw ftp {}\nend",
        url("")
    );
    run(&mut client, &lines).await.succeeded();
    let request = server.file("fw.p10").unwrap();
    server.offer("root.pem", &office.root_pem);
    server.offer("issuing.pem", &office.intermediate_pem);
    let request = der(&String::from_utf8(request).unwrap());
    server.offer("fw.pem", &office.sign(&request));
    let lines = format!(
        "certificates\nimport ca-cert ftp {}\nimport ca-cert ftp {}\nimport signed-cert fw ftp {}\nexit\n\
         administration\nweb-management certificate name fw\ncommit\nend\nexit",
        url("root.pem"),
        url("issuing.pem"),
        url("fw.pem")
    );
    let answer = run(&mut client, &lines).await.succeeded();
    assert_eq!(
        messages(&answer),
        [
            "Command succeeded",
            "Command succeeded",
            "Command succeeded",
            "Command succeeded",
            "Changes made."
        ]
    );
    assert_eq!(simulator.bound(Port::Management).as_deref(), Some("fw"));
    let row = run(&mut client, "show certificate name fw status").await;
    assert_eq!(row.json()["status"], "Yes");
    let counters = simulator.counters();
    assert_eq!((counters.imports, counters.ca_imports), (1, 2));
    assert!(!simulator.journal().join("\n").contains("secret"));
}

#[tokio::test]
async fn a_key_pair_is_fetched_in_each_way_that_6_5_has() {
    let server = FtpServer::start().await;
    let office = Office::new();
    let (key, certificate) = issue(&office);
    let file = pkcs12(
        &key,
        &[&certificate],
        EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc,
    );
    server.offer_bytes("portal.p12", file);
    let url = plain_url(&server, "portal.p12");

    let (simulator, mut client) =
        device(|variants| variants.transfer_spelling = Some(TransferSpelling::Post)).await;
    let path = format!(
        "/certificates/import/cert-key-pair-ftp/name/portal/password/{FILE_PASSWORD}/url/{}/",
        server.url("portal.p12")
    );
    client.call("POST", &path, "").await.unwrap().succeeded();
    run(
        &mut client,
        "ssl-vpn server\ncertificate name portal\ncommit",
    )
    .await
    .succeeded();
    assert_eq!(served_leaf(simulator.ssl_vpn()).await.unwrap(), certificate);

    let (second, mut client) = device(|_| {}).await;
    let import = format!("import cert-key-pair portal password {FILE_PASSWORD} ftp {url}");
    let answer = run(&mut client, &format!("certificates\n{import}")).await;
    assert_eq!(
        answer.succeeded().info("message"),
        "Successfully loaded certificate and key pair"
    );

    let third = at_console().await;
    let mut terminal = Terminal::open(&third).await;
    terminal.line("configure", CONFIG).await;
    terminal.line("certificates", CERTIFICATES).await;
    assert_eq!(
        terminal.line(&import, CERTIFICATES).await,
        "% Import succeed.\r\n"
    );
    terminal.line("end", TOP).await;
    for simulator in [simulator, second, third] {
        assert_eq!(simulator.counters().key_pair_imports, 1);
        let journal = simulator.journal().join("\n");
        assert!(!journal.contains(FILE_PASSWORD) && !journal.contains("secret"));
    }
}

#[tokio::test]
async fn a_transfer_that_fails_stops_the_lines_and_keeps_earlier_changes() {
    let (simulator, mut client) = device(|_| {}).await;
    generate(&mut client).await;
    let (server, office) = (FtpServer::start().await, Office::new());
    server.offer("root.pem", &office.root_pem);
    let lines = format!(
        "certificates\nimport ca-cert ftp {}\nimport ca-cert ftp {}\nno certificate \"fw\"\ncommit",
        plain_url(&server, "root.pem"),
        plain_url(&server, "root.pem").replace("secret", "guessed")
    );
    let answer = run(&mut client, &lines).await;
    assert_eq!(answer.status, 400);
    let said = messages(&answer);
    assert_eq!((said.len(), said[0].as_str()), (2, "Command succeeded"));
    assert!(said[1].contains("530 Login incorrect."), "{said:?}");
    assert!(simulator.is_request("fw"));
    let counters = simulator.counters();
    assert_eq!((counters.ca_imports, counters.transfers_failed), (1, 1));
}

#[tokio::test]
async fn a_lost_answer_leaves_the_certificate_on_the_device() {
    let (simulator, mut client) = device(|variants| variants.transfer_answer_lost = true).await;
    let (server, office) = (FtpServer::start().await, Office::new());
    server.offer("root.pem", &office.root_pem);
    let lines = format!(
        "certificates\nimport ca-cert ftp {}",
        plain_url(&server, "root.pem")
    );
    let lost = client
        .call_as("POST", "/direct/cli", "text/plain", lines.as_bytes())
        .await;
    assert!(lost.is_err());
    assert_eq!(simulator.counters().ca_imports, 1);
}

async fn device(change: impl FnOnce(&mut Variants)) -> (Simulator, Client) {
    let simulator = crate::steps::start(Profile::V6_5, change).await;
    let mut client = Client::new(simulator.management(), Login::Basic);
    log_in(&mut client).await;
    (simulator, client)
}

async fn at_console() -> Simulator {
    let settings = Settings {
        variants: Variants::kind(),
        console: Some(([127, 0, 0, 1], 0).into()),
        ..Settings::new(Profile::V6_5)
    };
    Simulator::start(settings).await.unwrap()
}

async fn generate(client: &mut Client) {
    client
        .call(
            "POST",
            "/certificates/generate-signing-request",
            &request_body("fw"),
        )
        .await
        .unwrap()
        .succeeded();
}

/// As a line of the command line has it: not encoded.
fn plain_url(server: &FtpServer, path: &str) -> String {
    format!("ftp://cert:secret@{}/{path}", server.address)
}
