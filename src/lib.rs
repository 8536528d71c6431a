//! renewd keeps the certificates of firewalls renewed.
//!
//! The map, from left to right; a module may use those on its left only (`tests/tidy.rs` holds that line):
//! `clock random surroundings secret failure pki schedule tls | inventory | firewall ca probe | config | event | store |
//! renewal | scheduler watch | telemetry status | daemon | cli`.

pub mod ca;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod event;
pub mod failure;
pub mod firewall;
pub mod inventory;
pub mod pki;
pub mod probe;
pub mod random;
pub mod renewal;
pub mod schedule;
pub mod scheduler;
pub mod secret;
pub mod status;
pub mod store;
pub mod surroundings;
pub mod telemetry;
pub mod tls;
pub mod watch;
