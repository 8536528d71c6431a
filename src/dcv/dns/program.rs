//! Records set by an outside program, with the calling convention of lego's `exec` provider: `PROGRAM present NAME.
//! TEXT` and `PROGRAM cleanup NAME. TEXT`, and an exit status. No shell, little environment, bounded time and output.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use super::{Data, Exec, Record};
use crate::failure::{Failure, FailureKind, readable};
use crate::process_group::ProcessGroup;

/// Has the program set `record`, unless it did so since this process began: lego calls `present` once for a record, and
/// programs that were written for lego may add a second one or fail at it.
///
/// # Errors
/// As `run`.
pub(super) async fn present(hook: &Exec, record: Record, limit: Duration) -> Result<(), Failure> {
    let deed = (hook.clone(), record);
    if deeds().contains(&deed) {
        return Ok(());
    }
    run(hook, "present", &deed.1, limit).await?;
    deeds().insert(deed);
    Ok(())
}

/// Has the program take `record` away.
///
/// # Errors
/// As `run`.
pub(super) async fn clean_up(hook: &Exec, record: Record, limit: Duration) -> Result<(), Failure> {
    let deed = (hook.clone(), record);
    deeds().remove(&deed);
    run(hook, "cleanup", &deed.1, limit).await
}

/// Runs the program once.
///
/// # Errors
/// `Local`: it cannot be started. `Refused`: it ended with another status than 0, or a CNAME record is asked for.
/// `Unreachable`: it took longer than `limit`, and was killed.
async fn run(hook: &Exec, verb: &str, record: &Record, limit: Duration) -> Result<(), Failure> {
    let call = format!("{} {verb} {}.", hook.program.display(), record.name);
    let text = text(record, &call)?;
    let mut command = command(&hook.program);
    command
        .args(&hook.arguments)
        .arg(verb)
        .arg(format!("{}.", record.name))
        .arg(text);
    let mut child = command
        .spawn()
        .map_err(|error| Failure::new(FailureKind::Local, &call, error))?;
    let group = ProcessGroup::of(&child);
    let output = Output::default();
    let mut readers = output.readers(&mut child);
    let Ok(ended) = tokio::time::timeout(limit, child.wait()).await else {
        // Everything that it has started, too; then its end is near.
        drop(group);
        let _ = child.wait().await;
        let words = format!("still running after {limit:?}, killed{}", output.display());
        return Err(Failure::new(FailureKind::Unreachable, call, words));
    };
    group.let_go();
    // What it left running may hold its output open for ever.
    let all_read = async { while readers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_WORDS, all_read).await;
    match ended {
        Ok(status) if status.success() => {
            tracing::debug!(call, "the program set the record");
            Ok(())
        }
        Ok(status) => {
            let words = format!("{}{}", in_words(status), output.display());
            Err(Failure::new(FailureKind::Refused, call, words))
        }
        Err(error) => Err(Failure::new(FailureKind::Local, call, error)),
    }
}

/// Whether the program could set `record`.
pub(super) fn rehearse(hook: &Exec, record: &Record) -> Result<(), Failure> {
    let call = format!("{} present {}.", hook.program.display(), record.name);
    text(record, &call)?;
    check(hook)
}

/// The text of a TXT record: the calling convention has no other kind.
fn text<'a>(record: &'a Record, call: &str) -> Result<&'a str, Failure> {
    match &record.data {
        Data::Txt(text) => Ok(text),
        Data::Cname(_) => {
            let words = "the calling convention of `exec` has TXT records only";
            Err(Failure::new(FailureKind::Refused, call, words))
        }
    }
}

/// Whether the program is there and may be run.
pub(super) fn check(hook: &Exec) -> Result<(), Failure> {
    let wrong = |words: String| {
        let call = format!("look at {}", hook.program.display());
        Err(Failure::new(FailureKind::Local, call, words))
    };
    match std::fs::metadata(&hook.program) {
        Err(error) => wrong(error.to_string()),
        Ok(file) if !file.is_file() => wrong("this is not a file".to_owned()),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            wrong("it is not executable: chmod +x".to_owned())
        }
        Ok(_) => Ok(()),
    }
}

/// The records that each program has set and not taken away yet.
fn deeds() -> MutexGuard<'static, BTreeSet<(Exec, Record)>> {
    static DEEDS: Mutex<BTreeSet<(Exec, Record)>> = Mutex::new(BTreeSet::new());
    DEEDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(
            KEPT.iter()
                .filter_map(|name| Some((OsStr::new(*name), std::env::var_os(name)?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn in_words(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with status {code}"),
        None => format!("it was ended by {status}"),
    }
}

/// The beginning of what the program said, both streams in the order in which they were read.
#[derive(Debug, Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    /// Reads until the program closes its streams, so that it never waits for us.
    fn readers(&self, child: &mut Child) -> JoinSet<()> {
        let mut readers = JoinSet::new();
        if let Some(stream) = child.stdout.take() {
            readers.spawn(self.clone().read(stream));
        }
        if let Some(stream) = child.stderr.take() {
            readers.spawn(self.clone().read(stream));
        }
        readers
    }

    async fn read(self, mut stream: impl AsyncRead + Unpin) {
        let mut piece = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let room = KEPT_BYTES.saturating_sub(said.len());
            said.extend(piece.iter().take(length.min(room)));
        }
    }

    /// As the end of a sentence.
    fn display(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said);
        match readable(&text).as_str() {
            "" => ", and said nothing".to_owned(),
            words => format!(", and said: {words}"),
        }
    }
}

/// What the program gets of our environment; credentials may be in the rest.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];

/// Of its output.
const KEPT_BYTES: usize = 2048;

/// For output that is still on its way when it has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);
