//! The command line over SSH, the last resort for devices whose API lacks a call (SonicOS reference 6.12).
//!
//! The host key is pinned, the password is offered once, and nothing of another administrator's is committed,
//! discarded or pushed aside.

mod answer;
mod dialogue;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod output_filter;
mod prompt;
mod redactor;
mod ssh;
mod terminal;
#[cfg(test)]
mod tests;

use std::fmt;

use super::{CommandLine, Settings};
use crate::failure::Failure;
use crate::secret::Secret;

use dialogue::{Dialogue, Limits};
use ssh::Connection;
use terminal::Terminal;

/// A session on the command line. It must be closed, or the device keeps it until its idle timeout.
pub struct Console {
    dialogue: Dialogue,
    connection: Connection,
    preempt: Preempt,
    idle_may_be_preempted: bool,
    name: String,
}

/// Which session may lose configuration mode. Before a caller asks for more than `Never`, it has checked through the
/// API that no administrator has uncommitted changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preempt {
    /// No session loses it.
    #[default]
    Never,
    /// An administrator without uncommitted changes, where the settings allow it.
    Idle,
    /// Our own session of the API: it enters configuration mode by logging in on some devices
    /// (SonicOS reference 1.2), and is not idle but we.
    OwnSession,
}

impl Console {
    /// Connects and logs in. After a failure there is no session left.
    ///
    /// # Errors
    /// `Untrusted` before any credential is sent, with the fingerprint that was shown; `Unauthorized` after one failed
    /// login.
    pub async fn open(
        settings: &Settings,
        command_line: &CommandLine,
        password: &Secret,
    ) -> Result<Self, Failure> {
        let name = format!("ssh {}", command_line.address);
        let (connection, line, said) =
            Connection::open(settings, command_line, password, &name).await?;
        let limits = Limits {
            call: settings.call_timeout,
            transfer: settings.transfer_timeout,
        };
        let terminal = Terminal::new(line, said);
        let mut dialogue = Dialogue::new(terminal, name.clone(), &settings.user, limits);
        if let Err(failure) = dialogue.enter(password).await {
            connection.hang_up().await;
            return Err(failure);
        }
        Ok(Self {
            dialogue,
            connection,
            preempt: Preempt::Never,
            idle_may_be_preempted: settings.preempt_idle_administrator,
            name,
        })
    }

    /// Which session may lose configuration mode from here on. The default is `Never`.
    pub fn preempt(&mut self, preempt: Preempt) {
        self.preempt = match preempt {
            Preempt::Idle if !self.idle_may_be_preempted => Preempt::Never,
            preempt => preempt,
        };
    }

    /// Types lines in configuration mode. Gives back what the device said to them, without echo, prompts and secrets.
    /// What needs a commit is committed by a line that says so, or given up by [`Self::close`].
    ///
    /// # Errors
    /// `Refused` with the device's words at the first line that it refuses; the lines behind it are not typed. `Busy`
    /// while another administrator has configuration mode or uncommitted changes. `OutcomeUnknown` when the session
    /// is lost after a line that changes something.
    pub async fn run(&mut self, lines: &[String]) -> Result<String, Failure> {
        self.dialogue.run(lines, self.preempt).await
    }

    /// Types a read-only line, without configuration mode. Gives back what [`Self::run`] does.
    ///
    /// # Errors
    /// `Refused` with the device's words; `Busy` where the device shows nothing outside of configuration mode.
    pub async fn query(&mut self, line: &str) -> Result<String, Failure> {
        self.dialogue.query(line).await
    }

    /// Gives back configuration mode and logs out. Call it on every path.
    ///
    /// # Errors
    /// `Busy` when another administrator has uncommitted changes, which are left as they are.
    pub async fn close(mut self) -> Result<(), Failure> {
        let left = self.dialogue.leave().await;
        self.connection.hang_up().await;
        left
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Console({})", self.name)
    }
}

impl Preempt {
    /// Whether `holder`, in the device's words, may lose configuration mode; `user` is we.
    fn takes_from(self, holder: &str, user: &str) -> bool {
        match self {
            Self::Never => false,
            Self::Idle => true,
            // The caller knows that it is ours; the device's words may name another session.
            Self::OwnSession => {
                let names_a_holder = holder.contains(" at ") || holder.contains(" from ");
                let is_us = holder.split_whitespace().next() == Some(user);
                !names_a_holder || (is_us && holder.contains("API"))
            }
        }
    }
}
