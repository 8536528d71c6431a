//! Runs a simulator by hand: it prints its address and credentials, then one line per request, until a signal.

use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::time::Duration;

use simulators::switch::ByName;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Prints new journal lines until Ctrl-C or SIGTERM.
pub(crate) async fn until_a_signal(
    mut signals: Signals,
    journal: impl Fn() -> Vec<String>,
) -> Result<(), String> {
    let mut printed = 0;
    let mut look = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = look.tick() => printed += print_journal(&journal(), printed)?,
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
        }
    }
    print_journal(&journal(), printed)?;
    Ok(())
}

fn print_journal(journal: &[String], printed: usize) -> Result<usize, String> {
    let fresh = journal.get(printed..).unwrap_or_default();
    for line in fresh {
        say(line)?;
    }
    Ok(fresh.len())
}

/// `println!` would panic when the reader has gone. That is not an error here.
pub(crate) fn say(line: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write to stdout: {error}"))
        }
        _ => Ok(()),
    }
}

/// Prints every switch and its meaning.
pub(crate) fn list_variants<F: ByName>() -> Result<(), String> {
    F::descriptions()
        .iter()
        .try_for_each(|(name, meaning)| say(&format!("{name:<36} {meaning}")))
}

/// A secret from a file, or from the command line, where every user of the machine can read it.
pub(crate) fn secret(given: Option<&str>, file: Option<&Path>) -> Result<String, String> {
    let Some(path) = file else {
        return Ok(given.unwrap_or_default().to_owned());
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reads `name=value`.
pub(crate) fn name_and_value(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The signals that end a simulator.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// Listens from now on, so that a signal during the start is not lost.
pub(crate) fn signals() -> Result<Signals, String> {
    let listen = |kind| signal(kind).map_err(|error| format!("cannot listen for signals: {error}"));
    Ok(Signals {
        interrupt: listen(SignalKind::interrupt())?,
        terminate: listen(SignalKind::terminate())?,
    })
}
