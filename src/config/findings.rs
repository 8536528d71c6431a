//! The files that were read and what was found in them, until both become [`Mistake`]s.
//!
//! A finding is kept as a place and words, and shown only at the end: only then are all the places known that may
//! hold a secret, so that none is shown because it stands on the line of another mistake.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mistake::{Excerpt, Mistake, Severity};

/// Collects what is wrong while loading goes on.
#[derive(Debug, Default)]
pub(super) struct Findings {
    sources: Vec<Source>,
    found: Vec<Finding>,
}

/// One file that was read.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: Arc<String>,
    /// Where each line starts.
    lines: Vec<u32>,
    /// Byte ranges that are never shown.
    hidden: Vec<Range<usize>>,
}

/// The number of a file in [`Findings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(u32);

/// Where the ranges of a parsed piece count from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub file: FileId,
    pub start: usize,
}

/// A stretch of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    file: FileId,
    start: u32,
    end: u32,
}

#[derive(Debug)]
struct Finding {
    file: FileId,
    /// `None`: the file as a whole.
    range: Option<Range<usize>>,
    /// The text could not be taken apart, so that nobody knows where a secret is: show no value at all.
    guarded: bool,
    severity: Severity,
    message: String,
    hint: Option<String>,
}

impl Findings {
    /// Registers a file.
    pub fn add_file(&mut self, path: &Path, text: String) -> FileId {
        let newlines = text.match_indices('\n').map(|(at, _)| as_u32(at + 1));
        self.sources.push(Source {
            path: path.to_owned(),
            lines: std::iter::once(0).chain(newlines).collect(),
            text: Arc::new(text),
            hidden: Vec::new(),
        });
        FileId(as_u32(self.sources.len() - 1))
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> Arc<String> {
        self.source(file)
            .map_or_else(Arc::default, |source| source.text.clone())
    }

    /// Never shows what stands at `place`.
    pub fn hide(&mut self, place: Place) {
        if let Some(source) = self.sources.get_mut(place.file.0 as usize) {
            source.hidden.push(place.range());
        }
    }

    /// Something that keeps the configuration from being used.
    pub fn error(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.add(place, Severity::Error, message.into(), hint);
    }

    /// Something that is probably not as intended.
    pub fn warning(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.add(place, Severity::Warning, message.into(), hint);
    }

    /// Text that is not TOML.
    pub fn syntax_error(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        self.add(place, Severity::Error, message.into(), hint);
        if let Some(last) = self.found.last_mut() {
            last.guarded = true;
        }
    }

    /// Something about a file as a whole.
    pub fn file_problem(&mut self, file: FileId, severity: Severity, message: String, hint: &str) {
        self.found.push(Finding {
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
        let is_error = |finding: &Finding| finding.severity == Severity::Error;
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
            .take_while(|finding| {
                finding.file == origin.file && finding.starts_at() >= origin.start
            })
            .filter(|finding| finding.severity == Severity::Error)
            .any(|finding| finding.range.as_ref().is_some_and(is_within))
    }

    /// `renewd.toml:12`, for a hint that points elsewhere.
    pub fn describe(&self, place: Place) -> String {
        self.source(place.file).map_or_else(String::new, |source| {
            let (line, _) = source.position(place.start as usize);
            format!("{}:{line}", source.path.display())
        })
    }

    /// Everything that was found, by file and line.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        self.found.sort_by_key(|finding| {
            (
                finding.file,
                finding.range.as_ref().map(|range| range.start),
            )
        });
        self.drop_echoes();
        self.sources.iter_mut().for_each(Source::sort_hidden);
        let shown = |finding: &Finding| Some(self.source(finding.file)?.show(finding));
        self.found.iter().filter_map(shown).collect()
    }

    /// On a line that is not TOML, what else was found is an echo of that.
    fn drop_echoes(&mut self) {
        let torn: HashSet<_> = self
            .found
            .iter()
            .filter(|finding| finding.guarded)
            .filter_map(|finding| self.line_of(finding))
            .collect();
        let mut found = std::mem::take(&mut self.found);
        found.retain(|finding| {
            finding.guarded
                || self
                    .line_of(finding)
                    .is_none_or(|line| !torn.contains(&line))
        });
        self.found = found;
    }

    fn line_of(&self, finding: &Finding) -> Option<(FileId, usize)> {
        let (line, _) = self
            .source(finding.file)?
            .position(finding.range.as_ref()?.start);
        Some((finding.file, line))
    }

    fn add(&mut self, place: Place, severity: Severity, message: String, hint: Option<String>) {
        self.found.push(Finding {
            file: place.file,
            range: Some(place.range()),
            guarded: false,
            severity,
            message,
            hint,
        });
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.sources.get(file.0 as usize)
    }
}

impl Finding {
    fn starts_at(&self) -> usize {
        self.range.as_ref().map_or(0, |range| range.start)
    }
}

impl Origin {
    /// The place of a range.
    pub fn place(self, range: &Range<usize>) -> Place {
        Place {
            file: self.file,
            start: as_u32(self.start + range.start),
            end: as_u32(self.start + range.end),
        }
    }
}

impl Place {
    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Source {
    fn show(&self, finding: &Finding) -> Mistake {
        let mut mistake = Mistake {
            file: self.path.clone(),
            line: 0,
            column: 0,
            severity: finding.severity,
            offending: None,
            message: printable(&finding.message),
            hint: finding.hint.as_deref().map(printable),
            excerpt: None,
        };
        if let Some(range) = &finding.range {
            (mistake.line, mistake.column) = self.position(range.start);
            mistake.excerpt = Some(if finding.guarded {
                self.guarded_excerpt(range.start)
            } else {
                mistake.offending = self.offending(range);
                self.excerpt(range)
            });
        }
        mistake
    }

    /// Line and column of a byte, both from 1, the column in characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start as usize <= at);
        let start = self.line_start(line);
        let before = self.text.get(start..self.text.floor_char_boundary(at));
        (line, before.map_or(0, |text| text.chars().count()) + 1)
    }

    fn line_start(&self, line: usize) -> usize {
        let start = line.checked_sub(1).and_then(|line| self.lines.get(line));
        start.map_or(0, |start| *start as usize)
    }

    fn line_around(&self, at: usize) -> Range<usize> {
        let start = self.line_start(self.position(at).0);
        let rest = self.text.get(start..).unwrap_or_default();
        start..start + rest.find('\n').unwrap_or(rest.len())
    }

    /// Puts the hidden ranges in order and makes one of those that touch.
    fn sort_hidden(&mut self) {
        self.hidden.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(self.hidden.len());
        for range in self.hidden.drain(..) {
            match merged.last_mut().filter(|last| range.start <= last.end) {
                Some(last) => last.end = last.end.max(range.end),
                None => merged.push(range),
            }
        }
        self.hidden = merged;
    }

    /// The hidden ranges that `range` touches.
    fn hidden_in(&self, range: &Range<usize>) -> &[Range<usize>] {
        let start = self
            .hidden
            .partition_point(|hidden| hidden.end <= range.start);
        let rest = self.hidden.get(start..).unwrap_or_default();
        let length = rest.partition_point(|hidden| hidden.start < range.end);
        rest.get(..length).unwrap_or_default()
    }

    fn offending(&self, range: &Range<usize>) -> Option<String> {
        let visible = self.hidden_in(range).is_empty();
        let text = self.text.get(range.clone()).filter(|_| visible)?;
        let first_line = text.lines().next()?;
        Some(printable(first_line).chars().take(LONGEST_TEXT).collect())
    }

    /// The line in which `range` starts, every hidden piece of it replaced by one sign.
    fn excerpt(&self, range: &Range<usize>) -> Excerpt {
        let line = self.line_around(range.start);
        let hidden = self.hidden_in(&line);
        let covering = |at: usize| hidden.iter().position(|hidden| hidden.contains(&at));
        let marked = range.start..range.end.max(range.start + 1);
        let (mut shown, mut indent, mut width) = (String::new(), 0, 0);
        let mut last = None;
        for (at, character) in self
            .text
            .get(line.clone())
            .unwrap_or_default()
            .char_indices()
        {
            let at = line.start + at;
            let cover = covering(at);
            if cover.is_some() && cover == last {
                continue;
            }
            last = cover;
            shown.push(if cover.is_some() {
                HIDDEN
            } else {
                visible(character)
            });
            // One sign stands for a whole hidden piece: it is marked when any of that piece is.
            let end = cover
                .and_then(|cover| hidden.get(cover))
                .map_or(at + 1, |hidden| hidden.end);
            if end <= marked.start {
                indent += 1;
            } else if at < marked.end {
                width += 1;
            }
        }
        Excerpt::new(&shown, indent, width)
    }

    /// The line at `at` where the text could not be taken apart: its key or header when it is a plain one, no value.
    fn guarded_excerpt(&self, at: usize) -> Excerpt {
        let range = self.line_around(at);
        let line = self.text.get(range).unwrap_or_default();
        let key = line.split('=').next().unwrap_or_default();
        let is_plain = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-. []".contains(c))
        };
        let shown = if line.contains('=') && is_plain(key) && super::schema::is_key(key) {
            format!("{key}= {HIDDEN}")
        } else if line.trim_start().starts_with('[')
            && is_plain(line)
            && super::schema::is_key(line)
        {
            line.trim_end().to_owned()
        } else {
            HIDDEN.to_string()
        };
        let length = shown.chars().count();
        let column = self.position(at).1;
        Excerpt::new(&shown, (column - 1).min(length.saturating_sub(1)), 1)
    }
}

/// A terminal obeys control characters; a message must not carry them there.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { visible(c) })
        .collect()
}

fn visible(character: char) -> char {
    match character {
        '\t' | '\r' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Files beyond four gigabytes are refused before they are read.
fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Stands for what must not be shown.
const HIDDEN: char = '…';

/// Characters of the offending text that are kept.
const LONGEST_TEXT: usize = 80;
