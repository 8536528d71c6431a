//! The moments of a step at which a crash hurts differently. The daemon passes through them; a test may stop there.

use std::fmt::Debug;

use async_trait::async_trait;

use super::state::Step;
use crate::inventory::State;
use crate::store::CommitObserver;

/// A moment in the life of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Moment {
    /// The step is about to begin; nothing was done.
    Before(Step),
    /// The intent is stored; the effect has not happened.
    Intended(Step),
    /// The effect has happened; nothing of it is stored.
    Acted(Step),
    /// Everything that leads to this state is done; it is about to be stored.
    Storing(State),
    /// The new state is stored.
    Stored(State),
}

/// An observer of every moment and of every commit. One that does not return stops the daemon there: a task that is
/// dropped then has done nothing more.
#[async_trait]
pub trait Checkpoint: CommitObserver {
    /// Called when `moment` is reached.
    async fn pass(&self, moment: Moment);
}

/// Lets everything pass.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCheckpoint;

impl CommitObserver for NoCheckpoint {}

#[async_trait]
impl Checkpoint for NoCheckpoint {
    async fn pass(&self, _moment: Moment) {}
}
