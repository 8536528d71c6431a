//! A simulated SonicWall: SonicOS 6.5, 7.0, 7.x with session security, and 8.
//!
//! Written from the SonicOS reference; sections are cited by number. It has state behind its answers: real keys, real
//! requests, pending and committed configuration, and the committed certificate on two real TLS ports. It listens only
//! on the addresses of its settings. It connects only to the host of a URL in a call: 6.5 transfers files over FTP and
//! SCP. Not implemented: SCEP.

mod auth;
mod binding;
mod calls;
mod carrier;
mod certificates;
mod cli;
mod counters;
mod decorate;
mod device;
mod http10;
mod other_administrator;
mod pending;
mod rules;
mod server;
mod session;
mod settings;
mod specification;
mod switch;
mod transfer_request;
mod transfers;
mod variants;
mod wire;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::faulty_connections::FaultyConnections;
use crate::rng::Rng;

pub use self::carrier::TransferFault;
pub use self::counters::Counters;
pub use self::other_administrator::{OtherAdministrator, Replacement, ReplacementKey};
pub use self::rules::{Action, Rule};
pub use self::settings::{DeviceClock, InitialCertificate, Profile, Settings};
pub use self::switch::{
    CsrForm, DateForm, FtpMode, ImportForm, KeyPairEncryption, KeyPairForm, NonConfigMode, Offer,
    On, P10Form, P10Name, PendingForm, PublicKeyPadding, ScpAlgorithms, Specification, Tampering,
    TransferProtocols, TransferSpelling, UrlForm, WrongForm,
};
pub use self::variants::Variants;
pub use crate::{Barrier, ConnectionFault, Observer};

use self::binding::{Binding, Bindings};
use self::certificates::{INITIAL, Identity, Kind, Store};
use self::cli::console::serve_console;
use self::device::{Device, Ports};
use self::server::{PortCertificate, Role, Shared, serve_port};

/// A running device. It stops when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    management: SocketAddr,
    ssl_vpn: SocketAddr,
    console: Option<SocketAddr>,
    servers: Vec<JoinHandle<()>>,
}

/// One of the two TLS ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// Web management, which also carries the API.
    Management,
    /// The SSL VPN portal.
    SslVpn,
}

impl Simulator {
    /// Binds both ports and begins to serve. Fails when a port is taken or the initial certificate cannot be made.
    pub async fn start(mut settings: Settings) -> std::io::Result<Self> {
        let management = TcpListener::bind(settings.management).await?;
        let ssl_vpn = TcpListener::bind(settings.ssl_vpn).await?;
        let console = match settings.console {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        settings.management = management.local_addr()?;
        settings.ssl_vpn = ssl_vpn.local_addr()?;
        let (management_address, ssl_vpn_address) = (settings.management, settings.ssl_vpn);
        let device = new_device(settings)?;
        let certificates = (
            device.ports.management.clone(),
            device.ports.ssl_vpn.clone(),
        );
        let shared = Shared::new(device);
        let mut servers = vec![
            tokio::spawn(serve_port(
                management,
                Role::Management,
                certificates.0,
                shared.clone(),
            )),
            tokio::spawn(serve_port(
                ssl_vpn,
                Role::SslVpn,
                certificates.1,
                shared.clone(),
            )),
        ];
        let console_address = console.as_ref().map(TcpListener::local_addr).transpose()?;
        servers.extend(console.map(|port| tokio::spawn(serve_console(port, shared.clone()))));
        Ok(Self {
            console: console_address,
            shared,
            management: management_address,
            ssl_vpn: ssl_vpn_address,
            servers,
        })
    }

    /// Where the web management and the API listen.
    pub fn management(&self) -> SocketAddr {
        self.management
    }

    /// Where the SSL VPN portal listens.
    pub fn ssl_vpn(&self) -> SocketAddr {
        self.ssl_vpn
    }

    /// The address of the command line, if the settings enable it: plain text, without a login.
    pub fn console(&self) -> Option<SocketAddr> {
        self.console
    }

    /// `https://ADDRESS:PORT` of the management.
    pub fn url(&self) -> String {
        format!("https://{}", self.management)
    }

    /// SHA-256 of the certificate that the management serves now, lower-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        hex(&Sha256::digest(self.served_der(Port::Management)))
    }

    /// The certificate that a port serves now, DER.
    pub fn served_der(&self, port: Port) -> Vec<u8> {
        let device = self.shared.device();
        match port {
            Port::Management => device.ports.management.leaf(),
            Port::SslVpn => device.ports.ssl_vpn.leaf(),
        }
    }

    /// The counts, all of one moment.
    pub fn counters(&self) -> Counters {
        let device = self.shared.device();
        let born_here = device
            .certificates
            .rows
            .iter()
            .filter(|row| row.born_here)
            .count();
        Counters {
            sessions_open: u64::from(device.session.is_some()),
            key_pairs_present: u64::try_from(born_here).unwrap_or(u64::MAX),
            ..device.counters.clone()
        }
    }

    /// Every name on the device: requests (also those whose key is being made), certificates, CAs.
    pub fn certificates(&self) -> Vec<String> {
        self.shared
            .device()
            .certificates
            .rows
            .iter()
            .map(|row| row.name.clone())
            .collect()
    }

    /// Whether this name is a request that waits for its certificate.
    pub fn is_request(&self, name: &str) -> bool {
        let device = self.shared.device();
        device
            .certificates
            .find(name)
            .is_some_and(|row| matches!(row.kind, Kind::Request { .. }))
    }

    /// The name that a service is committed to use; `None` is the built-in self-signed certificate.
    pub fn bound(&self, port: Port) -> Option<String> {
        self.binding_of(port)()
    }

    /// The same for a machine beside the device, whenever it asks.
    pub fn binding_of(&self, port: Port) -> impl Fn() -> Option<String> + Send + 'static {
        let shared = self.shared.clone();
        move || {
            let device = shared.device();
            let binding = match port {
                Port::Management => &device.bindings.management,
                Port::SslVpn => &device.bindings.ssl_vpn,
            };
            match binding {
                Binding::Name(name) => Some(name.clone()),
                Binding::SelfSigned => None,
            }
        }
    }

    /// The uncommitted changes of all administrators, one CLI line each.
    pub fn pending(&self) -> Vec<String> {
        self.shared
            .device()
            .pending
            .iter()
            .map(|change| change.kind.cli_line())
            .collect()
    }

    /// SHA-256 of the subject public key information behind a name, lower-case hexadecimal.
    pub fn spki_sha256(&self, name: &str) -> Option<String> {
        let public_key = self.shared.device().certificates.find(name)?.public_key()?;
        Some(hex(&Sha256::digest(public_key)))
    }

    /// The switches as they are now.
    pub fn variants(&self) -> Variants {
        self.shared.device().variants.clone()
    }

    /// Changes switches while it runs. What is on the wire changes with the next commit.
    pub fn set(&self, change: impl FnOnce(&mut Variants)) {
        change(&mut self.shared.device().variants);
    }

    /// From now on an attacker on the path replaces the key of each exported request by this key, PKCS#8.
    pub fn replace_requests(&self, pkcs8: Vec<u8>) {
        self.shared.device().attacker_key = Some(pkcs8);
    }

    /// Exported requests are not replaced any more.
    pub fn stop_replacing_requests(&self) {
        self.shared.device().attacker_key = None;
    }

    /// Adds a fault or a hold.
    pub fn rule(&self, rule: Rule) {
        self.shared.device().rules.add(rule);
    }

    /// Adds a fault of the `nth` connection from now, to either port.
    pub fn connection_fault(&self, nth: u32, fault: ConnectionFault) {
        self.shared.device().connections.fault(nth, fault);
    }

    /// Adds a fault of the `nth` file from now that the device brings or fetches.
    pub fn transfer_fault(&self, nth: u32, fault: TransferFault) {
        self.shared.device().transfer_faults.add(nth, fault);
    }

    /// How many of all these faults and holds have happened.
    pub fn faults_used(&self) -> u64 {
        let device = self.shared.device();
        device.rules.used() + device.connections.used() + device.transfer_faults.used()
    }

    /// Whether every answer ends its connection, so that each exchange has a connection of its own, as on 6.5 always.
    pub fn one_request_each(&self, one: bool) {
        self.shared.device().connections.one_request_each = one;
    }

    /// Connections to both ports so far, also those that a fault ended.
    pub fn connections(&self) -> u64 {
        self.shared.device().connections.opened()
    }

    /// Bytes that clients sent over connections with [`ConnectionFault::WrongCertificate`].
    pub fn bytes_sent_to_impostor(&self) -> u64 {
        self.shared.device().connections.bytes_sent_to_impostor
    }

    /// From now on, the observer is called for every request that was processed, before it is answered.
    pub fn observed_by(&self, observer: Observer) {
        // A second observer is ignored.
        let _ = self.shared.observer.set(observer);
    }

    /// Whether the session of the API holds configuration mode.
    pub fn holds_configuration_mode(&self) -> bool {
        self.shared.device().holds_configuration_mode()
    }

    /// Every password that the device received for a file: to download, upload or open it.
    pub fn file_passwords(&self) -> Vec<String> {
        self.shared.device().file_passwords.clone()
    }

    /// One line per request so far, for instance `POST /auth 200 (digest)`. Holds no secret.
    pub fn journal(&self) -> Vec<String> {
        self.shared.device().journal.clone()
    }

    /// The texts sent by [`Action::Echo`], including secrets.
    pub fn echoed(&self) -> Vec<String> {
        self.shared.device().echoed.clone()
    }

    /// Another administrator of the same device.
    pub fn other_administrator(&self) -> OtherAdministrator {
        OtherAdministrator(self.shared.clone())
    }

    /// Closes the ports and all connections.
    pub async fn stop(mut self) {
        for server in std::mem::take(&mut self.servers) {
            server.abort();
            let _ = server.await;
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

fn new_device(settings: Settings) -> std::io::Result<Device> {
    let now = (settings.now)();
    let certificates = Store::new(&settings.initial, now).map_err(std::io::Error::other)?;
    let initial = certificates.find(INITIAL).and_then(|row| match &row.kind {
        Kind::Local { key, der } => Some(Identity {
            key: key.clone(),
            der: der.clone(),
        }),
        _ => None,
    });
    let initial =
        initial.ok_or_else(|| std::io::Error::other("the initial certificate is missing"))?;
    let port = || PortCertificate::new(&initial).map(Arc::new);
    let bound = Binding::Name(INITIAL.to_owned());
    Ok(Device {
        variants: settings.variants.clone(),
        rng: Rng::new(settings.seed),
        counters: Counters::default(),
        journal: Vec::new(),
        rules: rules::Rules::default(),
        echoed: Vec::new(),
        connections: FaultyConnections::default(),
        transfer_faults: transfer_request::TransferFaults::default(),
        gatekeeper: auth::Gatekeeper::default(),
        session: None,
        mode: None,
        visitor: None,
        certificates,
        bindings: Bindings {
            management: bound.clone(),
            ssl_vpn: bound,
        },
        pending: Vec::new(),
        restart_required: "NONE".to_owned(),
        ports: Ports {
            management: port()?,
            ssl_vpn: port()?,
        },
        cut_connections: false,
        file_passwords: Vec::new(),
        attacker_key: None,
        settings,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
