//! The simulated CAs seen from outside, through their TLS ports.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod client;
mod faults;
mod mischief;
mod resello;
mod venafi;
