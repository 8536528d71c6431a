//! What the code may take from the outside world besides the network: the time and randomness.

use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::random::{Random, SystemRandom};

/// Handed from the daemon down to everything that needs the time or randomness.
#[derive(Debug, Clone)]
pub struct Env {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Nonces, serial numbers, identifiers.
    pub random: Arc<dyn Random>,
}

impl Env {
    /// The machine's clock and generator.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        }
    }
}
