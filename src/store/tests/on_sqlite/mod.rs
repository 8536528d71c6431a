//! What holds on both engines, on SQLite, and what holds there alone.

use super::*;
use fixtures::*;

#[path = "../chain.rs"]
mod chain;
#[path = "../copy.rs"]
mod copy;
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
#[path = "../opening.rs"]
mod opening;
#[path = "../plans.rs"]
mod plans;
#[path = "../renewals.rs"]
mod renewals;
#[path = "../restarting.rs"]
mod restarting;
#[path = "../retention.rs"]
mod retention;
#[path = "../served.rs"]
mod served;
#[path = "../set_back.rs"]
mod set_back;
#[path = "../upgrades.rs"]
mod upgrades;
#[path = "../waking.rs"]
mod waking;

fn home() -> Home {
    a_folder()
}
