//! The TOML configuration: as written, resolved, every mistake with its place.

mod desired;

pub use desired::{Daemon, Desired, ManagedFirewall};
