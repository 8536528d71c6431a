//! The simulated SonicWall seen from outside, through its two TLS ports.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod client;
mod console;
mod direct_cli;
mod ftp_server;
mod going_wrong;
mod installing;
mod key_pairs;
mod logging_in;
mod office;
mod public_key;
mod scp_server;
mod six_five;
mod steps;
mod terminal;
mod transfers_by_line;
