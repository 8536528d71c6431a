//! A simulated device with settings that fit it, and an office CA.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use renewd::clock::ManualClock;
use renewd::env::Env;
use renewd::failure::Failure;
use renewd::firewall::sonicos::{Login, Session, Settings};
use renewd::firewall::{Binding, Firewall, KnownDevice, ObjectKind};
use renewd::inventory::Service;
use renewd::pki::{
    AlternateName, Certificate, Csr, Digest, Fingerprint, KeyKind, KeyRequest, Subject,
};
use renewd::random::SeededRandom;
use renewd::secret::{Secret, SecretSource};
use renewd::tls::{Anchor, Trust};
use renewd::transfer::Transfers;
use simulators::sonicos::{Profile, Settings as DeviceSettings, Simulator, Variants};
use tempfile::TempDir;

/// What both the device's and our clock show.
pub const NOW: i64 = 1_800_000_000;

/// A device and the settings to reach it.
pub struct Fixture {
    pub device: Simulator,
    pub settings: Settings,
    /// For the host keys of transfers.
    folder: TempDir,
}

impl Fixture {
    /// A friendly device of that generation, changed by `change`.
    pub async fn start(profile: Profile, change: impl FnOnce(&mut Variants)) -> Self {
        let mut device = DeviceSettings::new(profile);
        device.variants = Variants::kind();
        change(&mut device.variants);
        device.console = Some(([127, 0, 0, 1], 0).into());
        let now = time(NOW);
        device.now = Arc::new(move || now);
        let device = Simulator::start(device).await.unwrap();
        let settings = Settings {
            url: device.url().parse().unwrap(),
            user: "renewd".to_owned(),
            password: inline("correct horse"),
            totp: None,
            login: Login::Automatic,
            minimum_login: None,
            trust: pin(&device.fingerprint()),
            call_timeout: Duration::from_secs(20),
            transfer_timeout: Duration::from_secs(40),
            transfers: Arc::default(),
            command_line: None,
            preempt_idle_administrator: false,
            replaces_left_session: false,
        };
        Self {
            device,
            settings,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Logs in; `also` are certificates that we bound ourselves.
    pub async fn open(&self, also: &[Fingerprint]) -> Result<Box<dyn Firewall>, Failure> {
        Ok(Box::new(self.log_in(also).await?))
    }

    /// Logs in where nothing may go wrong, with the quirks that earlier sessions found.
    pub async fn knowing(&self, quirks: &[String]) -> Box<dyn Firewall> {
        let known = KnownDevice {
            quirks,
            ..KnownDevice::default()
        };
        Box::new(self.log_in_knowing(&known).await.unwrap())
    }

    /// Tries to log in, with the quirks that earlier sessions found.
    pub async fn trying_with(&self, quirks: &[String]) -> Result<Session, Failure> {
        let known = KnownDevice {
            quirks,
            ..KnownDevice::default()
        };
        self.log_in_knowing(&known).await
    }

    /// Logs in, with the driver's own type.
    pub async fn log_in(&self, also: &[Fingerprint]) -> Result<Session, Failure> {
        let known = KnownDevice {
            also_trusted: also,
            ..KnownDevice::default()
        };
        self.log_in_knowing(&known).await
    }

    async fn log_in_knowing(&self, known: &KnownDevice<'_>) -> Result<Session, Failure> {
        let env = Env {
            clock: Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap())),
            random: Arc::new(SeededRandom::new(7)),
        };
        let transfers = Transfers::new(self.folder.path(), &env);
        Session::open(&self.settings, known, &env, &transfers).await
    }

    /// Logs in where nothing may go wrong.
    pub async fn session(&self) -> Box<dyn Firewall> {
        self.open(&[]).await.unwrap()
    }

    /// A device that holds a certificate of ours under `alias`, bound nowhere, and an open session.
    pub async fn with_certificate(&self, alias: &str) -> (Box<dyn Firewall>, Fingerprint) {
        let mut session = self.session().await;
        let leaf = install(session.as_mut(), alias).await;
        (session, leaf.fingerprint)
    }

    /// Closes the session and sees that the device has none left and nothing pending from us.
    pub async fn close(&self, session: Box<dyn Firewall>) {
        session.close().await.unwrap();
        assert_eq!(self.device.counters().sessions_open, 0);
    }

    /// Requests of that line in the device's journal, which may continue after it.
    pub fn requests(&self, beginning: &str) -> usize {
        let journal = self.device.journal();
        journal
            .iter()
            .filter(|line| line.starts_with(beginning))
            .count()
    }
}

/// Makes a request, has it signed and imports it.
pub async fn install(session: &mut dyn Firewall, alias: &str) -> Certificate {
    session.generate_csr(alias, &request()).await.unwrap();
    let csr = export(session, alias).await;
    let office = Office::new();
    let leaf = office.issue(&csr);
    session.import_chain(&[office.certificate()]).await.unwrap();
    session.import_signed(alias, &leaf).await.unwrap();
    leaf
}

/// What the device lists, each with its kind.
pub async fn listed(session: &mut dyn Firewall) -> Vec<(String, ObjectKind)> {
    let installed = session.installed().await.unwrap();
    installed
        .into_iter()
        .map(|object| (object.alias, object.kind))
        .collect()
}

/// What a device lists that was given these besides the certificate that it had at first.
pub fn list_of(objects: &[(&str, ObjectKind)]) -> Vec<(String, ObjectKind)> {
    let first = [("fw-initial", ObjectKind::Certificate)];
    let all = first.iter().chain(objects);
    all.map(|(alias, kind)| ((*alias).to_owned(), *kind))
        .collect()
}

/// The request under `alias`, checked.
pub async fn export(session: &mut dyn Firewall, alias: &str) -> Csr {
    let csr = Csr::parse(&session.export_csr(alias).await.unwrap()).unwrap();
    assert_eq!(csr.differences(&request()), [""; 0]);
    csr
}

/// What every test asks for.
pub fn request() -> KeyRequest {
    KeyRequest {
        subject: Subject {
            country: Some("Netherlands".to_owned()),
            organization: Some("Example".to_owned()),
            common_name: Some("fw.example.com".to_owned()),
            ..Subject::default()
        },
        alternate_names: vec![AlternateName::Domain("fw.example.com".to_owned())],
        key: KeyKind::Ecdsa(256),
        digest: Digest::Sha256,
    }
}

/// Both services on one certificate.
pub fn both(alias: &str) -> Vec<Binding> {
    Service::ALL
        .map(|service| Binding {
            service,
            alias: Some(alias.to_owned()),
        })
        .to_vec()
}

pub fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text.to_owned()))
}

pub fn pin(fingerprint: &str) -> Trust {
    Trust {
        anchor: Anchor::Pins(vec![fingerprint.parse().unwrap()]),
        server_name: None,
    }
}

/// A CA of two lines.
pub struct Office {
    key: rcgen::KeyPair,
    params: rcgen::CertificateParams,
}

impl Office {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Office CA");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        valid_around_now(&mut params);
        Self {
            key: rcgen::KeyPair::generate().unwrap(),
            params,
        }
    }

    pub fn certificate(&self) -> Certificate {
        let certificate = self.params.self_signed(&self.key).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }

    pub fn issue(&self, csr: &Csr) -> Certificate {
        self.sign(&csr.public_key_der)
    }

    /// A certificate for some other key.
    pub fn issue_for_another_key(&self) -> Certificate {
        use rcgen::PublicKeyData;
        self.sign(
            &rcgen::KeyPair::generate()
                .unwrap()
                .subject_public_key_info(),
        )
    }

    /// A certificate for a public key, DER (RFC 5280, 4.1.2.7).
    pub fn sign(&self, public_key: &[u8]) -> Certificate {
        let mut params = rcgen::CertificateParams::new(vec!["fw.example.com".to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "fw.example.com");
        params.use_authority_key_identifier_extension = true;
        valid_around_now(&mut params);
        let public_key = rcgen::SubjectPublicKeyInfo::from_der(public_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&public_key, &issuer).unwrap();
        Certificate::from_der(certificate.der()).unwrap()
    }
}

fn valid_around_now(params: &mut rcgen::CertificateParams) {
    params.not_before = time(NOW - 86_400);
    params.not_after = time(NOW + 86_400 * 90);
}

fn time<T: TryFrom<std::time::SystemTime>>(second: i64) -> T
where
    T::Error: std::fmt::Debug,
{
    let second = u64::try_from(second).unwrap();
    T::try_from(std::time::UNIX_EPOCH + Duration::from_secs(second)).unwrap()
}
