//! The files that were read and what was found in them, until both become [`ConfigError`]s.
//!
//! A finding is kept as a place and words, and shown only at the end: only then are all the places known that may
//! hold a secret, so that none is shown because it stands on the line of another mistake.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::{ConfigError, Severity};
use super::source::{FileId, Source, Sources, as_u32, printable};

/// Collects what is wrong while loading goes on.
#[derive(Debug, Default)]
pub(super) struct Diagnostics {
    sources: Sources,
    found: Vec<Diagnostic>,
}

/// Where the ranges of a parsed piece count from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub file: FileId,
    pub start: usize,
}

/// A stretch of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileSpan {
    file: FileId,
    start: u32,
    end: u32,
}

#[derive(Debug)]
struct Diagnostic {
    file: FileId,
    /// `None`: the file as a whole.
    range: Option<Range<usize>>,
    /// The text could not be parsed, so that the place of a secret is unknown: show no value at all.
    guarded: bool,
    severity: Severity,
    message: String,
    hint: Option<String>,
}

impl Diagnostics {
    /// What will be found in the files after the first `files`.
    pub fn after(files: u32) -> Self {
        Self {
            sources: Sources::after(files),
            found: Vec::new(),
        }
    }

    /// How many files there are.
    pub fn files(&self) -> u32 {
        self.sources.next()
    }

    /// Adds what was found in the files after these, and in pieces of these.
    pub fn append(&mut self, others: Self) {
        self.sources.append(others.sources);
        self.found.extend(others.found);
    }

    /// Registers a file.
    pub fn add_file(&mut self, path: Arc<Path>, text: Arc<String>) -> FileId {
        self.sources.add(path, text)
    }

    /// A file was read to its end.
    pub fn end_of_file(&mut self, file: FileId) {
        self.sources.end(file);
    }

    /// Never shows what stands at `place`.
    pub fn hide(&mut self, place: FileSpan) {
        self.sources.hide(place.file, place.range());
    }

    /// Something that keeps the configuration from being used.
    pub fn error(&mut self, place: FileSpan, message: impl Into<String>, hint: Option<String>) {
        self.add(place, Severity::Error, message.into(), hint);
    }

    /// Something that is probably not as intended.
    pub fn warning(&mut self, place: FileSpan, message: impl Into<String>, hint: Option<String>) {
        self.add(place, Severity::Warning, message.into(), hint);
    }

    /// Text that is not TOML.
    pub fn syntax_error(
        &mut self,
        place: FileSpan,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.add(place, Severity::Error, message.into(), hint);
        if let Some(last) = self.found.last_mut() {
            last.guarded = true;
        }
    }

    /// Something about a file as a whole.
    pub fn file_problem(&mut self, file: FileId, severity: Severity, message: String, hint: &str) {
        self.found.push(Diagnostic {
            file,
            range: None,
            guarded: false,
            severity,
            message,
            hint: Some(hint.to_owned()),
        });
    }

    /// Whether anything keeps the configuration from being used.
    pub fn any_error(&self) -> bool {
        let is_error = |diagnostic: &Diagnostic| diagnostic.severity == Severity::Error;
        self.found.iter().any(is_error)
    }

    /// Whether a mistake was found in `range` of the piece that is being read.
    pub fn any_error_in(&self, origin: Origin, range: &Range<usize>) -> bool {
        let is_within = |place: &Range<usize>| {
            place.start < origin.start.saturating_add(range.end)
                && place.end > origin.start + range.start
        };
        // What was found in this piece was found last.
        self.found
            .iter()
            .rev()
            .take_while(|diagnostic| {
                diagnostic.file == origin.file && diagnostic.starts_at() >= origin.start
            })
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .any(|diagnostic| diagnostic.range.as_ref().is_some_and(is_within))
    }

    /// `renewd.toml:12`, for a hint that points elsewhere.
    pub fn describe(&self, place: FileSpan) -> String {
        self.sources
            .get(place.file)
            .map_or_else(String::new, |source| {
                let (line, _) = source.position(place.start as usize);
                format!("{}:{line}", source.path.display())
            })
    }

    /// Everything that was found, by file and line.
    pub fn into_errors(mut self) -> Vec<ConfigError> {
        self.found.sort_by_key(|diagnostic| {
            (
                diagnostic.file,
                diagnostic.range.as_ref().map(|range| range.start),
            )
        });
        self.drop_echoes();
        self.sources.sort_hidden();
        let shown =
            |diagnostic: &Diagnostic| Some(diagnostic.show(&self.sources.get(diagnostic.file)?));
        self.found.iter().filter_map(shown).collect()
    }

    /// On a line that is not TOML, what else was found is an echo of that.
    fn drop_echoes(&mut self) {
        let torn: HashSet<_> = self
            .found
            .iter()
            .filter(|diagnostic| diagnostic.guarded)
            .filter_map(|diagnostic| self.line_of(diagnostic))
            .collect();
        let mut found = std::mem::take(&mut self.found);
        found.retain(|diagnostic| {
            diagnostic.guarded
                || self
                    .line_of(diagnostic)
                    .is_none_or(|line| !torn.contains(&line))
        });
        self.found = found;
    }

    fn line_of(&self, diagnostic: &Diagnostic) -> Option<(FileId, usize)> {
        let (line, _) = self
            .sources
            .get(diagnostic.file)?
            .position(diagnostic.range.as_ref()?.start);
        Some((diagnostic.file, line))
    }

    fn add(&mut self, place: FileSpan, severity: Severity, message: String, hint: Option<String>) {
        self.found.push(Diagnostic {
            file: place.file,
            range: Some(place.range()),
            guarded: false,
            severity,
            message,
            hint,
        });
    }
}

impl Diagnostic {
    fn starts_at(&self) -> usize {
        self.range.as_ref().map_or(0, |range| range.start)
    }

    fn show(&self, source: &Source<'_>) -> ConfigError {
        let mut error = ConfigError {
            file: source.path.to_owned(),
            line: 0,
            column: 0,
            severity: self.severity,
            offending: None,
            message: printable(&self.message),
            hint: self.hint.as_deref().map(printable),
            excerpt: None,
        };
        if let Some(range) = &self.range {
            (error.line, error.column) = source.position(range.start);
            error.excerpt = Some(if self.guarded {
                source.guarded_excerpt(range.start)
            } else {
                error.offending = source.offending(range);
                source.excerpt(range)
            });
        }
        error
    }
}

impl Origin {
    /// The place of a range.
    pub fn place(self, range: &Range<usize>) -> FileSpan {
        FileSpan {
            file: self.file,
            start: as_u32(self.start + range.start),
            end: as_u32(self.start + range.end),
        }
    }
}

impl FileSpan {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}
