//! One case of the fault matrix: which exchange of which renewal fails in which way, and what has to come of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use renewd::clock::Clock as _;
use renewd::event::{Event, EventKind};
use renewd::inventory::Renewal;
use simulators::ca::On;
use simulators::sonicos::Rule;

use super::fault_kind::FaultKind;
use crate::contract::Port;
use crate::matrix::driver_pair::Kind;
use crate::matrix::fixture::Fixture;
use crate::matrix::invariants::When;
use crate::matrix::site::Site;
use crate::test_bed::CERTIFICATE;

/// Which exchange fails, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub site: Site,
    pub peer: Peer,
    /// Counted from 1: connections for what happens to a connection, else requests, runs or files.
    nth: u32,
    pub fault_kind: FaultKind,
}

/// The peer of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The device: its API, and the handshakes that prove what it shows.
    Device,
    /// The CA.
    Ca,
    /// The outside program that is the CA.
    Program,
    /// The server for a file that the device carries.
    File,
}

/// How many exchanges a renewal without faults makes.
#[derive(Debug, Default)]
pub struct Exchanges {
    device: Counted,
    ca: Counted,
    runs: u32,
    files: u32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counted {
    connections: u32,
    requests: u32,
}

/// What came of a case in which everything held.
#[derive(Debug)]
pub struct Came {
    /// Whether the exchange took place at all.
    pub struck: bool,
    /// Whether an operator had to resume it.
    pub held: bool,
    /// From the plan to the end, by the test bed's clock.
    pub took: SignedDuration,
}

/// Counts the exchanges of one site.
pub async fn count(site: Site) -> Result<Exchanges, String> {
    let fixture = Fixture::new(site).await;
    fixture.bed.simulator.one_request_each(true);
    if let Some(port) = fixture.ca.port() {
        port.one_request_each(true);
    }
    let before = Exchanges::until_now(&fixture);
    let completed = fixture.completed().await;
    completed.map_err(|words| format!("{site} without a fault: {words}"))?;
    Ok(Exchanges::until_now(&fixture).since(&before))
}

/// Every case of a site.
pub fn every(site: Site, exchanges: &Exchanges) -> Vec<Case> {
    let mut cases = Vec::new();
    for peer in Peer::ALL {
        for fault_kind in FaultKind::ALL {
            let numbers = 1..=exchanges.with(peer, fault_kind);
            cases.extend(numbers.map(|nth| Case {
                site,
                peer,
                nth,
                fault_kind,
            }));
        }
    }
    cases
}

/// Runs one case; an error names the violation.
pub async fn run(case: Case) -> Result<Came, String> {
    let fixture = Fixture::with(case.site, |variants| {
        if case.peer == Peer::File {
            variants.transfer_timeout_ms = Duration::from_secs(2);
        }
    })
    .await;
    lose_patience(&fixture, case.fault_kind.needs_a_deadline());
    case.strike(&fixture);
    let began = fixture.bed.clock.now();
    let mut renewal = fixture.finish().await?;
    let held = !renewal.state.is_end() && renewal.next_attempt_at.is_none();
    if held {
        fixture.hold(When::AtEnd).await?;
        renew(&fixture).await;
        renewal = fixture.finish().await?;
    }
    let took = began.duration_until(fixture.bed.clock.now());
    if case.peer == Peer::Device && fixture.bed.simulator.counters().sessions_open > 0 {
        let_session_end(&fixture).await;
    }
    let struck = case.has_struck(&fixture);
    let facts = fixture.facts(When::AtEnd).await;
    facts.hold().map_err(|broken| broken.to_string())?;
    match objection(&fixture, &renewal, took).await {
        None => Ok(Came { struck, held, took }),
        Some(words) => Err(format!("{words}\n{}", facts.tail())),
    }
}

/// What is wrong with an end at which every invariant holds.
async fn objection(fixture: &Fixture, renewal: &Renewal, took: SignedDuration) -> Option<String> {
    let pair = fixture.pair;
    if renewal.state != fixture.site.end() {
        let error = &renewal.last_error;
        return Some(format!("it ended as {}: {error:?}", renewal.state));
    }
    let (renewals, orders) = (fixture.bed.renewals().await.len(), fixture.ca.orders());
    let wanted = if pair.face.has_former() { 2 } else { 1 };
    if renewals != wanted || orders != u64::try_from(wanted).unwrap() {
        return Some(format!("{renewals} renewals, {orders} orders"));
    }
    let of_ca = fixture.ca.port().map_or(0, Port::bytes_sent_to_impostor);
    let reported = fixture.bed.simulator.bytes_sent_to_impostor() + of_ca;
    if reported > 0 {
        return Some(format!("{reported} bytes were sent to an unknown server"));
    }
    let is_paid_again = pair.kind == Kind::Resello && pair.face.has_former();
    let longest = if is_paid_again { A_DAY } else { LONGEST };
    (took > longest).then(|| format!("it took {took:#}"))
}

/// What an operator does: `renewd renew`.
async fn renew(fixture: &Fixture) {
    let store = fixture.bed.store().await;
    let event = Event::of_certificate(EventKind::RenewalRequested, &CERTIFICATE.into());
    let now = fixture.bed.clock.now();
    store
        .request_renewal(CERTIFICATE, now, &[event])
        .await
        .unwrap();
    store.close().await;
}

/// A goodbye that failed leaves a session, which the device ends when it was idle for long. It notices at the next request.
async fn let_session_end(fixture: &Fixture) {
    let minutes = fixture.bed.simulator.variants().idle_logout_minutes;
    let idle = SignedDuration::from_mins(i64::from(minutes) + 1);
    fixture.bed.clock.advance(idle);
    // Any request will do, and none of it is secret: whose certificate the simulator shows at this point does not matter.
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    let version = format!("{}/api/sonicos/version", fixture.bed.simulator.url());
    let _ = client.build().unwrap().get(version).send().await;
}

/// Writes a short time-out for files, which are waited for when the answer to a call is lost; and everywhere else the
/// shortest that can be configured.
fn lose_patience(fixture: &Fixture, everywhere: bool) {
    let file = fixture.bed.config_file();
    let mut text = std::fs::read_to_string(&file).unwrap();
    let mut put = |wanted: &str, more: &str| {
        assert!(text.contains(wanted), "{text}");
        text = text.replace(wanted, &format!("{wanted}{more}"));
    };
    put("driver.sonicos = { ", r#"transfer_timeout = "8s", "#);
    if everywhere {
        put("driver.sonicos = { ", r#"call_timeout = "1s", "#);
    }
    let driver = ["acme", "venafi", "pam360", "resello", "exec"];
    let driver = driver.map(|name| format!("driver.{name} = {{ "));
    let mut driver = driver.iter();
    let driver = driver.find(|driver| fixture.bed.ca().starts_with(*driver));
    if let Some(driver) = driver.filter(|_| everywhere) {
        put(driver, r#"timeout = "1s", "#);
    }
    std::fs::write(file, text).unwrap();
}

impl Case {
    /// Sets it up in the peer.
    fn strike(&self, fixture: &Fixture) {
        let device = &fixture.bed.simulator;
        match self.peer {
            Peer::Device => {
                if let Some(fault) = self.fault_kind.of_connection() {
                    device.one_request_each(true);
                    device.connection_fault(self.nth, fault);
                } else if let Some(action) = self.fault_kind.of_device() {
                    device.rule(Rule::any(self.nth, action));
                }
            }
            Peer::Ca => {
                let port = fixture.ca.port().expect("a CA with a port");
                if let Some(fault) = self.fault_kind.of_connection() {
                    port.one_request_each(true);
                    port.connection_fault(self.nth, fault);
                } else if let Some(fault) = self.fault_kind.of_ca() {
                    port.fault(On::any(self.nth), fault);
                }
            }
            Peer::Program => {
                let fault_kind = self.fault_kind.of_program().expect("a way of programs");
                wrap_program(fixture, self.nth, fault_kind);
            }
            Peer::File => {
                let fault = self.fault_kind.of_file().expect("a way of files");
                device.transfer_fault(self.nth, fault);
            }
        }
    }

    fn has_struck(&self, fixture: &Fixture) -> bool {
        match self.peer {
            Peer::Device | Peer::File => fixture.bed.simulator.faults_used() == 1,
            Peer::Ca => fixture
                .ca
                .port()
                .is_some_and(|port| port.faults_used() == 1),
            Peer::Program => fixture.bed.folder.path().join("struck").exists(),
        }
    }
}

/// The `nth` run of the outside program is another one's.
fn wrap_program(fixture: &Fixture, nth: u32, fault_kind: &str) {
    let folder = fixture.bed.folder.path().display();
    std::fs::rename(format!("{folder}/helper"), format!("{folder}/honest")).unwrap();
    let script = format!(
        "runs=$(cat {folder}/runs 2>/dev/null || echo 0)\nruns=$((runs + 1))\necho $runs >{folder}/runs\n\
         act() {{ /bin/bash {folder}/honest; }}\n\
         if [ $runs = {nth} ]; then\n  : >{folder}/struck\n  {fault_kind}\nfi\nact\n"
    );
    std::fs::write(format!("{folder}/helper"), script).unwrap();
}

impl Exchanges {
    fn until_now(fixture: &Fixture) -> Self {
        let number = |count: u64| u32::try_from(count).unwrap();
        let device = &fixture.bed.simulator;
        let counters = device.counters();
        let port = fixture.ca.port();
        let runs = match port {
            Some(_) => 0,
            None => fixture.ca.journal().len(),
        };
        Self {
            device: Counted {
                connections: number(device.connections()),
                requests: number(counters.requests),
            },
            ca: port.map_or(Counted::default(), |port| Counted {
                connections: number(port.connections()),
                requests: number(port.counters().requests),
            }),
            runs: u32::try_from(runs).unwrap(),
            files: number(counters.transfers_brought + counters.transfers_fetched),
        }
    }

    fn since(&self, before: &Self) -> Self {
        let counted = |now: Counted, before: Counted| Counted {
            connections: now.connections - before.connections,
            requests: now.requests - before.requests,
        };
        Self {
            device: counted(self.device, before.device),
            ca: counted(self.ca, before.ca),
            runs: self.runs - before.runs,
            files: self.files - before.files,
        }
    }

    /// In how many places `fault_kind` can be tried with `source_address`.
    fn with(&self, peer: Peer, fault_kind: FaultKind) -> u32 {
        let of = |counted: Counted, is_request: bool| match fault_kind.of_connection() {
            Some(_) => counted.connections,
            None if is_request => counted.requests,
            None => 0,
        };
        match peer {
            Peer::Device => of(self.device, fault_kind.of_device().is_some()),
            Peer::Ca => of(self.ca, fault_kind.of_ca().is_some()),
            Peer::Program if fault_kind.of_program().is_some() => self.runs,
            Peer::File if fault_kind.of_file().is_some() => self.files,
            Peer::Program | Peer::File => 0,
        }
    }
}

impl Peer {
    const ALL: [Self; 4] = [Self::Device, Self::Ca, Self::Program, Self::File];

    fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Ca => "ca",
            Self::Program => "program",
            Self::File => "file",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (site, peer, fault_kind) = (self.site, self.peer.name(), self.fault_kind.name());
        write!(f, "{site}:{peer}-{}:{fault_kind}", self.nth)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no SITE:EXCHANGE:WAY, such as 8/venafi:ca-3:reset-after");
        let [site, exchange, fault_kind] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(wrong());
        };
        let (peer, nth) = exchange.split_once('-').ok_or_else(wrong)?;
        let peer = Peer::ALL.into_iter().find(|one| one.name() == peer);
        let fault_kind = FaultKind::ALL
            .into_iter()
            .find(|one| one.name() == fault_kind);
        Ok(Self {
            site: site.parse()?,
            peer: peer.ok_or_else(wrong)?,
            nth: nth.parse().map_err(|_| wrong())?,
            fault_kind: fault_kind.ok_or_else(wrong)?,
        })
    }
}

#[test]
fn a_case_is_found_by_its_name() {
    let site: Site = "8/venafi@dead".parse().unwrap();
    let counted = Counted {
        connections: 2,
        requests: 3,
    };
    let exchanges = Exchanges {
        device: counted,
        ca: counted,
        runs: 1,
        files: 1,
    };
    let cases = every(site, &exchanges);
    assert_eq!(cases.len(), 2 * (3 * 2 + 21 * 3) + 11 + 5);
    for case in cases {
        assert_eq!(case.to_string().parse(), Ok(case));
    }
    assert!("8/venafi:ca-3".parse::<Case>().is_err());
}

/// By the test bed's clock: the first waits of the retry table, what a peer may ask for, and a step tried again.
const LONGEST: SignedDuration = SignedDuration::from_hours(2);
/// The same where nothing is paid again before a day has passed.
const A_DAY: SignedDuration = SignedDuration::from_hours(27);
