//! What the service says, and what is made of it; the exchanges themselves are tested against the simulator.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod rules;
mod wire;
