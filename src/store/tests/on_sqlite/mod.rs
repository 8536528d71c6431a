//! What holds on both engines, on SQLite, and what holds there alone.

use super::*;
use fixtures::*;

#[path = "../chain.rs"]
mod chain;
#[path = "../clock_rollback.rs"]
mod clock_rollback;
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
#[path = "../next_wakeup.rs"]
mod next_wakeup;
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
#[path = "../upgrades.rs"]
mod upgrades;

fn home() -> Home {
    a_folder()
}
