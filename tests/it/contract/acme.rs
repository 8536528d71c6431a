//! An ACME server, which fetches its proofs from our own listener.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use renewd::clock::ManualClock;
use simulators::acme::{Settings, Simulator, Variants};

use super::subject::ca_clock;
use super::{Behaviour, Port, Subject};
use crate::peers::free_address;
use crate::test_bed::TestBed;

pub struct Acme {
    pub simulator: Simulator,
    listen: SocketAddr,
}

impl Acme {
    /// Starts a server that treats nonces kindly, so that each run makes the same calls.
    pub async fn with(clock: Arc<ManualClock>, change: impl FnOnce(&mut Variants)) -> Self {
        let listen = free_address();
        let mut settings = Settings::default();
        settings.common.now = ca_clock(&clock);
        settings.variants = Variants {
            bad_nonce_every: 0,
            http_port: listen.port(),
            ..Variants::default()
        };
        change(&mut settings.variants);
        Self {
            simulator: Simulator::start(settings).await.unwrap(),
            listen,
        }
    }

    /// The `driver` line, with further keys.
    pub fn driver_with(&self, keys: &str) -> String {
        let listen = self.listen;
        self.driver_that_proves(&format!(r#"http = {{ listen = "{listen}" }}"#), keys)
    }

    /// The same with another validation.
    pub fn driver_that_proves(&self, validation: &str, keys: &str) -> String {
        format!(
            r#"driver.acme = {{ directory = "{}", terms_of_service_agreed = true, roots = "FOLDER/roots.pem", validation.{validation}, trust = {{ sha256 = "{}" }}{keys} }}"#,
            self.simulator.directory_url(),
            self.simulator.fingerprint()
        )
    }
}

#[async_trait]
impl Subject for Acme {
    const ASKS_PEOPLE: bool = false;
    const ENDS_WHEN_REFUSED: bool = false;
    const HAS_CREDENTIALS: bool = false;

    async fn start(clock: Arc<ManualClock>) -> Self {
        // What is decided at once is the same in each run; real validation has tests of its own.
        Self::with(clock, |variants| variants.always_valid = true).await
    }

    fn driver(&self) -> String {
        self.driver_with("")
    }

    fn prepare(&self, bed: &TestBed) {
        let roots = bed.folder.path().join("roots.pem");
        std::fs::write(roots, self.simulator.root_pem()).unwrap();
    }

    fn port(&self) -> &dyn Port {
        &self.simulator
    }

    /// An order that is not finalized costs nothing.
    fn orders(&self) -> u64 {
        u64::try_from(self.simulator.finalizations()).unwrap()
    }

    fn is_placing(&self, line: &str) -> bool {
        line.contains("new-order")
    }

    fn behave(&self, behaviour: Behaviour) {
        if let Behaviour::SignsAfter(looks) = behaviour {
            self.simulator
                .set(|variants| variants.processing_polls = looks);
        }
    }

    fn approve(&self) {}

    fn refusal(&self) -> &'static str {
        ""
    }

    fn spoil_credentials(&self, _spoiled: bool, _lab: &TestBed) {}
}
