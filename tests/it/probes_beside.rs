//! A probe that runs beside each step of a renewal, and is stored only when the renewal has ended.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use renewd::ca::Issuer;
use renewd::failure::{Failure, FailureKind};
use renewd::firewall::{Firewall, Known};
use renewd::inventory::Endpoint;
use renewd::probe::{self, Sight};
use renewd::renewal::{Checkpoint, Engine, Moment, NoCheckpoint, Peers};
use renewd::store::{StoreError, Witness};
use renewd::watch;
use simulators::sonicos::Profile;
use tokio::sync::watch as signal;
use tokio::task::JoinSet;

use crate::lab::{CERTIFICATE, Lab, run_once};

/// Addresses that are looked at at once, and whose answers take until the end.
#[derive(Debug)]
pub struct Slow {
    looked: AtomicUsize,
    is_over: signal::Receiver<bool>,
}

impl Slow {
    /// Answers that take until the sender says that it is over.
    pub fn new() -> (signal::Sender<bool>, Arc<Self>) {
        let (over, is_over) = signal::channel(false);
        let looked = AtomicUsize::new(0);
        (over, Arc::new(Self { looked, is_over }))
    }

    /// How many addresses were looked at.
    pub fn looked(&self) -> usize {
        self.looked.load(Ordering::SeqCst)
    }

    /// What looks through it at the certificate of `lab`, without a daemon.
    pub async fn engine(self: &Arc<Self>, lab: &Lab) -> Engine {
        Engine {
            desired: Arc::new(lab.desired()),
            store: lab.store().await,
            peers: Arc::clone(self) as _,
            surroundings: lab.surroundings(),
            checkpoint: Arc::new(NoCheckpoint),
        }
    }
}

#[async_trait]
impl Peers for Slow {
    async fn firewall(&self, _: &str, _: &Known<'_>) -> Result<Box<dyn Firewall>, Failure> {
        unreachable!("a probe logs in nowhere")
    }

    fn issuer(&self, _: &str) -> Result<Arc<dyn Issuer>, Failure> {
        Err(Failure::new(
            FailureKind::Local,
            "ask a CA",
            "there is none",
        ))
    }

    async fn look(&self, endpoint: &Endpoint, name: Option<&str>) -> Sight {
        let sight = probe::look(endpoint, name, Duration::from_secs(5)).await;
        self.looked.fetch_add(1, Ordering::SeqCst);
        let mut is_over = self.is_over.clone();
        is_over.wait_for(|is_over| *is_over).await.unwrap();
        sight
    }
}

/// Begins a probe before each step.
#[derive(Debug, Default)]
struct Beside {
    engine: OnceLock<(Arc<Engine>, Arc<Slow>)>,
    probes: Mutex<JoinSet<Result<(), StoreError>>>,
}

impl Witness for Beside {}

#[async_trait]
impl Checkpoint for Beside {
    async fn pass(&self, moment: Moment) {
        let Moment::Before(_) = moment else {
            return;
        };
        let (engine, slow) = self.engine.get().unwrap();
        let row = engine.store.certificate(CERTIFICATE).await.unwrap();
        let (engine, looked) = (Arc::clone(engine), slow.looked());
        let probe = async move { watch::observe(&engine, &row.unwrap()).await };
        self.probes.lock().unwrap().spawn(probe);
        while slow.looked() < looked + 2 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_probe_saw_that_began_before_the_verification_never_replaces_it() {
    let lab = Lab::new(Profile::V8).await;
    let (over, slow) = Slow::new();
    let engine = slow.engine(&lab).await;
    let beside = Arc::new(Beside::default());
    beside.engine.set((Arc::new(engine), slow)).unwrap();
    let clock = Arc::clone(&lab.clock);
    let report = run_once(&lab.config_file(), clock, Arc::clone(&beside) as _).await;
    assert!(!report.has_failed(), "{report:#?}");
    lab.assert_renewed_once().await;
    let renewal = &lab.renewals().await[0];
    let new = renewal.obtained.fingerprint.unwrap();

    over.send(true).unwrap();
    let mut probes = std::mem::take(&mut *beside.probes.lock().unwrap());
    assert!(probes.len() >= 8, "a probe beside each step");
    while let Some(stored) = probes.join_next().await {
        stored.unwrap().unwrap();
    }
    let store = lab.store().await;
    let row = store.certificate(CERTIFICATE).await.unwrap().unwrap();
    for served in &row.served {
        assert_eq!(
            served.known.as_ref().unwrap().fingerprint,
            new,
            "{served:?}"
        );
        assert!(served.unknown.is_none() && served.unreachable.is_none());
    }
    assert_eq!(row.shown.unwrap().fingerprint, new);
    store.close().await;
    lab.run_once().await;
    assert_eq!(lab.renewals().await.len(), 1, "nothing is due");
    assert_eq!(lab.signatures(), 1, "no second order");
}
