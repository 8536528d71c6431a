//! The texts that were read, and how a part of one is shown to an operator. A hidden part is never shown.

use std::cell::OnceCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::error::Excerpt;
use crate::sanitize::is_unsafe;

/// Every file that was read.
#[derive(Debug, Default)]
pub(super) struct Sources {
    files: Vec<File>,
    /// The number of the first of them: those before it belong to another share.
    first: u32,
    /// Byte ranges that are never shown, also of files that belong to another share.
    hidden: Vec<(FileId, Range<usize>)>,
    /// The texts of small files, one after the other: ten thousand that lie among what was made of them would leave
    /// ten thousand holes when they are dropped, and the daemon would keep that memory for ever. One for each share.
    small: Vec<String>,
}

/// The number of a file in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FileId(u32);

#[derive(Debug)]
struct File {
    path: Arc<Path>,
    text: Text,
    /// Where each line starts, once that is asked.
    lines: OnceCell<Vec<u32>>,
    /// Byte ranges that are never shown.
    hidden: Vec<Range<usize>>,
}

#[derive(Debug)]
enum Text {
    Own(Arc<String>),
    /// In one of [`Sources::small`].
    Small(usize, Range<usize>),
}

/// One file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// Where it was read.
    pub path: &'a Path,
    text: &'a str,
    lines: &'a [u32],
    hidden: &'a [Range<usize>],
}

impl Sources {
    /// Files that follow `first` others.
    pub fn after(first: u32) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// The number that the next file gets.
    pub fn next(&self) -> u32 {
        self.first + as_u32(self.files.len())
    }

    /// Adds the files that follow these.
    pub fn append(&mut self, others: Self) {
        let before = self.small.len();
        self.small.extend(others.small);
        self.hidden.extend(others.hidden);
        self.files.extend(others.files.into_iter().map(|mut file| {
            if let Text::Small(share, _) = &mut file.text {
                *share += before;
            }
            file
        }));
    }

    /// Registers a file.
    pub fn add(&mut self, path: Arc<Path>, text: Arc<String>) -> FileId {
        self.files.push(File {
            path,
            text: Text::Own(text),
            lines: OnceCell::new(),
            hidden: Vec::new(),
        });
        FileId(self.next() - 1)
    }

    /// Puts a small file's text with the others, when it was read to its end.
    pub fn end(&mut self, file: FileId) {
        let Some(file) = self.index(file).and_then(|index| self.files.get_mut(index)) else {
            return;
        };
        if let Text::Own(text) = &file.text
            && text.len() <= SMALL
        {
            if self.small.is_empty() {
                self.small.push(String::new());
            }
            if let Some(small) = self.small.last_mut() {
                let start = small.len();
                small.push_str(text);
                let range = start..small.len();
                file.text = Text::Small(self.small.len() - 1, range);
            }
        }
    }

    /// Never shows what stands at `range` of `file`.
    pub fn hide(&mut self, file: FileId, range: Range<usize>) {
        self.hidden.push((file, range));
    }

    /// Gives each file its hidden ranges in order, those that touch as one; to be called before anything is shown.
    pub fn sort_hidden(&mut self) {
        for (file, range) in std::mem::take(&mut self.hidden) {
            if let Some(file) = self.index(file).and_then(|index| self.files.get_mut(index)) {
                file.hidden.push(range);
            }
        }
        self.files.iter_mut().for_each(File::sort_hidden);
    }

    fn index(&self, file: FileId) -> Option<usize> {
        Some(file.0.checked_sub(self.first)? as usize)
    }

    /// One file.
    pub fn get(&self, file: FileId) -> Option<Source<'_>> {
        let file = self.files.get(self.index(file)?)?;
        let text = match &file.text {
            Text::Own(text) => text,
            Text::Small(share, range) => self.small.get(*share)?.get(range.clone())?,
        };
        let newlines = || text.match_indices('\n').map(|(at, _)| as_u32(at + 1));
        Some(Source {
            path: &file.path,
            text,
            lines: file
                .lines
                .get_or_init(|| std::iter::once(0).chain(newlines()).collect()),
            hidden: &file.hidden,
        })
    }
}

impl File {
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
}

impl Source<'_> {
    /// Line and column of a byte, both from 1, the column in characters.
    pub fn position(&self, at: usize) -> (usize, usize) {
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

    /// The hidden ranges that `range` touches.
    fn hidden_in(&self, range: &Range<usize>) -> &[Range<usize>] {
        let start = self
            .hidden
            .partition_point(|hidden| hidden.end <= range.start);
        let rest = self.hidden.get(start..).unwrap_or_default();
        let length = rest.partition_point(|hidden| hidden.start < range.end);
        rest.get(..length).unwrap_or_default()
    }

    pub fn offending(&self, range: &Range<usize>) -> Option<String> {
        let visible = self.hidden_in(range).is_empty();
        let text = self.text.get(range.clone()).filter(|_| visible)?;
        let first_line = text.lines().next()?;
        Some(printable(first_line).chars().take(LONGEST_TEXT).collect())
    }

    /// The line in which `range` starts, every hidden piece of it replaced by one sign.
    pub fn excerpt(&self, range: &Range<usize>) -> Excerpt {
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
    pub fn guarded_excerpt(&self, at: usize) -> Excerpt {
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
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { visible(c) })
        .collect()
}

fn visible(character: char) -> char {
    match character {
        '\t' | '\r' => ' ',
        c if is_unsafe(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// Files beyond four gigabytes are refused before they are read.
pub(super) fn as_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Up to this many bytes a text is small.
const SMALL: usize = 64 << 10;

/// Stands for what must not be shown.
const HIDDEN: char = '…';

/// Characters of the offending text that are kept.
const LONGEST_TEXT: usize = 80;
