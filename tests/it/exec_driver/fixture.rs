//! A shell script as a helper, and requests whose certificates are signed already.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DnType, IsCa, Issuer as Signer, KeyPair};
use renewd::ca::exec::{ExecCa, Settings};
use renewd::ca::{Issuer, SigningRequest};
use renewd::clock::ManualClock;
use renewd::env::Env;
use renewd::pki::Csr;
use renewd::random::SystemRandom;
use tempfile::TempDir;

pub const TODAY: &str = "2026-11-22T10:00:00Z";

/// A folder with a script, a certificate for the one request, and a driver.
pub struct Fixture {
    pub folder: TempDir,
    pub clock: Arc<ManualClock>,
    pub request: SigningRequest,
    pub settings: Settings,
}

impl Fixture {
    /// A helper that runs `script`. It finds the certificate as `$D/leaf.pem`, and leaves notes in `$D`.
    pub fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = request_with_certificate(&folder.path().join("leaf.pem"));
        let text = format!("echo \"$CERTMONGER_OPERATION\" >> \"$D/calls\"\n{script}\n");
        std::fs::write(folder.path().join("helper"), text).unwrap();
        let settings = Settings {
            name: "office".to_owned(),
            program: PathBuf::from("/bin/sh"),
            arguments: vec![folder.path().join("helper").display().to_string()],
            environment: vec![("D".to_owned(), folder.path().display().to_string())],
            records: folder.path().join("records"),
            timeout: Duration::from_secs(20),
        };
        Self {
            folder,
            clock: Arc::new(ManualClock::new(TODAY.parse().unwrap())),
            request,
            settings,
        }
    }

    /// A driver, as after a restart.
    pub fn driver(&self) -> impl Issuer + use<> {
        let env = Env {
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(SystemRandom),
        };
        ExecCa::new(self.settings.clone(), env)
    }

    /// What the helper wrote into a file of its folder.
    pub fn note(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

/// A request, and at `path` a certificate for it with its root.
fn request_with_certificate(path: &std::path::Path) -> SigningRequest {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::default();
    root.distinguished_name.push(DnType::CommonName, "Root");
    root.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_pem = root.self_signed(&root_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    let leaf = params
        .signed_by(&key, &Signer::from_params(&root, &root_key))
        .unwrap();
    std::fs::write(path, format!("{root_pem}{}", leaf.pem())).unwrap();
    let csr = params.serialize_request(&key).unwrap();
    SigningRequest {
        client_reference: "hq-1".to_owned(),
        csr: Csr::parse(csr.der()).unwrap(),
        planned_at: TODAY.parse().unwrap(),
        previous: None,
        window: None,
    }
}
