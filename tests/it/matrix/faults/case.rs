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

use super::way::Way;
use crate::contract::Port;
use crate::lab::CERTIFICATE;
use crate::matrix::bench::Bench;
use crate::matrix::invariants::When;
use crate::matrix::pair::Kind;
use crate::matrix::site::Site;

/// Which exchange fails, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    pub site: Site,
    pub peer: Peer,
    /// Counted from 1: connections for what happens to a connection, else requests, runs or files.
    nth: u32,
    pub way: Way,
}

/// With whom an exchange is made.
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
    /// Whether a person had to let it go on.
    pub held: bool,
    /// From the plan to the end, by the laboratory's clock.
    pub took: SignedDuration,
}

/// Counts the exchanges of one site.
pub async fn count(site: Site) -> Result<Exchanges, String> {
    let bench = Bench::new(site).await;
    bench.lab.simulator.one_request_each(true);
    if let Some(port) = bench.ca.port() {
        port.one_request_each(true);
    }
    let before = Exchanges::until_now(&bench);
    let completed = bench.completed().await;
    completed.map_err(|words| format!("{site} without a fault: {words}"))?;
    Ok(Exchanges::until_now(&bench).since(&before))
}

/// Every case of a site.
pub fn every(site: Site, exchanges: &Exchanges) -> Vec<Case> {
    let mut cases = Vec::new();
    for peer in Peer::ALL {
        for way in Way::ALL {
            let numbers = 1..=exchanges.with(peer, way);
            cases.extend(numbers.map(|nth| Case {
                site,
                peer,
                nth,
                way,
            }));
        }
    }
    cases
}

/// Runs one case; an error says what did not hold.
pub async fn run(case: Case) -> Result<Came, String> {
    let bench = Bench::with(case.site, |faces| {
        if case.peer == Peer::File {
            faces.transfer_timeout_ms = Duration::from_secs(2);
        }
    })
    .await;
    lose_patience(&bench, case.way.needs_a_deadline());
    case.strike(&bench);
    let began = bench.lab.clock.now();
    let mut renewal = bench.finish().await?;
    let held = !renewal.state.is_end() && renewal.next_attempt_at.is_none();
    if held {
        bench.hold(When::AtEnd).await?;
        renew(&bench).await;
        renewal = bench.finish().await?;
    }
    let took = began.duration_until(bench.lab.clock.now());
    if case.peer == Peer::Device && bench.lab.simulator.counters().sessions_open > 0 {
        let_session_end(&bench).await;
    }
    let struck = case.has_struck(&bench);
    let facts = bench.facts(When::AtEnd).await;
    facts.hold().map_err(|broken| broken.to_string())?;
    match objection(&bench, &renewal, took).await {
        None => Ok(Came { struck, held, took }),
        Some(words) => Err(format!("{words}\n{}", facts.tail())),
    }
}

/// What is wrong with an end at which every invariant holds.
async fn objection(bench: &Bench, renewal: &Renewal, took: SignedDuration) -> Option<String> {
    let pair = bench.pair;
    if renewal.state != bench.site.end() {
        let error = &renewal.last_error;
        return Some(format!("it ended as {}: {error:?}", renewal.state));
    }
    let (renewals, orders) = (bench.lab.renewals().await.len(), bench.ca.orders());
    let wanted = if pair.face.has_former() { 2 } else { 1 };
    if renewals != wanted || orders != u64::try_from(wanted).unwrap() {
        return Some(format!("{renewals} renewals, {orders} orders"));
    }
    let of_ca = bench.ca.port().map_or(0, Port::told_to_stranger);
    let told = bench.lab.simulator.told_to_stranger() + of_ca;
    if told > 0 {
        return Some(format!("{told} bytes were said to a stranger"));
    }
    let is_paid_again = pair.kind == Kind::Resello && pair.face.has_former();
    let longest = if is_paid_again { A_DAY } else { LONGEST };
    (took > longest).then(|| format!("it took {took:#}"))
}

/// What a person does: `renewd renew`.
async fn renew(bench: &Bench) {
    let store = bench.lab.store().await;
    let event = Event::of_certificate(EventKind::RenewalRequested, &CERTIFICATE.into());
    let now = bench.lab.clock.now();
    store
        .request_renewal(CERTIFICATE, now, &[event])
        .await
        .unwrap();
    store.close().await;
}

/// A goodbye that failed leaves a session, which the device ends when it was idle for long. It notices at the next request.
async fn let_session_end(bench: &Bench) {
    let minutes = bench.lab.simulator.faces().idle_logout_minutes;
    let idle = SignedDuration::from_mins(i64::from(minutes) + 1);
    bench.lab.clock.advance(idle);
    let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true);
    let version = format!("{}/api/sonicos/version", bench.lab.simulator.url());
    let _ = client.build().unwrap().get(version).send().await;
}

/// Writes a short time-out for files, which are waited for when the answer to a call is lost; and everywhere else the
/// shortest that can be configured.
fn lose_patience(bench: &Bench, everywhere: bool) {
    let file = bench.lab.config_file();
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
    let driver = driver.find(|driver| bench.lab.ca().starts_with(*driver));
    if let Some(driver) = driver.filter(|_| everywhere) {
        put(driver, r#"timeout = "1s", "#);
    }
    std::fs::write(file, text).unwrap();
}

impl Case {
    /// Tells the peer of it.
    fn strike(&self, bench: &Bench) {
        let device = &bench.lab.simulator;
        match self.peer {
            Peer::Device => {
                if let Some(fault) = self.way.of_connection() {
                    device.one_request_each(true);
                    device.connection_fault(self.nth, fault);
                } else if let Some(action) = self.way.of_device() {
                    device.rule(Rule::any(self.nth, action));
                }
            }
            Peer::Ca => {
                let port = bench.ca.port().expect("a CA with a port");
                if let Some(fault) = self.way.of_connection() {
                    port.one_request_each(true);
                    port.connection_fault(self.nth, fault);
                } else if let Some(fault) = self.way.of_ca() {
                    port.fault(On::any(self.nth), fault);
                }
            }
            Peer::Program => {
                let way = self.way.of_program().expect("a way of programs");
                wrap_program(bench, self.nth, way);
            }
            Peer::File => {
                let fault = self.way.of_file().expect("a way of files");
                device.transfer_fault(self.nth, fault);
            }
        }
    }

    fn has_struck(&self, bench: &Bench) -> bool {
        match self.peer {
            Peer::Device | Peer::File => bench.lab.simulator.faults_used() == 1,
            Peer::Ca => bench.ca.port().is_some_and(|port| port.faults_used() == 1),
            Peer::Program => bench.lab.folder.path().join("struck").exists(),
        }
    }
}

/// The `nth` run of the outside program is another one's.
fn wrap_program(bench: &Bench, nth: u32, way: &str) {
    let folder = bench.lab.folder.path().display();
    std::fs::rename(format!("{folder}/helper"), format!("{folder}/honest")).unwrap();
    let script = format!(
        "runs=$(cat {folder}/runs 2>/dev/null || echo 0)\nruns=$((runs + 1))\necho $runs >{folder}/runs\n\
         act() {{ /bin/bash {folder}/honest; }}\n\
         if [ $runs = {nth} ]; then\n  : >{folder}/struck\n  {way}\nfi\nact\n"
    );
    std::fs::write(format!("{folder}/helper"), script).unwrap();
}

impl Exchanges {
    fn until_now(bench: &Bench) -> Self {
        let number = |count: u64| u32::try_from(count).unwrap();
        let device = &bench.lab.simulator;
        let counters = device.counters();
        let port = bench.ca.port();
        let runs = match port {
            Some(_) => 0,
            None => bench.ca.journal().len(),
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

    /// In how many places `way` can be tried with `source_address`.
    fn with(&self, peer: Peer, way: Way) -> u32 {
        let of = |counted: Counted, is_request: bool| match way.of_connection() {
            Some(_) => counted.connections,
            None if is_request => counted.requests,
            None => 0,
        };
        match peer {
            Peer::Device => of(self.device, way.of_device().is_some()),
            Peer::Ca => of(self.ca, way.of_ca().is_some()),
            Peer::Program if way.of_program().is_some() => self.runs,
            Peer::File if way.of_file().is_some() => self.files,
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
        let (site, peer, way) = (self.site, self.peer.name(), self.way.name());
        write!(f, "{site}:{peer}-{}:{way}", self.nth)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is no SITE:EXCHANGE:WAY, such as 8/venafi:ca-3:reset-after");
        let [site, exchange, way] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(wrong());
        };
        let (peer, nth) = exchange.split_once('-').ok_or_else(wrong)?;
        let peer = Peer::ALL.into_iter().find(|one| one.name() == peer);
        let way = Way::ALL.into_iter().find(|one| one.name() == way);
        Ok(Self {
            site: site.parse()?,
            peer: peer.ok_or_else(wrong)?,
            nth: nth.parse().map_err(|_| wrong())?,
            way: way.ok_or_else(wrong)?,
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

/// By the laboratory's clock: the first waits of the retry table, what a peer may ask for, and a step tried again.
const LONGEST: SignedDuration = SignedDuration::from_hours(2);
/// The same where nothing is paid again before a day has passed.
const A_DAY: SignedDuration = SignedDuration::from_hours(27);
