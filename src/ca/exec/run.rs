//! Runs a program once: no shell, no inherited environment, limits on time and output. Knows nothing of what it is for.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

/// A program that came to its end.
#[derive(Debug)]
pub(super) struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    /// The last of what it wrote to stderr.
    pub stderr: Vec<u8>,
}

/// Why a program did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stopped {
    #[error("cannot be started: {0}")]
    NotStarted(std::io::Error),
    #[error("was killed: it took longer than {} s", .0.as_secs_f32())]
    TooSlow(Duration),
    #[error("was killed: it wrote more than {LARGEST_OUTPUT_BYTES} bytes")]
    TooMuch,
    #[error("lost touch with it: {0}")]
    Broken(#[from] std::io::Error),
}

/// Whether `program` is there and may be run; in words, why not.
pub(super) async fn look(program: &Path) -> Result<(), String> {
    let place = program.display();
    match tokio::fs::metadata(program).await {
        Err(error) => Err(format!("{place}: {error}")),
        Ok(file) if !file.is_file() => Err(format!("{place} is not a file")),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            Err(format!("{place} is not executable: chmod +x"))
        }
        Ok(_) => Ok(()),
    }
}

/// Runs `program` to its end. When it is given up, everything in its process group is killed.
pub(super) async fn run(
    program: &Path,
    arguments: &[String],
    environment: &[(String, String)],
    limit: Duration,
) -> Result<Finished, Stopped> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(Stopped::NotStarted)?;
    let group = Group::of(&child);
    let finished = tokio::time::timeout(limit, finish(&mut child))
        .await
        .unwrap_or(Err(Stopped::TooSlow(limit)))?;
    group.let_go();
    Ok(finished)
}

async fn finish(child: &mut Child) -> Result<Finished, Stopped> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::try_join!(whole(stdout), tail(stderr), async {
        Ok(child.wait().await?)
    })?;
    Ok(Finished {
        status,
        stdout,
        stderr,
    })
}

async fn whole(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Stopped> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(LARGEST_OUTPUT_BYTES + 1)
            .read_to_end(&mut bytes)
            .await?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST_OUTPUT_BYTES) {
        Ok(bytes)
    } else {
        Err(Stopped::TooMuch)
    }
}

async fn tail(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Stopped> {
    let mut kept = Vec::new();
    let Some(mut pipe) = pipe else {
        return Ok(kept);
    };
    while pipe.read_buf(&mut kept).await? > 0 {
        let surplus = kept.len().saturating_sub(LONGEST_COMPLAINT_BYTES);
        kept.drain(..surplus);
    }
    Ok(kept)
}

/// The processes of one run. They are killed when this is dropped, also because nobody waits for the run any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    /// Nothing is left to kill; the number may soon be another's.
    fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that they have all gone by themselves.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

const LARGEST_OUTPUT_BYTES: u64 = 1 << 20;
const LONGEST_COMPLAINT_BYTES: usize = 4096;
