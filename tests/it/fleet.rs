//! Several daemons share one fleet on one PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;
use renewd::ca::Issuer;
use renewd::clock::Clock;
use renewd::config;
use renewd::daemon::{Daemon, DaemonError, WorkerPool};
use renewd::failure::Failure;
use renewd::firewall::{Firewall, KnownDevice};
use renewd::inventory::Endpoint;
use renewd::probe::ProbeResult;
use renewd::renewal::{Checkpoint, Engine, Liveness, Moment, NoCheckpoint, Peers, Step};
use renewd::store::{CommitObserver, LeasePolicy, Store, StoreError};
use simulators::sonicos::Profile;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::postgres;
use crate::test_bed::TestBed;

#[test]
fn every_test_has_a_database_of_its_own() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let (one, other) = (cluster.database(), cluster.database());
    assert_ne!(one, other);
    cluster.psql(&one, "CREATE TABLE fleet (name text)");
    cluster.psql(&other, "CREATE TABLE fleet (name text)");
    assert_eq!(cluster.psql(&one, "SHOW ssl"), "on");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_renew_once() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let bed = TestBed::new(Profile::V8).await;
    move_to(&bed, &cluster.database());
    let config = bed.config_file();
    let one = start(&bed, config.clone(), Arc::new(NoCheckpoint)).await;
    let other = start(&bed, config, Arc::new(NoCheckpoint)).await;
    let (one, other) = tokio::join!(one.run_once(), other.run_once());
    one.unwrap();
    other.unwrap();
    bed.run_once().await;
    bed.assert_renewed_once().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_cut_off_in_the_middle_of_a_step_is_followed_by_another() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    for moment in [
        Moment::Before(Step::Submit),
        Moment::Acted(Step::GenerateCsr),
        Moment::Acted(Step::Submit),
        Moment::Acted(Step::Import),
        Moment::Acted(Step::Bind),
    ] {
        let bed = TestBed::new(Profile::V8).await;
        let direct = cluster.database();
        let line = Line::to(cluster.port()).await;
        move_to(&bed, &direct);
        let through = bed.folder.path().join("through.toml");
        let text = std::fs::read_to_string(bed.config_file()).unwrap();
        let ports = [cluster.port(), line.port].map(|port| format!("127.0.0.1:{port}/"));
        std::fs::write(&through, text.replace(&ports[0], &ports[1])).unwrap();

        let cut = Arc::new(Cut(moment, line));
        let lost = start(&bed, through, Arc::clone(&cut) as _).await;
        let came_to = lost.run_once().await;
        assert!(
            matches!(
                came_to,
                Err(DaemonError::Store(StoreError::Unreachable { .. }))
            ),
            "cut off at {moment:?}: {came_to:?}"
        );
        bed.clock.advance(SignedDuration::from_mins(3));
        let report = bed.run_once().await;
        assert!(!report.has_failed(), "after {moment:?}: {report:#?}");
        bed.assert_renewed_once().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_whose_claim_is_lost_is_stopped_and_one_whose_claim_is_kept_is_not() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let bed = TestBed::new(Profile::V8).await;
    let url = cluster.database();
    move_to(&bed, &url);
    let store = Store::open(&url)
        .await
        .unwrap()
        .with_lease_policy(LeasePolicy {
            lease: SignedDuration::from_mins(2),
            beat: Some(Duration::from_millis(20)),
            lost_after: Duration::from_secs(10),
        });
    // Plans the renewal, and does not get far.
    bed.write_password("wrong");
    bed.run_once().await;
    bed.write_password(crate::test_bed::PASSWORD);
    cluster.psql(
        &url,
        "UPDATE renewal SET next_attempt_at = 0, state = 'csr_generated'; UPDATE firewall SET refused_logins = 0",
    );
    let now = bed.env().clock.now();
    let claim = async |owner: &str, now| {
        let until = now + SignedDuration::from_mins(2);
        store.claim(owner, now, until, 9).await.unwrap()
    };
    let lease = claim("us", now).await.unwrap();
    let engine = Engine {
        config: Arc::new(bed.config()),
        store: store.clone(),
        peers: Arc::new(Silent),
        env: bed.env(),
        checkpoint: Arc::new(NoCheckpoint),
    };
    let work = tokio::spawn(async move {
        engine
            .work(lease, &CancellationToken::new(), &Liveness::default())
            .await
    });
    // However long it takes, the claim is prolonged, and no other daemon gets it.
    let later = now + SignedDuration::from_mins(3);
    bed.clock.advance(SignedDuration::from_mins(2));
    let prolonged = "SELECT lease_until FROM firewall WHERE name = 'hq'";
    let wanted = later.as_microsecond() + 60_000_000;
    for attempt in 0.. {
        let until: i64 = cluster.psql(&url, prolonged).parse().unwrap();
        if until >= wanted {
            break;
        }
        assert!(attempt < 1000, "the claim is not prolonged");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(claim("them", later).await.is_none());
    assert!(!work.is_finished());
    let taken = claim("them", now + SignedDuration::from_hours(1)).await;
    assert!(taken.unwrap().follows_lost);
    let ended = tokio::time::timeout(Duration::from_secs(20), work).await;
    ended.expect("it stops by itself").unwrap().unwrap();
}

/// Lets the test bed's daemons work on the database `url`.
fn move_to(bed: &TestBed, url: &str) {
    let text = std::fs::read_to_string(bed.config_file()).unwrap();
    let file = format!("sqlite://{}/renewd.db", bed.folder.path().display());
    assert!(text.contains(&file));
    std::fs::write(bed.config_file(), text.replace(&file, url)).unwrap();
}

async fn start(bed: &TestBed, config_file: PathBuf, checkpoint: Arc<dyn Checkpoint>) -> Daemon {
    let config = config::load(&config_file).unwrap().config;
    Daemon::start_with(&config_file, config, bed.env(), checkpoint)
        .await
        .unwrap()
}

/// A line to the server that can be cut; from then on every connection over it is broken.
#[derive(Debug)]
struct Line {
    port: u16,
    cut: CancellationToken,
}

impl Line {
    async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let cut = CancellationToken::new();
        let is_cut = cut.clone();
        tokio::spawn(async move {
            loop {
                let (mut from, _) = listener.accept().await.unwrap();
                let carry = async move {
                    let mut to = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                };
                tokio::spawn(is_cut.clone().run_until_cancelled_owned(carry));
            }
        });
        Self { port, cut }
    }
}

/// Cuts the line at a moment.
#[derive(Debug)]
struct Cut(Moment, Line);

impl CommitObserver for Cut {}

#[async_trait]
impl Checkpoint for Cut {
    async fn pass(&self, moment: Moment) {
        if moment == self.0 {
            self.1.cut.cancel();
        }
    }
}

/// Peers that never answer.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Peers for Silent {
    async fn firewall(
        &self,
        _name: &str,
        _known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        std::future::pending().await
    }

    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        panic!("{name} is not asked before the firewall answered")
    }

    async fn probe(&self, _endpoint: &Endpoint, _server_name: Option<&str>) -> ProbeResult {
        std::future::pending().await
    }
}

/// A test bed on a server, with a renewal that cannot get far.
async fn planned_on(cluster: &postgres::Cluster) -> (TestBed, Store) {
    let bed = TestBed::new(Profile::V8).await;
    let url = cluster.database();
    move_to(&bed, &url);
    bed.write_password("wrong");
    bed.run_once().await;
    bed.write_password(crate::test_bed::PASSWORD);
    cluster.psql(
        &url,
        "UPDATE renewal SET next_attempt_at = 0; UPDATE firewall SET refused_logins = 0",
    );
    (bed, Store::open(&url).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_run_does_not_wait_for_what_another_daemon_works_on() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let (bed, store) = planned_on(cluster).await;
    let now = bed.clock.now();
    let until = now + SignedDuration::from_secs(100);
    let theirs = store.claim("them", now, until, 9).await.unwrap();
    let theirs = theirs.expect("it is due");
    bed.run_once().await;
    assert_eq!(bed.clock.now(), now, "nothing is waited for");
    store.prolong(&theirs.key(), until).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_a_clock_behind_the_servers_begins_nothing_and_changes_nothing() {
    let Some(cluster) = postgres::cluster() else {
        return;
    };
    let (bed, store) = planned_on(cluster).await;
    let epoch = jiff::Timestamp::UNIX_EPOCH;
    let behind = store.clock_difference(epoch).await.unwrap().unwrap();
    let right = epoch - behind;
    let until = right + SignedDuration::from_mins(2);
    let theirs = store.claim("them", right, until, 9).await.unwrap();
    assert!(theirs.is_some());
    let engine = Arc::new(Engine {
        config: Arc::new(bed.config()),
        store: store.clone(),
        peers: Arc::new(Silent),
        env: bed.env(),
        checkpoint: Arc::new(NoCheckpoint),
    });
    let wrong = right - SignedDuration::from_mins(15);
    let mut workers = WorkerPool::new("us".to_owned(), Arc::clone(&engine)).after(Some(right));
    for _ in 0..2 {
        let turned = workers.turn(wrong).await;
        let is_reported =
            matches!(turned, Err(StoreError::ClockDiffers { seconds }) if seconds < -600);
        assert!(is_reported, "{turned:?}");
    }
    let soon = right + SignedDuration::from_mins(1);
    let claimed = store.claim("others", soon, until, 9).await.unwrap();
    assert!(claimed.is_none(), "their claim holds as long as before");

    // One that is right by now corrects what was stored under a clock that was ahead.
    let ahead = right + SignedDuration::from_hours(9);
    let mut workers = WorkerPool::new("us".to_owned(), engine).after(Some(ahead));
    workers.turn(right).await.unwrap();
}
