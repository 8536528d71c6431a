//! A fleet: simulated SonicWalls of every generation, CAs of every kind, and the configuration for a daemon.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use renewd::clock::{Clock as _, ManualClock, SystemClock};
use renewd::inventory::State;
use renewd::probe;
use renewd::store::Store;
use simulators::sonicos::{Profile, Settings, Simulator, Variants};
use tempfile::TempDir;

use super::cas::{Ca, KINDS};
use super::{Daemon, Database};
use crate::command_line::office;
use crate::matrix::invariants::{DeviceFacts, Facts, When};

/// Firewalls with one certificate each, and six CAs.
pub struct Fleet {
    pub folder: TempDir,
    pub database: Database,
    pub firewalls: Vec<Device>,
    pub cas: Vec<Ca>,
    /// A folder for each daemon, with its configuration and its log.
    pub homes: Vec<PathBuf>,
    clock: Arc<ManualClock>,
}

/// One firewall; its certificate has the same name.
pub struct Device {
    pub name: String,
    pub simulator: Simulator,
    pub ca: &'static str,
    face: &'static Face,
    /// SHA-256 of what it served at first.
    first: String,
    /// How far its clock is ahead, in microseconds.
    ahead: Arc<AtomicI64>,
}

/// A kind of device.
#[derive(Debug)]
pub struct Face {
    profile: Profile,
    /// Further keys of `driver.sonicos`, each after a comma.
    keys: &'static str,
    /// Where the keys are generated.
    origin: &'static str,
}

/// Every generation, both protocols of 6.5 to transfer files, and both origins of keys.
pub const DEVICES: [Face; 6] = [
    Face::new(Profile::V6_5, ", file_transfer = { protocol = \"scp\" }"),
    Face::new(Profile::V6_5, ", file_transfer = { protocol = \"ftp\" }"),
    Face::new(Profile::V7_0, ""),
    Face::new(Profile::V7_X, ""),
    Face::new(Profile::V8, ""),
    Face {
        profile: Profile::V8,
        keys: "",
        origin: "renewd",
    },
];

impl Face {
    const fn new(profile: Profile, keys: &'static str) -> Self {
        Self {
            profile,
            keys,
            origin: "firewall",
        }
    }
}

impl Fleet {
    /// `size` firewalls whose certificates are due, for so many daemons.
    pub async fn new(database: Database, size: usize, daemons: usize, seed: u64) -> Self {
        renewd::tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let mut cas = Vec::new();
        for kind in KINDS {
            let ca = Ca::start(kind, &clock, folder.path(), daemons).await;
            cas.push(ca);
        }
        let mut firewalls = Vec::new();
        for number in 0..size {
            firewalls.push(Device::start(number, seed).await);
        }
        let home = |number| folder.path().join(format!("daemon-{number}"));
        let fleet = Self {
            homes: (0..daemons).map(home).collect(),
            folder,
            database,
            firewalls,
            cas,
            clock,
        };
        crate::test_bed::write_secret(&fleet.path().join("password"), PASSWORD);
        let url = fleet.database.url(fleet.path());
        for home in &fleet.homes {
            std::fs::create_dir(home).unwrap();
            fleet.configure(home, &url, IN_MANY_STATES);
        }
        let reported =
            office::output(office::renewd(&fleet.homes[0]).args(["ca", "init", "local"]));
        assert_eq!(reported.code, Some(0), "{reported:#?}");
        fleet
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration of the daemon in `home`, which works at so many renewals at the same time.
    pub fn configure(&self, home: &Path, database: &str, concurrency: usize) {
        let shared = self.path().display();
        let mut text = format!(
            "[daemon]\ndatabase = \"{database}\"\nstate_directory = \"{shared}\"\nmax_concurrent_renewals = {concurrency}\n\
             scan = \"* * * * * *\"\n"
        );
        let is_first = home == self.homes[0];
        for ca in &self.cas {
            let driver = ca.driver(is_first);
            write!(text, "\n[[ca]]\nname = \"{}\"\n{driver}\n", ca.name).unwrap();
        }
        for device in &self.firewalls {
            text.push_str(&device.sections(&shared.to_string()));
        }
        std::fs::write(home.join("renewd.toml"), text).unwrap();
    }

    /// Everything that the daemons have logged.
    pub fn log(&self) -> String {
        self.homes.iter().map(|home| Daemon::log(home)).collect()
    }

    /// A device's clock advances by the time that the daemon believes to have passed, in microseconds.
    pub fn advance(&self, device: &str, passed: i64) {
        let found = self.firewalls.iter().find(|one| one.name == device);
        found.unwrap().ahead.fetch_add(passed, Ordering::Relaxed);
    }

    /// Requests that devices and CAs have seen.
    pub fn requests(&self) -> u64 {
        let of_cas = self.cas.iter().filter_map(Ca::port);
        let of_cas: u64 = of_cas.map(|port| port.counters().requests).sum();
        let devices = self.firewalls.iter().map(|device| &device.simulator);
        of_cas + devices.map(|one| one.counters().requests).sum::<u64>()
    }

    /// The CAs' clock is the machine's.
    pub fn set_clock(&self) {
        self.clock.set(SystemClock.now());
    }

    /// Requests a renewal of every certificate, as an operator does. A daemon must be running.
    pub async fn ask_for_more(&self) {
        let store = Store::open(&self.database.url(self.path())).await.unwrap();
        for device in &self.firewalls {
            let now = SystemClock.now();
            store.request_renewal(&device.name, now, &[]).await.unwrap();
        }
        store.close().await;
    }

    /// Asserts that every invariant holds, after a crash or at the end. No daemon may run meanwhile.
    pub async fn assert_holds(&self, when: When) {
        let store = self.database.read(self.path()).await;
        let names: Vec<&str> = self.firewalls.iter().map(|it| &*it.name).collect();
        let mut facts = Facts::of_store(when, SystemClock.now(), &store, &names).await;
        store.close().await;
        let devices = self.firewalls.iter();
        facts.devices = devices
            .map(|it| DeviceFacts::of(&it.name, &it.simulator, &it.first))
            .collect();
        facts.cas = self.cas.iter().map(Ca::facts).collect();
        facts.texts = vec![("the log".to_owned(), self.log().into_bytes())];
        if let Some(file) = self.database.file(self.path()) {
            facts
                .texts
                .push(("the database".to_owned(), std::fs::read(file).unwrap()));
        }
        let secrets = self.cas.iter().filter_map(|ca| ca.secret.clone());
        let of_devices = [PASSWORD, "PRIVATE KEY"].map(str::to_owned);
        facts.secrets = secrets.chain(of_devices).collect();
        if let Err(broken) = facts.hold() {
            panic!("{broken}");
        }
    }

    /// What is true while daemons work.
    pub fn assert_nothing_doubled(&self, rounds: usize) {
        for ca in &self.cas {
            let facts = ca.facts();
            assert_eq!(facts.duplicates, 0, "duplicate orders at {}", ca.name);
            let most = self.users_of(ca) * rounds;
            assert!(ca.orders() <= most, "{}: {} orders", ca.name, facts.orders);
        }
        for device in &self.firewalls {
            let counters = device.simulator.counters();
            let reported = || device.reported(&self.log());
            assert_eq!(counters.commits_of_foreign_changes, 0, "{}", reported());
            assert_eq!(counters.locked_out, 0, "{}", reported());
            // The new one, and the old one until the proof.
            assert!(counters.key_pairs_present <= 2, "{}", reported());
        }
    }

    /// That every certificate was renewed so often, in the one right way.
    pub async fn assert_renewed(&self, rounds: usize) {
        self.assert_nothing_doubled(rounds);
        let log = self.log();
        assert!(!log.contains("a defect of renewd"), "{log}");
        let store = self.database.read(self.path()).await;
        for device in &self.firewalls {
            device.assert_renewed(&store, rounds, &log).await;
        }
        store.close().await;
        for ca in &self.cas {
            assert_eq!(ca.orders(), self.users_of(ca) * rounds, "{}", ca.name);
        }
        self.assert_holds(When::AtEnd).await;
        let verified = office::output(office::renewd(&self.homes[0]).args(["history", "verify"]));
        assert_eq!(verified.code, Some(0), "{verified:#?}");
    }

    fn users_of(&self, ca: &Ca) -> usize {
        let users = self.firewalls.iter().filter(|device| device.ca == ca.name);
        users.count()
    }
}

impl Device {
    async fn start(number: usize, seed: u64) -> Self {
        let face = &DEVICES[number % DEVICES.len()];
        let name = format!("fw-{number:03}");
        let mut settings = Settings::new(face.profile);
        settings.variants = match number % 3 {
            // A device that answers 500 three times in a row is given up, whatever it has done.
            0 => Variants {
                error_after_applying_one_in: 0,
                ..Variants::unkind()
            },
            _ => Variants::default(),
        };
        settings.seed = seed.wrapping_mul(1000) + u64::try_from(number).unwrap();
        settings.initial.common_name = format!("{name}.example.com");
        PASSWORD.clone_into(&mut settings.password);
        let ahead = Arc::new(AtomicI64::new(0));
        let device_ahead = Arc::clone(&ahead);
        settings.now = Arc::new(move || {
            let ahead = time::Duration::microseconds(device_ahead.load(Ordering::Relaxed));
            time::OffsetDateTime::now_utc() + ahead
        });
        let simulator = Simulator::start(settings).await.unwrap();
        Self {
            name,
            first: simulator.fingerprint(),
            simulator,
            // Each kind of device meets each kind of CA, and few firewalls have several CAs.
            ca: KINDS[(number + number / DEVICES.len()) % KINDS.len()],
            face,
            ahead,
        }
    }

    /// `[[firewall]]` and `[[certificate]]`.
    fn sections(&self, folder: &str) -> String {
        format!(
            r#"
[[firewall]]
name = "{name}"
driver.sonicos = {{ url = "{url}", user = "renewd", password = {{ file = "{folder}/password" }}, trust = {{ sha256 = "{pin}" }}{keys} }}

[[certificate]]
name = "{name}"
firewall = "{name}"
ca = "{ca}"
subject = {{ common_name = "{name}.example.com", organization = "Example", country = "Netherlands" }}
dns_names = ["{name}.example.com"]
key = {{ type = "ecdsa", size = 256, origin = "{origin}" }}
services = ["web-management", "ssl-vpn"]
endpoints = ["{management}", "{ssl_vpn}"]
"#,
            name = self.name,
            url = self.simulator.url(),
            pin = self.simulator.fingerprint(),
            keys = self.face.keys,
            ca = self.ca,
            origin = self.face.origin,
            management = self.simulator.management(),
            ssl_vpn = self.simulator.ssl_vpn(),
        )
    }

    /// What this device was asked, and what was logged of its certificate.
    fn reported(&self, log: &str) -> String {
        let name = format!("\"{}\"", self.name);
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&name)).collect();
        let journal = self.simulator.journal();
        format!("{name} {:?}: {lines:#?} {journal:#?}", self.ca)
    }

    async fn assert_renewed(&self, store: &Store, rounds: usize, log: &str) {
        let renewals = store.renewals_of(&self.name, 100).await.unwrap();
        let reported = || self.reported(log);
        assert_eq!(renewals.len(), rounds, "{}", reported());
        for renewal in &renewals {
            assert_eq!(renewal.state, State::Completed, "{}", reported());
            assert_eq!(renewal.obtained.sealed_key, None, "{}", reported());
        }
        let counters = self.simulator.counters();
        let rounds = u64::try_from(rounds).unwrap();
        let made = match self.face.origin {
            "renewd" => (0, rounds, 0),
            _ => (rounds, 0, 1),
        };
        assert_eq!(
            (
                counters.key_pairs_generated,
                counters.key_pair_imports,
                counters.key_pairs_present
            ),
            made,
            "key pairs made, imported, left; {}",
            reported()
        );
        let newest = renewals[0].obtained.fingerprint;
        for address in [self.simulator.management(), self.simulator.ssl_vpn()] {
            let endpoint = address.to_string().parse().unwrap();
            let probed = probe::probe(&endpoint, None, Duration::from_secs(10)).await;
            let probe::ProbeResult::Served(shown, _) = probed else {
                panic!("{address} shows nothing: {probed:?}")
            };
            assert_eq!(Some(shown.fingerprint), newest, "{}", reported());
        }
    }
}

/// Fewer than there are, so that some are done while others have not begun.
const IN_MANY_STATES: usize = 12;
/// Stands nowhere but in the password file.
const PASSWORD: &str = "planted-Secret-9157";
