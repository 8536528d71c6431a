//! A probe that runs beside each step of a renewal, and is stored only when the renewal has ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use renewd::ca::Issuer;
use renewd::failure::{Failure, FailureKind};
use renewd::firewall::{Firewall, KnownDevice};
use renewd::inventory::Endpoint;
use renewd::monitor;
use renewd::probe::{self, ProbeResult};
use renewd::renewal::{Checkpoint, Engine, Moment, NoCheckpoint, Peers};
use renewd::store::{CommitObserver, StoreError};
use simulators::sonicos::Profile;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

use crate::test_bed::{CERTIFICATE, TestBed, run_once};

/// Addresses that are probed concurrently, and whose answers come at the end.
#[derive(Debug)]
pub struct Slow {
    looked: AtomicUsize,
    is_over: signal::Receiver<bool>,
}

impl Slow {
    /// Answers that come when the sender ends the wait.
    pub fn new() -> (signal::Sender<bool>, Arc<Self>) {
        let (over, is_over) = signal::channel(false);
        let looked = AtomicUsize::new(0);
        (over, Arc::new(Self { looked, is_over }))
    }

    /// How many addresses were probed.
    pub fn looked(&self) -> usize {
        self.looked.load(Ordering::SeqCst)
    }

    /// What looks through it at the certificate of `bed`, without a daemon.
    pub async fn engine(self: &Arc<Self>, bed: &TestBed) -> Engine {
        Engine {
            config: Arc::new(bed.config()),
            store: bed.store().await,
            peers: Arc::clone(self) as _,
            env: bed.env(),
            checkpoint: Arc::new(NoCheckpoint),
        }
    }
}

#[async_trait]
impl Peers for Slow {
    async fn firewall(&self, _: &str, _: &KnownDevice<'_>) -> Result<Box<dyn Firewall>, Failure> {
        unreachable!("a probe logs in nowhere")
    }

    fn issuer(&self, _: &str) -> Result<Arc<dyn Issuer>, Failure> {
        Err(Failure::new(
            FailureKind::Local,
            "ask a CA",
            "there is none",
        ))
    }

    async fn probe(&self, endpoint: &Endpoint, name: Option<&str>) -> ProbeResult {
        let probed = probe::probe(endpoint, name, Duration::from_secs(5)).await;
        self.looked.fetch_add(1, Ordering::SeqCst);
        let mut is_over = self.is_over.clone();
        is_over.wait_for(|is_over| *is_over).await.unwrap();
        probed
    }
}

/// Begins a probe before each step.
#[derive(Debug, Default)]
struct Beside {
    engine: OnceLock<(Arc<Engine>, Arc<Slow>)>,
    probes: Mutex<JoinSet<Result<(), StoreError>>>,
}

impl CommitObserver for Beside {}

#[async_trait]
impl Checkpoint for Beside {
    async fn pass(&self, moment: Moment) {
        let Moment::Before(_) = moment else {
            return;
        };
        let (engine, slow) = self.engine.get().unwrap();
        let row = engine.store.certificate(CERTIFICATE).await.unwrap();
        let (engine, looked) = (Arc::clone(engine), slow.looked());
        let probe = async move { monitor::observe(&engine, &row.unwrap()).await };
        self.probes.lock().unwrap().spawn(probe);
        while slow.looked() < looked + 2 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_probe_saw_that_began_before_the_verification_never_replaces_it() {
    let bed = TestBed::new(Profile::V8).await;
    let (over, slow) = Slow::new();
    let engine = slow.engine(&bed).await;
    let beside = Arc::new(Beside::default());
    beside.engine.set((Arc::new(engine), slow)).unwrap();
    let clock = Arc::clone(&bed.clock);
    let report = run_once(&bed.config_file(), clock, Arc::clone(&beside) as _).await;
    assert!(!report.has_failed(), "{report:#?}");
    bed.assert_renewed_once().await;
    let renewal = &bed.renewals().await[0];
    let new = renewal.obtained.fingerprint.unwrap();

    over.send(true).unwrap();
    let mut probes = std::mem::take(&mut *beside.probes.lock().unwrap());
    assert!(probes.len() >= 8, "a probe beside each step");
    while let Some(stored) = probes.join_next().await {
        stored.unwrap().unwrap();
    }
    let store = bed.store().await;
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    for served in &row.served {
        assert_eq!(
            served.known.as_ref().unwrap().fingerprint,
            new,
            "{served:?}"
        );
        assert!(served.unknown.is_none() && served.unreachable.is_none());
    }
    assert_eq!(row.current.unwrap().fingerprint, new);
    store.close().await;
    bed.run_once().await;
    assert_eq!(bed.renewals().await.len(), 1, "nothing is due");
    assert_eq!(bed.signatures(), 1, "no second order");
}
