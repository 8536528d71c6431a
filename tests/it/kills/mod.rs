//! The real binary, killed for real (`kill -9`) in the middle of many renewals at once and started again, until all have
//! ended: nothing is lost, nothing is done twice, nobody is locked out.
//!
//! Devices and CAs are simulated in this process, unkind as they come. A run prints its seed and its counts;
//! `RENEWD_KILLS=SEED` or `SEED:KILLS` asks for another, `RENEWD_LONG=1` for the long ones.

mod campaign;
mod cas;
mod daemon;
mod database;
mod fleet;
mod moment;

pub use campaign::asked_for;
pub use daemon::Daemon;
pub use database::Database;
pub use fleet::Fleet;

use campaign::Plan;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_on_sqlite() {
    for (seed, kills) in asked_for() {
        let plan = Plan {
            name: "sqlite",
            seed,
            kills,
        };
        let fleet = Fleet::new(Database::sqlite(), FIREWALLS, seed).await;
        let tally = campaign::run(&fleet, &plan).await;
        println!("kills: {tally}");
    }
}

/// Each kind of device meets each kind of CA once.
const FIREWALLS: usize = fleet::FACES.len() * cas::KINDS.len();
