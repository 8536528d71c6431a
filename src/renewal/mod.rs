//! Renewals: the transition table, the retry table, the engine, and one file for each step.

pub mod chain_roots;
pub mod checkpoint;
pub mod engine;
mod former;
mod heartbeat;
pub mod known;
pub mod known_rows;
mod left;
pub mod liveness;
mod outcome;
pub mod peers;
pub mod pins;
pub mod remedy;
pub mod retry;
pub mod runtime;
pub mod session;
pub mod state;
pub mod step;

pub use checkpoint::{Checkpoint, Moment, NoCheckpoint};
pub use engine::Engine;
pub use liveness::Liveness;
pub use peers::{ConfiguredPeers, Peers};
pub use runtime::{LeftSession, Runtime, StoredCodes};
pub use session::SessionSlot;
pub use state::{Fact, Step};
