//! PAM360 with a Microsoft CA behind it.

use std::sync::Arc;

use async_trait::async_trait;
use renewd::clock::ManualClock;
use simulators::ca::{Fault, On};
use simulators::pam360::{Settings, Simulator};

use super::subject::ca_clock;
use super::{Behaviour, Port, Subject};
use crate::test_bed::TestBed;

pub struct Pam360 {
    simulator: Simulator,
    settings: Settings,
}

const REFUSAL: &str = "Denied by Policy Module";

#[async_trait]
impl Subject for Pam360 {
    async fn start(clock: Arc<ManualClock>) -> Self {
        let mut settings = Settings::default();
        settings.common.now = ca_clock(&clock);
        Self {
            simulator: Simulator::start(settings.clone()).await.unwrap(),
            settings,
        }
    }

    fn driver(&self) -> String {
        let microsoft = &self.settings.microsoft;
        format!(
            r#"driver.pam360 = {{ url = "{}", token = {{ file = "FOLDER/token" }}, csr_list_operation = "getCSRList", sign_with = {{ msca = {{ server = "{}", ca = "{}", template = "{}" }} }}, trust = {{ sha256 = "{}" }} }}"#,
            self.simulator.url(),
            microsoft.server,
            microsoft.name,
            microsoft.templates[0],
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
        vec![self.settings.token.clone()]
    }

    fn behave(&self, behaviour: Behaviour) {
        match behaviour {
            Behaviour::Signs => self
                .simulator
                .set(|variants| variants.certificate_late_calls = 1),
            Behaviour::SignsAfter(looks) => {
                self.simulator
                    .set(|variants| variants.certificate_late_calls = looks);
            }
            Behaviour::WaitsForPerson => self.simulator.set(|variants| {
                variants.needs_approval = true;
                variants.approval_calls = None;
            }),
            Behaviour::Refuses => {
                let answer = format!(
                    r#"{{"name":"SignCSR","result":{{"status":"Failed","message":"{REFUSAL}"}}}}"#
                );
                for nth in 1..=5 {
                    let on = On::next("POST", "signCSR").nth(nth);
                    let fault = Fault::Status(200, answer.clone(), Vec::new());
                    self.simulator.fault(on, fault);
                }
            }
        }
    }

    fn approve(&self) {
        assert!(
            self.simulator.approve() > 0,
            "nothing waits for an operator"
        );
    }

    fn refusal(&self) -> &'static str {
        REFUSAL
    }

    fn spoil_credentials(&self, spoiled: bool, bed: &TestBed) {
        let token = if spoiled {
            "not-the-token"
        } else {
            &self.settings.token
        };
        std::fs::write(bed.folder.path().join("token"), token).unwrap();
    }
}
