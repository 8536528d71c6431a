//! Runs a program once: no shell, no inherited environment, limits on time and output. Independent of the program's
//! purpose.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::body;
use crate::process_group::ProcessGroup;

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
    #[error("wrote more values than any answer holds")]
    TooDense,
    #[error("lost the connection to it: {0}")]
    Broken(#[from] std::io::Error),
}

/// Whether `program` is there and may be run; in words, why not.
pub(super) async fn check(program: &Path) -> Result<(), String> {
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

/// Runs `program` to its end. Its output ends with it: what it leaves running with its output gets a moment to finish a
/// line. Then, and when it is given up, everything in its process group is killed.
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
    let _group = ProcessGroup::of(&child);
    tokio::time::timeout(limit, finish(&mut child))
        .await
        .unwrap_or(Err(Stopped::TooSlow(limit)))
}

async fn finish(child: &mut Child) -> Result<Finished, Stopped> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let pipes = (child.stdout.take(), child.stderr.take());
    let status = {
        let reading =
            async { tokio::try_join!(whole(pipes.0, &mut stdout), tail(pipes.1, &mut stderr)) };
        tokio::pin!(reading);
        let mut is_read = false;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                read = &mut reading, if !is_read => {
                    read?;
                    is_read = true;
                }
            }
        };
        if !is_read && let Ok(read) = tokio::time::timeout(GRACE, reading).await {
            read?;
        }
        status
    };
    if body::weight(&stdout) > MOST_WEIGHT {
        return Err(Stopped::TooDense);
    }
    Ok(Finished {
        status,
        stdout,
        stderr,
    })
}

async fn whole(pipe: Option<impl AsyncRead + Unpin>, bytes: &mut Vec<u8>) -> Result<(), Stopped> {
    if let Some(pipe) = pipe {
        pipe.take(LARGEST_OUTPUT_BYTES + 1)
            .read_to_end(bytes)
            .await?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= LARGEST_OUTPUT_BYTES) {
        Ok(())
    } else {
        Err(Stopped::TooMuch)
    }
}

async fn tail(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), Stopped> {
    let Some(mut pipe) = pipe else {
        return Ok(());
    };
    while pipe.read_buf(kept).await? > 0 {
        let surplus = kept.len().saturating_sub(LONGEST_COMPLAINT_BYTES);
        kept.drain(..surplus);
    }
    Ok(())
}

/// For output that is under way when the program has ended.
const GRACE: Duration = Duration::from_secs(1);
/// As [`body::weight`] measures it.
const MOST_WEIGHT: usize = 4 << 20;
const LARGEST_OUTPUT_BYTES: u64 = 1 << 20;
const LONGEST_COMPLAINT_BYTES: usize = 4096;
