//! What holds on both engines, on PostgreSQL, and what holds there alone.
#![allow(clippy::duplicate_mod, reason = "the same tests on another engine")]

use super::*;
use fixtures::*;

mod carrying;
#[path = "../chain.rs"]
mod chain;
#[path = "../fixtures.rs"]
mod fixtures;
#[path = "../history.rs"]
mod history;
#[path = "../inventory.rs"]
mod inventory;
#[path = "../leases.rs"]
mod leases;
#[path = "../limits.rs"]
mod limits;
#[path = "../renewals.rs"]
mod renewals;
#[path = "../restarting.rs"]
mod restarting;
#[path = "../retention.rs"]
mod retention;
#[path = "../served.rs"]
mod served;
mod server;
#[path = "../set_back.rs"]
mod set_back;
#[path = "../upgrades.rs"]
mod upgrades;
#[path = "../waking.rs"]
mod waking;

fn home() -> Home {
    a_server()
}
