//! renewd keeps the certificates of firewalls renewed.
//!
//! The map, from left to right; a module may use those on its left only (`tests/tidy.rs` holds that line):
//! `clock random surroundings secret failure inventory pki schedule tls | firewall ca probe | config | event | store | renewal |
//! scheduler | telemetry status | daemon cli`.

pub mod ca;
pub mod clock;
pub mod config;
pub mod event;
pub mod failure;
pub mod firewall;
pub mod inventory;
pub mod pki;
pub mod probe;
pub mod random;
pub mod schedule;
pub mod secret;
pub mod store;
pub mod surroundings;
pub mod tls;
