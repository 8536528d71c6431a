//! Leads a simulation from moment to moment: what is on the way arrives, something happens in the world, or renewd
//! wakes. It stands in the place of the daemon's loop: scheduler, engine, watch and store are the real ones.
//!
//! One task runs at a time, up to its next exchange with the world, so that the order of everything is the seed's.

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use jiff::{SignedDuration, Timestamp};
use renewd::clock::ManualClock;
use renewd::config::Config;
use renewd::env::Env;
use renewd::monitor;
use renewd::random::SeededRandom;
use renewd::renewal::{Engine, Liveness, NoCheckpoint};
use renewd::scheduler::{self, Capacity};
use renewd::store::{Store, StoreError};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::fleet::{self, Member};
use super::oracle::Verdicts;
use super::rng::Rng;
use super::scenario_events::Happening;
use super::window_oracle::WindowOracle;
use super::world::{Scope, World, WorldPeers};

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub firewalls: usize,
    pub years: u32,
}

/// A simulation under way.
pub struct Driver {
    pub plan: Plan,
    pub world: Arc<World>,
    pub config: Arc<Config>,
    pub daemon: Option<Daemon>,
    pub rng: Rng,
    pub verdicts: Verdicts,
    /// The window of each firewall that has one.
    pub window_oracle: BTreeMap<Arc<str>, WindowOracle>,
    works: Vec<Work>,
    calendar: BTreeMap<(Timestamp, u64), Happening>,
    entries: u64,
    /// More is due than there is capacity for: each finished task frees its slot at once.
    is_crowded: bool,
    /// renewd crashes after so many more exchanges.
    crashes_after: Option<u64>,
    env: Env,
    end: Timestamp,
    /// Deleted with the simulation.
    _folder: TempDir,
}

/// renewd, while it runs.
pub struct Daemon {
    pub engine: Arc<Engine>,
    /// The true time at which it wakes.
    wakes_at: Timestamp,
}

struct Work {
    kind: WorkKind,
    goes_on_at: Timestamp,
    future: Pin<Box<dyn Future<Output = Result<(), StoreError>>>>,
}

#[derive(PartialEq, Eq)]
enum WorkKind {
    Renewal,
    Probe(Arc<str>),
    Question(Arc<str>),
}

/// What comes next.
enum Next {
    Work(usize),
    Happening((Timestamp, u64)),
    Wake,
}

impl Driver {
    /// Sets up fleet, world and renewd, and enters what will happen.
    pub async fn new(plan: Plan) -> Self {
        let mut rng = Rng::new(plan.seed);
        let members = fleet::choose(plan.firewalls, &mut rng);
        let mut driver = Self::with(plan, &members, rng).await;
        driver.draw_fate();
        driver
    }

    /// Sets up a world in which nothing happens but what the test brings about.
    pub async fn with(plan: Plan, members: &[Member], mut rng: Rng) -> Self {
        stay_on_one_processor(plan.seed);
        let start: Timestamp = START.parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let budget = u32::try_from(plan.firewalls).unwrap() / 3 + 10;
        let world = World::new(start, Rng::new(rng.next()), Arc::clone(&clock), budget);
        let folder = folder();
        let mut config = fleet::configure(folder.path(), members, PROBE_INTERVAL);
        world.with(|state| fleet::set_up(state, &mut config, members));
        let end = start + YEAR * i32::try_from(plan.years).unwrap();
        let mut driver = Self {
            plan,
            world: Arc::new(world),
            config: Arc::new(config),
            daemon: None,
            env: Env {
                clock,
                random: Arc::new(SeededRandom::new(rng.next())),
            },
            rng,
            verdicts: Verdicts::default(),
            window_oracle: fleet::window_oracle(members),
            works: Vec::new(),
            calendar: BTreeMap::new(),
            entries: 0,
            is_crowded: false,
            crashes_after: None,
            end,
            _folder: folder,
        };
        driver.start_daemon().await;
        driver
    }

    /// Runs until the end of the plan, or until too much is wrong.
    pub async fn run(&mut self) {
        for left in (0..self.plan.years).rev() {
            self.run_until(self.end - YEAR * i32::try_from(left).unwrap())
                .await;
            let year = self.plan.years - left;
            // The years of a large fleet take minutes, and libtest is silent for as long.
            eprintln!("year {year} of {} is over", self.plan.years);
        }
        self.finish().await;
    }

    /// Runs until then, or until too much is wrong.
    pub async fn run_until(&mut self, end: Timestamp) {
        loop {
            let (at, next) = self.next();
            if at >= end || self.world.with(|state| state.books.violations.len()) >= ENOUGH {
                self.world.with(|state| state.set_time(end));
                break;
            }
            self.world.with(|state| state.set_time(at));
            match next {
                Next::Work(place) => self.go_on(place).await,
                Next::Happening(entry) => {
                    let happening = self.calendar.remove(&entry).unwrap();
                    self.happen(happening).await;
                }
                Next::Wake => self.wake().await,
            }
            self.judge_expiries().await;
            self.tell_tales().await;
        }
    }

    /// Something is to happen after this time.
    pub fn schedule(&mut self, after: SignedDuration, happening: Happening) {
        self.entries += 1;
        let at = self.now() + after;
        self.calendar.insert((at, self.entries), happening);
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        self.world.with(|state| state.now)
    }

    /// The time as renewd has it.
    pub fn time_of_daemon(&self) -> Timestamp {
        self.env.clock.now()
    }

    pub fn store(&self) -> Option<Store> {
        self.daemon
            .as_ref()
            .map(|daemon| daemon.engine.store.clone())
    }

    /// The loop wakes within this time, whatever it was waiting for.
    pub fn wake_within(&mut self, time: SignedDuration) {
        let soon = self.now() + time;
        if let Some(daemon) = &mut self.daemon {
            daemon.wakes_at = daemon.wakes_at.min(soon);
        }
    }

    /// renewd crashes in the middle of its work: at once, or after some more exchanges.
    pub fn arm_crash(&mut self) {
        self.crashes_after = Some(self.rng.below(40));
    }

    /// Opens the store and compares it with the configuration, as every start does.
    pub async fn start_daemon(&mut self) {
        let store = Store::open(&self.config.daemon.database).await.unwrap();
        for name in store.take_over().await.unwrap() {
            self.world
                .with(|state| state.device(&name).may_replace_session = true);
        }
        self.employ(store).await;
    }

    /// Puts a changed configuration in force; what is under way keeps the former one.
    pub async fn reload(&mut self) {
        if let Some(store) = self.store() {
            self.employ(store).await;
        }
    }

    async fn employ(&mut self, store: Store) {
        let configured = fleet::configured(&self.config);
        let now = self.time_of_daemon();
        store.sync_inventory(&configured, now).await.unwrap();
        let engine = Engine {
            config: Arc::clone(&self.config),
            store,
            peers: Arc::new(WorldPeers(Arc::clone(&self.world))),
            env: self.env.clone(),
            checkpoint: Arc::new(NoCheckpoint),
        };
        self.daemon = Some(Daemon {
            engine: Arc::new(engine),
            wakes_at: self.now(),
        });
    }

    /// Everything that is under way is dropped where it stands.
    pub async fn crash(&mut self) {
        self.crashes_after = None;
        let Some(daemon) = self.daemon.take() else {
            return;
        };
        self.world.with(|state| state.is_crashing = true);
        self.works.clear();
        self.world.with(|state| {
            state.is_crashing = false;
            state.last_crash_at = state.now;
        });
        daemon.engine.store.clone().close().await;
        self.verdicts.crashes += 1;
        let lasts = match self.rng.below(10) {
            0 => self.rng.trouble(),
            _ => SignedDuration::from_secs(5),
        };
        let obstruct = |state: &mut super::world::State| {
            state.obstruct(Scope::Everything, lasts, DOWN);
        };
        self.world.with(obstruct);
        self.schedule(lasts, Happening::Restart);
    }

    fn next(&self) -> (Timestamp, Next) {
        let works = self.works.iter().enumerate();
        let work = works
            .min_by_key(|(place, work)| (work.goes_on_at, *place))
            .map(|(place, work)| (work.goes_on_at, Next::Work(place)));
        let entry = self.calendar.keys().next();
        let happening = entry.map(|entry| (entry.0, Next::Happening(*entry)));
        let wake = self
            .daemon
            .as_ref()
            .map(|daemon| (daemon.wakes_at, Next::Wake));
        let all = [work, happening, wake].into_iter().flatten();
        all.min_by_key(|(at, _)| *at).unwrap()
    }

    /// What the loop does when it wakes.
    async fn wake(&mut self) {
        let engine = Arc::clone(&self.daemon.as_ref().unwrap().engine);
        let now = self.time_of_daemon();
        let busy = |of: fn(&WorkKind) -> Option<&Arc<str>>| -> HashSet<Arc<str>> {
            let names = self.works.iter().filter_map(|work| of(&work.kind));
            names.cloned().collect()
        };
        let probing = busy(|kind| match kind {
            WorkKind::Probe(name) => Some(name),
            _ => None,
        });
        let asking = busy(|kind| match kind {
            WorkKind::Question(name) => Some(name),
            _ => None,
        });
        let renewals = self.works.len() - probing.len() - asking.len();
        let places = engine
            .config
            .daemon
            .max_concurrent_renewals
            .saturating_sub(renewals);
        let probes = PROBES.saturating_sub(probing.len());
        let capacity = Capacity {
            renewals: places,
            suspect_renewals: places,
            probes,
            suspect_probes: probes,
            questions: PROBES.saturating_sub(asking.len()),
            probing: &probing,
            asking: &asking,
        };
        let tick = scheduler::tick(&engine, OWNER, capacity, now)
            .await
            .unwrap();
        self.is_crowded = tick.claimed.len() == places || tick.to_probe.len() == probes;
        for lease in tick.claimed {
            let engine = Arc::clone(&engine);
            let stop = CancellationToken::new();
            let work = async move { engine.work(lease, &stop, &Liveness::default()).await };
            self.begin(WorkKind::Renewal, Box::pin(work));
        }
        for row in tick.to_probe {
            let (engine, name) = (Arc::clone(&engine), Arc::clone(&row.name));
            let work = async move { monitor::observe(&engine, &row).await };
            self.begin(WorkKind::Probe(name), Box::pin(work));
        }
        for row in tick.to_ask {
            let (engine, name) = (Arc::clone(&engine), Arc::clone(&row.name));
            let work = async move { monitor::ask(&engine, &row).await };
            self.begin(WorkKind::Question(name), Box::pin(work));
        }
        self.sleep(tick.wake.filter(|_| !self.is_crowded));
    }

    /// A tick may be late, and here it always is, a little.
    fn sleep(&mut self, until: Option<Timestamp>) {
        let late = self
            .rng
            .between(SignedDuration::from_secs(1), self.lateness());
        let (now, error) = self.world.with(|state| (state.now, state.clock_error));
        let due = until.map_or(now + LONGEST_SLEEP, |until| until - error);
        self.daemon.as_mut().unwrap().wakes_at = due.clamp(now, now + LONGEST_SLEEP) + late;
    }

    /// The larger the fleet, the coarser the schedule may be.
    fn lateness(&self) -> SignedDuration {
        let seconds = i64::try_from(self.plan.firewalls).unwrap();
        SignedDuration::from_secs(seconds.clamp(2, 600))
    }

    fn begin(
        &mut self,
        kind: WorkKind,
        future: Pin<Box<dyn Future<Output = Result<(), StoreError>>>>,
    ) {
        self.works.push(Work {
            kind,
            goes_on_at: self.now(),
            future,
        });
    }

    /// Runs a task until its next exchange, or its end.
    async fn go_on(&mut self, place: usize) {
        let work = &mut self.works[place];
        let world = &self.world;
        let future = &mut work.future;
        let outcome = std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Err(result)),
            Poll::Pending => world
                .take_travel()
                .map_or(Poll::Pending, |takes| Poll::Ready(Ok(takes))),
        });
        match outcome.await {
            Ok(takes) => work.goes_on_at = world.with(|state| state.now) + takes,
            Err(result) => {
                if let Err(error) = result {
                    world.with(|state| state.violation(format!("the store: {error}")));
                }
                drop(self.works.swap_remove(place));
                // The end of something wakes the loop.
                let late = self.lateness();
                self.wake_within(if self.is_crowded { AT_ONCE } else { late });
            }
        }
        match &mut self.crashes_after {
            Some(0) => self.crash().await,
            Some(left) => *left -= 1,
            None => {}
        }
    }
}

/// This thread, and those of the database that it starts, take turns: on two processors they would mostly wake each other
/// up. That halves the time of a run. Where it is not allowed, it takes longer.
fn stay_on_one_processor(seed: u64) {
    let Ok(allowed) = sched_getaffinity(None) else {
        return;
    };
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU)
        .filter(|processor| allowed.is_set(*processor))
        .collect();
    let chosen = usize::try_from(seed).unwrap_or_default() % allowed.len().max(1);
    if let Some(processor) = allowed.get(chosen) {
        let mut only = CpuSet::new();
        only.set(*processor);
        let _ = sched_setaffinity(None, &only);
    }
}

/// In memory where there is room for it: a simulation commits a million times.
fn folder() -> TempDir {
    let memory = std::path::Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    tempfile::tempdir_in(parent).unwrap()
}

/// The day on which every simulation begins.
const START: &str = "2026-11-22T10:00:00Z";
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);
const OWNER: &str = "simulated";
/// As many as the daemon's worker pool has.
const PROBES: usize = 32;
/// The interval of probes: long, because probes are most of the work.
pub const PROBE_INTERVAL: &str = "96h";
const AT_ONCE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_SLEEP: SignedDuration = SignedDuration::from_hours(24);
/// So many violations say enough.
const ENOUGH: usize = 10;
/// Why nothing could be done.
pub const DOWN: &str = "renewd was down";
/// Why nothing could be done or probed there.
pub const FIREWALL_DOWN: &str = "the firewall was down";
