//! What holds on both engines, on PostgreSQL, and what holds there alone.
#![allow(clippy::duplicate_mod, reason = "the same tests on another engine")]

use super::*;
use fixtures::*;

#[path = "../chain.rs"]
mod chain;
#[path = "../clock_rollback.rs"]
mod clock_rollback;
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
mod migrating;
#[path = "../next_wakeup.rs"]
mod next_wakeup;
#[path = "../renewals.rs"]
mod renewals;
#[path = "../restarting.rs"]
mod restarting;
#[path = "../retention.rs"]
mod retention;
#[path = "../served.rs"]
mod served;
mod server;
#[path = "../upgrades.rs"]
mod upgrades;

fn home() -> Home {
    a_server()
}
