//! The purchase API, with a shop that believes every name; proofs have tests of their own.

use std::sync::Arc;

use async_trait::async_trait;
use renewd::clock::ManualClock;
use simulators::resello::{Dcv, Settings, Simulator};

use super::subject::ca_clock;
use super::{Behaviour, Port, Subject};
use crate::test_bed::TestBed;

pub struct Resello {
    pub simulator: Simulator,
    key: String,
}

#[async_trait]
impl Subject for Resello {
    const ASKS_PEOPLE: bool = false;

    async fn start(clock: Arc<ManualClock>) -> Self {
        let mut settings = Settings {
            dcv: Dcv::Granted,
            ..Settings::default()
        };
        settings.common.now = ca_clock(&clock);
        let key = settings.key.clone();
        Self {
            simulator: Simulator::start(settings).await.unwrap(),
            key,
        }
    }

    fn driver(&self) -> String {
        let plans = self.simulator.with(|shop, _| shop.plans().to_vec());
        format!(
            r#"driver.resello = {{ url = "{}", user = "renewd", api_key = {{ file = "FOLDER/api-key" }}, plan = "{}", elliptic_keys = true, approver = {{ email_address = "admin@example.com" }}, trust = {{ sha256 = "{}" }} }}"#,
            self.simulator.base_url(),
            plans[0].id,
            self.simulator.fingerprint()
        )
    }

    fn prepare(&self, bed: &TestBed) {
        self.spoil_credentials(false, bed);
    }

    fn port(&self) -> &dyn Port {
        &self.simulator
    }

    fn assert_paid_once(&self, case: &str) {
        let price = self.price_cents();
        assert_eq!(self.simulator.ledger().charged_cents, price, "{case}");
    }

    fn price_cents(&self) -> u64 {
        self.simulator.with(|shop, _| shop.plans()[0].price_cents)
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.key.clone()]
    }

    fn behave(&self, behaviour: Behaviour) {
        self.simulator.set(|variants| {
            variants.reads_before_active = match behaviour {
                Behaviour::SignsAfter(looks) => looks,
                _ => 1,
            };
            if behaviour == Behaviour::Refuses {
                variants.ends_as = Some("failed".to_owned());
            }
        });
    }

    fn approve(&self) {}

    fn refusal(&self) -> &'static str {
        "failed"
    }

    fn spoil_credentials(&self, spoiled: bool, bed: &TestBed) {
        let key = if spoiled { "not-the-key" } else { &self.key };
        std::fs::write(bed.folder.path().join("api-key"), key).unwrap();
    }
}
