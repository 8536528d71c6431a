//! The moments at which a daemon is killed: after so many of its requests, which spreads them over its work whatever the
//! speed of the machine; then after some time, or while it waits for the answer to a request. The peer has acted on
//! that request already, or acts on it when the daemon is dead.

use std::sync::Arc;
use std::time::Duration;

use renewd::random::{Random as _, SeededRandom};
use simulators::Barrier;
use simulators::ca::{Fault, On};
use simulators::sonicos::{Action, Rule};

use super::Fleet;
use super::cas::Ca;

/// Seeded chance.
#[derive(Debug)]
pub struct Rng(SeededRandom);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(SeededRandom::new(seed))
    }

    /// A number below `end`.
    pub fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        let drawn = u64::from_le_bytes(bytes) % u64::try_from(end).unwrap();
        usize::try_from(drawn).unwrap()
    }

    pub fn one_of<T: Copy>(&self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// When a daemon is killed.
#[derive(Debug)]
pub struct Moment {
    /// So many requests must have come from it.
    requests: u64,
    then: Then,
}

/// What is waited for after these requests.
#[derive(Debug)]
enum Then {
    /// Some time.
    Passes(Duration),
    /// A daemon arrives at this barrier.
    Comes(Arc<Barrier>),
}

impl Moment {
    /// Draws one, which comes after about as much work as `rng` likes.
    pub fn draw(rng: &Rng) -> Self {
        let requests = match rng.below(8) {
            // In the middle of the start.
            0 => 0,
            _ => u64::try_from(rng.below(LONGEST_LIFE)).unwrap(),
        };
        let then = match rng.below(3) {
            0 => Then::Passes(Duration::from_millis(
                u64::try_from(rng.below(400)).unwrap(),
            )),
            _ => Then::Comes(Barrier::new()),
        };
        Self { requests, then }
    }

    /// Returns when it has come, or will not come.
    pub async fn come(&self, rng: &Rng, fleet: &Fleet) {
        let before = fleet.requests();
        while fleet.requests() < before + self.requests {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        match &self.then {
            Then::Passes(time) => tokio::time::sleep(*time).await,
            Then::Comes(barrier) => {
                hold(rng, fleet, barrier);
                // What is held for a renewal that has ended is never reached.
                let _ = tokio::time::timeout(LONGEST_HOLD, barrier.wait_reached()).await;
            }
        }
    }

    /// Lets go what was held.
    pub fn release(&self) {
        if let Then::Comes(barrier) = &self.then {
            barrier.release();
        }
    }
}

/// Holds some of the next requests at `barrier`, before or after they are done; the first that reaches it counts.
fn hold(rng: &Rng, fleet: &Fleet, barrier: &Arc<Barrier>) {
    if rng.below(3) == 0 {
        for port in fleet.cas.iter().filter_map(Ca::port) {
            let fault = match rng.below(2) {
                0 => Fault::HoldBefore(Arc::clone(barrier)),
                _ => Fault::HoldAfter(Arc::clone(barrier)),
            };
            let nth = u32::try_from(1 + rng.below(4)).unwrap();
            port.fault(On::any(nth), fault);
        }
        return;
    }
    let method = rng.one_of(&METHODS);
    for device in &fleet.firewalls {
        let action = match rng.below(2) {
            0 => Action::HoldBefore(Arc::clone(barrier)),
            _ => Action::HoldAfter(Arc::clone(barrier)),
        };
        device.simulator.rule(Rule::once(method, "", action));
    }
}

/// Requests in the longest life of a daemon: with some twenty kills a fleet is in every state.
const LONGEST_LIFE: usize = 300;
const LONGEST_HOLD: Duration = Duration::from_millis(1500);
/// Requests that change something are held more often than those that only read.
const METHODS: [&str; 6] = ["POST", "POST", "POST", "PUT", "DELETE", "GET"];
