//! Domain validation, published where a CA fetches it: seen from the CA's side.

pub mod apis;
mod files;
mod programs;
mod records;
