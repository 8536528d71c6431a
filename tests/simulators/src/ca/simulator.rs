//! A running simulated CA as tests and the command line see it.

use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use rcgen::{CertificateParams, DnType, KeyPair};
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::authority::Tier;
use super::counters::Counters;
use super::csr::pem;
use super::fault::{Fault, On};
use super::mischief::{ChainMischief, Mischief};
use super::model::{Model, Office};
use super::server::{Shared, State, serve};
use crate::{ConnectionFault, Observer, tls};

/// A running CA. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator<M: Model> {
    shared: Arc<Shared<M>>,
    address: SocketAddr,
    identity: Identity,
    server: Option<JoinHandle<()>>,
}

/// How a client recognises the TLS port.
#[derive(Debug)]
struct Identity {
    ca_pem: String,
    leaf: Vec<u8>,
}

impl<M: Model> Simulator<M> {
    /// Binds the port and begins to serve. Fails when the port is taken.
    pub async fn start(settings: M::Settings) -> std::io::Result<Self> {
        let common = M::common(&settings).clone();
        let listener = TcpListener::bind(common.listen).await?;
        let address = listener.local_addr()?;
        let (identity, acceptor) =
            identity((common.now)(), address).map_err(std::io::Error::other)?;
        let mut office = Office::open(M::NAME, common).map_err(std::io::Error::other)?;
        let model = M::open(settings, &mut office);
        let shared = Shared::new(model, office);
        let server = tokio::spawn(serve(listener, acceptor, shared.clone()));
        Ok(Self {
            shared,
            address,
            identity,
            server: Some(server),
        })
    }

    /// `https://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA certificate to trust for TLS. It is another than the root of the certificates that this CA signs.
    pub fn ca_pem(&self) -> String {
        self.identity.ca_pem.clone()
    }

    /// SHA-256 of the certificate of the TLS port, lower-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.identity.leaf))
    }

    /// The root of the certificates that this CA signs, PEM.
    pub fn root_pem(&self) -> String {
        self.authority_pem(&[Tier::Root])
    }

    /// The CA certificates above those that this CA signs, nearest first, PEM.
    pub fn chain_pem(&self) -> String {
        self.authority_pem(&[Tier::Intermediate, Tier::Root])
    }

    /// The counts, all of one moment.
    pub fn counters(&self) -> Counters {
        self.shared.state().office.counters.clone()
    }

    /// `POST /path` of every request so far, in their order, also those that a fault answered or cut.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// One line per request so far with its outcome. Holds no secret.
    pub fn journal(&self) -> Vec<String> {
        self.shared.state().journal.clone()
    }

    /// The switches as they are now.
    pub fn variants(&self) -> M::Variants {
        self.shared.state().model.variants().clone()
    }

    /// Changes switches while it runs.
    pub fn set(&self, change: impl FnOnce(&mut M::Variants)) {
        change(self.shared.state().model.variants());
    }

    /// Adds a fault of one exchange.
    pub fn fault(&self, on: On, fault: Fault) {
        self.shared.state().faults.add(on, fault);
    }

    /// Adds a fault of the `nth` connection from now.
    pub fn connection_fault(&self, nth: u32, fault: ConnectionFault) {
        self.shared.state().connections.fault(nth, fault);
    }

    /// How many of the faults have happened, those of connections among them.
    pub fn faults_used(&self) -> u64 {
        let state = self.shared.state();
        state.faults.used() + state.connections.used()
    }

    /// Whether every answer ends its connection, so that each exchange has a connection of its own.
    pub fn one_request_each(&self, one: bool) {
        self.shared.state().connections.one_request_each = one;
    }

    /// Connections so far, also those that a fault ended.
    pub fn connections(&self) -> u64 {
        self.shared.state().connections.opened()
    }

    /// Bytes that clients sent over connections with [`ConnectionFault::WrongCertificate`].
    pub fn bytes_sent_to_impostor(&self) -> u64 {
        self.shared.state().connections.bytes_sent_to_impostor
    }

    /// The fault of certificates that are signed from now on.
    pub fn mischief(&self, mischief: Mischief) {
        self.shared.state().office.mischief = mischief;
    }

    /// The fault of lists of certificates that are sent from now on.
    pub fn chain_mischief(&self, mischief: ChainMischief) {
        self.shared.state().office.chain_mischief = mischief;
    }

    /// Whether new connections are reset before TLS begins. Open ones are served on.
    pub fn refuse_connections(&self, refuse: bool) {
        self.shared.state().refuse_connections = refuse;
    }

    /// From now on, the observer is called for every request that was processed, before it is answered.
    pub fn observed_by(&self, observer: Observer) {
        self.shared.state().observer = Some(observer);
    }

    /// Closes the port and all connections.
    pub async fn stop(mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Gives access to the data of one kind of CA. No request is answered meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut M, &mut Office) -> T) -> T {
        let State { model, office, .. } = &mut *self.shared.state();
        look(model, office)
    }

    fn authority_pem(&self, tiers: &[Tier]) -> String {
        let state = self.shared.state();
        let authority = &state.office.authority;
        tiers
            .iter()
            .map(|tier| pem("CERTIFICATE", authority.certificate(*tier)))
            .collect()
    }
}

impl<M: Model> Drop for Simulator<M> {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A certificate for this address, `localhost` and `127.0.0.1`, and the CA that signed it: a client that trusts a
/// self-signed leaf as a root refuses it as a server.
fn identity(now: OffsetDateTime, address: SocketAddr) -> Result<(Identity, TlsAcceptor), Failure> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "TLS of a simulated CA");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    (ca.not_before, ca.not_after) = tls_validity(now);
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let key = KeyPair::generate()?;
    let mut names = vec![address.ip().to_string(), "localhost".to_owned()];
    names.push("127.0.0.1".to_owned());
    names.dedup();
    let mut params = CertificateParams::new(names)?;
    (params.not_before, params.not_after) = tls_validity(now);
    let leaf = params
        .signed_by(&key, &rcgen::Issuer::from_params(&ca, &ca_key))?
        .der()
        .to_vec();
    let certified = tls::certified_key(key.serialize_der(), vec![leaf.clone()])?;
    let acceptor = tls::acceptor(Arc::new(tls::One(Arc::new(certified))))?;
    Ok((Identity { ca_pem, leaf }, acceptor))
}

/// Wide enough for a test that lets years go by.
fn tls_validity(now: OffsetDateTime) -> (OffsetDateTime, OffsetDateTime) {
    (now - Duration::days(3650), now + Duration::days(7300))
}
