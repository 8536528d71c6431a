//! What the addresses of a certificate serve before its renewal, and the machines that it takes.
//!
//! A device starts with one certificate on all services. Firewalls that are adopted differ: each service has its own, an
//! address is dead or another machine's, a service is off until it has a certificate, a path fails every other time.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, KeyPair};
use renewd::inventory::State;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use simulators::sonicos::{Port, Replacement, ReplacementKey};
use tokio::io::{AsyncReadExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::driver_pair::DriverPair;
use crate::test_bed::TestBed;

/// A driver pair, and what is served before the renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Site {
    pub pair: DriverPair,
    pub before: Before,
}

/// What is served before the renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Before {
    /// The same certificate at every address.
    Same,
    /// Another certificate at each service.
    Different,
    /// One address more, where nothing listens.
    Dead,
    /// One address more, which is another machine with a certificate of its own.
    Foreign,
    /// Nothing at all: the only address is a service that is off until it gets its first certificate.
    Nothing,
    /// One address more, which answers every other time.
    Flapping,
}

/// What belongs to it besides the firewall. It ends when it is dropped.
#[derive(Debug, Default)]
pub struct Neighbours {
    /// The address that is not the firewall's own, where there is one.
    pub address: Option<String>,
    tasks: Vec<JoinHandle<()>>,
    /// Holds a port, so that no other process listens there.
    reserved: Option<TcpSocket>,
}

impl Site {
    /// Every site of a pair.
    pub fn of(pair: DriverPair) -> Vec<Self> {
        let sites = Before::ALL.map(|before| Self { pair, before });
        let mut sites = sites.to_vec();
        // Where renewd has bound before, something is served.
        sites.retain(|site| site.before != Before::Nothing || !pair.face.has_former());
        sites
    }

    /// Every site of each pair, or the one whose turn it is.
    pub fn of_each(pairs: &[DriverPair], turn: u64, all: bool) -> Vec<Vec<Self>> {
        let turns = (turn..).map(|turn| usize::try_from(turn).unwrap());
        let of_one = |(pair, turn): (&DriverPair, usize)| {
            let sites = Self::of(*pair);
            let its_turn = sites[turn % sites.len()];
            if all { sites } else { vec![its_turn] }
        };
        pairs.iter().zip(turns).map(of_one).collect()
    }

    /// How a renewal ends there. What another machine serves never changes: the new certificate is not proven.
    pub fn end(self) -> State {
        match self.before {
            Before::Foreign => State::RolledBack,
            _ => self.pair.face.end(),
        }
    }
}

impl Before {
    pub const ALL: [Self; 6] = [
        Self::Same,
        Self::Different,
        Self::Dead,
        Self::Foreign,
        Self::Nothing,
        Self::Flapping,
    ];

    /// Makes it so.
    pub async fn arrange(self, bed: &TestBed) -> Neighbours {
        let mut neighbours = Neighbours::default();
        match self {
            Self::Same => {}
            Self::Different => give_ssl_vpn_its_own(bed),
            Self::Dead => {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
                let address = socket.local_addr().unwrap();
                neighbours.reserved = Some(socket);
                neighbours.at(bed, address, Listed::Too);
            }
            Self::Foreign => {
                let (address, task) = other_machine().await;
                neighbours.tasks.push(task);
                neighbours.at(bed, address, Listed::Too);
            }
            Self::Nothing => {
                let bound = bed.simulator.binding_of(Port::SslVpn);
                let first = bound();
                let (address, task) =
                    relay(bed.simulator.ssl_vpn(), move |_| bound() != first).await;
                neighbours.tasks.push(task);
                neighbours.at(bed, address, Listed::Alone);
                // What serves nothing is never due: an operator asks for the first certificate.
                bed.run_once().await;
                bed.decide().await;
            }
            Self::Flapping => {
                let (address, task) = relay(bed.simulator.ssl_vpn(), |nth| nth % 2 == 0).await;
                neighbours.tasks.push(task);
                neighbours.at(bed, address, Listed::Too);
            }
        }
        neighbours
    }

    /// Whether the address that is not the firewall's own is reported before anything is ordered.
    pub fn is_reported(self) -> bool {
        matches!(self, Self::Dead | Self::Foreign | Self::Nothing)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Different => "different",
            Self::Dead => "dead",
            Self::Foreign => "foreign",
            Self::Nothing => "nothing",
            Self::Flapping => "flapping",
        }
    }
}

/// How an address stands in `endpoints`.
#[derive(Debug, Clone, Copy)]
enum Listed {
    Too,
    Alone,
}

impl Neighbours {
    fn at(&mut self, bed: &TestBed, address: SocketAddr, listed: Listed) {
        let file = bed.config_file();
        let text = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = text.split_once("endpoints = [").unwrap();
        let (present, after) = rest.split_once(']').unwrap();
        let addresses = match listed {
            Listed::Too => format!("{present}, \"{address}\""),
            Listed::Alone => format!("\"{address}\""),
        };
        std::fs::write(file, format!("{before}endpoints = [{addresses}]{after}")).unwrap();
        self.address = Some(address.to_string());
    }
}

impl Drop for Neighbours {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The name of what an administrator gave the SSL VPN.
pub const BY_HAND: &str = "by-hand";

fn give_ssl_vpn_its_own(bed: &TestBed) {
    let now = bed.device_time();
    let own = Replacement {
        name: BY_HAND.to_owned(),
        common_name: "vpn.example.com".to_owned(),
        not_before: now - time::Duration::days(300),
        not_after: now + time::Duration::days(60),
        key: ReplacementKey::EcdsaP256,
    };
    // It is served before the variants of the device apply: a device that keeps serving the old one would not serve it.
    let variants = bed.simulator.variants();
    bed.simulator
        .set(|variants| variants.keep_serving_old_after_bind = false);
    let other = bed.simulator.other_administrator();
    other.gives_ssl_vpn_its_own(&own).unwrap();
    bed.simulator.set(|now| *now = variants);
    let [management, ssl_vpn] =
        [Port::Management, Port::SslVpn].map(|port| bed.simulator.served_der(port));
    assert_ne!(management, ssl_vpn, "both services serve the same");
}

/// Serves a certificate for the same name, of a key of its own.
async fn other_machine() -> (SocketAddr, JoinHandle<()>) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    let leaf = CertificateDer::from(params.self_signed(&key).unwrap().der().to_vec());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 16]).await;
                }
            });
        }
    });
    (address, task)
}

/// Passes a connection on to `service` when `is_open` says so of its number, and else closes it.
async fn relay(
    service: SocketAddr,
    is_open: impl Fn(usize) -> bool + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let passed = AtomicUsize::new(0);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if !is_open(passed.fetch_add(1, Ordering::SeqCst)) {
                continue;
            }
            tokio::spawn(async move {
                if let Ok(mut service) = TcpStream::connect(service).await {
                    let _ = copy_bidirectional(&mut stream, &mut service).await;
                }
            });
        }
    });
    (address, task)
}

/// As the matrices did it before there was a choice.
impl From<DriverPair> for Site {
    fn from(pair: DriverPair) -> Self {
        let before = Before::Same;
        Self { pair, before }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before {
            Before::Same => self.pair.fmt(f),
            before => write!(f, "{}@{}", self.pair, before.name()),
        }
    }
}

impl FromStr for Site {
    type Err = String;

    /// `8/venafi` or `8/venafi@foreign`
    fn from_str(text: &str) -> Result<Self, String> {
        let (pair, before) = text.split_once('@').unwrap_or((text, Before::Same.name()));
        let found = Before::ALL.into_iter().find(|one| one.name() == before);
        let names = Before::ALL.map(Before::name).join(", ");
        Ok(Self {
            pair: pair.parse()?,
            before: found.ok_or_else(|| format!("no {before:?} is served; there are {names}"))?,
        })
    }
}

#[test]
fn a_site_is_found_by_its_name() {
    for pair in [DriverPair::all(), DriverPair::notable()].concat() {
        for site in Site::of(pair) {
            assert_eq!(site.to_string().parse(), Ok(site));
        }
        assert_eq!(pair.to_string().parse(), Ok(Site::from(pair)));
    }
    assert!("8/local@elsewhere".parse::<Site>().is_err());
}

#[test]
fn every_site_has_its_turn() {
    let pairs = [DriverPair::all(), DriverPair::notable()].concat();
    let all = Site::of_each(&pairs, 0, true).concat();
    let turns = 0..u64::try_from(Before::ALL.len() * 5).unwrap();
    let by_turns: std::collections::HashSet<Site> = turns
        .flat_map(|turn| Site::of_each(&pairs, turn, false).concat())
        .collect();
    assert_eq!(by_turns, all.into_iter().collect());
}
