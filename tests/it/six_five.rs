//! SonicOS 6.5 with the configuration of docs/sonicos-6.5.md, by SCP and by FTP, with each kind of CA. No other server is
//! running than renewd's own.

use std::sync::Arc;

use renewd::clock::{Clock, SystemClock};
use renewd::inventory::State;
use simulators::sonicos::{Profile, Variants};

use crate::contract::acme::Acme;
use crate::contract::pam360::Pam360;
use crate::contract::resello::Resello;
use crate::contract::venafi::Venafi;
use crate::contract::{Fixture, Subject};
use crate::exec_driver::certmonger::{LOCAL_SUBMIT, is_installed};
use crate::peers::free_address;
use crate::test_bed::{TestBed, today};

const PROTOCOLS: [&str; 2] = ["scp", "ftp"];

/// The configuration of the document with the addresses, paths and fingerprints of a test bed, one protocol, and the CA
/// of the test bed.
fn use_document(bed: &TestBed, protocol: &str) {
    let folder = bed.folder.path().display().to_string();
    let document = include_str!("../../docs/sonicos-6.5.md");
    let block = document.split_once("```toml\n").unwrap().1;
    let block = block.split_once("```").unwrap().0;
    let mut text = block.to_owned();
    let ports = [free_address().port(), free_address().port()].map(|port| port.to_string());
    let put = |text: &mut String, wanted: &str, value: &str| {
        assert!(text.contains(wanted), "the document lacks {wanted}");
        *text = text.replace(wanted, value);
    };
    put(&mut text, "192.0.2.10", "127.0.0.1");
    put(&mut text, "2222", &ports[0]);
    put(&mut text, "2121", &ports[1]);
    put(&mut text, "https://192.0.2.1", &bed.simulator.url());
    put(
        &mut text,
        "/etc/renewd/hq.password",
        &format!("{folder}/password"),
    );
    let pin = bed.simulator.fingerprint();
    put(&mut text, "the fingerprint that probe printed", &pin);
    let trust = "trust = { sha256";
    let line = format!("file_transfer = {{ protocol = \"{protocol}\" }}\n{trust}");
    put(&mut text, trust, &line);
    let (management, ssl_vpn) = (bed.simulator.management(), bed.simulator.ssl_vpn());
    let ca = bed.ca();
    let more = format!(
        "endpoints = [\"{management}\", \"{ssl_vpn}\"]\n\n[[ca]]\nname = \"office\"\n{ca}\n\n\
         [daemon]\ndatabase = \"sqlite://{folder}/renewd.db\"\nstate_directory = \"{folder}\"\n\n\
         [renewal]\nverify_timeout = \"5s\"\n"
    );
    std::fs::write(bed.config_file(), text + &more).unwrap();
}

async fn assert_transferred(bed: &TestBed, protocol: &str) {
    bed.assert_installed_once().await;
    let journal = bed.simulator.journal();
    let counters = bed.simulator.counters();
    assert_eq!(counters.transfers_brought, 1, "{protocol}: {journal:#?}");
    assert!(counters.transfers_fetched >= 1, "{protocol}: {journal:#?}");
    let text = journal.join("\n");
    assert!(
        text.contains(&format!("/{protocol}/")),
        "{protocol}: {text}"
    );
}

async fn renews_by_both<S: Subject>() {
    for protocol in PROTOCOLS {
        renewd::tls::install_provider();
        let clock = today();
        let ca = S::start(Arc::clone(&clock)).await;
        let bed = TestBed::with_ca(Profile::V6_5, Variants::kind(), clock, &ca.driver()).await;
        ca.prepare(&bed);
        use_document(&bed, protocol);
        let fixture = Fixture { ca, bed };
        let renewal = fixture.run(jiff::SignedDuration::from_hours(24 * 3)).await;
        assert_eq!(
            renewal.state,
            State::Completed,
            "{protocol}: {:?}",
            renewal.last_error
        );
        assert_eq!(fixture.ca.orders(), 1, "{protocol}");
        assert_transferred(&fixture.bed, protocol).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_with_a_local_ca() {
    for protocol in PROTOCOLS {
        let bed = TestBed::with(Profile::V6_5, Variants::kind()).await;
        use_document(&bed, protocol);
        bed.run_once().await;
        bed.assert_renewed_once().await;
        assert_transferred(&bed, protocol).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_with_an_outside_program() {
    if !is_installed("renews_with_an_outside_program") {
        return;
    }
    for protocol in PROTOCOLS {
        // It signs by the machine's clock.
        let clock = today();
        clock.set(SystemClock.now());
        let driver = format!(
            "driver.exec = {{ program = \"{LOCAL_SUBMIT}\", arguments = [\"-d\", \"FOLDER/local\"] }}"
        );
        let bed = TestBed::with_ca(Profile::V6_5, Variants::kind(), clock, &driver).await;
        std::fs::create_dir(bed.folder.path().join("local")).unwrap();
        use_document(&bed, protocol);
        bed.run_once().await;
        assert_transferred(&bed, protocol).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_with_acme() {
    renews_by_both::<Acme>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_with_tls_protect_cloud() {
    renews_by_both::<Venafi>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_with_pam360() {
    renews_by_both::<Pam360>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renews_with_the_purchase_api() {
    renews_by_both::<Resello>().await;
}
