//! The real binary, as an operator uses it: a configuration written by hand, commands, exit codes, signals.

mod adopt;
mod checks;
pub mod daemon;
mod ends;
mod generated;
mod history;
mod hostile;
mod inspection;
mod json;
pub mod office;
mod once;
mod references;
mod secrets;
