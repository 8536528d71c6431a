//! Where the log goes: the journal's own fields under systemd, readable text on a terminal, JSON lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::sanitize::{escaped_json, is_unsafe};

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// The journal when stderr is connected to it, text on a terminal, else JSON lines.
    #[default]
    Auto,
    /// Text for operators.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged, which can be changed while it is.
#[derive(Debug, Clone)]
pub struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    /// From here on logs what `filter` says.
    ///
    /// # Errors
    /// When `filter` cannot be read.
    pub fn change(&self, filter: &str) -> Result<(), String> {
        let changed = self.0.reload(self::filter(filter)?);
        changed.map_err(|error| format!("the log filter cannot be changed: {error}"))
    }
}

/// Starts logging to stderr or the journal. `filter` is a `tracing` filter such as `info` or `renewd=debug`.
///
/// # Errors
/// When `filter` cannot be read.
pub fn start(filter: &str, format: LogFormat) -> Result<Log, String> {
    let (filter, handle) = reload::Layer::new(self::filter(filter)?);
    let output: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Auto if is_journal() => match tracing_journald::layer() {
            Ok(journal) => Box::new(journal.with_field_prefix(None)),
            Err(_) => json(),
        },
        LogFormat::Auto if io::stderr().is_terminal() => text(),
        LogFormat::Auto | LogFormat::Json => json(),
        LogFormat::Text => text(),
    };
    // A second start, as in tests, keeps the first subscriber.
    drop(
        Registry::default()
            .with(output.with_filter(filter))
            .try_init(),
    );
    Ok(Log(handle))
}

/// What is logged when an operator asks for `filter`.
///
/// # Errors
/// When `filter` cannot be read.
pub fn filter(filter: &str) -> Result<EnvFilter, String> {
    // Libraries may log at most warnings: their `info` lines are of no use to an operator.
    // Any client that reaches a port could write unlimited lines through the SSH library; renewd logs refusals itself.
    // The cookie store logs the cookies themselves, and a cookie gives access to a session.
    let quiet = "tokio_cron_scheduler=warn,sqlx=warn,hyper=warn,reqwest=warn,rustls=warn,h2=warn,cookie_store=off,\
                 russh=off";
    EnvFilter::builder()
        .parse(format!("{quiet},{filter}"))
        .map_err(|error| format!("the log filter `{filter}` cannot be read: {error}"))
}

fn json() -> Box<dyn Layer<Registry> + Send + Sync> {
    Box::new(
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(|| Cleaned(json_line)),
    )
}

fn text() -> Box<dyn Layer<Registry> + Send + Sync> {
    let is_colourful = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    Box::new(
        fmt::layer()
            .with_target(false)
            .with_ansi(is_colourful)
            .with_writer(move || {
                Cleaned(if is_colourful {
                    coloured_line
                } else {
                    plain_line
                })
            }),
    )
}

/// Writes lines of the log to stderr, without characters that deceive a reader. The formatter hands over a
/// whole line at a time.
struct Cleaned(fn(&str) -> String);

impl Write for Cleaned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all((self.0)(&line).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn json_line(line: &str) -> String {
    escaped_json(line).into_owned()
}

fn plain_line(line: &str) -> String {
    visible(line, |_| false)
}

/// The formatter colours with escape sequences of its own, and shows those in messages as text.
fn coloured_line(line: &str) -> String {
    visible(line, |character| character == '\u{1b}')
}

fn visible(line: &str, is_ours: fn(char) -> bool) -> String {
    let content = line.strip_suffix('\n').unwrap_or(line);
    let shown = content.chars().map(|character| match character {
        '\n' | '\r' | '\t' => ' ',
        character if is_unsafe(character) && !is_ours(character) => char::REPLACEMENT_CHARACTER,
        character => character,
    });
    let end = line.get(content.len()..).unwrap_or_default();
    shown.chain(end.chars()).collect()
}

/// Whether stderr is the journal: systemd names its device and inode in `JOURNAL_STREAM` (systemd.exec(5)).
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    stream == format!("{}:{}", stderr.dev(), stderr.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_stays_one_line_and_shows_what_would_deceive() {
        let line = "said a\nb\u{202e}c\u{1b}[2J\u{9b}d\n";
        assert_eq!(plain_line(line), "said a b\u{fffd}c\u{fffd}[2J\u{fffd}d\n");
        assert_eq!(
            coloured_line("\u{1b}[32mINFO\u{1b}[0m \u{2028}\n"),
            "\u{1b}[32mINFO\u{1b}[0m \u{fffd}\n"
        );
        assert_eq!(json_line("{\"a\":\"\u{202e}\"}\n"), "{\"a\":\"\\u202e\"}\n");
    }
}
