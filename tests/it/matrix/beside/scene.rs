//! A daemon that runs, as under a service manager, and one point at which it is kept until something has happened beside
//! it. Its clock moves when nothing is under way and nothing is due.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use renewd::clock::Clock;
use renewd::daemon::Command;
use renewd::inventory::Renewal;
use renewd::store::Store;
use simulators::Barrier;
use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use tokio::time::Instant;

use crate::matrix::crash_points::Stop;
use crate::matrix::fixture::{Fixture, Running};
use crate::test_bed::CERTIFICATE;

/// One daemon at work.
pub struct Scene {
    pub fixture: Fixture,
    pub store: Store,
    pub running: Running,
    /// For queries that the store does not offer: the leases, and what is due.
    database: AnyPool,
    barrier: Option<Arc<Barrier>>,
}

/// What was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The daemon stands at its point.
    Point,
    /// Nothing is under way, and nothing is due.
    Idle,
}

impl Scene {
    /// Starts a daemon that will stand at the point `number`, counted from its start, until `barrier` opens.
    pub async fn start(fixture: Fixture, number: usize, barrier: &Arc<Barrier>) -> Self {
        let store = fixture.bed.store().await;
        let url = fixture.bed.config().daemon.database;
        let one = AnyPoolOptions::new().max_connections(1);
        let database = one.connect(&url).await.unwrap();
        fixture.crash_points.begin(Stop::Never);
        fixture.crash_points.hold_at(number, barrier);
        let running = fixture.run();
        Self {
            fixture,
            store,
            running,
            database,
            barrier: Some(Arc::clone(barrier)),
        }
    }

    /// All of the certificate, newest first.
    pub async fn renewals(&self) -> Vec<Renewal> {
        self.store.renewals_of(CERTIFICATE, 100).await.unwrap()
    }

    /// The renewal that was planned in this scene last.
    pub async fn newest(&self) -> Option<Renewal> {
        let mut renewals = self.renewals().await;
        let is_planned = renewals.len() > self.fixture.former;
        is_planned.then(|| renewals.swap_remove(0))
    }

    /// Whether another administrator works on the firewall.
    pub async fn is_worked_on(&self) -> bool {
        self.count(WORKED_ON).await > 0
    }

    /// Returns when the daemon stands at its point, or has nothing to do at the time that the clock shows.
    pub async fn comes_to_rest(&mut self) -> Result<Came, String> {
        let latest = Instant::now() + PATIENCE;
        let mut quiet = 0;
        while quiet < QUIET {
            if self.stands_at_its_point().await {
                self.barrier = None;
                return Ok(Came::Point);
            }
            if self.running.has_ended() {
                return Err("the daemon has ended".to_owned());
            }
            if Instant::now() > latest {
                let renewal = self.newest().await;
                let due = self.count(DUE).await;
                return Err(format!("it comes to no rest, {due} are due: {renewal:#?}"));
            }
            let is_quiet = self.has_nothing_to_do().await;
            quiet = if is_quiet { quiet + 1 } else { 0 };
            // What is due now is not found before a turn, and what has just ended may make something due.
            if !self.is_worked_on().await {
                self.look().await;
            }
        }
        Ok(Came::Idle)
    }

    /// Moves the clock to the next attempt, or a little further.
    pub async fn lets_time_pass(&self) {
        let now = self.fixture.bed.clock.now();
        let next = self.newest().await.and_then(|it| it.next_attempt_at);
        let soon = now + SignedDuration::from_secs(1);
        self.fixture.bed.clock.set(next.unwrap_or(soon).max(soon));
        self.look().await;
    }

    /// Triggers the daemon's loop; does not wait where the daemon is stopped at its point.
    async fn look(&self) {
        let _ = tokio::time::timeout(SHORT, self.running.command(Command::Tick)).await;
    }

    async fn stands_at_its_point(&self) -> bool {
        let Some(barrier) = &self.barrier else {
            tokio::time::sleep(SHORT).await;
            return false;
        };
        let reached = barrier.wait_reached();
        tokio::time::timeout(SHORT, reached).await.is_ok()
    }

    async fn has_nothing_to_do(&self) -> bool {
        let is_started = self.count(KNOWN).await > 0;
        is_started && !self.is_worked_on().await && self.count(DUE).await == 0
    }

    async fn count(&self, statement: &'static str) -> i64 {
        let now = self.fixture.bed.clock.now().as_microsecond();
        let counted = sqlx::query_scalar(statement).bind(now);
        counted.fetch_one(&self.database).await.unwrap()
    }
}

const KNOWN: &str = "SELECT COUNT(*) FROM certificate WHERE $1 > 0";
const WORKED_ON: &str = "SELECT COUNT(*) FROM firewall WHERE lease_owner IS NOT NULL AND $1 > 0";
const DUE: &str = "SELECT COUNT(*) FROM certificate c WHERE (c.configured = 1 AND \
     (c.due_check_at <= $1 OR c.probe_at <= $1 OR c.window_poll_at <= $1)) OR EXISTS \
     (SELECT 1 FROM renewal r WHERE r.ended_at IS NULL AND r.next_attempt_at <= $1)";

/// Of real time; a renewal takes half a second.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(4);
/// So often in a row nothing was found to do.
const QUIET: usize = 3;
