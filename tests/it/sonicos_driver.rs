//! The SonicOS driver against simulated devices that share no code with it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod by_ssh;
pub mod changes;
mod fixture;
mod logins;
mod public_key;
mod six_five;
mod transfers;
mod unkindness;
