//! The purchase API, with validation by mail: a person answers it between two runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use renewd::clock::ManualClock;
use simulators::resello::{Dcv, Settings, Simulator};

use super::subject::ca_clock;
use super::{Behaviour, Port, Subject};
use crate::lab::Lab;

pub struct Resello {
    simulator: Simulator,
    key: String,
    /// Whether mails are answered between two runs.
    answers_mail: AtomicBool,
}

#[async_trait]
impl Subject for Resello {
    async fn start(clock: Arc<ManualClock>) -> Self {
        let mut settings = Settings {
            dcv: Dcv::Fake,
            ..Settings::default()
        };
        settings.common.now = ca_clock(&clock);
        let key = settings.key.clone();
        Self {
            simulator: Simulator::start(settings).await.unwrap(),
            key,
            answers_mail: AtomicBool::new(true),
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

    fn prepare(&self, lab: &Lab) {
        self.spoil_credentials(false, lab);
    }

    fn port(&self) -> &dyn Port {
        &self.simulator
    }

    fn behave(&self, behaviour: Behaviour) {
        self.answers_mail
            .store(behaviour != Behaviour::WaitsForPerson, Ordering::Relaxed);
        self.simulator.set(|faces| {
            faces.reads_before_active = match behaviour {
                Behaviour::SignsAfter(looks) => looks,
                _ => 1,
            };
            if behaviour == Behaviour::Refuses {
                faces.ends_as = Some("failed".to_owned());
            }
        });
    }

    fn between_runs(&self) {
        if self.answers_mail.load(Ordering::Relaxed) {
            self.approve();
        }
    }

    fn approve(&self) {
        for order in self.simulator.orders() {
            self.simulator.approve(&order.id);
        }
    }

    fn refusal(&self) -> &'static str {
        "failed"
    }

    fn spoil_credentials(&self, spoiled: bool, lab: &Lab) {
        let key = if spoiled { "not-the-key" } else { &self.key };
        std::fs::write(lab.folder.path().join("api-key"), key).unwrap();
    }
}
