//! The SonicOS driver against simulated devices that share no code with it.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first unexpected result"
)]

mod by_ssh;
pub mod changes;
mod device_faults;
mod fixture;
mod logins;
mod public_key;
mod six_five;
mod transfers;
