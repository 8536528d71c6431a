//! A test bed: a simulated SonicWall, a local CA, a temporary folder with a configuration, and the real daemon.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use renewd::clock::{Clock, ManualClock};
use renewd::config::{self, Config};
use renewd::daemon::{Daemon, Report};
use renewd::env::Env;
use renewd::inventory::{Renewal, State};
use renewd::pki::{Certificate, KeyKind};
use renewd::random::SystemRandom;
use renewd::renewal::{Checkpoint, Moment, NoCheckpoint};
use renewd::store::{CommitObserver, PastEvent, Store};
use renewd::{ca, probe};
use simulators::sonicos::{OtherAdministrator, Profile, Settings, Simulator, Variants};
use tempfile::TempDir;

/// One firewall, one CA, one certificate.
pub struct TestBed {
    pub simulator: Simulator,
    pub folder: TempDir,
    /// The time of daemon and device; it moves when the daemon would sleep.
    pub clock: Arc<ManualClock>,
    /// `[[ca]]` named "office", without its name.
    ca: String,
    /// Further keys of `driver.sonicos`, each after a comma.
    keys: String,
}

/// Replaces a file by `text` atomically: a concurrent reader gets the old or the new text. A configuration that
/// was read half written would be another one, with the database of this machine.
pub fn replace_file(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// The password that the simulator expects.
pub const PASSWORD: &str = "correct horse";
/// The day on which every test begins.
pub const TODAY: &str = "2026-11-22T10:00:00Z";
pub const LOCAL_CA: &str =
    r#"driver.local = { certificate = "FOLDER/ca.pem", key = { file = "FOLDER/ca.key" } }"#;
const POLICY: &str = "verify_timeout = \"5s\"";
/// The certificate's name in the configuration.
pub const CERTIFICATE: &str = "hq-portal";

impl TestBed {
    /// A test bed with a device of `profile` without faults, whose certificate is near its expiry.
    pub async fn new(profile: Profile) -> Self {
        Self::with(profile, Variants::kind()).await
    }

    /// A test bed with a device that behaves as `variants` say.
    pub async fn with(profile: Profile, variants: Variants) -> Self {
        Self::with_keys(profile, variants, "").await
    }

    /// A test bed with a device that behaves as `variants` say, and further `keys` of `driver.sonicos`.
    pub async fn with_keys(profile: Profile, variants: Variants, keys: &str) -> Self {
        let mut bed = Self::with_ca(profile, variants, today(), LOCAL_CA).await;
        bed.set_keys(keys);
        if let ca::Settings::Local(settings) = &bed.config().cas["office"] {
            let env = bed.env();
            let key = KeyKind::Ecdsa(256);
            ca::local::init(settings, "Test CA", key, 10, &env).unwrap();
        }
        bed
    }

    /// A test bed whose CA is configured by `ca`, in which FOLDER stands for its folder.
    pub async fn with_ca(
        profile: Profile,
        variants: Variants,
        clock: Arc<ManualClock>,
        ca: &str,
    ) -> Self {
        renewd::tls::install_provider();
        let mut settings = Settings::new(profile);
        settings.variants = variants;
        "vpn.example.com".clone_into(&mut settings.initial.common_name);
        let today = device_time(clock.as_ref());
        settings.initial.not_before = today - time::Duration::days(80);
        settings.initial.not_after = today + time::Duration::days(10);
        let device_clock = Arc::clone(&clock);
        settings.now = Arc::new(move || device_time(device_clock.as_ref()));
        PASSWORD.clone_into(&mut settings.password);
        let simulator = Simulator::start(settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let bed = Self {
            simulator,
            ca: ca.replace("FOLDER", &folder.path().display().to_string()),
            folder,
            clock,
            keys: String::new(),
        };
        bed.write_password(PASSWORD);
        bed.configure(&bed.simulator.fingerprint(), POLICY);
        bed
    }

    /// `driver.NAME = …` of the one CA.
    pub fn ca(&self) -> &str {
        &self.ca
    }

    /// Writes the configuration with these further keys of `driver.sonicos`.
    pub fn set_keys(&mut self, keys: &str) {
        self.keys = match keys {
            "" => String::new(),
            keys => format!(", {keys}"),
        };
        self.configure(&self.simulator.fingerprint(), POLICY);
    }

    /// Writes the configuration with this maintenance window.
    pub fn configure_window(&self, window: &str) {
        let firewall = format!("maintenance_window = {{ {window} }}");
        self.write_configuration(&self.simulator.fingerprint(), POLICY, &firewall);
    }

    /// Writes the configuration with these further lines of renewal policy and this maintenance window.
    pub fn configure_urgent(&self, policy: &str, window: &str) {
        let firewall = format!("maintenance_window = {{ {window} }}");
        let policy = format!("{POLICY}\n{policy}");
        self.write_configuration(&self.simulator.fingerprint(), &policy, &firewall);
    }

    /// Writes the configuration with this pin and these lines of renewal policy.
    pub fn configure(&self, pin: &str, policy: &str) {
        self.write_configuration(pin, policy, "");
    }

    fn write_configuration(&self, pin: &str, policy: &str, firewall: &str) {
        let folder = self.folder.path().display();
        let text = format!(
            r#"
[daemon]
database = "sqlite://{folder}/renewd.db"
state_directory = "{folder}"

[renewal]
{policy}

[[ca]]
name = "office"
{ca}

[[firewall]]
name = "hq"
driver.sonicos = {{ url = "{url}", user = "renewd", password = {{ file = "{folder}/password" }}, trust = {{ sha256 = ["{pin}"] }}{keys} }}
{firewall}

[[certificate]]
name = "{CERTIFICATE}"
firewall = "hq"
ca = "office"
subject = {{ common_name = "vpn.example.com", organization = "Example", country = "Netherlands" }}
dns_names = ["vpn.example.com"]
key = {{ type = "ecdsa", size = 256 }}
services = ["web-management", "ssl-vpn"]
endpoints = ["{management}", "{ssl_vpn}"]
"#,
            ca = self.ca,
            keys = self.keys,
            url = self.simulator.url(),
            management = self.simulator.management(),
            ssl_vpn = self.simulator.ssl_vpn(),
        );
        replace_file(&self.config_file(), &text);
    }

    pub fn write_password(&self, password: &str) {
        write_secret(&self.folder.path().join("password"), password);
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("renewd.toml")
    }

    pub fn env(&self) -> Env {
        Env {
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(SystemRandom),
        }
    }

    pub fn config(&self) -> Config {
        config::load(&self.config_file()).unwrap().config
    }

    /// Does what is due until nothing can move, as `renewd run --once` does.
    pub async fn run_once(&self) -> Report {
        run_once(
            &self.config_file(),
            Arc::clone(&self.clock),
            Arc::new(NoCheckpoint),
        )
        .await
    }

    /// The same; another administrator does something as soon as a renewal has reached this state.
    pub async fn run_once_meeting(
        &self,
        at: State,
        what: impl Fn(&OtherAdministrator) + Send + Sync + 'static,
    ) {
        let other = self.simulator.other_administrator();
        let acts = Arc::new(Acts { at, other, what });
        run_once(&self.config_file(), Arc::clone(&self.clock), acts).await;
    }

    /// An operator requests a renewal, or resumes a held one.
    pub async fn decide(&self) {
        let now = self.clock.now();
        let store = self.store().await;
        store.request_renewal(CERTIFICATE, now, &[]).await.unwrap();
    }

    pub async fn store(&self) -> Store {
        Store::open(&self.config().daemon.database).await.unwrap()
    }

    /// Every renewal of the certificate, newest first.
    pub async fn renewals(&self) -> Vec<Renewal> {
        self.store()
            .await
            .renewals_of(CERTIFICATE, 100)
            .await
            .unwrap()
    }

    /// The certificate's history, newest first.
    pub async fn history(&self) -> Vec<PastEvent> {
        self.store().await.history(CERTIFICATE, 1000).await.unwrap()
    }

    pub async fn has_event(&self, name: &str) -> bool {
        self.history().await.iter().any(|event| event.name == name)
    }

    /// From now on the CA fails when it is asked for an order. What it can be asked before a key pair exists is good.
    pub fn let_ca_fail(&self) {
        let issued = self.folder.path().join("ca/office");
        std::fs::create_dir_all(issued.parent().unwrap()).unwrap();
        std::fs::write(issued, "no folder").unwrap();
    }

    /// The CA works again.
    pub fn let_ca_work(&self) {
        std::fs::remove_file(self.folder.path().join("ca/office")).unwrap();
    }

    /// How many certificates the CA has signed.
    pub fn signatures(&self) -> usize {
        let issued = self.folder.path().join("ca/office");
        std::fs::read_dir(issued).map_or(0, |files| {
            files
                .filter(|file| {
                    file.as_ref()
                        .unwrap()
                        .path()
                        .extension()
                        .is_some_and(|e| e == "pem")
                })
                .count()
        })
    }

    /// The time as the device has it.
    pub fn device_time(&self) -> time::OffsetDateTime {
        device_time(self.clock.as_ref())
    }

    /// What an outsider's handshakes see on both ports.
    pub async fn seen(&self) -> [Certificate; 2] {
        let mut seen = Vec::new();
        for address in [self.simulator.management(), self.simulator.ssl_vpn()] {
            let endpoint = address.to_string().parse().unwrap();
            let probed = probe::probe(&endpoint, None, Duration::from_secs(5)).await;
            let probe::ProbeResult::Served(certificate, _) = probed else {
                panic!("{address} shows nothing: {probed:?}")
            };
            seen.push(*certificate);
        }
        seen.try_into().unwrap()
    }

    /// That a renewal was completed in the one right way: one key pair, one signature, both ports serve it, and the
    /// device is left as it should be.
    pub async fn assert_renewed_once(&self) {
        assert_eq!(self.signatures(), 1, "signatures of the CA");
        self.assert_installed_once().await;
    }

    /// The same, whatever the CA did.
    pub async fn assert_installed_once(&self) {
        let renewals = self.renewals().await;
        assert_eq!(renewals.len(), 1, "{renewals:#?}");
        let renewal = &renewals[0];
        assert_eq!(renewal.state, State::Completed, "{:?}", renewal.last_error);
        let counters = self.simulator.counters();
        assert_eq!(
            counters.key_pairs_generated,
            1,
            "key pairs generated: {:#?}",
            self.simulator.journal()
        );
        assert_eq!(counters.key_pairs_present, 1);
        let fingerprint = renewal.obtained.fingerprint.unwrap();
        for seen in self.seen().await {
            assert_eq!(seen.fingerprint, fingerprint);
            let born = self.simulator.spki_sha256(&renewal.alias).unwrap();
            assert_eq!(
                seen.public_key.to_string(),
                born,
                "the key that was born on the device"
            );
        }
        self.assert_left_in_order();
    }

    /// Asserts that renewd left nothing open or pending on the device, and changed nothing of other administrators.
    pub fn assert_left_in_order(&self) {
        let counters = self.simulator.counters();
        assert_eq!(counters.sessions_open, 0, "open sessions");
        assert_eq!(counters.commits_of_foreign_changes, 0);
        assert_eq!(counters.discards_of_foreign_changes, 0);
        assert_eq!(counters.locked_out, 0);
    }
}

/// A clock that shows the day on which every test begins.
pub fn today() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(TODAY.parse().unwrap()))
}

pub fn device_time(clock: &dyn Clock) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(clock.now().as_second()).unwrap()
}

/// As `renewd run --once`, with an observer of every checkpoint. A run that does not end is a failure.
pub async fn run_once(
    config_file: &Path,
    clock: Arc<ManualClock>,
    checkpoint: Arc<dyn Checkpoint>,
) -> Report {
    let env = Env {
        clock,
        random: Arc::new(SystemRandom),
    };
    let config = config::load(config_file).unwrap().config;
    let daemon = Daemon::start_with(config_file, config, env, checkpoint)
        .await
        .unwrap();
    tokio::time::timeout(LONGEST_RUN, daemon.run_once())
        .await
        .expect("it comes to an end")
        .unwrap()
}

/// Of real time: far more than anything takes.
const LONGEST_RUN: Duration = Duration::from_mins(2);

/// Writes a file that others cannot read, as a secret must be kept.
pub fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Another administrator, who does something as soon as a state is stored.
struct Acts<F: Fn(&OtherAdministrator) + Send + Sync> {
    at: State,
    other: OtherAdministrator,
    what: F,
}

impl<F: Fn(&OtherAdministrator) + Send + Sync> std::fmt::Debug for Acts<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acts")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(&OtherAdministrator) + Send + Sync> CommitObserver for Acts<F> {}

#[async_trait]
impl<F: Fn(&OtherAdministrator) + Send + Sync> Checkpoint for Acts<F> {
    async fn pass(&self, moment: Moment) {
        if moment == Moment::Stored(self.at) {
            (self.what)(&self.other);
        }
    }
}
