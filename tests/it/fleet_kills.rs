//! Several daemons, real processes, share one fleet on one PostgreSQL, and one of them is killed, stopped or cut off in
//! the middle: the others continue its work, and the leases that it still believes to hold have no effect.

use std::sync::Arc;
use std::time::{Duration, Instant};

use simulators::Barrier;
use simulators::ca::{Fault, On};
use simulators::sonicos::{Action, Rule};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::kills::{
    Daemon, Database, FIREWALLS, Fleet, Plan, Tally, asked_for, is_long, run, until_all_ended,
};

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_renew_a_fleet_while_one_after_the_other_is_killed() {
    let Some(database) = Database::postgres() else {
        return;
    };
    let (seed, kills) = asked_for()[0];
    let (size, kills) = if is_long() {
        (LARGE_FLEET, kills * 2)
    } else {
        (FIREWALLS, kills / 2)
    };
    let plan = Plan {
        test: "fleet_kills::two_daemons_renew_a_fleet_while_one_after_the_other_is_killed",
        seed,
        kills,
        // Two minutes of nothing for each that was killed.
        waits_for_leases: is_long(),
    };
    let fleet = Fleet::new(database, size, 2, seed).await;
    let tally = run(&fleet, &plan).await;
    let shares = shares(&fleet);
    assert!(shares.iter().all(|share| *share > 0), "{shares:?}");
    println!("kills: two daemons, which completed {shares:?}: {tally}");
}

/// How many renewals each daemon reports as completed.
fn shares(fleet: &Fleet) -> Vec<usize> {
    let completed = |log: String| log.matches("\"event\":\"renewal_completed\"").count();
    let logs = fleet.homes.iter().map(|home| Daemon::log(home));
    logs.map(completed).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_stopped_while_it_orders_finds_its_claim_gone() {
    let Some(scene) = Scene::new(1, Fleet::hold_order).await else {
        return;
    };
    scene.first.signal("STOP");
    scene.lease_ends().await;
    let (fleet, first) = scene.others_finish(None).await;
    first.signal("CONT");
    assert_silent(&fleet).await;
    first.stop().await;
    fleet.assert_renewed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_stopped_for_longer_than_its_lease_does_nothing_more_on_its_devices() {
    if !is_long() {
        println!("only with RENEWD_LONG=1: a lease ends in real time");
        return;
    }
    let Some(scene) = Scene::new(12, Fleet::hold_writes).await else {
        return;
    };
    scene.first.signal("STOP");
    // The answers wait for it.
    scene.barrier.release();
    let started = Instant::now();
    let (fleet, first) = scene.others_finish(None).await;
    println!(
        "a fleet went on {} s after its daemon was stopped",
        started.elapsed().as_secs()
    );
    first.signal("CONT");
    assert_silent(&fleet).await;
    first.stop().await;
    fleet.assert_renewed(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_cut_off_from_the_database_while_it_orders_finds_its_claim_gone() {
    let Some(scene) = Scene::new(1, Fleet::hold_order).await else {
        return;
    };
    scene.line.send_replace(false);
    scene.lease_ends().await;
    let line = scene.line.clone();
    let (fleet, first) = scene.others_finish(Some(&line)).await;
    assert_silent(&fleet).await;
    first.stop().await;
    fleet.assert_renewed(1).await;
}

/// A fleet for two daemons, of which the first has begun and waits for an answer at a gate.
struct Scene {
    fleet: Fleet,
    first: Daemon,
    barrier: Arc<Barrier>,
    /// Whether the first one reaches the database.
    line: watch::Sender<bool>,
}

impl Scene {
    async fn new(concurrency: usize, hold: fn(&Fleet, &Arc<Barrier>)) -> Option<Self> {
        let database = Database::postgres()?;
        let fleet = Fleet::new(database, SMALL_FLEET, 2, 1).await;
        let url = fleet.database.url(fleet.path());
        let (line, by_line) = breakable(&url).await;
        fleet.configure(&fleet.homes[0], &by_line, concurrency);
        let barrier = Barrier::new();
        hold(&fleet, &barrier);
        let first = Daemon::start(&fleet.homes[0]);
        let reached = tokio::time::timeout(PATIENCE, barrier.wait_reached()).await;
        assert!(reached.is_ok(), "{}", fleet.log());
        Some(Self {
            fleet,
            first,
            barrier,
            line,
        })
    }

    async fn lease_ends(&self) {
        let process = self.first.process();
        let database = &self.fleet.database;
        database.let_leases_end(self.fleet.path(), process).await;
    }

    /// A second daemon completes everything and stops. Then the first daemon gets its answers, and its `line` is
    /// restored.
    async fn others_finish(self, line: Option<&watch::Sender<bool>>) -> (Fleet, Daemon) {
        let second = Daemon::start(&self.fleet.homes[1]);
        let mut tally = Tally::default();
        tally.rounds = 1;
        until_all_ended(&self.fleet, &tally).await;
        second.stop().await;
        self.fleet.assert_nothing_doubled(1);
        self.barrier.release();
        if let Some(line) = line {
            tokio::time::sleep(Duration::from_secs(1)).await;
            line.send_replace(true);
        }
        (self.fleet, self.first)
    }
}

impl Fleet {
    /// Holds the answer to the first order that costs money.
    fn hold_order(&self, barrier: &Arc<Barrier>) {
        let shop = self.cas.iter().find(|ca| ca.name == "resello").unwrap();
        let on = On::next("POST", "ssl-certificate");
        let fault = Fault::HoldAfter(Arc::clone(barrier));
        shop.port().unwrap().fault(on, fault);
    }

    /// Holds the answers of devices, each in the middle of what it does.
    fn hold_writes(&self, barrier: &Arc<Barrier>) {
        for (number, device) in self.firewalls.iter().enumerate() {
            let action = Action::HoldAfter(Arc::clone(barrier));
            let skip = u32::try_from(number % 5).unwrap();
            let rule = Rule::once("POST", "", action).repeated(2 + skip, 1);
            device.simulator.rule(rule);
        }
    }
}

/// Asserts that no daemon sends a request to a device or a CA: everything has ended.
async fn assert_silent(fleet: &Fleet) {
    let before = fleet.requests();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let journals: Vec<Vec<String>> = fleet
        .firewalls
        .iter()
        .map(|device| device.simulator.journal())
        .collect();
    assert_eq!(fleet.requests(), before, "{journals:#?} {}", fleet.log());
}

/// A connection to the database of `url` that can be broken and restored; the address to connect to.
async fn breakable(url: &str) -> (watch::Sender<bool>, String) {
    let server = url.split('@').nth(1).unwrap().split('/').next().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let by_line = url.replace(server, &address.to_string());
    let (line, whole) = watch::channel(true);
    tokio::spawn(relay(listener, server.to_owned(), whole));
    (line, by_line)
}

async fn relay(listener: TcpListener, server: String, whole: watch::Receiver<bool>) {
    while let Ok((mut client, _)) = listener.accept().await {
        let (server, mut whole) = (server.clone(), whole.clone());
        tokio::spawn(async move {
            let Ok(mut server) = TcpStream::connect(server).await else {
                return;
            };
            tokio::select! {
                Ok(_) = whole.wait_for(|whole| !whole) => {}
                _ = copy_bidirectional(&mut client, &mut server) => {}
            }
        });
    }
}

/// As in an acceptance test of a fleet.
const LARGE_FLEET: usize = 200;
/// Each kind of device, and each kind of CA.
const SMALL_FLEET: usize = 6;
const PATIENCE: Duration = Duration::from_mins(2);
