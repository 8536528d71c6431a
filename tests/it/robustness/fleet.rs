//! Simulated firewalls that answer, and listeners that do not, in one configuration with one CA. Real time runs here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use renewd::clock::{Clock, SystemClock};
use renewd::config::{self, Config};
use renewd::env::Env;
use renewd::inventory::State;
use renewd::pki::{Certificate, KeyKind};
use renewd::random::SystemRandom;
use renewd::store::Store;
use renewd::{ca, tls};
use rustls::pki_types::PrivatePkcs8KeyDer;
use simulators::sonicos::{Profile, Settings, Simulator, Variants};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const PASSWORD: &str = "correct horse";

/// A configuration, and the peers that it names.
pub struct Fleet {
    pub simulators: Vec<Simulator>,
    pub folder: TempDir,
    /// The names of the certificates on black holes.
    pub lost: Vec<String>,
    holes: Vec<Hole>,
}

/// How a peer does not answer.
#[derive(Debug, Clone, Copy)]
pub enum Silence {
    /// Accepts the connection and sends nothing.
    Mute,
    /// Completes the TLS handshake and sends nothing.
    MuteAfterHandshake,
    /// Shakes hands and answers a byte at a time, without end.
    Drip,
}

/// A listener that does not answer.
struct Hole {
    port: u16,
    certificate: Certificate,
    task: JoinHandle<()>,
}

impl Fleet {
    /// So many firewalls that answer, and so many that do not.
    pub async fn new(healthy: usize, lost: usize) -> Self {
        tls::install_provider();
        let mut simulators = Vec::new();
        for _ in 0..healthy {
            let mut settings = Settings::new(Profile::V8);
            settings.variants = Variants::kind();
            "vpn.example.com".clone_into(&mut settings.initial.common_name);
            PASSWORD.clone_into(&mut settings.password);
            simulators.push(Simulator::start(settings).await.unwrap());
        }
        let mut holes = Vec::new();
        for silence in [Silence::Mute, Silence::MuteAfterHandshake, Silence::Drip] {
            holes.push(Hole::open(silence).await);
        }
        let fleet = Self {
            simulators,
            folder: folder(),
            lost: (0..lost).map(|n| format!("lost-{n:04}")).collect(),
            holes,
        };
        fleet.write();
        let ca::Settings::Local(settings) = &fleet.config().cas["office"] else {
            panic!("a local CA");
        };
        let key = KeyKind::Ecdsa(256);
        ca::local::init(settings, "Test CA", key, 10, &env()).unwrap();
        fleet
    }

    fn write(&self) {
        let folder = self.folder.path().display();
        let mut text = format!(
            r#"
[daemon]
database = "sqlite://{folder}/renewd.db"
state_directory = "{folder}"

[renewal]
verify_timeout = "5s"

[[ca]]
name = "office"
driver.local = {{ certificate = "{folder}/ca.pem", key = {{ file = "{folder}/ca.key" }} }}
"#
        );
        for (n, simulator) in self.simulators.iter().enumerate() {
            let verify = format!(r#""{}", "{}""#, simulator.management(), simulator.ssl_vpn());
            let name = Self::healthy(n);
            text += &member(&name, &simulator.url(), &simulator.fingerprint(), &verify);
        }
        for (name, hole) in self.lost.iter().zip(self.holes.iter().cycle()) {
            let address = format!("127.0.0.1:{}", hole.port);
            let pin = hole.certificate.fingerprint.to_string();
            let verify = format!("\"{address}\"");
            text += &member(name, &format!("https://{address}"), &pin, &verify);
        }
        crate::test_bed::write_secret(&self.folder.path().join("password"), PASSWORD);
        std::fs::write(
            self.config_file(),
            text.replace("FOLDER", &folder.to_string()),
        )
        .unwrap();
    }

    /// The name of a firewall that answers, and of its certificate.
    pub fn healthy(n: usize) -> String {
        format!("healthy-{n}")
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("renewd.toml")
    }

    pub fn config(&self) -> Config {
        config::load(&self.config_file()).unwrap().config
    }

    pub async fn store(&self) -> Store {
        Store::open(&self.config().daemon.database).await.unwrap()
    }

    /// How many of the firewalls that answer have a new certificate, proven.
    pub async fn completed(&self, store: &Store) -> usize {
        let mut completed = 0;
        for n in 0..self.simulators.len() {
            let renewals = store.renewals_of(&Self::healthy(n), 1).await.unwrap();
            let state = renewals.first().map(|renewal| renewal.state);
            completed += usize::from(state == Some(State::Completed));
        }
        completed
    }
}

/// A certificate that was seen on a black hole before it became one, and is about to expire.
pub fn expiring() -> Certificate {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    let now = crate::test_bed::device_time(&SystemClock);
    params.not_before = now - time::Duration::days(80);
    params.not_after = now + time::Duration::hours(1);
    Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
}

/// In memory where that can be had: what is measured is not the disk.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// The machine's own clock and randomness.
pub fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock) as Arc<dyn Clock>,
        random: Arc::new(SystemRandom),
    }
}

fn member(name: &str, url: &str, pin: &str, verify: &str) -> String {
    format!(
        r#"
[[firewall]]
name = "{name}"
driver.sonicos = {{ url = "{url}", user = "renewd", password = {{ file = "FOLDER/password" }}, trust = {{ sha256 = ["{pin}"] }} }}

[[certificate]]
name = "{name}"
firewall = "{name}"
ca = "office"
subject = {{ common_name = "vpn.example.com", organization = "Example", country = "Netherlands" }}
dns_names = ["vpn.example.com"]
key = {{ type = "ecdsa", size = 256 }}
services = ["web-management", "ssl-vpn"]
endpoints = [{verify}]
"#
    )
}

impl Hole {
    async fn open(silence: Silence) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let private_key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private_key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(be_silent(stream, acceptor.clone(), silence));
            }
        });
        Self {
            port,
            certificate: Certificate::from_der(certificate.der()).unwrap(),
            task,
        }
    }
}

impl Drop for Hole {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Until the peer loses its patience.
async fn be_silent(mut stream: TcpStream, acceptor: TlsAcceptor, silence: Silence) {
    if let Silence::Mute = silence {
        while stream
            .read(&mut [0; 512])
            .await
            .is_ok_and(|length| length > 0)
        {}
        return;
    }
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    if let Silence::Drip = silence {
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n";
        let _ = stream.read(&mut [0; 4096]).await;
        let mut is_there = stream.write_all(head.as_bytes()).await.is_ok();
        while is_there {
            tokio::time::sleep(Duration::from_millis(500)).await;
            is_there = stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok();
        }
    }
    while stream
        .read(&mut [0; 512])
        .await
        .is_ok_and(|length| length > 0)
    {}
}
