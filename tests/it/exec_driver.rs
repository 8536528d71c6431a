//! The driver of outside programs against small shell scripts and against certmonger's own helper.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

pub mod certmonger;
mod fixture;
mod scripts;
