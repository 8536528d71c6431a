//! A campaign: daemons are started and killed in turn until they were killed often enough, and the last ones may finish.
//! When all renewals have ended before that, they are asked for once more.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::database::Standing;
use super::moment::{Moment, Rng};
use super::{Daemon, Fleet};
use crate::matrix::invariants::When;

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    /// The test that runs it.
    pub test: &'static str,
    pub seed: u64,
    pub kills: usize,
    /// Whether the leases of a dead daemon are waited for in real time.
    pub waits_for_leases: bool,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Tally {
    test: &'static str,
    seed: u64,
    kills: usize,
    /// How often each certificate was renewed.
    pub rounds: usize,
    renewals: usize,
    requests: u64,
    /// Whether the database has ever been seen.
    has_begun: bool,
    /// Renewals that were open at a kill, by their states.
    open: BTreeMap<String, usize>,
    started: Option<Instant>,
}

/// Seeds and kills: of the environment, else few for every day, or hundreds.
pub fn asked_for() -> Vec<(u64, usize)> {
    if let Ok(asked) = std::env::var("RENEWD_KILLS") {
        let wanted = "RENEWD_KILLS is SEED or SEED:KILLS";
        let (seed, kills) = match asked.split_once(':') {
            Some((seed, kills)) => (seed, kills.parse().expect(wanted)),
            None => (asked.as_str(), FEW),
        };
        return vec![(seed.parse().expect(wanted), kills)];
    }
    if is_long() {
        (1..=SEEDS).map(|seed| (seed, MANY)).collect()
    } else {
        vec![(1, FEW)]
    }
}

/// Whether the long runs are asked for.
pub fn is_long() -> bool {
    std::env::var_os("RENEWD_LONG").is_some_and(|value| value == "1")
}

/// Runs the campaign; every assertion is in it.
pub async fn run(fleet: &Fleet, plan: &Plan) -> Tally {
    let rng = Rng::new(plan.seed);
    let mut tally = Tally {
        test: plan.test,
        seed: plan.seed,
        rounds: 1,
        started: Some(Instant::now()),
        ..Tally::default()
    };
    eprintln!("kills: again: {}", plan.again());
    let mut daemons: Vec<Option<Daemon>> = fleet.homes.iter().map(|_| None).collect();
    while tally.kills < plan.kills {
        for (home, daemon) in fleet.homes.iter().zip(&mut daemons) {
            daemon.get_or_insert_with(|| Daemon::start(home));
        }
        let moment = Moment::draw(&rng);
        let mut watch = Watch::new(fleet);
        let mut comes = pin!(moment.come(&rng, fleet));
        loop {
            tokio::select! {
                () = &mut comes => break,
                () = watch.go_on(tally.rounds) => {}
            }
            // Of everything or of nothing: the moment waits for that.
            tally.rounds += 1;
            fleet.ask_for_more().await;
        }
        tally.count(&watch.standings);
        drop(watch);
        let turn = tally.kills % daemons.len();
        let victim = daemons[turn].take().unwrap();
        let process = victim.process();
        victim.kill();
        moment.release();
        if !plan.waits_for_leases {
            let database = &fleet.database;
            database.let_leases_end(fleet.path(), process).await;
        }
        if daemons.iter().all(Option::is_none) {
            tokio::time::sleep(LAST_REQUESTS).await;
            if tally.has_begun {
                fleet.assert_holds(When::AfterCrash).await;
            }
            disturb(fleet, &rng);
        }
        fleet.assert_nothing_doubled(tally.rounds);
    }
    finish(fleet, daemons, &mut tally).await;
    fleet.assert_renewed(tally.rounds).await;
    tally.requests = fleet.requests();
    tally.renewals = fleet.firewalls.len() * tally.rounds;
    tally
}

/// The last daemons are left alone until all renewals have ended.
async fn finish(fleet: &Fleet, daemons: Vec<Option<Daemon>>, tally: &mut Tally) {
    for device in &fleet.firewalls {
        device.simulator.other_administrator().leaves();
    }
    let start =
        |(daemon, home): (Option<Daemon>, &PathBuf)| daemon.unwrap_or_else(|| Daemon::start(home));
    let daemons: Vec<Daemon> = daemons.into_iter().zip(&fleet.homes).map(start).collect();
    until_all_ended(fleet, tally).await;
    for mut daemon in daemons {
        assert_eq!(daemon.ended(), None, "{}", fleet.log());
        daemon.stop().await;
    }
}

/// Waits until every renewal has ended.
pub async fn until_all_ended(fleet: &Fleet, tally: &Tally) {
    let mut watch = Watch::new(fleet);
    let ended = tokio::time::timeout(PATIENCE, watch.go_on(tally.rounds)).await;
    if ended.is_err() {
        let open: Vec<&Standing> = watch.standings.iter().filter(|s| !s.has_ended).collect();
        let log = fleet.log();
        panic!("not at its end after {PATIENCE:?}: {open:#?} {log}");
    }
}

/// Another administrator begins to work on one device, and ends on others. Not while a daemon may be between its last
/// check and its commit: no device can do both atomically.
fn disturb(fleet: &Fleet, rng: &Rng) {
    let draw = || &fleet.firewalls[rng.below(fleet.firewalls.len())];
    draw()
        .simulator
        .other_administrator()
        .has_pending_change("address-object ipv4 office");
    for _ in 0..fleet.firewalls.len() / 4 {
        draw().simulator.other_administrator().leaves();
    }
}

/// Reads the renewals while a daemon works on them, and skips waiting times.
struct Watch<'a> {
    fleet: &'a Fleet,
    standings: Vec<Standing>,
}

impl<'a> Watch<'a> {
    fn new(fleet: &'a Fleet) -> Self {
        Self {
            fleet,
            standings: Vec::new(),
        }
    }

    /// Returns when all renewals of so many rounds have ended.
    async fn go_on(&mut self, rounds: usize) {
        let (fleet, folder) = (self.fleet, self.fleet.path());
        loop {
            tokio::time::sleep(BETWEEN_CHECKS).await;
            fleet.set_clock();
            let Some(standings) = fleet.database.standings(folder).await else {
                continue;
            };
            self.standings = standings;
            self.assert_no_renewal_held();
            let passed = fleet.database.let_time_pass(folder, &self.standings).await;
            for (device, passed) in passed {
                fleet.advance(&device, passed);
            }
            let ended = self.standings.iter().filter(|s| s.has_ended).count();
            if ended >= fleet.firewalls.len() * rounds {
                return;
            }
        }
    }

    fn assert_no_renewal_held(&self) {
        let held =
            |one: &&Standing| !one.has_ended && !one.is_leased && one.next_attempt_at.is_none();
        if let Some(held) = self.standings.iter().find(held) {
            let devices = &self.fleet.firewalls;
            let device = devices.iter().find(|one| one.name == held.certificate);
            let journal = device.map(|device| device.simulator.journal());
            panic!("held: {held:#?} {journal:#?}");
        }
    }
}

impl Plan {
    /// The command that runs it alone.
    fn again(&self) -> String {
        format!(
            "RENEWD_KILLS={}:{} cargo test --test it {}",
            self.seed, self.kills, self.test
        )
    }
}

impl Tally {
    fn count(&mut self, standings: &[Standing]) {
        self.kills += 1;
        self.has_begun |= !standings.is_empty();
        for standing in standings.iter().filter(|standing| !standing.has_ended) {
            *self.open.entry(standing.state.clone()).or_default() += 1;
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open: usize = self.open.values().sum();
        let states: Vec<String> = self
            .open
            .iter()
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let seconds = self
            .started
            .map_or(0, |started| started.elapsed().as_secs());
        write!(
            f,
            "{}: seed {}: {} real kills, {} renewals, {} requests, 0 duplicate orders, {open} renewals open at a kill ({}), {seconds} s",
            self.test,
            self.seed,
            self.kills,
            self.renewals,
            self.requests,
            states.join(", ")
        )
    }
}

/// Kills of every day.
const FEW: usize = 20;
const SEEDS: u64 = 5;
/// Kills of one seed of the long run.
const MANY: usize = 35;
/// What a daemon that was killed has still asked for is done by then.
const LAST_REQUESTS: Duration = Duration::from_millis(100);
const BETWEEN_CHECKS: Duration = Duration::from_millis(250);
/// Longer than the last daemon needs on a slow machine.
const PATIENCE: Duration = Duration::from_mins(5);
