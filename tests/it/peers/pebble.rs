//! Pebble, the unkind ACME server of Let's Encrypt, and the name server that comes with it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Process, free_address, program};

/// A running Pebble whose every name leads to this machine.
pub struct Pebble {
    server: Process,
    _names: Process,
    folder: TempDir,
    address: SocketAddr,
    /// Where it looks for files that prove control.
    pub http: SocketAddr,
}

/// How unkind it is.
#[derive(Debug, Clone, Copy)]
pub struct Unkindness {
    /// Of a hundred good nonces, how many it refuses.
    pub refused_nonces: u8,
    /// Whether it validates only after up to so many seconds; 0: at once.
    pub sleep_seconds: u8,
    /// Whether it wants customers that it knows: `kid-1` with [`HMAC_KEY`].
    pub external_accounts: bool,
    /// A name that it rejects.
    pub blocked_name: &'static str,
}

/// The key of the customer `kid-1`.
pub const HMAC_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

impl Unkindness {
    /// It refuses every second good nonce, and takes its time to validate.
    pub const USUAL: Self = Self {
        refused_nonces: 50,
        sleep_seconds: 1,
        external_accounts: false,
        blocked_name: "blocked.example.com",
    };
}

impl Pebble {
    /// Starts it; `None`: it is not installed.
    pub async fn start(unkindness: Unkindness) -> Option<Self> {
        let pebble = program("pebble", "PEBBLE")?;
        let challtestsrv = program("pebble-challtestsrv", "PEBBLE_CHALLTESTSRV")?;
        let folder = tempfile::tempdir().unwrap();
        let (dns, names) = (free_address(), free_address());
        let mut name_server = name_server(&challtestsrv, folder.path(), dns, names);
        name_server.answers_at(names).await;
        let (address, management, http) = (free_address(), free_address(), free_address());
        let config = configure(folder.path(), [address, management, http], unkindness);
        let mut server = Process::start(
            Command::new(pebble)
                .args(["-strict", "-config"])
                .arg(config)
                .args(["-dnsserver", &dns.to_string()])
                .env(
                    "PEBBLE_WFE_NONCEREJECT",
                    unkindness.refused_nonces.to_string(),
                )
                .env("PEBBLE_VA_SLEEPTIME", unkindness.sleep_seconds.to_string())
                .envs((unkindness.sleep_seconds == 0).then_some(("PEBBLE_VA_NOSLEEP", "1")))
                .env("PEBBLE_AUTHZREUSE", "0"),
            &folder.path().join("pebble.log"),
        );
        server.answers_at(address).await;
        let root = root(folder.path(), management).await;
        std::fs::write(folder.path().join("root.pem"), root).unwrap();
        Some(Self {
            server,
            _names: name_server,
            folder,
            address,
            http,
        })
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

    /// Everything that it has said.
    pub fn log(&self) -> String {
        self.server.said()
    }

    fn said(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }
}

fn name_server(program: &Path, folder: &Path, dns: SocketAddr, management: SocketAddr) -> Process {
    let help = Command::new(program).arg("-h").output().unwrap().stderr;
    // Later releases have another name for it, and DNS over HTTPS besides.
    let flags: &[&str] = if String::from_utf8_lossy(&help).contains("-dns01 ") {
        &["-dns01"]
    } else {
        &["-doh", "", "-dnsserver"]
    };
    Process::start(
        Command::new(program)
            .args(flags)
            .arg(dns.to_string())
            .args(["-management", &management.to_string()])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
            .args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]),
        &folder.join("names.log"),
    )
}

async fn root(folder: &Path, management: SocketAddr) -> String {
    let own = std::fs::read(folder.join("tls.pem")).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&own).unwrap()])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/roots/0", management.port());
    let answer = client.get(url).send().await.unwrap();
    answer.error_for_status().unwrap().text().await.unwrap()
}

/// Writes its configuration and its own certificate.
fn configure(
    folder: &Path,
    [address, management, http]: [SocketAddr; 3],
    unkindness: Unkindness,
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
        "externalAccountBindingRequired": unkindness.external_accounts,
        "externalAccountMACKeys": { "kid-1": HMAC_KEY },
        "domainBlocklist": [unkindness.blocked_name],
        "retryAfter": { "authz": 1, "order": 1 },
    }});
    let path = folder.join("pebble.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}
