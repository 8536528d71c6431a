//! The driver of the purchase API against a simulated shop that shares no code with it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod fixture;
mod ordering;
mod proving;
mod recovery;
mod renewing;
mod talking;
