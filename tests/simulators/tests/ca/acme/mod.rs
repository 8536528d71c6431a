//! The simulated ACME server.

mod accounts;
mod going_wrong;
mod ordering;
mod proving;
mod renewing;
mod signing;
mod subscriber;

use simulators::acme::{Settings, Simulator, Variants};

/// Nothing waits, nothing is refused and every proof is believed, but for what the test says.
async fn start(change: impl FnOnce(&mut Settings)) -> Simulator {
    let mut settings = Settings {
        variants: Variants {
            always_valid: true,
            ..Variants::kind()
        },
        ..Settings::default()
    };
    change(&mut settings);
    Simulator::start(settings).await.unwrap()
}
