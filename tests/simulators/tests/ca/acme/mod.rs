//! The simulated ACME server.

mod accounts;
mod going_wrong;
mod ordering;
mod proving;
mod renewing;
mod signing;
mod subscriber;

use simulators::acme::{Settings, Simulator, Variants};

/// No delays, no refused nonces, and every challenge succeeds, unless the test changes that.
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
