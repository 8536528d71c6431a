//! Everything that is tested from outside, in one binary: one link instead of many.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

mod acme;
mod attackers;
mod command_line;
mod console;
mod contract;
mod decisions;
mod dependencies;
mod domain_control;
mod dry_run;
mod exec_driver;
mod fleet;
mod fleet_kills;
mod follows_configuration;
mod held_up;
mod key_pairs;
mod key_requests;
mod kills;
mod last_lines;
mod local_ca;
mod lockouts;
mod matrix;
mod one_time_codes;
mod pam360_driver;
mod peers;
#[path = "../support/postgres.rs"]
mod postgres;
mod probes_beside;
mod public_roots;
mod reloads;
mod renewal_windows;
mod renews_in_time;
mod resello_driver;
mod respects_others;
mod restarts;
mod robustness;
mod rolls_back;
mod secrets;
mod sessions;
mod simulation;
mod six_five;
mod sonicos_driver;
mod survives_crash;
mod survives_faults;
mod test_bed;
mod tidy;
mod transfers;
mod variants;
mod venafi_driver;
mod vocabulary;
mod watches;
mod windows;
