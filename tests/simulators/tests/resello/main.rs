//! The simulated purchase API seen from outside, through its TLS port.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod buying;
mod client;
mod downloading;
mod going_wrong;
mod money;
mod request;
mod validating;
