//! Proofs of control over a domain, put where a CA looks for them: seen from the CA's side.

pub mod apis;
mod files;
mod programs;
mod records;
