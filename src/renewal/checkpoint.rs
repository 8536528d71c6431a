//! The moments of a step at which a crash hurts differently. The daemon passes through them; a test may stop there.

use std::fmt::Debug;

use super::state::Step;
use crate::inventory::State;

/// A moment in the life of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The step is about to begin; nothing was done.
    Before(Step),
    /// The intent is stored; the effect has not happened.
    Intended(Step),
    /// The effect has happened; nothing of it is stored.
    Acted(Step),
    /// The new state is stored.
    Stored(State),
}

/// Somebody who is told of every moment.
pub trait Checkpoint: Debug + Send + Sync {
    /// Called when `moment` is reached.
    fn pass(&self, moment: Moment);
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCheckpoint;

impl Checkpoint for NoCheckpoint {
    fn pass(&self, _moment: Moment) {}
}
