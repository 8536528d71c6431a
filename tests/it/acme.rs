//! Renewals at real ACME servers: Pebble, which is unkind on purpose, and Caddy with a CA of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use renewd::clock::{Clock, ManualClock, SystemClock};
use renewd::inventory::State;
use renewd::renewal::{Checkpoint, Moment, NoCheckpoint, Step};
use simulators::sonicos::Profile;

use crate::lab::{self, Lab};
use crate::peers::pebble::{HMAC_KEY, Pebble, Unkindness};

/// A laboratory whose CA is `driver` instead of its own, on the day that the server believes it is.
async fn lab_at(driver: &str) -> Lab {
    let lab = Lab::new(Profile::V8).await;
    lab.clock.set(SystemClock.now());
    use_driver(&lab, driver);
    lab
}

fn use_driver(lab: &Lab, driver: &str) {
    let text = std::fs::read_to_string(lab.config_file()).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| if is_ca_driver(line) { driver } else { line })
        .collect();
    std::fs::write(lab.config_file(), lines.join("\n")).unwrap();
}

fn is_ca_driver(line: &str) -> bool {
    ["driver.local", "driver.acme"]
        .iter()
        .any(|driver| line.starts_with(driver))
}

fn at(pebble: &Pebble, more: &str) -> String {
    format!(
        r#"driver.acme = {{ directory = "{}", agree_to_terms = true, trust = {{ ca = "{}" }}, roots = "{}", validation.http = {{ listen = "{}" }}{more} }}"#,
        pebble.directory(),
        pebble.server_ca().display(),
        pebble.root().display(),
        pebble.http,
    )
}

/// Runs the daemon again and again, as time passes, until the renewal has come to an end.
async fn until_it_ends(lab: &Lab) -> State {
    let start = Instant::now();
    loop {
        lab.run_once().await;
        let renewals = lab.renewals().await;
        let renewal = &renewals[0];
        if renewal.state.is_end() || start.elapsed() > PATIENCE {
            assert_eq!(renewals.len(), 1, "{renewals:#?}");
            let history = lab.history().await;
            assert!(renewal.state.is_end(), "{renewal:#?}\n{history:#?}");
            return renewal.state;
        }
        if let Some(next) = renewal.next_attempt_at {
            lab.clock.sleep_until(next).await;
        }
        // The server's own clock is a real one.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// That the services show what the CA issued for the one key pair that was born on the device.
async fn assert_shown(lab: &Lab) {
    let renewals = lab.renewals().await;
    let fingerprint = renewals[0].obtained.fingerprint.unwrap();
    for seen in lab.seen().await {
        assert_eq!(seen.fingerprint, fingerprint);
        assert_eq!(
            seen.public_key.to_string(),
            lab.simulator.spki_sha256(&renewals[0].alias).unwrap()
        );
    }
    assert_eq!(lab.simulator.counters().key_pairs_generated, 1);
    lab.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_proves_control_and_the_device_shows_what_pebble_issued() {
    let Some(pebble) = Pebble::start(Unkindness::USUAL).await else {
        return;
    };
    let lab = lab_at(&at(&pebble, "")).await;
    assert_eq!(until_it_ends(&lab).await, State::Completed);
    assert_shown(&lab).await;
    assert_eq!((pebble.orders(), pebble.certificates()), (1, 1));
    assert_eq!(pebble.accounts(), 1);
    let refused = pebble.log().matches("badNonce").count();
    println!("{refused} good nonces were refused on the way");
    let port = tokio::net::TcpStream::connect(pebble.http).await;
    assert!(port.is_err(), "the port stays open after the proof");
}

const PATIENCE: Duration = Duration::from_secs(12);
