//! A simulated service, a driver for it, and requests with keys of their own.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use rcgen::{CertificateParams, DnType, KeyPair};
use renewd::ca::venafi::{Login, Settings, Target, VenafiCa};
use renewd::ca::{Issuance, Issuer, Reference, SigningRequest};
use renewd::clock::{Clock, ManualClock};
use renewd::env::Env;
use renewd::failure::Failure;
use renewd::pki::{AlternateName, Certificate, Csr, Digest, KeyKind, KeyRequest, Subject};
use renewd::random::SystemRandom;
use renewd::secret::{Secret, SecretSource};
use renewd::tls::{Anchor, Trust};
use simulators::venafi;

pub const TODAY: &str = "2026-11-22T10:00:00Z";

/// One service and one driver.
pub struct Fixture {
    pub cloud: venafi::Simulator,
    pub settings: Settings,
    pub clock: Arc<ManualClock>,
    pub driver: VenafiCa,
}

impl Fixture {
    pub async fn new(variants: venafi::Variants) -> Self {
        Self::with(venafi::Settings {
            variants,
            ..venafi::Settings::default()
        })
        .await
    }

    pub async fn with(mut reported: venafi::Settings) -> Self {
        renewd::tls::install_provider();
        let clock = Arc::new(ManualClock::new(TODAY.parse().unwrap()));
        let its_clock = Arc::clone(&clock);
        reported.common.now = Arc::new(move || {
            time::OffsetDateTime::from_unix_timestamp(its_clock.now().as_second()).unwrap()
        });
        let login = api_key(&reported.api_key);
        let cloud = venafi::Simulator::start(reported).await.unwrap();
        let settings = Settings {
            url: cloud.url().parse().unwrap(),
            login,
            application: Target::Name("Firewalls".to_owned()),
            template: Target::Name("Default".to_owned()),
            validity_days: Some(47),
            tags: None,
            include_root: false,
            decommission_superseded: true,
            trust: Trust {
                anchor: Anchor::Pins(vec![cloud.fingerprint().parse().unwrap()]),
                server_name: None,
            },
            timeout: Duration::from_secs(5),
        };
        let driver = driver(&settings, &clock);
        Self {
            cloud,
            settings,
            clock,
            driver,
        }
    }

    /// A driver with other settings, as after a change of the configuration or a restart.
    pub fn configure(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.driver = driver(&self.settings, &self.clock);
    }

    /// A driver whose clock is ahead of that of the service.
    pub fn driver_ahead_by(&self, by: SignedDuration) -> VenafiCa {
        let clock = Arc::new(ManualClock::new(self.clock.now() + by));
        driver(&self.settings, &clock)
    }

    /// As the engine: looks for the order, and places one only when it is surely absent.
    pub async fn order(&self, request: &SigningRequest) -> Result<Reference, Failure> {
        match self.driver.find(request).await? {
            Some(order) => Ok(order),
            None => self.driver.submit(request).await,
        }
    }

    /// As the engine with its waits left out: takes up after each failure where it was, up to `tries` times.
    pub async fn obtain(
        &self,
        request: &SigningRequest,
        tries: u32,
    ) -> Result<(Certificate, Vec<Certificate>), String> {
        let mut order = None;
        let mut last = String::new();
        for _ in 0..tries {
            let taken = match order.clone() {
                Some(order) => order,
                None => match self.order(request).await {
                    Ok(taken) => taken,
                    Err(failure) => {
                        last = failure.to_string();
                        self.clock.advance(self.driver.visibility_delay(request));
                        continue;
                    }
                },
            };
            order = Some(taken.clone());
            match self.driver.poll(&taken, request).await {
                Ok(Issuance::Issued { leaf, chain }) => return Ok((*leaf, chain)),
                Ok(other) => last = format!("{other:?}"),
                Err(failure) => last = failure.to_string(),
            }
            self.clock.advance(SignedDuration::from_secs(30));
        }
        Err(last)
    }
}

pub fn api_key(key: &str) -> Login {
    Login::ApiKey(inline(key))
}

pub fn inline(text: &str) -> SecretSource {
    SecretSource::Inline(Secret::new(text.to_owned()))
}

fn driver(settings: &Settings, clock: &Arc<ManualClock>) -> VenafiCa {
    let env = Env {
        clock: Arc::clone(clock) as _,
        random: Arc::new(SystemRandom),
    };
    VenafiCa::new(settings.clone(), env)
}

/// A request for `vpn.example.com` with a new key.
pub fn request(reference: &str) -> SigningRequest {
    let mut params = CertificateParams::new(vec!["vpn.example.com".to_owned()]).unwrap();
    params
        .distinguished_name
        .push(DnType::CommonName, "vpn.example.com");
    let csr = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap();
    SigningRequest {
        client_reference: reference.to_owned(),
        csr: Csr::parse(csr.der()).unwrap(),
        planned_at: TODAY.parse().unwrap(),
        previous: None,
        window: None,
    }
}

/// What `request` was made from.
pub fn wanted() -> KeyRequest {
    KeyRequest {
        subject: Subject {
            common_name: Some("vpn.example.com".to_owned()),
            ..Subject::default()
        },
        alternate_names: vec![AlternateName::Domain("vpn.example.com".to_owned())],
        key: KeyKind::Ecdsa(256),
        digest: Digest::Sha256,
    }
}

pub fn fact<'a>(facts: &'a [(String, String)], name: &str) -> &'a str {
    facts
        .iter()
        .find(|(known, _)| known == name)
        .map_or("", |(_, value)| value)
}
