//! Renewals at real ACME servers: Pebble, which injects faults on purpose, and Caddy with its local CA.

pub mod odd_answers;
mod records;
mod shared_orders;
mod windows;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use renewd::ca;
use renewd::clock::{Clock, ManualClock, SystemClock};
use renewd::inventory::State;
use renewd::renewal::{Checkpoint, Moment};
use renewd::store::CommitObserver;
use simulators::sonicos::Profile;

use crate::peers::caddy::Caddy;
use crate::peers::pebble::{HMAC_KEY, Pebble, PebbleFaults};
use crate::test_bed::{self, TestBed};

/// A test bed whose CA is `driver` instead of its own, on the day that the server believes it is.
async fn test_bed_at(driver: &str) -> TestBed {
    let bed = test_bed_today().await;
    use_driver(&bed, driver);
    bed
}

async fn test_bed_today() -> TestBed {
    let bed = TestBed::new(Profile::V8).await;
    bed.clock.set(SystemClock.now());
    bed
}

fn use_driver(bed: &TestBed, driver: &str) {
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| if is_ca_driver(line) { driver } else { line })
        .collect();
    std::fs::write(bed.config_file(), lines.join("\n")).unwrap();
}

fn is_ca_driver(line: &str) -> bool {
    ["driver.local", "driver.acme"]
        .iter()
        .any(|driver| line.starts_with(driver))
}

fn at(pebble: &Pebble, more: &str) -> String {
    let listen = pebble.http;
    let validation = format!(r#"validation.http = {{ listen = "{listen}" }}{more}"#);
    proven_by(&validation, pebble)
}

fn proven_by(validation: &str, pebble: &Pebble) -> String {
    format!(
        r#"driver.acme = {{ directory = "{}", terms_of_service_agreed = true, trust = {{ ca = "{}" }}, roots = "{}", {validation} }}"#,
        pebble.directory(),
        pebble.server_ca().display(),
        pebble.root().display(),
    )
}

/// Runs the daemon again and again, as time passes, until the newest renewal has come to an end.
async fn until_it_ends(bed: &TestBed) -> State {
    let start = Instant::now();
    loop {
        bed.run_once().await;
        let renewal = &bed.renewals().await[0];
        if renewal.state.is_end() || start.elapsed() > PATIENCE {
            let history = bed.history().await;
            assert!(renewal.state.is_end(), "{renewal:#?}\n{history:#?}");
            return renewal.state;
        }
        if let Some(next) = renewal.next_attempt_at {
            bed.clock.sleep_until(next).await;
        }
        // The server's own clock is a real one.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// That the services show what the CA issued for the one key pair that was born on the device.
async fn assert_shown(bed: &TestBed) {
    let renewals = bed.renewals().await;
    assert_eq!(renewals.len(), 1, "{renewals:#?}");
    let fingerprint = renewals[0].obtained.fingerprint.unwrap();
    for seen in bed.seen().await {
        assert_eq!(seen.fingerprint, fingerprint);
        assert_eq!(
            seen.public_key.to_string(),
            bed.simulator.spki_sha256(&renewals[0].alias).unwrap()
        );
    }
    assert_eq!(bed.simulator.counters().key_pairs_generated, 1);
    bed.assert_left_in_order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_proves_control_and_the_device_shows_what_pebble_issued() {
    let Some(pebble) = Pebble::start(PebbleFaults::USUAL).await else {
        return;
    };
    let bed = test_bed_at(&at(&pebble, "")).await;
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((pebble.orders(), pebble.certificates()), (1, 1));
    assert_eq!(pebble.accounts(), 1);
    let port = tokio::net::TcpStream::connect(pebble.http).await;
    assert!(port.is_err(), "the port stays open after the proof");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_any_poll_of_the_order_a_renewal_costs_no_second_order() {
    let Some(pebble) = Pebble::start(PebbleFaults::USUAL).await else {
        return;
    };
    let mut kills = 0;
    for look in 1.. {
        let bed = test_bed_at(&at(&pebble, "")).await;
        let before = (pebble.orders(), pebble.certificates());
        let killed = kill_at(&bed, &pebble, &format!("Before(PollIssuance) {look}"));
        assert_eq!(until_it_ends(&bed).await, State::Completed, "look {look}");
        assert_shown(&bed).await;
        let after = (pebble.orders(), pebble.certificates());
        assert_eq!(after, (before.0 + 1, before.1 + 1), "look {look}");
        if !killed {
            break;
        }
        kills += 1;
    }
    // Validation, finalization and download are three polls at least.
    assert!(kills >= 3, "{kills}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_download_the_same_certificate_is_downloaded_again() {
    let Some(pebble) = Pebble::start(PebbleFaults::USUAL).await else {
        return;
    };
    let bed = test_bed_at(&at(&pebble, "")).await;
    assert!(kill_at(&bed, &pebble, "Acted(PollIssuance) 1"));
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((pebble.orders(), pebble.certificates()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_url_was_lost_is_left_to_expire_and_costs_no_certificate() {
    let Some(pebble) = Pebble::start(PebbleFaults::USUAL).await else {
        return;
    };
    let bed = test_bed_at(&at(&pebble, "")).await;
    assert!(kill_at(&bed, &pebble, "Acted(Submit) 1"));
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
    assert_eq!((pebble.orders(), pebble.certificates()), (2, 1));
    assert_eq!(pebble.accounts(), 1, "the account was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_ca_rejects_is_reported_at_once_and_retried_after_a_day() {
    let faults = PebbleFaults {
        blocked_name: "vpn.example.com",
        ..PebbleFaults::USUAL
    };
    let Some(pebble) = Pebble::start(faults).await else {
        return;
    };
    let bed = test_bed_at(&at(&pebble, "")).await;
    let start = bed.clock.now();
    bed.run_once().await;
    assert!(bed.has_event("attention_needed").await);
    let renewals = bed.renewals().await;
    let words = renewals[0].last_error.clone().unwrap();
    assert!(words.contains("rejectedIdentifier"), "{words}");
    let wait = start.duration_until(renewals[0].next_attempt_at.unwrap());
    assert!(wait.as_hours() >= 23, "{wait:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_the_ca_cannot_fetch_ends_the_order_and_is_retried_after_a_day() {
    let Some(pebble) = Pebble::start(PebbleFaults::USUAL).await else {
        return;
    };
    let elsewhere = at(&pebble, "").replace(
        &pebble.http.to_string(),
        &crate::peers::free_address().to_string(),
    );
    let bed = test_bed_at(&elsewhere).await;
    let start = Instant::now();
    let renewal = loop {
        bed.run_once().await;
        let renewal = bed.renewals().await.remove(0);
        let next = renewal.next_attempt_at.unwrap();
        if bed.clock.now().duration_until(next).as_hours() >= 20 || start.elapsed() > PATIENCE {
            break renewal;
        }
        bed.clock.sleep_until(next).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let history = format!("{:?}", bed.history().await);
    assert!(history.contains("(connection)"), "{history}");
    assert_eq!(renewal.state, State::CsrExported, "{renewal:#?}");
    assert_eq!(pebble.certificates(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_takes_only_its_customers_gets_no_key_made_for_nothing() {
    let faults = PebbleFaults {
        external_accounts: true,
        ..PebbleFaults::USUAL
    };
    let Some(pebble) = Pebble::start(faults).await else {
        return;
    };
    let bed = test_bed_at(&at(&pebble, "")).await;
    bed.run_once().await;
    let words = bed.renewals().await[0].last_error.clone().unwrap();
    assert!(words.contains("external_account"), "{words}");
    assert_eq!(bed.simulator.counters().key_pairs_generated, 0);

    let customer = |key: &str| {
        let more = format!(
            r#", external_account = {{ key_id = "kid-1", hmac_key = {{ file = "{key}" }} }}"#
        );
        at(&pebble, &more)
    };
    let key = bed.folder.path().join("hmac");
    test_bed::write_secret(&key, HMAC_KEY);
    let known = test_bed_at(&customer(&key.display().to_string())).await;
    assert_eq!(until_it_ends(&known).await, State::Completed);
    assert_shown(&known).await;
    assert_eq!(pebble.accounts(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_the_ca_reports_terms_profiles_account_and_windows_and_creates_no_account() {
    let Some(pebble) = Pebble::start(PebbleFaults::USUAL).await else {
        return;
    };
    let bed = test_bed_at(&at(&pebble, "")).await;
    let facts = facts(&bed).await;
    assert_eq!(facts["directory"], pebble.directory());
    assert!(facts["terms of service"].starts_with("data:"), "{facts:?}");
    assert!(facts["account"].starts_with("none yet"), "{facts:?}");
    assert_eq!(facts["external account"], "not wanted");
    assert_eq!(pebble.accounts(), 0);
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert!(self::facts(&bed).await["account"].ends_with(": valid"));
}

/// Caddy connects to port 80 and resolves names with the system, so it validates the address of this machine itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_caddy_with_a_ca_of_its_own_renews_a_device_that_is_known_by_its_address() {
    if let Err(error) = std::net::TcpListener::bind("127.0.0.1:80") {
        println!("skipped: needs port 80 ({error})");
        return;
    }
    let Some(caddy) = Caddy::start().await else {
        return;
    };
    let bed = test_bed_at(&format!(
        r#"driver.acme = {{ directory = "{}", terms_of_service_agreed = true, trust = {{ ca = "{root}" }}, roots = "{root}", validation.http = {{ listen = "127.0.0.1:80" }} }}"#,
        caddy.directory(),
        root = caddy.root().display(),
    ))
    .await;
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let text = text
        .replace(
            r#"dns_names = ["vpn.example.com"]"#,
            r#"ip_addresses = ["127.0.0.1"]"#,
        )
        .replace(r#""vpn.example.com""#, r#""127.0.0.1""#);
    std::fs::write(bed.config_file(), text).unwrap();
    assert_eq!(until_it_ends(&bed).await, State::Completed);
    assert_shown(&bed).await;
}

fn issuer(bed: &TestBed) -> Arc<dyn ca::Issuer> {
    ca::issuer(&bed.config().cas["office"], &bed.env())
}

async fn facts(bed: &TestBed) -> BTreeMap<String, String> {
    issuer(bed).check().await.unwrap().into_iter().collect()
}

/// Runs the daemon in a process that kills itself, as `kill -9` does, at a moment and its number; whether it came to that.
fn kill_at(bed: &TestBed, pebble: &Pebble, moment: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args([
            "acme::a_daemon_that_is_to_be_killed",
            "--exact",
            "--nocapture",
        ])
        .env(CONFIG, bed.config_file())
        .env(MOMENT, moment)
        .env(LOG, pebble.log_file())
        .env(NOW, bed.clock.now().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.signal() == Some(9)
}

/// Not a test by itself: the process that is killed by the tests above.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_to_be_killed() {
    let Ok(config) = std::env::var(CONFIG) else {
        return;
    };
    let moment = std::env::var(MOMENT).unwrap();
    let now = std::env::var(NOW).unwrap().parse().unwrap();
    let (moment, number) = moment.split_once(' ').unwrap();
    let deadly = Arc::new(Deadly {
        moment: moment.to_owned(),
        left: AtomicU32::new(number.parse().unwrap()),
        server_log: std::env::var(LOG).unwrap().into(),
    });
    let clock = Arc::new(ManualClock::new(now));
    let start = Instant::now();
    while start.elapsed() < CHILDHOOD {
        let config = Path::new(&config);
        let report = test_bed::run_once(config, Arc::clone(&clock), Arc::clone(&deadly) as _).await;
        if report
            .worked_on
            .iter()
            .any(|renewal| renewal.state.is_end())
        {
            return;
        }
        clock.advance(jiff::SignedDuration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kills the process when it reaches a moment for the last time that is left.
#[derive(Debug)]
struct Deadly {
    moment: String,
    left: AtomicU32,
    server_log: PathBuf,
}

impl CommitObserver for Deadly {}

#[async_trait]
impl Checkpoint for Deadly {
    async fn pass(&self, moment: Moment) {
        let is_it = format!("{moment:?}") == self.moment;
        if !is_it || self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
            return;
        }
        self.no_validation_is_under_way().await;
        let own = std::process::id().to_string();
        Command::new("kill").args(["-9", &own]).status().unwrap();
        loop {
            std::thread::park();
        }
    }
}

impl Deadly {
    /// A validation that ends in a reset makes the order void, and another one is rightly placed.
    async fn no_validation_is_under_way(&self) {
        let start = Instant::now();
        let mut calm = 0;
        while calm < 3 && start.elapsed() < CHILDHOOD / 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let said = std::fs::read_to_string(&self.server_log).unwrap();
            let begun = said.matches("Pulled a task from the Tasks queue").count();
            let ended = said.matches("by completed challenge").count();
            calm = if begun == ended { calm + 1 } else { 0 };
        }
    }
}

const CONFIG: &str = "RENEWD_TEST_ACME_CONFIG";
const LOG: &str = "RENEWD_TEST_ACME_LOG";
const MOMENT: &str = "RENEWD_TEST_ACME_KILL_AT";
const NOW: &str = "RENEWD_TEST_ACME_NOW";
/// How long the process that is to be killed waits for it.
const CHILDHOOD: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(15);
