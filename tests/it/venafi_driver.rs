//! The driver of TLS Protect Cloud against a simulated one that shares no code with it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod ends;
mod faults;
mod fixture;
mod logins;
mod orders;
mod renewal;
