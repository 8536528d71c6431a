//! A driver, a probe or a request to a CA that panics: that one fails and an alert is raised, the others continue, and
//! it is not retried at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use renewd::ca::{Issuance, Issuer, PreparedOrder, Reference, RenewalInfo, SigningRequest};
use renewd::clock::{Clock, SystemClock};
use renewd::daemon::{Daemon, WorkerPool};
use renewd::failure::Failure;
use renewd::firewall::{
    Binding, Firewall, Identity, InstalledObject, KnownDevice, PendingChangesOfOthers,
};
use renewd::inventory::{Endpoint, State};
use renewd::pki::{Certificate, Fingerprint, KeyBundle, KeyRequest};
use renewd::probe::ProbeResult;
use renewd::renewal::{ConfiguredPeers, Engine, NoCheckpoint, Peers};
use renewd::transfer::Transfers;

use super::fleet::{Fleet, env};
use super::wait_until;

/// The peers of a configuration, of which one panics in one of its methods.
#[derive(Debug)]
struct Trapped {
    peers: ConfiguredPeers,
    firewall: String,
    /// The first address of that firewall.
    endpoint: String,
    method: &'static str,
}

impl Trapped {
    fn trap(&self, method: &str) {
        assert!(self.method != method, "the trap in {method}");
    }
}

#[async_trait]
impl Peers for Trapped {
    async fn firewall(
        &self,
        name: &str,
        known: &KnownDevice<'_>,
    ) -> Result<Box<dyn Firewall>, Failure> {
        let session = self.peers.firewall(name, known).await?;
        if name != self.firewall {
            return Ok(session);
        }
        self.trap("login");
        let method = self.method;
        Ok(Box::new(Session { session, method }))
    }

    fn issuer(&self, name: &str) -> Result<Arc<dyn Issuer>, Failure> {
        let issuer = self.peers.issuer(name)?;
        Ok(Arc::new(Ca(issuer, self.method)))
    }

    async fn probe(&self, endpoint: &Endpoint, server_name: Option<&str>) -> ProbeResult {
        if endpoint.to_string() == self.endpoint {
            self.trap("look");
        }
        self.peers.probe(endpoint, server_name).await
    }
}

struct Session {
    session: Box<dyn Firewall>,
    method: &'static str,
}

impl Session {
    fn past(&mut self, method: &str) -> &mut dyn Firewall {
        assert!(self.method != method, "the trap in {method}");
        self.session.as_mut()
    }
}

#[async_trait]
impl Firewall for Session {
    async fn identify(&mut self) -> Result<Identity, Failure> {
        self.past("identify").identify().await
    }
    async fn installed(&mut self) -> Result<Vec<InstalledObject>, Failure> {
        self.past("installed").installed().await
    }
    async fn is_absent(&mut self, alias: &str) -> Result<bool, Failure> {
        self.past("lacks").is_absent(alias).await
    }
    async fn generate_csr(&mut self, alias: &str, request: &KeyRequest) -> Result<(), Failure> {
        self.past("generate_csr").generate_csr(alias, request).await
    }
    async fn export_csr(&mut self, alias: &str) -> Result<Vec<u8>, Failure> {
        self.past("export_csr").export_csr(alias).await
    }
    async fn import_chain(&mut self, chain: &[Certificate]) -> Result<(), Failure> {
        self.past("import_chain").import_chain(chain).await
    }
    async fn import_signed(&mut self, alias: &str, leaf: &Certificate) -> Result<(), Failure> {
        self.past("import_signed").import_signed(alias, leaf).await
    }
    async fn import_key_pair(&mut self, alias: &str, bundle: &KeyBundle) -> Result<(), Failure> {
        self.past("import_key_pair")
            .import_key_pair(alias, bundle)
            .await
    }
    async fn mismatches(
        &mut self,
        alias: &str,
        leaf: &Certificate,
    ) -> Result<Vec<String>, Failure> {
        self.past("contradictions").mismatches(alias, leaf).await
    }
    fn also_accept(&mut self, fingerprint: Fingerprint) {
        self.session.also_accept(fingerprint);
    }
    async fn bindings(&mut self) -> Result<Vec<Binding>, Failure> {
        self.past("bindings").bindings().await
    }
    async fn bind(&mut self, bindings: &[Binding]) -> Result<(), Failure> {
        self.past("bind").bind(bindings).await
    }
    async fn remove(&mut self, alias: &str) -> Result<(), Failure> {
        self.past("remove").remove(alias).await
    }
    async fn pending_changes_of_others(
        &mut self,
    ) -> Result<Option<PendingChangesOfOthers>, Failure> {
        self.past("foreign_changes")
            .pending_changes_of_others()
            .await
    }
    async fn specification(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        self.past("specification").specification().await
    }
    async fn close(mut self: Box<Self>) -> Result<(), Failure> {
        self.past("close");
        self.session.close().await
    }
}

struct Ca(Arc<dyn Issuer>, &'static str);

impl Ca {
    /// Only the first certificate of the fleet falls into it.
    fn trap(&self, method: &str, falls_in: bool) {
        assert!(self.1 != method || !falls_in, "the trap in {method}");
    }
}

fn is_trapped(request: &SigningRequest) -> bool {
    TRAPPED_ORDER.with(|order| order.borrow().as_deref() == Some(&request.client_reference))
}

thread_local! {
    /// The renewal of the first firewall: tests run on one thread.
    static TRAPPED_ORDER: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

#[async_trait]
impl Issuer for Ca {
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        self.trap("prepare", is_trapped(request));
        let order = self.0.prepare(request).await?;
        Ok(PreparedOrder::new(async move {
            self.trap("place", is_trapped(request));
            order.place().await
        }))
    }
    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        self.trap("find", is_trapped(request));
        self.0.find(request).await
    }
    async fn poll(&self, order: &Reference, request: &SigningRequest) -> Result<Issuance, Failure> {
        self.trap("poll", is_trapped(request));
        self.0.poll(order, request).await
    }
    fn offers_windows(&self) -> bool {
        self.1 == "renewal_window"
    }
    async fn renewal_window(&self, certificate: &Certificate) -> Result<RenewalInfo, Failure> {
        self.trap("renewal_window", true);
        self.0.renewal_window(certificate).await
    }
    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        self.0.check().await
    }
}

/// A worker pool with the firewall that panics and another one, until the other is done and the panic is reported.
async fn survives(method: &'static str, fails_a_renewal: bool) {
    let fleet = Fleet::new(2, 0).await;
    let (trapped, other) = (Fleet::healthy(0), Fleet::healthy(1));
    let started = Daemon::start(&fleet.config_file(), fleet.config(), env()).await;
    drop(started.unwrap());
    let config = Arc::new(fleet.config());
    let store = fleet.store().await;
    let transfers = Transfers::new(&config.daemon.state_directory, &env());
    let peers = ConfiguredPeers::new(Arc::clone(&config), env(), transfers);
    let peers = Trapped {
        peers,
        firewall: trapped.clone(),
        endpoint: fleet.simulators[0].management().to_string(),
        method,
    };
    let engine = Arc::new(Engine {
        config,
        store: store.clone(),
        peers: Arc::new(peers),
        env: env(),
        checkpoint: Arc::new(NoCheckpoint),
    });
    let mut workers = WorkerPool::new("test".to_owned(), engine);
    let mut turns = 0;
    wait_until(method, async || {
        turns += 1;
        workers.turn(SystemClock.now()).await.unwrap();
        let open = store.renewals_of(&trapped, 1).await.unwrap().pop();
        TRAPPED_ORDER.set(open.map(|renewal| renewal.id.0));
        let _ = tokio::time::timeout(Duration::from_millis(20), workers.one_finished()).await;
        let others = store.renewals_of(&other, 1).await.unwrap();
        let is_done = others
            .first()
            .is_some_and(|other| other.state == State::Completed);
        let history = store.history(&trapped, 99).await.unwrap();
        is_done && history.iter().any(|event| event.name == "attention_needed")
    })
    .await;
    let renewal = store.renewals_of(&trapped, 1).await.unwrap().pop();
    if fails_a_renewal {
        let renewal = renewal.unwrap();
        assert!(renewal.last_error.unwrap().contains("panicked"), "{method}");
        assert!(
            renewal.next_attempt_at > Some(SystemClock.now()),
            "{method}: it goes on later"
        );
    }
    let row = store.certificate(&trapped).await.unwrap().unwrap();
    assert!(
        row.probe_at > Some(SystemClock.now()),
        "{method}: {:?}",
        row.probe_at
    );
    assert!(
        row.window_poll_at.is_none_or(|at| at > SystemClock.now()),
        "{method}"
    );
    let history = store.history(&trapped, 99).await.unwrap();
    let reported = history
        .iter()
        .filter(|event| event.name == "attention_needed");
    assert_eq!(reported.count(), 1, "{method}: reported once in this time");
}

#[tokio::test]
async fn a_panic_in_any_method_of_a_firewall_driver_fails_that_renewal_alone() {
    for method in [
        "login",
        "identify",
        "installed",
        "generate_csr",
        "export_csr",
        "import_chain",
        "import_signed",
        "bindings",
        "bind",
        "close",
    ] {
        survives(method, true).await;
    }
}

#[tokio::test]
async fn a_panic_in_any_method_of_a_ca_driver_fails_that_renewal_alone() {
    for method in ["find", "prepare", "place", "poll"] {
        survives(method, true).await;
    }
}

#[tokio::test]
async fn a_panic_in_a_probe_or_in_a_poll_of_a_window_is_reported_and_not_repeated_at_once() {
    for method in ["look", "renewal_window"] {
        survives(method, false).await;
    }
}
