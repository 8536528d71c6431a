//! The service's answers and their interpretation. The exchanges themselves are tested against the simulator.

#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod rules;
mod wire;
