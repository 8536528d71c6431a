//! Planning of a great many certificates at once, of ids that are taken, and what follows a panic.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use tempfile::TempDir;

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::config;
use crate::env::Env;
use crate::inventory::Observation;
use crate::pki::testing::{Authority, leaf_params, set_validity};
use crate::random::SeededRandom;
use crate::renewal::{ConfiguredPeers, NoCheckpoint, retry};
use crate::store::{
    Configured, Ending, Next, Postponed, ProbeRecord, Reached, Report, StepRecord, Store,
};
use crate::transfer::Transfers;

/// Gives the same bytes so often, and then others.
#[derive(Debug)]
struct Stuck {
    times: AtomicUsize,
    then: SeededRandom,
}

impl Stuck {
    fn for_times(times: usize) -> Arc<Self> {
        Arc::new(Self {
            times: AtomicUsize::new(times),
            then: SeededRandom::new(7),
        })
    }
}

impl Random for Stuck {
    fn fill(&self, bytes: &mut [u8]) {
        let left = self.times.load(Ordering::SeqCst);
        if left > 0 {
            self.times.store(left - 1, Ordering::SeqCst);
            bytes.fill(0);
        } else {
            self.then.fill(bytes);
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000 + seconds)
}

/// An engine with `count` certificates, each on a firewall of its own, of which an operator wants the last one first.
async fn engine(count: i64, random: Arc<dyn Random>) -> (Engine, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display();
    let mut text = format!(
        "[daemon]\ndatabase = \"sqlite://{place}/renewd.db\"\nstate_directory = \"{place}\"\n\
         [[ca]]\nname = \"office\"\ndriver.exec = {{ program = \"/bin/true\" }}\n"
    );
    let pin = "00".repeat(32);
    for n in 0..count {
        let (high, low) = (n / 250, n % 250);
        let pair = format!(
            "[[firewall]]\nname = \"f{n}\"\ndriver.sonicos = {{ url = \"https://10.0.{high}.{low}\", user = \"renewd\", \
             password = {{ file = \"/hq\" }}, trust = {{ sha256 = \"{pin}\" }} }}\n\
             [[certificate]]\nname = \"c{n}\"\nfirewall = \"f{n}\"\nca = \"office\"\n\
             subject = {{ common_name = \"vpn.example.com\" }}\nkey = {{ type = \"ecdsa\", size = 256 }}\n"
        );
        text.push_str(&pair);
    }
    let file = folder.path().join("renewd.toml");
    std::fs::write(&file, text).unwrap();
    let config = Arc::new(config::load(&file).unwrap().config);
    let store = Store::open(&config.daemon.database).await.unwrap();
    let inventory: Vec<Configured> = config
        .certificates
        .values()
        .map(|wanted| Configured {
            name: Arc::clone(&wanted.name),
            firewall: Arc::clone(&wanted.firewall),
            ca: Arc::clone(&wanted.ca),
            hash: "1".to_owned(),
        })
        .collect();
    store.sync_inventory(&inventory, at(0)).await.unwrap();
    for n in 0..count {
        let name = format!("c{n}");
        let requested = store.request_renewal(&name, at(count - n), &[]);
        requested.await.unwrap();
    }
    let env = Env {
        clock: Arc::new(ManualClock::new(at(count))),
        random,
    };
    let transfers = Transfers::new(folder.path(), &env);
    let peers = ConfiguredPeers::new(Arc::clone(&config), env.clone(), transfers);
    let engine = Engine {
        config,
        store,
        peers: Arc::new(peers),
        env,
        checkpoint: Arc::new(NoCheckpoint),
    };
    (engine, folder)
}

/// One turn that hands out at most so many renewals, and nothing else.
async fn turn(engine: &Engine, renewals: usize) -> Result<Tick, StoreError> {
    let nothing = HashSet::new();
    let capacity = Capacity {
        renewals,
        suspect_renewals: 0,
        probes: 0,
        suspect_probes: 0,
        questions: 0,
        probing: &nothing,
        asking: &nothing,
    };
    tick(engine, "us", capacity, engine.env.clock.now()).await
}

async fn planned(engine: &Engine) -> HashSet<Arc<str>> {
    let open = engine.store.open_renewals().await.unwrap();
    let names: HashSet<Arc<str>> = open
        .iter()
        .map(|open| Arc::clone(&open.certificate))
        .collect();
    let ids: HashSet<_> = open.iter().map(|open| open.id.clone()).collect();
    assert_eq!(
        (names.len(), ids.len()),
        (open.len(), open.len()),
        "doubled"
    );
    names
}

/// More than fit into one look at the database (500), and not a multiple of what one turn plans.
#[tokio::test]
async fn a_turn_plans_so_many_and_the_others_follow_those_that_waited_longest_first() {
    let most = i64::try_from(PLANNED_AT_ONCE).unwrap();
    let count = i64::from(BATCH) + most + most / 2;
    let (engine, _folder) = engine(count, Arc::new(SeededRandom::new(1))).await;
    let mut left = count;
    while left > 0 {
        let tick = turn(&engine, 0).await.unwrap();
        let now = left.min(most);
        assert_eq!(i64::try_from(tick.planned), Ok(now));
        left -= now;
        let expected: HashSet<Arc<str>> = (left..count)
            .map(|n| Arc::from(format!("c{n}").as_str()))
            .collect();
        assert_eq!(planned(&engine).await, expected);
        assert!(tick.wake.unwrap() <= at(count), "it goes on at once");
    }
    assert_eq!(turn(&engine, 0).await.unwrap().planned, 0);
    assert_eq!(
        planned(&engine).await.len(),
        usize::try_from(count).unwrap()
    );
}

#[tokio::test]
async fn an_id_that_is_taken_is_drawn_again() {
    // The first of three takes it, and the others draw it some times too.
    let random = Stuck::for_times(1 + usize::try_from(OTHER_IDS).unwrap());
    let (engine, _folder) = engine(3, random).await;
    assert_eq!(turn(&engine, 0).await.unwrap().planned, 3);
    assert_eq!(planned(&engine).await.len(), 3);
}

#[tokio::test]
async fn a_generator_that_gives_one_id_only_is_an_error_that_loses_nothing() {
    let random = Stuck::for_times(1000);
    let (engine, _folder) = engine(3, Arc::clone(&random) as _).await;
    for _ in 0..2 {
        let refused = turn(&engine, 0).await.unwrap_err().to_string();
        assert!(refused.contains("renewal"), "{refused}");
        assert_eq!(planned(&engine).await, HashSet::from([Arc::from("c2")]));
    }
    random.times.store(0, Ordering::SeqCst);
    assert_eq!(turn(&engine, 0).await.unwrap().planned, 2);
    assert_eq!(planned(&engine).await.len(), 3);
}

#[tokio::test]
async fn after_a_panic_the_waits_before_it_do_not_make_the_pause_longer() {
    let (engine, _folder) = engine(1, Arc::new(SeededRandom::new(1))).await;
    let mut lease = turn(&engine, 1).await.unwrap().claimed.remove(0);
    let now = engine.env.clock.now();
    let waited = Postponed {
        attempts: 50,
        next_attempt_at: Some(now),
        error_kind: "order_lookup",
        error: "nothing yet",
    };
    for _ in 0..50 {
        let record = StepRecord::new(Next::Postponed(waited), &[]);
        engine
            .store
            .record_step(&lease, &record, now)
            .await
            .unwrap();
    }
    for attempt in 1..=2 {
        let id = &lease.renewal.id;
        engine.after_panic(id, "us", lease.token).await.unwrap();
        let renewal = engine.store.renewal(id).await.unwrap().unwrap();
        let until = now + retry::backoff(attempt, None);
        assert_eq!(
            (renewal.attempts, renewal.next_attempt_at),
            (attempt, Some(until))
        );
        let again = engine
            .store
            .claim("us", until, until + SignedDuration::from_mins(1), 9);
        lease = again.await.unwrap().unwrap();
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A certificate for `name`, valid from so many days before the beginning to so many after it.
fn leaf(name: &str, before: i32, after: i32) -> Certificate {
    let mut params = leaf_params();
    params.subject_alt_names = vec![rcgen::SanType::DnsName(name.try_into().unwrap())];
    params.distinguished_name = rcgen::DistinguishedName::new();
    set_validity(&mut params, at(0) - DAY * before, at(0) + DAY * after);
    let key = rcgen::KeyPair::generate().unwrap();
    Authority::root("office").sign(&params, &key)
}

/// The renewal that is open.
async fn open(engine: &Engine) -> Renewal {
    engine.store.open_renewals().await.unwrap().remove(0)
}

/// The open renewal ends in `state` with this certificate.
async fn end(engine: &Engine, state: State, leaf: &Certificate) {
    let now = engine.env.clock.now();
    let lease = engine.store.claim("us", now, now + DAY, 9).await;
    let lease = lease.unwrap().unwrap();
    let obtained = Obtained {
        leaf_pem: Some(leaf.to_pem()),
        fingerprint: Some(leaf.fingerprint),
        ..Obtained::default()
    };
    let next = Next::Reached(Reached {
        state,
        obtained: &obtained,
        next_attempt_at: now,
        ending: Some(Ending {
            due_check_at: now,
            alias: Some("c0"),
            failure: None,
            rest: None,
        }),
    });
    let record = StepRecord::new(next, &[]);
    let stored = engine.store.record_step(&lease, &record, now).await;
    stored.unwrap();
    engine.store.release(lease).await.unwrap();
}

/// A probe finds `ours` at the firewall, and `other` at another machine.
async fn see(engine: &Engine, clock: &ManualClock, ours: &Certificate, other: &Certificate) {
    clock.advance(SignedDuration::from_secs(1));
    let now = clock.now();
    let at = |address: &str, leaf: &Certificate| {
        let served = Served {
            is_wanted: !leaf.alternate_names[0].to_string().starts_with('*'),
            ..Served::known(address.to_owned(), ServedCertificate::of(leaf, now))
        };
        (Observation::probed(served), Vec::<Report>::new())
    };
    let probe_record = ProbeRecord {
        observations: &[at("10.0.0.0:443", ours), at("10.0.0.1:443", other)],
        next_probe_at: now + DAY,
        due_check_at: Some(now),
        ..ProbeRecord::default()
    };
    let seen = engine.store.record_probe("c0", &probe_record, now).await;
    seen.unwrap();
    clock.advance(SignedDuration::from_secs(1));
}

/// A name with two records in the DNS, or a failover site: the certificate there is known by its chain, and has other names
/// than wanted, or an earlier end.
#[tokio::test]
async fn another_machine_behind_an_address_is_installed_for_once_a_day_and_never_ordered_for() {
    let (mut engine, _folder) = engine(1, Arc::new(SeededRandom::new(1))).await;
    let clock = Arc::new(ManualClock::new(at(1)));
    engine.env.clock = Arc::clone(&clock) as _;
    assert_eq!(turn(&engine, 0).await.unwrap().planned, 1);
    let ours = leaf("vpn.example.com", 0, 90);
    assert_eq!(open(&engine).await.state, State::Planned);
    end(&engine, State::Completed, &ours).await;
    for other in [
        leaf("*.example.com", 1, 200),
        leaf("vpn.example.com", 20, 4),
    ] {
        clock.advance(DAY);
        for day in 0..2 {
            see(&engine, &clock, &ours, &other).await;
            assert_eq!(turn(&engine, 0).await.unwrap().planned, 1, "{day}");
            let again = open(&engine).await;
            assert_eq!(again.state, State::Issued, "{again:#?}");
            assert_eq!(again.obtained.fingerprint, Some(ours.fingerprint));
            end(&engine, State::Completed, &ours).await;
            see(&engine, &clock, &ours, &other).await;
            assert_eq!(turn(&engine, 0).await.unwrap().planned, 0, "{day}");
            let row = engine.store.certificate("c0").await.unwrap().unwrap();
            let decision = row.decision.unwrap();
            assert!(decision.contains("10.0.0.1:443 serves"), "{decision}");
            assert!(decision.contains("bound again at"), "{decision}");
            clock.advance(DAY);
        }
    }
    let reported = engine.store.history("c0", 100).await.unwrap();
    let alerts = reported.iter().filter(|event| {
        let words = event.fields["detail"].as_str().unwrap_or_default();
        event.name == "certificate_mismatch" && words.starts_with("10.0.0.1:443 serves")
    });
    assert_eq!(alerts.count(), 4);
    // An operator may order, and what is due itself is ordered.
    let requested = engine.store.request_renewal("c0", clock.now(), &[]);
    requested.await.unwrap();
    assert_eq!(turn(&engine, 0).await.unwrap().planned, 1);
    assert_eq!(open(&engine).await.state, State::Planned);
    end(&engine, State::Completed, &ours).await;
    clock.set(at(0) + DAY * 61);
    see(&engine, &clock, &ours, &ours).await;
    assert_eq!(turn(&engine, 0).await.unwrap().planned, 1);
    assert_eq!(open(&engine).await.state, State::Planned);
}

#[tokio::test]
async fn what_could_not_be_installed_again_is_ordered() {
    let (mut engine, _folder) = engine(1, Arc::new(SeededRandom::new(1))).await;
    let clock = Arc::new(ManualClock::new(at(1)));
    engine.env.clock = Arc::clone(&clock) as _;
    let (ours, other) = (
        leaf("vpn.example.com", 0, 90),
        leaf("*.example.com", 1, 200),
    );
    for (state, next) in [
        (State::Completed, State::Issued),
        (State::Failed, State::Planned),
    ] {
        turn(&engine, 0).await.unwrap();
        end(&engine, state, &ours).await;
        see(&engine, &clock, &other, &other).await;
        assert_eq!(turn(&engine, 0).await.unwrap().planned, 1);
        assert_eq!(open(&engine).await.state, next);
    }
}
