//! A simulated PAM360, settings that fit it, and a request of a fresh key.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use renewd::ca::pam360::{Dialect, MicrosoftCa, Product, Settings, Signer};
use renewd::ca::{self, Issuance, Issuer, Reference, SigningRequest};
use renewd::clock::ManualClock;
use renewd::env::Env;
use renewd::failure::Failure;
use renewd::pki::{Certificate, Csr};
use renewd::random::SeededRandom;
use renewd::secret::{Secret, SecretSource};
use renewd::tls::{Anchor, Trust};
use simulators::pam360::{Settings as ServerSettings, Simulator, Variants};

/// What both the server's and our clock show.
const NOW: i64 = 1_800_000_000;

/// A server and the settings to reach it.
pub struct Fixture {
    pub server: Simulator,
    pub settings: Settings,
    pub request: SigningRequest,
}

/// What an order came to, and every failure on the way.
pub struct Obtained {
    pub leaf: Certificate,
    pub chain: Vec<Certificate>,
    pub failures: Vec<Failure>,
}

impl Fixture {
    /// A server that behaves as `variants` say, and signs with its intermediate.
    pub async fn start(variants: Variants) -> Self {
        let mut server = ServerSettings {
            variants,
            ..ServerSettings::default()
        };
        let now = time::OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        server.common.now = Arc::new(move || now);
        let token = server.token.clone();
        let server = Simulator::start(server).await.unwrap();
        let signer = server.intermediate();
        let settings = Settings {
            product: Product::Pam360,
            url: server.url().parse().unwrap(),
            token: SecretSource::Inline(Secret::new(token)),
            organization: None,
            trust: Trust {
                anchor: Anchor::Pins(vec![server.fingerprint().parse().unwrap()]),
                server_name: None,
            },
            timeout: Duration::from_secs(20),
            signer: Signer::Root {
                common_name: signer.common_name,
                serial_number: signer.serial,
            },
            validity_days: 90,
            is_intermediate: false,
            expiry_email: None,
            csr_list_operation: server.variants().csr_list_operation,
            chain: None,
            dialect: Dialect::default(),
        };
        Self {
            server,
            settings,
            request: request("vpn.example.com"),
        }
    }

    /// The same with the Microsoft CA.
    pub async fn with_microsoft_ca(variants: Variants) -> Self {
        let mut fixture = Self::start(variants).await;
        fixture.settings.signer = Signer::Msca(microsoft_ca());
        fixture
    }

    pub fn ca(&self) -> Arc<dyn Issuer> {
        let settings = ca::Settings::Pam360(Box::new(self.settings.clone()));
        let env = Env {
            clock: Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap())),
            random: Arc::new(SeededRandom::new(7)),
        };
        ca::issuer(&settings, &env)
    }

    pub async fn submit(&self) -> Result<Reference, Failure> {
        self.ca().submit(&self.request).await
    }

    pub async fn poll(&self, reference: &Reference) -> Result<Issuance, Failure> {
        self.ca().poll(reference, &self.request).await
    }

    /// Goes on as the engine does, whatever fails: looks before it orders, and polls what was ordered. A new driver for
    /// each call, as after a restart.
    pub async fn obtain(&self) -> Obtained {
        let mut failures = Vec::new();
        let mut reference = None;
        for _ in 0..MOST_TRIES {
            let outcome = match &reference {
                None => self.check_then_order().await.map(|ordered| {
                    reference = Some(ordered);
                    None
                }),
                Some(reference) => self.poll(reference).await.map(Some),
            };
            match outcome {
                Ok(Some(Issuance::Issued { leaf, chain })) => {
                    return Obtained {
                        leaf: *leaf,
                        chain,
                        failures,
                    };
                }
                Ok(None | Some(Issuance::Pending { .. })) => {}
                Ok(Some(other)) => panic!("{other:?}"),
                Err(failure) => failures.push(failure),
            }
        }
        panic!("{failures:#?}\n{:#?}", self.server.journal());
    }

    async fn check_then_order(&self) -> Result<Reference, Failure> {
        match self.ca().find(&self.request).await? {
            Some(reference) => Ok(reference),
            None => self.submit().await,
        }
    }

    /// That one CSR was signed once, and that it was ours.
    pub fn assert_ordered_once(&self, what: &str) {
        let counters = self.server.counters();
        let journal = self.server.journal();
        assert_eq!(
            (counters.orders, counters.duplicates),
            (1, 0),
            "{what}: {journal:#?}"
        );
        for csr in self.server.csrs() {
            let signatures = u32::from(csr.is_namesake || csr.der == self.request.csr.der);
            assert!(csr.signatures <= signatures, "{what}: {journal:#?}");
        }
    }

    /// Requests of that line.
    pub fn requests(&self, line: &str) -> usize {
        let requests = self.server.requests();
        requests.iter().filter(|request| *request == line).count()
    }
}

/// The one that the server can reach.
pub fn microsoft_ca() -> MicrosoftCa {
    MicrosoftCa {
        server: "ca1.corp.example".to_owned(),
        name: "corp-issuing-ca".to_owned(),
        template: "WebServer".to_owned(),
    }
}

/// A request of a fresh key.
pub fn request(name: &str) -> SigningRequest {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let request = params
        .serialize_request(&KeyPair::generate().unwrap())
        .unwrap();
    SigningRequest {
        client_reference: "hq-portal-1".to_owned(),
        csr: Csr::parse(request.der()).unwrap(),
        planned_at: Timestamp::from_second(NOW).unwrap(),
        previous: None,
        window: None,
    }
}

const MOST_TRIES: usize = 20;
