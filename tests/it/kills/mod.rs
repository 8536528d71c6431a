//! The real binary, killed for real (`kill -9`) in the middle of many renewals at once and started again, until all have
//! ended: nothing is lost, nothing is done twice, no account is locked out.
//!
//! Devices and CAs are simulated in this process, with their usual faults. A run prints its seed and its counts;
//! `RENEWD_KILLS=SEED` or `SEED:KILLS` asks for another, `RENEWD_LONG=1` for the long ones.

mod campaign;
mod cas;
mod daemon;
mod database;
mod fleet;
mod moment;

pub use campaign::{Plan, Tally, asked_for, is_long, run, until_all_ended};
pub use daemon::Daemon;
pub use database::Database;
pub use fleet::Fleet;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_on_sqlite() {
    campaigns("kills::nothing_is_lost_or_doubled_on_sqlite", || {
        Some(Database::Sqlite)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_on_postgresql() {
    campaigns(
        "kills::nothing_is_lost_or_doubled_on_postgresql",
        Database::postgres,
    )
    .await;
}

async fn campaigns(test: &'static str, database: fn() -> Option<Database>) {
    for (seed, kills) in asked_for() {
        let Some(database) = database() else { return };
        let plan = Plan {
            test,
            seed,
            kills,
            waits_for_leases: false,
        };
        let fleet = Fleet::new(database, FIREWALLS, 1, seed).await;
        println!("kills: {}", run(&fleet, &plan).await);
    }
}

/// Each kind of device meets each kind of CA once.
pub const FIREWALLS: usize = fleet::DEVICES.len() * cas::KINDS.len();
