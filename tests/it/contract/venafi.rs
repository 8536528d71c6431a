//! TLS Protect Cloud.

use std::sync::Arc;

use async_trait::async_trait;
use renewd::clock::ManualClock;
use simulators::venafi::{Settings, Simulator, StatusPath, Variants};

use super::subject::ca_clock;
use super::{Behaviour, Port, Subject};
use crate::test_bed::TestBed;

pub struct Venafi {
    simulator: Simulator,
    api_key: String,
}

#[async_trait]
impl Subject for Venafi {
    async fn start(clock: Arc<ManualClock>) -> Self {
        let mut settings = Settings {
            variants: Variants {
                index_late_searches: 1,
                ..Variants::default()
            },
            ..Settings::default()
        };
        settings.common.now = ca_clock(&clock);
        let api_key = settings.api_key.clone();
        Self {
            simulator: Simulator::start(settings).await.unwrap(),
            api_key,
        }
    }

    fn driver(&self) -> String {
        format!(
            r#"driver.venafi = {{ url = "{}", api_key = {{ file = "FOLDER/api-key" }}, application = "Firewalls", template = "Default", include_root = true, trust = {{ sha256 = "{}" }} }}"#,
            self.simulator.url(),
            self.simulator.fingerprint()
        )
    }

    fn prepare(&self, bed: &TestBed) {
        self.spoil_credentials(false, bed);
    }

    fn port(&self) -> &dyn Port {
        &self.simulator
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.api_key.clone()]
    }

    fn behave(&self, behaviour: Behaviour) {
        self.simulator.set(|variants| match behaviour {
            Behaviour::Signs => {
                variants.status_path = StatusPath::Steps;
                variants.polls_per_status = 1;
            }
            Behaviour::SignsAfter(looks) => {
                variants.status_path = StatusPath::Steps;
                variants.polls_per_status = looks / 3 + 1;
            }
            Behaviour::WaitsForPerson => {
                variants.status_path = StatusPath::Approved;
                variants.approval_polls = None;
            }
            Behaviour::Refuses => variants.status_path = StatusPath::Rejected,
        });
    }

    fn approve(&self) {
        for order in self.simulator.orders() {
            self.simulator.approve(&order.id);
        }
    }

    fn refusal(&self) -> &'static str {
        "REJECTED"
    }

    fn spoil_credentials(&self, spoiled: bool, bed: &TestBed) {
        let key = if spoiled {
            "not-the-key"
        } else {
            &self.api_key
        };
        std::fs::write(bed.folder.path().join("api-key"), key).unwrap();
    }
}
