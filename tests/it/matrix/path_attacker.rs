//! Attacker matrix: an attacker on the path replaced the request, and from one point of the renewal on ends every
//! connection with the certificate that the CA issues for the attacker's key. Each point from the order on; the daemon
//! runs on, or is started again there. No login reaches the attacker, no certificate of the attacker is trusted, and
//! once the firewall has refused the certificate, an alert reports what to check.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use rcgen::{CertificateParams, KeyPair};
use renewd::inventory::{Renewal, State};
use renewd::pki::{Certificate, Csr};
use renewd::store::Store;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::crash_points::{CrashPoints, Stop};
use super::driver_pair::{DriverPair, Face, Kind};
use super::fixture::Fixture;
use super::invariants::When;
use super::sample::Sample;
use super::{is_long, of_each, report, seed};
use crate::test_bed::CERTIFICATE;

/// A pair, the point at which the attack begins, counted from 1, and what the daemon does there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Case {
    pair: DriverPair,
    point: usize,
    daemon: Daemon,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Daemon {
    /// It continues; open connections are closed.
    RunsOn,
    /// It is stopped and started again: it has to log in again.
    StartsAgain,
}

impl Daemon {
    /// A daemon that was stopped may leave a session, and there is no login to give it back.
    fn when(self) -> When {
        match self {
            Self::RunsOn => When::AtEnd,
            Self::StartsAgain => When::AfterCrash,
        }
    }
}

/// What came of a case.
#[derive(Debug, Clone, Copy)]
struct Attack {
    /// Handshakes that were broken off because of the certificate.
    turned_away: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attacker_on_the_path_after_the_order_gets_no_login() {
    let asked = std::env::var("RENEWD_ATTACK").ok();
    if let Some(case) = asked.as_deref().and_then(|text| text.parse::<Case>().ok()) {
        let attack = run(&case).await;
        let attack = attack.unwrap_or_else(|words| panic!("{case}: {words}"));
        return println!("{case}: {attack:?}, 0 violations");
    }
    let seed = seed(asked.as_deref(), "RENEWD_ATTACK");
    let pairs = pairs(seed);
    let counted = of_each(pairs.clone(), |pair| async move { points_of(pair).await }).await;
    assert!(counted.iter().all(Result::is_ok), "{counted:#?}");
    let mut sample = Sample::new(seed);
    let cases: Vec<Case> = pairs
        .iter()
        .zip(counted.iter().flatten())
        .flat_map(|(pair, points)| cases(*pair, *points, &mut sample))
        .collect();
    let outcomes = of_each(cases.clone(), |case| async move { run(&case).await }).await;
    let broken = report("RENEWD_ATTACK", "path_attacker", &cases, &outcomes);
    let met = outcomes.iter().flatten().filter(|it| it.turned_away > 0);
    let met = met.count();
    println!(
        "attacker matrix: seed {seed}: {} driver pairs, {} points ({met} where a connection reached the attacker), {} violations",
        pairs.len(),
        cases.len(),
        broken.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    assert!(
        met * 4 > cases.len(),
        "a connection reached the attacker in {met} of {}",
        cases.len()
    );
}

/// Every pair in the long run; in the short one each generation with the CA that answers at once, and with one other.
fn pairs(seed: u64) -> Vec<DriverPair> {
    if is_long() {
        return DriverPair::all();
    }
    let others = Kind::ALL.iter().filter(|kind| **kind != Kind::Local);
    let others = others.cycle().skip(usize::try_from(seed % 5).unwrap());
    let of_face = |(face, other): (&Face, &Kind)| {
        [Kind::Local, *other].map(|kind| DriverPair { face: *face, kind })
    };
    Face::GENERATIONS
        .iter()
        .zip(others)
        .flat_map(of_face)
        .collect()
}

/// The first and the last point at which the attacker has a certificate to attack with.
type Points = (usize, usize);

async fn points_of(pair: DriverPair) -> Result<Points, String> {
    let fixture = Fixture::new(pair).await;
    let key = KeyPair::generate().unwrap();
    fixture.bed.simulator.replace_requests(key.serialize_der());
    let renewal = fixture.finish().await?;
    is_held(&fixture, &renewal).await?;
    let points = fixture.crash_points.points();
    let first = points.iter().position(|point| point == SUBMITTED);
    let first = first.ok_or_else(|| format!("{pair}: it was never ordered: {points:#?}"))?;
    Ok((first + 1, points.len()))
}

/// Each point in both ways with the CA that answers at once, and some with the others; in the short run some of all.
fn cases(pair: DriverPair, (first, last): Points, sample: &mut Sample) -> Vec<Case> {
    let case = |point: usize, daemon| Case {
        pair,
        point: first - 1 + point,
        daemon,
    };
    let points = last + 1 - first;
    let ways = [Daemon::RunsOn, Daemon::StartsAgain];
    if is_long() && pair.kind == Kind::Local {
        let both = |point| ways.map(|daemon| case(point, daemon));
        return (1..=points).flat_map(both).collect();
    }
    let many = match (is_long(), pair.kind) {
        (true, _) => OTHERS_LONG,
        (false, Kind::Local) => 2,
        (false, _) => 1,
    };
    let some = sample.some(many, points).into_iter();
    some.map(|point| case(point, ways[sample.below(2)]))
        .collect()
}

async fn run(case: &Case) -> Result<Attack, String> {
    let fixture = Fixture::new(case.pair).await;
    let attacker = Attacker::before(&fixture, case.point).await;
    match case.daemon {
        Daemon::RunsOn => {}
        Daemon::StartsAgain => {
            fixture.drive(Stop::At(case.point)).await?;
            attacker.begin();
            fixture.bed.clock.advance(SignedDuration::from_secs(2));
        }
    }
    let renewal = fixture.drive(Stop::Never).await?.ok_or("it was stopped")?;
    nothing_was_trusted(&fixture, &attacker, &renewal)?;
    let turned_away = attacker.state().turned_away;
    attacker.end();
    let (renewal, when) = match renewal.next_attempt_at {
        // The firewall had refused it before, and the attacker was on the path when the session was to be closed.
        None => (renewal, When::AfterCrash),
        Some(_) => (fixture.finish().await?, case.daemon.when()),
    };
    is_held(&fixture, &renewal).await?;
    let logins = fixture.bed.simulator.counters().logins;
    attacker.begin();
    a_day_passes(&fixture).await?;
    nothing_was_trusted(&fixture, &attacker, &renewal)?;
    if fixture.bed.simulator.counters().logins > logins {
        return Err("a login after it was held".to_owned());
    }
    fixture.hold(when).await?;
    Ok(Attack { turned_away })
}

/// As often as an operator would look.
async fn a_day_passes(fixture: &Fixture) -> Result<(), String> {
    for _ in 0..6 {
        fixture.bed.clock.advance(SignedDuration::from_hours(4));
        fixture.drive(Stop::Never).await?;
    }
    Ok(())
}

/// The attacker received nothing, and no certificate of the attacker has ended a renewal.
fn nothing_was_trusted(
    fixture: &Fixture,
    attacker: &Attacker,
    renewal: &Renewal,
) -> Result<(), String> {
    let state = attacker.state();
    if !state.loot.is_empty() {
        let loot = String::from_utf8_lossy(&state.loot).into_owned();
        return Err(format!("the attacker was sent {loot:?}"));
    }
    drop(state);
    if renewal.state.is_end() || matches!(renewal.state, State::Bound | State::Verified) {
        return Err(format!("it is {}: {:?}", renewal.state, renewal.last_error));
    }
    let orders = fixture.ca.orders();
    if orders != 1 {
        return Err(format!("{orders} orders"));
    }
    Ok(())
}

/// Held, with one alert that names what to check.
async fn is_held(fixture: &Fixture, renewal: &Renewal) -> Result<(), String> {
    let kind = renewal.last_error_kind.as_deref();
    if renewal.next_attempt_at.is_some() || kind != Some("key_mismatch") {
        let error = &renewal.last_error;
        return Err(format!(
            "it is not held: {} {kind:?}: {error:?}",
            renewal.state
        ));
    }
    let history = fixture.bed.history().await;
    let reported: Vec<_> = history
        .iter()
        .filter(|event| event.name == "key_mismatch")
        .collect();
    let [reported] = reported[..] else {
        return Err(format!("{} alerts: {reported:#?}", reported.len()));
    };
    let csr = renewal.obtained.csr_pem.as_deref().ok_or("no request")?;
    let key = Csr::parse(csr.as_bytes()).map_err(|error| error.to_string())?;
    let key = key.public_key.to_string();
    let detail = reported.fields["detail"].as_str().unwrap_or_default();
    let missing = [key.as_str(), "revoke", "check the path", "office"];
    match missing.into_iter().find(|words| !detail.contains(words)) {
        Some(words) => Err(format!("{words} is not in {detail}")),
        None => Ok(()),
    }
}

/// Stands before the management of the firewall. The attacker forwards connections until so many crash points were
/// counted, and terminates them from then on.
struct Attacker {
    state: Arc<Mutex<Path>>,
    task: JoinHandle<()>,
}

struct Path {
    attacks: Attacks,
    turned_away: usize,
    loot: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Attacks {
    /// From this point on.
    From(usize),
    Always,
    Never,
}

/// What one connection has to know.
#[derive(Clone)]
struct Ambush {
    state: Arc<Mutex<Path>>,
    crash_points: Arc<CrashPoints>,
    firewall: SocketAddr,
    key: Arc<KeyPair>,
    database: String,
}

impl Attacker {
    async fn before(fixture: &Fixture, point: usize) -> Self {
        let key = KeyPair::generate().unwrap();
        fixture.bed.simulator.replace_requests(key.serialize_der());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let firewall = fixture.bed.simulator.management();
        let text = std::fs::read_to_string(fixture.bed.config_file()).unwrap();
        // The address that renewd logs in to, and the one that it verifies.
        let (before, behind) = (firewall.to_string(), address.to_string());
        assert!(text.matches(&before).count() == 2, "{text}");
        std::fs::write(fixture.bed.config_file(), text.replace(&before, &behind)).unwrap();
        let state = Path {
            attacks: Attacks::From(point),
            turned_away: 0,
            loot: Vec::new(),
        };
        let ambush = Ambush {
            state: Arc::new(Mutex::new(state)),
            crash_points: Arc::clone(&fixture.crash_points),
            firewall,
            key: Arc::new(key),
            database: fixture.bed.config().daemon.database,
        };
        let state = Arc::clone(&ambush.state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(ambush.clone().meet(stream));
            }
        });
        Self { state, task }
    }

    fn begin(&self) {
        self.state().attacks = Attacks::Always;
    }

    fn end(&self) {
        self.state().attacks = Attacks::Never;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Path> {
        self.state.lock().unwrap()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Ambush {
    async fn meet(self, stream: TcpStream) {
        if !self.is_under_way() {
            return self.pass(stream).await;
        }
        let Some(acceptor) = self.acceptor().await else {
            return;
        };
        match acceptor.accept(stream).await {
            Ok(stream) => self.ask_for_basic(stream).await,
            Err(_) => self.state.lock().unwrap().turned_away += 1,
        }
    }

    fn is_under_way(&self) -> bool {
        match self.state.lock().unwrap().attacks {
            Attacks::From(point) => self.crash_points.points().len() >= point,
            Attacks::Always => true,
            Attacks::Never => false,
        }
    }

    /// Until the attack begins: from then on, nothing is forwarded.
    async fn pass(&self, mut stream: TcpStream) {
        let Ok(mut firewall) = TcpStream::connect(self.firewall).await else {
            return;
        };
        let (mut to, mut from) = (vec![0; BUFFER], vec![0; BUFFER]);
        loop {
            let passed = tokio::select! {
                read = stream.read(&mut to) => match read {
                    Ok(read @ 1..) if !self.is_under_way() => firewall.write_all(&to[..read]).await,
                    _ => return,
                },
                read = firewall.read(&mut from) => match read {
                    Ok(read @ 1..) => stream.write_all(&from[..read]).await,
                    _ => return,
                },
            };
            if passed.is_err() {
                return;
            }
        }
    }

    /// With the certificate issued for the attacker's key; before its issuance, with a self-signed one.
    async fn acceptor(&self) -> Option<TlsAcceptor> {
        let leaf = if let Some(leaf) = self.issued().await {
            leaf
        } else {
            let params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).ok()?;
            params.self_signed(&*self.key).ok()?.der().to_vec()
        };
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).ok()?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(leaf)], key)
            .ok()?;
        Some(TlsAcceptor::from(Arc::new(config)))
    }

    /// Certificates are public: the attacker reads it where the CA publishes it.
    async fn issued(&self) -> Option<Vec<u8>> {
        let store = Store::open(&self.database).await.ok()?;
        let renewals = store.renewals_of(CERTIFICATE, 1).await;
        store.close().await;
        let pem = renewals.ok()?.pop()?.obtained.leaf_pem?;
        Some(Certificate::from_pem(&pem).ok()?.der)
    }

    /// Takes whatever is sent, and asks for the password itself.
    async fn ask_for_basic(&self, mut stream: tokio_rustls::server::TlsStream<TcpStream>) {
        let mut buffer = vec![0; BUFFER];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            self.state.lock().unwrap().loot.extend(&buffer[..read]);
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"SonicOS\"\r\n\
                          Content-Length: 0\r\n\r\n";
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let daemon = match self.daemon {
            Daemon::RunsOn => "runs-on",
            Daemon::StartsAgain => "starts-again",
        };
        write!(f, "{}:{}:{daemon}", self.pair, self.point)
    }
}

impl FromStr for Case {
    type Err = String;

    /// `6.5-scp/local:57:runs-on`
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [pair, point, daemon] = parts[..] else {
            return Err("PAIR:POINT:DAEMON".to_owned());
        };
        let daemon = match daemon {
            "runs-on" => Daemon::RunsOn,
            "starts-again" => Daemon::StartsAgain,
            other => return Err(format!("runs-on or starts-again, not {other}")),
        };
        Ok(Self {
            pair: pair.parse()?,
            point: point.parse().map_err(|_| "no number")?,
            daemon,
        })
    }
}

#[test]
fn a_case_is_read_as_it_is_written() {
    let text = "6.5-scp/local:57:runs-on";
    assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
    assert!("6.5-scp/local:57".parse::<Case>().is_err());
}

const SUBMITTED: &str = "Stored(Submitted)";
/// Of each pair whose CA is not the one that answers at once, in the long run.
const OTHERS_LONG: usize = 8;
const BUFFER: usize = 16 << 10;
