//! Counts the points at which a daemon could be stopped, and stops it at one of them: after everything that a peer has
//! done, after every commit, and at every moment of a step. Knows nothing of what is done there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use renewd::renewal::{Checkpoint, Moment};
use renewd::store::CommitObserver;
use simulators::Barrier;
use tokio::sync::watch;

/// Counts every point of one daemon after the other.
#[derive(Debug)]
pub struct CrashPoints {
    life: Mutex<Life>,
    is_stopped: watch::Sender<bool>,
}

/// Where daemons are to be stopped.
#[derive(Debug, Clone, Default)]
pub enum Stop {
    #[default]
    Never,
    /// At this point, counted from 1.
    At(usize),
    /// When this moment comes for the first time.
    Moment(Moment),
    /// When it would wait for the time to pass.
    Asleep,
}

#[derive(Debug, Default)]
struct Life {
    points: Vec<String>,
    stop: Stop,
    stopped_at: Option<usize>,
    /// Where the daemon waits once, and for what.
    held: Option<(usize, Arc<Barrier>)>,
    /// What runs the daemon's loop.
    daemon: Option<tokio::task::Id>,
    /// Whether it was the daemon's own loop that came there, and not a task of it.
    is_loop_held: bool,
}

impl CrashPoints {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            life: Mutex::default(),
            is_stopped: watch::Sender::new(false),
        })
    }

    /// Restarts the count.
    pub fn begin(&self, stop: Stop) {
        *self.life() = Life {
            stop,
            ..Life::default()
        };
        self.is_stopped.send_replace(false);
    }

    /// Keeps the daemon at this point, counted from 1 since the count began, until `barrier` opens.
    pub fn hold_at(&self, number: usize, barrier: &Arc<Barrier>) {
        self.life().held = Some((number, Arc::clone(barrier)));
    }

    /// A daemon calls this before each run of its loop.
    pub fn daemon_is_here(&self) {
        self.life().daemon = tokio::task::try_id();
    }

    /// Whether the loop of the daemon stands at the gate, and hears of nothing before it opens.
    pub fn is_loop_held(&self) -> bool {
        self.life().is_loop_held
    }

    /// The points since the count began, up to the one at which a daemon was stopped.
    pub fn points(&self) -> Vec<String> {
        let life = self.life();
        let reached = life.stopped_at.unwrap_or(life.points.len());
        life.points[..reached].to_vec()
    }

    /// Stops the daemon wherever it is.
    pub fn halt(&self) {
        let mut life = self.life();
        let reached = life.points.len();
        life.stopped_at.get_or_insert(reached);
        drop(life);
        self.is_stopped.send_replace(true);
    }

    /// Whether daemons may wait.
    pub fn lets_time_pass(&self) -> bool {
        !matches!(self.life().stop, Stop::Asleep)
    }

    /// The daemon would wait now.
    pub async fn fall_asleep(&self) {
        if !self.lets_time_pass() {
            self.halt();
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the daemon stands at its point.
    pub async fn stopped(&self) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.is_stopped.subscribe().wait_for(|is| *is).await;
    }

    /// An observer of everything that a simulator does.
    pub fn of_peers(self: &Arc<Self>, name: &'static str) -> simulators::Observer {
        let crash_points = Arc::clone(self);
        simulators::Observer::new(move |deed| {
            let crash_points = Arc::clone(&crash_points);
            Box::pin(async move { crash_points.reach(format!("{name}: {deed}")).await })
        })
    }

    /// Does not return at the point where the daemon is to be stopped, nor after it.
    async fn reach(&self, point: String) {
        let barrier = {
            let mut life = self.life();
            life.points.push(point);
            life.gate_here()
        };
        if let Some(barrier) = barrier {
            barrier.hold().await;
        }
        {
            let mut life = self.life();
            if !life.is_over() {
                return;
            }
            let reached = life.points.len();
            life.stopped_at.get_or_insert(reached);
        }
        self.is_stopped.send_replace(true);
        std::future::pending::<()>().await;
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    fn gate_here(&mut self) -> Option<Arc<Barrier>> {
        let reached = self.points.len();
        let (_, barrier) = self.held.take_if(|(number, _)| *number == reached)?;
        self.is_loop_held = tokio::task::try_id() == self.daemon;
        Some(barrier)
    }

    /// Whether the daemon has come to its point, or was there before.
    fn is_over(&self) -> bool {
        let last = self.points.last().map(String::as_str);
        let is_here = match self.stop {
            Stop::Never | Stop::Asleep => false,
            Stop::At(number) => self.points.len() == number,
            Stop::Moment(moment) => last == Some(&name_of(moment)),
        };
        is_here || self.stopped_at.is_some()
    }
}

fn name_of(moment: Moment) -> String {
    format!("{moment:?}")
}

#[async_trait]
impl CommitObserver for CrashPoints {
    async fn committed(&self) {
        self.reach("commit".to_owned()).await;
    }
}

#[async_trait]
impl Checkpoint for CrashPoints {
    async fn pass(&self, moment: Moment) {
        self.reach(name_of(moment)).await;
    }
}
