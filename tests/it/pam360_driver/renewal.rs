//! Whole renewals of a simulated SonicWall by a simulated PAM360, and the commands that show it.

use std::process::Command;
use std::sync::Arc;

use renewd::clock::Clock;
use renewd::inventory::State;
use simulators::ca::{Fault, On};
use simulators::pam360::{Settings, Simulator, Variants};
use simulators::sonicos::Profile;

use crate::test_bed::{CERTIFICATE, TestBed};

/// The test bed, its CA replaced by a simulated PAM360.
async fn test_bed_with_pam360(variants: Variants) -> (TestBed, Simulator) {
    let bed = TestBed::new(Profile::V8).await;
    let clock = Arc::clone(&bed.clock);
    let mut settings = Settings {
        variants,
        ..Settings::default()
    };
    settings.common.now = Arc::new(move || {
        time::OffsetDateTime::from_unix_timestamp(clock.now().as_second()).unwrap()
    });
    let token = settings.token.clone();
    let server = Simulator::start(settings).await.unwrap();
    crate::test_bed::write_secret(&bed.folder.path().join("token"), &token);
    std::fs::write(bed.folder.path().join("tls.pem"), server.ca_pem()).unwrap();
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let signer = server.intermediate();
    let driver = format!(
        r#"[ca.driver.pam360]
url = "{}"
token = {{ file = "token" }}
trust = {{ ca = "tls.pem" }}
sign_with = {{ root = {{ common_name = "{}", serial_number = "{}" }} }}
csr_list_operation = "getCSRList"
"#,
        server.url(),
        signer.common_name,
        signer.serial
    );
    let is_driver = |line: &&str| line.starts_with("driver.local");
    let local = text.lines().find(is_driver).unwrap();
    std::fs::write(bed.config_file(), text.replace(local, &driver)).unwrap();
    (bed, server)
}

async fn assert_renewed_once(bed: &TestBed, server: &Simulator) {
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 1, "{renewals:#?}");
    let renewal = &renewals[0];
    assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
    let counters = server.counters();
    assert_eq!((counters.orders, counters.duplicates), (1, 0));
    for seen in bed.seen().await {
        assert_eq!(Some(seen.fingerprint), renewal.obtained.fingerprint);
    }
    bed.assert_left_in_order();
}

#[tokio::test]
async fn a_firewall_gets_its_certificate_from_a_pam360() {
    let (bed, server) = test_bed_with_pam360(Variants::default()).await;
    bed.run_once().await;
    assert_renewed_once(&bed, &server).await;
}

#[tokio::test]
async fn a_lost_signature_is_not_ordered_again_by_the_daemon() {
    let (bed, server) = test_bed_with_pam360(Variants {
        list_late_calls: 1,
        ..Variants::default()
    })
    .await;
    server.fault(On::next("POST", "signCSR"), Fault::LostAfter);
    for _ in 0..20 {
        bed.run_once().await;
        let renewal = &bed.renewals().await[0];
        if renewal.state.is_end() {
            break;
        }
        bed.clock.advance(jiff::SignedDuration::from_mins(5));
    }
    assert_eq!(server.faults_used(), 1);
    assert_renewed_once(&bed, &server).await;
    assert!(bed.renewals().await[0].certificate.as_ref() == CERTIFICATE);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_show_it_and_change_nothing() {
    let (bed, server) = test_bed_with_pam360(Variants::default()).await;
    let renewd = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_renewd"))
            .arg("--config")
            .arg(bed.config_file())
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, stdout, _) = renewd(&["ca", "show", "office"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("token: accepted"), "{stdout}");
    let (code, stdout, _) = renewd(&["ca", "probe", "office"]);
    assert_eq!(code, Some(0));
    assert!(
        stdout.contains("GET getCSRList {}\n  HTTP 200: "),
        "{stdout}"
    );
    let (code, _, stderr) = renewd(&["ca", "init", "office"]);
    assert_eq!(code, Some(2), "{stderr}");
    let (code, _, stderr) = renewd(&["ca", "cancel", "office", "x"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("add --yes"), "{stderr}");
    let (code, _, stderr) = renewd(&["ca", "cancel", "office", "x", "--yes"]);
    assert_eq!(code, Some(69));
    assert!(stderr.contains("does not support it"), "{stderr}");
    assert_eq!(server.counters().orders, 0);
    assert!(
        !server
            .requests()
            .iter()
            .any(|line| line.starts_with("POST"))
    );
}
