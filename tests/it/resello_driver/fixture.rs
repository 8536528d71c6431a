//! A simulated shop with settings that fit it, a clock that both share, and something that does what the engine does.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use renewd::ca::resello::{
    Applicant, Control, Download, Level, PlanChoice, RenewalMode, Resello, Settings,
};
use renewd::ca::{Issuance, Issuer, Previous, Reference, SigningRequest};
use renewd::clock::{Clock, ManualClock};
use renewd::dcv;
use renewd::env::Env;
use renewd::failure::{Failure, FailureKind};
use renewd::inventory::Budget;
use renewd::pki::{Certificate, Csr};
use renewd::random::SeededRandom;
use renewd::secret::{Secret, SecretSource};
use renewd::tls::{Anchor, Trust};
use simulators::resello::{Dcv, Settings as ShopSettings, Simulator, Variants};

use crate::peers::free_address;

pub const NAME: &str = "fw.example.com";
pub const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A shop, and the settings to reach it.
pub struct Fixture {
    pub shop: Simulator,
    pub settings: Settings,
    pub clock: Arc<ManualClock>,
}

/// A certificate that the shop has issued, and where it came from.
#[derive(Debug, Clone)]
pub struct Bought {
    pub leaf: Certificate,
    pub chain: Vec<Certificate>,
    pub order: Reference,
}

impl Fixture {
    /// A shop that grants every proof and has no surprises but `change`.
    pub async fn granting(change: impl FnOnce(&mut Variants)) -> Self {
        Self::start(Dcv::Granted, Control::Mail, change).await
    }

    /// A shop that fetches proofs from renewd's own listener.
    pub async fn looking(change: impl FnOnce(&mut Variants)) -> Self {
        let listen = free_address();
        let dcv = Dcv::Real {
            http: listen,
            dns: listen,
        };
        let http = dcv::http::Settings {
            listen: vec![listen],
        };
        Self::start(dcv, Control::Published(dcv::Settings::Http(http)), change).await
    }

    pub async fn start(dcv: Dcv, control: Control, change: impl FnOnce(&mut Variants)) -> Self {
        let start: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::new(start));
        let mut shop = ShopSettings {
            dcv,
            variants: Variants::kind(),
            ..ShopSettings::default()
        };
        change(&mut shop.variants);
        let shared = Arc::clone(&clock);
        shop.common.now = Arc::new(move || {
            time::OffsetDateTime::from_unix_timestamp(shared.now().as_second()).unwrap()
        });
        let shop = Simulator::start(shop).await.unwrap();
        let settings = settings(&shop, control);
        Self {
            shop,
            settings,
            clock,
        }
    }

    /// The driver as it is after a restart.
    pub fn driver(&self) -> Resello {
        let env = Env {
            clock: self.clock.clone(),
            random: Arc::new(SeededRandom::new(7)),
        };
        Resello::new(self.settings.clone(), env)
    }

    /// A request of a fresh key, for the certificate after `previous`.
    pub fn request(&self, reference: &str, previous: Option<&Bought>) -> SigningRequest {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, NAME);
        let csr = params.serialize_request(&key).unwrap();
        SigningRequest {
            client_reference: reference.to_owned(),
            csr: Csr::parse(csr.der()).unwrap(),
            planned_at: self.clock.now(),
            previous: previous.map(|bought| Previous {
                certificate: bought.leaf.clone(),
                order: Some(bought.order.clone()),
            }),
            window: None,
        }
    }

    /// Does what the engine does until there is a certificate, with a restart before each step and time passing as it
    /// is asked for.
    pub async fn obtain(&self, request: &SigningRequest) -> Bought {
        let order = self.order(request).await;
        for _ in 0..ROUNDS {
            let wait = match self.driver().poll(&order, request).await {
                Ok(Issuance::Issued { leaf, chain }) => {
                    return Bought {
                        leaf: *leaf,
                        chain,
                        order,
                    };
                }
                Ok(Issuance::Pending { retry_after, .. }) => retry_after.unwrap_or(PATIENCE),
                Ok(other) => panic!("{other:?}"),
                Err(failure) => wait_after(&failure),
            };
            self.clock.advance(wait);
        }
        panic!("no certificate: {:?}", self.shop.journal())
    }

    /// The first half of it: until there is an order.
    pub async fn order(&self, request: &SigningRequest) -> Reference {
        let mut tried_at: Option<Timestamp> = None;
        for _ in 0..ROUNDS {
            let driver = self.driver();
            let wait = match driver.find(request).await {
                Ok(Some(order)) => return order,
                Ok(None) => {
                    if let Some(at) = tried_at.filter(|at| self.settles(request, &driver, *at)) {
                        self.clock
                            .now()
                            .duration_until(at + driver.visibility_delay(request))
                    } else {
                        tried_at = Some(self.clock.now());
                        match driver.submit(request).await {
                            Ok(order) => return order,
                            Err(failure) => wait_after(&failure),
                        }
                    }
                }
                Err(failure) => wait_after(&failure),
            };
            self.clock.advance(wait);
        }
        panic!("no order: {:?}", self.shop.journal())
    }

    /// Whether an order of that moment may still be invisible.
    fn settles(&self, request: &SigningRequest, driver: &Resello, tried_at: Timestamp) -> bool {
        tried_at + driver.visibility_delay(request) > self.clock.now()
    }

    /// Buys the first certificate.
    pub async fn buy(&self) -> Bought {
        self.obtain(&self.request("first", None)).await
    }

    /// Sees that so many orders were taken and paid, none of them twice.
    pub fn assert_paid(&self, orders: u64, note: &str) {
        let counters = self.shop.counters();
        let reported = (counters.orders, counters.duplicates, counters.spent_cents);
        let journal = self.shop.journal();
        assert_eq!(
            reported,
            (orders, 0, orders * PRICE),
            "{note}: {journal:#?}"
        );
    }
}

/// Waits as the retry table does, and sees that nothing gives up.
fn wait_after(failure: &Failure) -> SignedDuration {
    assert_ne!(failure.kind, FailureKind::Refused, "{failure}");
    failure.retry_after.unwrap_or(SignedDuration::from_mins(1))
}

fn settings(shop: &Simulator, control: Control) -> Settings {
    let pin = shop.fingerprint().parse().unwrap();
    Settings {
        url: shop.base_url().parse().unwrap(),
        user: "renewd".to_owned(),
        api_key: SecretSource::Inline(Secret::new(KEY.to_owned())),
        trust: Trust {
            anchor: Anchor::Pins(vec![pin]),
            server_name: None,
        },
        timeout: Duration::from_secs(20),
        plan: PlanChoice::Name("PositiveSSL".to_owned()),
        level: Level::Domain,
        renewal_mode: RenewalMode::Renew,
        control,
        proof_host: "sectigo.com".to_owned(),
        download: Download::Crt,
        elliptic_keys: true,
        budget: Budget {
            orders: 10,
            within: DAY * 30,
        },
        applicant: Applicant {
            approver_email_address: Some("admin@example.com".to_owned()),
            ..Applicant::default()
        },
    }
}

pub const KEY: &str = "purchase key";
/// Cents, of the plan PositiveSSL.
const PRICE: u64 = 900;
const ROUNDS: usize = 60;
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);
