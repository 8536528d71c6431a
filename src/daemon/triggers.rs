//! The sources of commands for the loop: cron ticks, signals, and notifications of other daemons. A command contains no
//! data; the loop reads the database.

use std::fmt;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio_cron_scheduler::{Job, JobScheduler};

use super::{Command, DaemonError};
use crate::store::{Notifications, Store};

/// Keeps the ticks going while it lives.
pub struct Ticks(JobScheduler);

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticks").finish_non_exhaustive()
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        let mut jobs = self.0.clone();
        tokio::spawn(async move { drop(jobs.shutdown().await) });
    }
}

/// Starts the tick of the cron expression `scan`, in UTC.
///
/// A tick may come late, twice or never (the scheduler drops those missed while down). Nothing depends on it: the loop
/// also wakes by itself.
pub async fn cron(scan: &str, command_sender: Sender<Command>) -> Result<Ticks, DaemonError> {
    let failed = |error| {
        DaemonError::System(format!(
            "the scan schedule `{scan}` cannot be started: {error}"
        ))
    };
    let jobs = JobScheduler::new().await.map_err(failed)?;
    for (schedule, meaning) in [(scan, Command::Tick), (MAINTENANCE, Command::Maintain)] {
        let command_sender = command_sender.clone();
        let job = Job::new(schedule, move |_, _| {
            // A full channel already holds what will wake the loop.
            let _ = command_sender.try_send(meaning);
        });
        jobs.add(job.map_err(failed)?).await.map_err(failed)?;
    }
    jobs.start().await.map_err(failed)?;
    Ok(Ticks(jobs))
}

/// Listens for notifications of other daemons on the same database, as long as the task lives; with a database file
/// there are none. The loop's own schedule finds what a missed notification announced.
pub fn notifications(
    store: &Store,
    owner: &str,
    command_sender: Sender<Command>,
) -> JoinHandle<()> {
    let (store, owner) = (store.clone(), owner.to_owned());
    tokio::spawn(async move {
        loop {
            match store.listen(&owner).await {
                Ok(None) => return,
                Ok(Some(notifications)) => pass_on(notifications, &command_sender).await,
                Err(error) => tracing::debug!(%error, "nothing is heard of other daemons for now"),
            }
            if command_sender.is_closed() {
                return;
            }
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    })
}

/// Sends a command at each notification, until the connection breaks.
async fn pass_on(mut notifications: Notifications, command_sender: &Sender<Command>) {
    // A notification may have been missed while there was no connection.
    let _ = command_sender.try_send(Command::Tick);
    while notifications.next().await.is_ok() {
        // A full channel already holds what will wake the loop.
        let _ = command_sender.try_send(Command::Tick);
        // Several notifications at once cause one turn.
        tokio::time::sleep(TOGETHER).await;
    }
}

/// Turns signals into commands: SIGHUP reloads, SIGTERM and SIGINT stop.
pub fn signals(command_sender: &Sender<Command>) -> Result<(), DaemonError> {
    for (kind, meaning) in [
        (SignalKind::hangup(), Command::Reload),
        (SignalKind::terminate(), Command::Shutdown),
        (SignalKind::interrupt(), Command::Shutdown),
    ] {
        let mut signals = signal(kind)
            .map_err(|error| DaemonError::System(format!("signals cannot be received: {error}")))?;
        let command_sender = command_sender.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if command_sender.send(meaning).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

const LISTEN_AGAIN: Duration = Duration::from_secs(5);
const TOGETHER: Duration = Duration::from_millis(200);
/// At a quiet hour, UTC.
const MAINTENANCE: &str = "0 17 3 * * *";
