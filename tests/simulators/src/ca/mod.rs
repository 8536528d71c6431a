//! The common parts of the simulated CAs: sockets and faults, a CA that signs for real, and counters.
//!
//! A simulated CA is a [`Model`] (its state and answers) in a [`Simulator`] (the rest), independent of the CA's protocol.
//! Delays of a CA are counted in requests. Only [`Fault::Delay`] waits in real time.

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
pub use self::model::{Clock, Common, Model, Office, Preparation};
pub use self::simulator::Simulator;
