//! A test bed for any driver pair, and daemons that are started and crashed in it.
//!
//! A daemon has a thread and a runtime of its own. A crash drops both in the middle of whatever is under way: nothing of
//! it runs on, as after a kill; what it had written down, and what its peers have done, stays.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use renewd::ca;
use renewd::clock::{Clock, ManualClock};
use renewd::config;
use renewd::daemon::{Command, Daemon};
use renewd::env::Env;
use renewd::inventory::Renewal;
use simulators::sonicos::Variants;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::authorities::{self, Authority};
use super::crash_points::{CrashPoints, Stop};
use super::driver_pair::{DriverPair, Face};
use super::invariants::{CaFacts, DeviceFacts, Facts, When};
use super::right_end;
use super::site::{Before, Neighbours, Site};
use crate::test_bed::{CERTIFICATE, PASSWORD, TestBed, today};

/// One firewall, one CA, one certificate that is due, and the crash points.
pub struct Fixture {
    pub pair: DriverPair,
    pub site: Site,
    pub bed: TestBed,
    pub ca: Box<dyn Authority>,
    pub crash_points: Arc<CrashPoints>,
    pub log: Log,
    pub(super) neighbours: Neighbours,
    /// SHA-256 of what both ports showed before renewd came, and of what they showed before the renewal.
    pub(super) first: Vec<String>,
    /// Of those, what each port showed before the renewal.
    pub(super) before: [String; 2],
    /// How many renewals were completed before.
    pub former: usize,
    former_logins: u64,
}

/// What became of a daemon.
#[derive(Debug)]
enum Life {
    /// It did what was due, until nothing could move.
    Idle,
    /// It was stopped at a crash point.
    Crashed,
    /// It reported why it could not continue.
    Failed(String),
}

impl Fixture {
    pub async fn new(site: impl Into<Site>) -> Self {
        Self::with(site, |_| {}).await
    }

    /// The same with more to the device than its face.
    pub async fn with(site: impl Into<Site>, change: impl FnOnce(&mut Variants)) -> Self {
        let site = site.into();
        let pair = site.pair;
        renewd::tls::install_provider();
        let clock = today();
        let mut ca = authorities::start(pair.kind, &clock).await;
        let mut variants = pair.face.variants();
        change(&mut variants);
        let driver = ca
            .driver()
            .replacen(BUDGETED, &format!("{BUDGETED}{BUDGET}, "), 1);
        let mut bed = TestBed::with_ca(pair.face.profile(), variants, clock, &driver).await;
        bed.set_keys(pair.face.keys());
        if pair.face == Face::V8OwnKey {
            ask_for_own_key(&bed);
        }
        ca.prepare(&bed);
        let crash_points = CrashPoints::new();
        bed.simulator.observed_by(crash_points.of_peers("device"));
        ca.observed_by(crash_points.of_peers("CA"));
        let first = bed.simulator.fingerprint();
        let mut fixture = Self {
            pair,
            site: pair.into(),
            neighbours: Before::Same.arrange(&bed).await,
            before: [first.clone(), first.clone()],
            first: vec![first],
            bed,
            ca,
            crash_points,
            log: Log::default(),
            former: 0,
            former_logins: 0,
        };
        if pair.face.has_former() {
            fixture.completed().await.unwrap();
            fixture.former = 1;
            fixture.bed.clock.advance(NEXT_IS_DUE);
        }
        fixture.former_logins = fixture.bed.simulator.counters().logins;
        fixture.site = site;
        fixture.neighbours = site.before.arrange(&fixture.bed).await;
        fixture.before = DeviceFacts::of("hq", &fixture.bed.simulator, "")
            .served
            .map(|served| served.fingerprint);
        fixture.first.extend(fixture.before.clone());
        fixture
    }

    /// Runs a daemon until nothing can make progress, or until a crash point stops it.
    async fn live(&self) -> Life {
        let daemon = self.living();
        let lived = tokio::task::spawn_blocking(|| daemon.live(None)).await;
        lived.unwrap_or_else(|panic| Life::Failed(panic.to_string()))
    }

    /// Starts a daemon that runs until a stop is requested, as under a service manager. Its clock stands still.
    pub fn run(&self) -> Running {
        // With room for one: the third is taken in only when the first was dealt with.
        let (command_sender, commands) = mpsc::channel(1);
        let daemon = self.living();
        let life = tokio::task::spawn_blocking(|| daemon.live(Some(commands)));
        Running {
            command_sender,
            life,
        }
    }

    fn living(&self) -> Living {
        Living {
            config_file: self.bed.config_file(),
            env: Env {
                clock: Arc::new(Watched {
                    clock: Arc::clone(&self.bed.clock),
                    crash_points: Arc::clone(&self.crash_points),
                }),
                ..self.bed.env()
            },
            crash_points: Arc::clone(&self.crash_points),
            log: self.log.clone(),
        }
    }

    /// Runs daemons, one after the other, until the renewal has ended, waits for an operator, or `PATIENCE` is over.
    pub async fn finish(&self) -> Result<Renewal, String> {
        let ended = self.drive(Stop::Never).await?;
        ended.ok_or_else(|| "it was stopped".to_owned())
    }

    /// The same until one of them is stopped there: `None`. The clock moves when nothing else can.
    pub async fn drive(&self, stop: Stop) -> Result<Option<Renewal>, String> {
        self.crash_points.begin(stop);
        let latest = self.bed.clock.now() + PATIENCE;
        for _ in 0..LIVES {
            match self.live().await {
                Life::Idle if !self.crash_points.lets_time_pass() => return Ok(None),
                Life::Idle => {}
                Life::Crashed => return Ok(None),
                Life::Failed(words) => {
                    let log = self.log.text();
                    let last: Vec<&str> = log.lines().rev().take(20).collect();
                    return Err(format!("the daemon failed: {words}\n{}", last.join("\n")));
                }
            }
            let mut renewals = self.bed.renewals().await;
            if renewals.len() <= self.former {
                return Err("nothing was planned".to_owned());
            }
            let renewal = renewals.swap_remove(0);
            let now = self.bed.clock.now();
            match renewal.next_attempt_at {
                Some(next) if !renewal.state.is_end() && now < latest => {
                    self.bed
                        .clock
                        .set(next.max(now + SignedDuration::from_secs(1)));
                }
                _ => return Ok(Some(renewal)),
            }
        }
        let renewals = self.bed.renewals().await;
        Err(format!("it goes round in circles: {renewals:#?}"))
    }

    /// That every invariant holds, now.
    pub async fn hold(&self, when: When) -> Result<(), String> {
        self.facts(when).await.hold().map_err(|b| b.to_string())
    }

    /// The same, and that the renewal ends in the one way that is right for its firewall, with one order.
    pub async fn completed(&self) -> Result<(), String> {
        let renewal = self.finish().await?;
        let facts = self.facts(When::AtEnd).await;
        facts.hold().map_err(|broken| broken.to_string())?;
        let (orders, renewals) = (self.ca.orders(), facts.renewals.len());
        let wanted = self.former + 1;
        if renewal.state == self.site.end()
            && renewals == wanted
            && orders == u64::try_from(wanted).unwrap()
        {
            return right_end::check(self, &renewal, &facts);
        }
        Err(format!(
            "it ended as {}, with {renewals} renewals and {orders} orders: {:?}\n{}",
            renewal.state,
            renewal.last_error,
            facts.tail()
        ))
    }

    /// Logins since the renewal of which this is about was planned.
    pub fn logins(&self) -> u64 {
        self.bed.simulator.counters().logins - self.former_logins
    }

    /// Everything that the invariants are about.
    pub async fn facts(&self, when: When) -> Facts {
        let store = self.bed.store().await;
        let mut facts = Facts::of_store(when, self.bed.clock.now(), &store, &[CERTIFICATE]).await;
        store.close().await;
        let device = DeviceFacts::of("hq", &self.bed.simulator, "");
        let first = self.first.clone();
        facts.devices = vec![DeviceFacts { first, ..device }];
        let office = ca::issuer(&self.bed.config().cas["office"], &self.bed.env());
        let budget = office.budget().map(|budget| u64::from(budget.orders));
        facts.cas = vec![CaFacts {
            budget,
            ..CaFacts::of("office", self.ca.as_ref())
        }];
        facts.texts = self.database();
        facts
            .texts
            .push(("the log".to_owned(), self.log.text().into_bytes()));
        facts.secrets = self.secrets();
        facts
    }

    /// The files of the database, as they lie on the disk.
    fn database(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.bed.folder.path()).unwrap();
        let names = files.map(|file| file.unwrap().path());
        names
            .filter(|path| path.to_string_lossy().contains("renewd.db"))
            .filter_map(|path| Some((path.display().to_string(), std::fs::read(path).ok()?)))
            .collect()
    }

    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.ca.secrets();
        secrets.push(PASSWORD.to_owned());
        secrets.extend(self.bed.simulator.file_passwords());
        secrets
    }
}

/// As `tests/it/key_pairs.rs` asks for it.
fn ask_for_own_key(bed: &TestBed) {
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let changed = text.replace("size = 256 }", "size = 256, origin = \"renewd\" }");
    assert_ne!(changed, text);
    std::fs::write(bed.config_file(), changed).unwrap();
}

/// A daemon, and the handle that stops it.
struct Living {
    config_file: PathBuf,
    env: Env,
    crash_points: Arc<CrashPoints>,
    log: Log,
}

impl Living {
    /// With `commands`, until they tell it to stop; else until nothing can move.
    fn live(self, commands: Option<mpsc::Receiver<Command>>) -> Life {
        let log = self.log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let life = runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.crash_points.stopped() => Life::Crashed,
                life = self.run(commands) => life,
                () = tokio::time::sleep(LONGEST_LIFE) => Life::Failed("it hangs".to_owned()),
            }
        });
        // A blocking call, such as the write of a file, may run for a moment longer: it cannot be dropped.
        runtime.shutdown_timeout(LAST_BLOCKING);
        life
    }

    async fn run(&self, commands: Option<mpsc::Receiver<Command>>) -> Life {
        self.crash_points.daemon_is_here();
        let config = config::load(&self.config_file).unwrap().config;
        let checkpoint = Arc::clone(&self.crash_points) as _;
        let env = self.env.clone();
        let started = Daemon::start_with(&self.config_file, config, env, checkpoint);
        let lived = match (started.await, commands) {
            (Ok(daemon), Some(commands)) => daemon.run_with(commands).await,
            (Ok(daemon), None) => daemon.run_once().await.map(drop),
            (Err(error), _) => Err(error),
        };
        lived.map_or_else(|error| Life::Failed(error.to_string()), |()| Life::Idle)
    }
}

/// A daemon at work.
pub struct Running {
    command_sender: mpsc::Sender<Command>,
    life: JoinHandle<Life>,
}

impl Running {
    /// Wakes it, and returns when it has dealt with that; at once where it has ended.
    pub fn command(&self, meaning: Command) -> impl Future<Output = ()> + Send + use<> {
        let command_sender = self.command_sender.clone();
        async move {
            for meaning in [meaning, Command::Tick, Command::Tick] {
                let _ = command_sender.send(meaning).await;
            }
        }
    }

    /// Whether it has ended, as it should not.
    pub fn has_ended(&self) -> bool {
        self.life.is_finished()
    }

    /// Stops it, and returns its result.
    pub async fn stop(self) -> Result<(), String> {
        let _ = self.command_sender.send(Command::Shutdown).await;
        match self.life.await {
            Ok(Life::Idle) => Ok(()),
            Ok(life) => Err(format!("the daemon ended: {life:?}")),
            Err(panic) => Err(panic.to_string()),
        }
    }
}

/// The clock of the fixture, and the observer of each wait on it.
#[derive(Debug)]
struct Watched {
    clock: Arc<ManualClock>,
    crash_points: Arc<CrashPoints>,
}

#[async_trait]
impl Clock for Watched {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.crash_points.fall_asleep().await;
        self.clock.sleep_until(at).await;
    }
}

/// What daemons have logged, one after the other.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where orders cost money they are counted; one more than is needed, so that a second order would be seen.
const BUDGET: &str = r#"order_budget = { orders = 2, within = "30d" }"#;
const BUDGETED: &str = "driver.resello = { ";
/// Of the ninety days of a certificate.
const NEXT_IS_DUE: SignedDuration = SignedDuration::from_hours(65 * 24);
/// Longer than any CA takes without an approval.
const PATIENCE: SignedDuration = SignedDuration::from_hours(72);
/// More than any renewal needs.
const LIVES: usize = 100;
/// Of real time; a renewal takes half a second.
const LONGEST_LIFE: Duration = Duration::from_mins(1);
const LAST_BLOCKING: Duration = Duration::from_secs(5);
