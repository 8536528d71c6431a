//! The processes that a program starts, as one: they are killed together.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// The group of a child that was started with `process_group(0)`. What is left of it is killed when this is dropped, also
/// because nothing waits for the child any more.
#[derive(Debug)]
pub struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// The group of `child`, which has not been waited for.
    pub fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Kills nothing.
    pub fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that all of them have ended. The number is not another's so soon: numbers are given out in
            // their order, and only when no process of the group is left.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
