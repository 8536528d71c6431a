//! Pebble, the fault-injecting ACME server of Let's Encrypt, and the name server that comes with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::Timestamp;
use tempfile::TempDir;

use super::{Process, free_address, program};

/// A running Pebble.
pub struct Pebble {
    server: Process,
    folder: TempDir,
    address: SocketAddr,
    management: SocketAddr,
    client: reqwest::Client,
    names: Option<Names>,
    /// Where it fetches HTTP-01 files.
    pub http: SocketAddr,
}

/// The name server that comes with it: every name leads to this machine.
pub struct Names {
    /// Where it answers questions.
    pub dns: SocketAddr,
    /// Where it accepts changes, by its own HTTP API.
    pub management: SocketAddr,
    _process: Process,
    _folder: TempDir,
}

/// The faults that it injects.
#[derive(Debug, Clone, Copy)]
pub struct PebbleFaults {
    /// Of a hundred good nonces, how many it refuses.
    pub refused_nonces: u8,
    /// Whether it validates only after up to so many seconds; 0: at once.
    pub sleep_seconds: u8,
    /// Whether it requires an external account: `kid-1` with [`HMAC_KEY`].
    pub external_accounts: bool,
    /// A name that it rejects.
    pub blocked_name: &'static str,
}

const LOG: &str = "pebble.log";
/// Six days: left to itself, Pebble's certificates outlive every test by years.
const LIFETIME_SECONDS: u32 = 6 * 24 * 3600;
/// The key of the customer `kid-1`.
pub const HMAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

impl PebbleFaults {
    /// It refuses every second good nonce, and takes its time to validate.
    pub const USUAL: Self = Self {
        refused_nonces: 50,
        sleep_seconds: 1,
        external_accounts: false,
        blocked_name: "blocked.example.com",
    };
}

impl Pebble {
    /// Starts it with the name server that comes with it; `None`: it is not installed.
    pub async fn start(faults: PebbleFaults) -> Option<Self> {
        let names = Names::start().await?;
        let mut pebble = Self::asking(names.dns, faults).await?;
        pebble.names = Some(names);
        Some(pebble)
    }

    /// Starts it with the name server at `dns`; `None`: it is not installed.
    pub async fn asking(dns: SocketAddr, faults: PebbleFaults) -> Option<Self> {
        let pebble = program("pebble", "PEBBLE")?;
        let folder = tempfile::tempdir().unwrap();
        let (address, management, http) = (free_address(), free_address(), free_address());
        let config = configure(folder.path(), [address, management, http], faults);
        let mut server = Process::start(
            Command::new(pebble)
                .args(["-strict", "-config"])
                .arg(config)
                .args(["-dnsserver", &dns.to_string()])
                .env("PEBBLE_WFE_NONCEREJECT", faults.refused_nonces.to_string())
                .env("PEBBLE_VA_SLEEPTIME", faults.sleep_seconds.to_string())
                .envs((faults.sleep_seconds == 0).then_some(("PEBBLE_VA_NOSLEEP", "1")))
                .env("PEBBLE_AUTHZREUSE", "0"),
            &folder.path().join(LOG),
        );
        server.answers_at(address).await;
        let client = client(folder.path());
        let root = root(&client, management).await;
        std::fs::write(folder.path().join("root.pem"), root).unwrap();
        Some(Self {
            server,
            folder,
            address,
            management,
            client,
            names: None,
            http,
        })
    }

    /// Its own name server.
    pub fn names(&self) -> &Names {
        self.names.as_ref().unwrap()
    }

    /// The URL of its directory.
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.address.port())
    }

    /// The certificate that its own TLS is trusted by.
    pub fn server_ca(&self) -> PathBuf {
        self.folder.path().join("tls.pem")
    }

    /// The root of what it issues: another one at each start.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// How many orders it has taken.
    pub fn orders(&self) -> usize {
        self.said("orders in the db")
    }

    /// How many certificates it has issued.
    pub fn certificates(&self) -> usize {
        self.said("Issued certificate serial ")
    }

    /// How many accounts it has made.
    pub fn accounts(&self) -> usize {
        self.said("accounts in memory")
    }

    /// How many orders it has taken that replace a certificate.
    pub fn replacements(&self) -> usize {
        self.said("is a replacement of")
    }

    /// Names `window`, its start and its end, for `certificate` from now on; whether this release can set it.
    pub async fn names_window(&self, certificate: &str, window: [Timestamp; 2]) -> bool {
        let [start, end] = window.map(|at| at.to_string());
        let reported = serde_json::json!({ "suggestedWindow": { "start": start, "end": end } });
        let body =
            serde_json::json!({ "certificate": certificate, "ariResponse": reported.to_string() });
        let url = format!(
            "https://localhost:{}/set-renewal-info/",
            self.management.port()
        );
        let answer = self
            .client
            .post(url)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        answer.status().is_success()
    }

    /// The file of its log.
    pub fn log_file(&self) -> PathBuf {
        self.folder.path().join(LOG)
    }

    /// Its whole log.
    pub fn log(&self) -> String {
        self.server.said()
    }

    fn said(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }
}

impl Names {
    async fn start() -> Option<Self> {
        let challtestsrv = program("pebble-challtestsrv", "PEBBLE_CHALLTESTSRV")?;
        let folder = tempfile::tempdir().unwrap();
        let (dns, management) = (free_address(), free_address());
        let help = Command::new(&challtestsrv).arg("-h").output().unwrap();
        // Later releases have another name for it, and DNS over HTTPS besides.
        let flags: &[&str] = if String::from_utf8_lossy(&help.stderr).contains("-dns01 ") {
            &["-dns01"]
        } else {
            &["-doh", "", "-dnsserver"]
        };
        let mut process = Process::start(
            Command::new(challtestsrv)
                .args(flags)
                .arg(dns.to_string())
                .args(["-management", &management.to_string()])
                .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
                .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]),
            &folder.path().join("names.log"),
        );
        process.answers_at(management).await;
        Some(Self {
            dns,
            management,
            _process: process,
            _folder: folder,
        })
    }
}

fn client(folder: &Path) -> reqwest::Client {
    let own = std::fs::read(folder.join("tls.pem")).unwrap();
    reqwest::Client::builder()
        // It refuses requests without a `User-Agent`.
        .user_agent("tests of renewd")
        .tls_certs_only([reqwest::Certificate::from_pem(&own).unwrap()])
        .build()
        .unwrap()
}

async fn root(client: &reqwest::Client, management: SocketAddr) -> String {
    let url = format!("https://localhost:{}/roots/0", management.port());
    let answer = client.get(url).send().await.unwrap();
    answer.error_for_status().unwrap().text().await.unwrap()
}

/// Writes its configuration and its own certificate.
fn configure(
    folder: &Path,
    [address, management, http]: [SocketAddr; 3],
    faults: PebbleFaults,
) -> PathBuf {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("tls.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    let config = serde_json::json!({ "pebble": {
        "listenAddress": address.to_string(),
        "managementListenAddress": management.to_string(),
        "certificate": folder.join("tls.pem"),
        "privateKey": folder.join("tls.key"),
        "httpPort": http.port(),
        "tlsPort": free_address().port(),
        "ocspResponderURL": "",
        "externalAccountBindingRequired": faults.external_accounts,
        "externalAccountMACKeys": { "kid-1": HMAC_KEY },
        "domainBlocklist": [faults.blocked_name],
        "retryAfter": { "authz": 1, "order": 1 },
        // The log line of 2.4, and that of later ones.
        "certificateValidityPeriod": LIFETIME_SECONDS,
        "profiles": { "default": { "description": "six days", "validityPeriod": LIFETIME_SECONDS } },
    }});
    let path = folder.join("pebble.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}
