//! What the simulated CAs share: sockets and faults, a CA that signs for real, and what may be counted.
//!
//! A simulated CA is a [`Model`] (its state and what it says) in a [`Simulator`] (everything else). Knows no CA's protocol.
//! Nothing here waits by the clock, except [`Fault::Delay`]: delays of a CA are counted in requests.

mod authority;
mod counters;
mod csr;
mod fault;
mod http;
mod mischief;
mod model;
mod server;
mod simulator;

pub use self::authority::{Authority, Issued, Tier, Wish};
pub use self::counters::Counters;
pub(crate) use self::csr::pem;
pub use self::csr::{Csr, KeyType, Name};
pub use self::fault::{Fault, On, RetryAfter};
pub use self::http::{Reply, Request};
pub use self::mischief::{ChainMischief, Mischief};
pub use self::model::{Clock, Common, Errand, Model, Office};
pub use self::simulator::Simulator;
