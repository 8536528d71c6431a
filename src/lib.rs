//! renewd keeps the certificates of firewalls renewed.
//!
//! The map, from left to right; a module may use those on the left of its bar only, so those between two bars do not
//! know each other (`tests/it/tidy.rs` holds that line):
//! `body connector file_access sanitize | clock failure pki random schedule secret | env inventory private_file process_group | tls | dcv seal transfer |
//! ca firewall probe | config event | store | renewal | monitor scheduler | daemon status telemetry | cli |
//! fuzzing`.

pub mod body;
pub mod ca;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connector;
pub mod daemon;
pub mod dcv;
pub mod env;
pub mod event;
pub mod failure;
pub mod file_access;
pub mod firewall;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod inventory;
pub mod monitor;
pub mod pki;
pub mod private_file;
pub mod probe;
pub mod process_group;
pub mod random;
pub mod renewal;
pub mod sanitize;
pub mod schedule;
pub mod scheduler;
pub mod seal;
pub mod secret;
pub mod status;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod transfer;
