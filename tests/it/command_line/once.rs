//! `renewd run --once`: what it does, what an outsider sees of it, what it says, and its exit codes.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use simulators::sonicos::{On, Port, Variants};

use super::office::{CommandOutput, Office};

#[tokio::test(flavor = "multi_thread")]
async fn an_outsider_sees_the_new_certificate_with_the_key_that_was_born_on_the_device() {
    let office = Office::new().await;
    let output = office.renewd(&["run", "--once"]).with_code(0);
    output.prints(&["hq-portal: completed"]);
    if !has_openssl() {
        return;
    }
    let alias = office.simulator.bound(Port::Management).unwrap();
    let born = office.simulator.spki_sha256(&alias).unwrap();
    for address in [office.simulator.management(), office.simulator.ssl_vpn()] {
        let leaf = served(address);
        std::fs::write(office.path("leaf.pem"), &leaf).unwrap();
        let ca = office.path("ca.pem");
        let verify = [
            "verify",
            "-purpose",
            "sslserver",
            "-verify_hostname",
            "vpn.example.com",
        ];
        let verified = openssl(
            &[&verify[..], &["-CAfile", ca.to_str().unwrap()]].concat(),
            &leaf,
        );
        assert!(verified.stdout.contains("OK"), "{address}: {verified:#?}");
        let public_key = openssl(&["x509", "-pubkey", "-noout"], &leaf).stdout;
        let digest = openssl_bytes(
            &["pkey", "-pubin", "-outform", "DER"],
            public_key.as_bytes(),
        );
        let digest = openssl_bytes(&["dgst", "-sha256", "-r"], &digest);
        let digest = String::from_utf8(digest).unwrap();
        assert!(
            digest.starts_with(&born),
            "{address}: {digest}, but {born} was born"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_says_why_it_does_nothing() {
    let office = Office::new().await;
    office.renewd(&["run", "--once"]).with_code(0);
    let requests = office.simulator.counters().requests;
    let output = office.renewd(&["run", "--once"]).with_code(0);
    output.prints(&[
        "hq-portal: nothing to do: valid until",
        "two thirds of its lifetime",
    ]);
    assert_eq!(office.simulator.counters().requests, requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_was_rolled_back_fails_and_reports_the_served_certificate() {
    let office = Office::with(Variants {
        serve_wrong_certificate_after_bind: On::SslVpn,
        ..Variants::kind()
    })
    .await;
    let output = office.renewd(&["run", "--once"]).with_code(1);
    output.prints(&[
        "hq-portal: rolled_back, FAILED:",
        "shows another certificate",
    ]);
    office
        .renewd(&["status"])
        .with_code(1)
        .prints(&["failing"])
        .fits_80_columns();
    let output = office.renewd(&["run", "--once"]);
    output.prints(&[
        "share_of_lifetime_spent",
        "its last renewal ended at",
        "the last renewal failed",
    ]);
    assert_eq!(office.simulator.counters().key_pairs_generated, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_fails_is_held_and_is_explained() {
    let office = Office::new().await;
    office.write("hq.password", "mistyped\n");
    office.renewd(&["run", "--once"]).with_code(1);
    office.renewd(&["renew", "hq-portal"]).with_code(0);
    office.renewd(&["run", "--once"]).with_code(1);
    assert_eq!(office.simulator.counters().failed_logins, 2);
    // `renew` gave the firewall its login attempts back: one more refusal, and it is held.
    hold(&office);
    let output = office.renewd(&["run", "--once"]).with_code(1);
    // The other certificate of this firewall is held as well; either comes first.
    output.prints(&["HELD for an operator", "renewd renew hq-"]);
    office
        .renewd(&["status"])
        .with_code(1)
        .prints(&["held"])
        .fits_80_columns();
    let output = office.renewd(&["explain", "hq-portal"]).with_code(0);
    output
        .prints(&[
            "hq-portal: held",
            "To do",
            "check --online",
            "renewd renew hq-portal",
        ])
        .fits_80_columns();
}

/// A second certificate on the same firewall tries its own login at once.
fn hold(office: &Office) {
    let text = office.configuration();
    let (management, ssl_vpn) = (office.simulator.management(), office.simulator.ssl_vpn());
    let both = format!("endpoints = [\"{management}\", \"{ssl_vpn}\"]");
    assert!(text.contains(&both), "{text}");
    let text = text.replace(&both, "ENDPOINTS");
    let (_, certificate) = text.split_once("[[certificate]]").unwrap();
    let second = certificate
        .replace("\"hq-portal\"", "\"hq-second\"")
        .replace("vpn.example.com", "second.example.com")
        .replace(
            "services = [\"web-management\", \"ssl-vpn\"]",
            "services = [\"ssl-vpn\"]",
        )
        .replace("ENDPOINTS", &format!("endpoints = [\"{ssl_vpn}\"]"));
    let first = text
        .replace(
            "services = [\"web-management\", \"ssl-vpn\"]",
            "services = [\"web-management\"]",
        )
        .replace("ENDPOINTS", &format!("endpoints = [\"{management}\"]"));
    office.configure(&format!("{first}\n[[certificate]]{second}"));
    let output = office.renewd(&["run", "--once"]);
    assert_eq!(output.code, Some(1), "{output:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_that_is_not_for_a_terminal_is_a_json_object() {
    let office = Office::new().await;
    office.write("hq.password", "mistyped\n");
    let output = office.renewd(&["run", "--once"]).with_code(1);
    let lines: Vec<serde_json::Value> = output
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let alert = lines
        .iter()
        .find(|line| line["event"] == "attention_needed")
        .unwrap();
    assert_eq!(alert["certificate"], "hq-portal");
    assert_eq!(alert["firewall"], "hq");
    assert_eq!(alert["ca"], "office");
    assert_eq!(alert["state"], "planned");
    assert_eq!(alert["attempt"], 1);
    assert_eq!(alert["error.kind"], "unauthorized");
    assert_eq!(alert["level"], "ERROR");
    assert_eq!(alert["alert"], true);
}

/// The leaf that `address` shows to `openssl s_client`, PEM.
fn served(address: SocketAddr) -> String {
    let address = address.to_string();
    let shown = openssl(
        &[
            "s_client",
            "-connect",
            &address,
            "-servername",
            "vpn.example.com",
        ],
        "",
    );
    openssl(&["x509"], &shown.stdout).stdout
}

fn openssl(arguments: &[&str], input: &str) -> CommandOutput {
    CommandOutput {
        code: None,
        stdout: String::from_utf8_lossy(&openssl_bytes(arguments, input.as_bytes())).into_owned(),
        stderr: String::new(),
    }
}

fn openssl_bytes(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// Whether openssl is there; where everything must be tested it has to be.
fn has_openssl() -> bool {
    let is_there = Command::new("openssl").arg("version").output().is_ok();
    if !is_there {
        assert!(std::env::var("CI").is_err(), "this test needs openssl");
        eprintln!("skipped: the view from outside needs openssl");
    }
    is_there
}
