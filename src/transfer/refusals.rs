//! What was refused: in bounded words for the failure of a transfer, and in a bounded number of lines for the log.

use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::failure::readable;

/// What was refused while one transfer was open.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<RefusalCounts>);

/// How many lines of refused attempts a listener may write, so that a port scan does not fill the log.
#[derive(Debug)]
pub(super) struct LogQuota {
    since: Instant,
    written: u32,
    /// Since the last line.
    unwritten: u64,
}

#[derive(Debug, Default)]
struct RefusalCounts {
    kinds: Vec<(String, u32)>,
    others: u32,
}

impl Refusals {
    /// Counts one.
    pub fn note(&self, what: &str) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, times)) = seen.kinds.iter_mut().find(|(kind, _)| kind == what) {
            *times = times.saturating_add(1);
        } else if seen.kinds.len() < KINDS {
            seen.kinds.push((what.to_owned(), 1));
        } else {
            seen.others = seen.others.saturating_add(1);
        }
    }
}

impl Refusals {
    /// All of it in words; `None` when there was none.
    pub fn summary(&self) -> Option<String> {
        let is_empty = {
            let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.kinds.is_empty()
        };
        (!is_empty).then(|| self.to_string())
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.kinds.is_empty() {
            return f.write_str("nothing was refused");
        }
        f.write_str("refused meanwhile: ")?;
        for (position, (kind, times)) in seen.kinds.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            f.write_str(kind)?;
            if *times > 1 {
                write!(f, " ({times} times)")?;
            }
        }
        if seen.others > 0 {
            write!(f, ", and {} others", seen.others)?;
        }
        Ok(())
    }
}

impl LogQuota {
    /// A full one.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            written: 0,
            unwritten: 0,
        }
    }

    /// Whether a line may be written now; if so, how many were not since the last.
    pub fn take(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= QUOTA_PERIOD {
            self.since = now;
            self.written = 0;
        }
        if self.written >= QUOTA_LINES {
            self.unwritten += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.unwritten))
    }

    /// How many were not logged.
    pub fn unwritten(&self) -> u64 {
        self.unwritten
    }
}

/// Text from an unauthenticated client, in quotes and of bounded length.
pub(super) fn quoted(words: &str) -> String {
    let line = readable(words);
    let mut text: String = line.chars().take(LONGEST_QUOTE).collect();
    if line.chars().nth(LONGEST_QUOTE).is_some() {
        text.push('…');
    }
    let mut quoted = String::new();
    // Writing to a String cannot fail.
    let _ = write!(quoted, "{text:?}");
    quoted
}

/// Different refusals that are listed in words.
const KINDS: usize = 6;

/// Lines of a listener in each period.
const QUOTA_LINES: u32 = 20;
const QUOTA_PERIOD: Duration = Duration::from_mins(1);

/// Characters of an unauthenticated client's text.
const LONGEST_QUOTE: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_and_listed_in_bounded_text() {
        let refusals = Refusals::default();
        assert_eq!(refusals.to_string(), "nothing was refused");
        for _ in 0..2 {
            refusals.note("a connection from 192.0.2.9");
        }
        refusals.note("a file called \"x.txt\"");
        assert_eq!(
            refusals.to_string(),
            "refused meanwhile: a connection from 192.0.2.9 (2 times), a file called \"x.txt\""
        );
        for number in 0..1000 {
            refusals.note(&format!("file {number}"));
        }
        assert!(
            refusals.to_string().ends_with(", and 996 others"),
            "{refusals}"
        );
    }

    #[test]
    fn a_flood_writes_few_lines_and_is_counted() {
        let start = Instant::now();
        let mut quota = LogQuota::new(start);
        let written = (0..1000).filter(|_| quota.take(start).is_some()).count();
        assert_eq!(written, 20);
        assert_eq!(quota.unwritten(), 980);
        assert_eq!(quota.take(start + QUOTA_PERIOD), Some(980));
        assert_eq!(quota.unwritten(), 0);
    }

    #[test]
    fn an_unauthenticated_client_cannot_inject_text_into_the_log() {
        assert_eq!(quoted("a\n\u{1b}[2Jb\"c"), "\"a [2Jb\\\"c\"");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), LONGEST_QUOTE + 3);
    }
}
