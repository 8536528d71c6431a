//! What is wrong with a configuration: where, why and what to do. It never holds a secret.

use std::fmt;
use std::path::PathBuf;

/// One mistake, or something that is worth a thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 when the file as a whole is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 when the file as a whole is meant.
    pub column: usize,
    /// Whether it keeps the configuration from being used.
    pub severity: Severity,
    /// The text that is wrong, shortened; `None` where it could be a secret.
    pub offending: Option<String>,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line for showing.
    pub(super) excerpt: Option<Excerpt>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and probably not as intended.
    Warning,
}

/// Every mistake of one run, by file and line; warnings are among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// A line of a file with its secrets taken out, and the part that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub line: String,
    /// Characters before the mark.
    pub indent: usize,
    /// Length of the mark in characters, at least 1.
    pub width: usize,
}

impl Excerpt {
    /// `width` characters from `indent` on are marked; of a long line the part around them is kept.
    pub fn new(line: &str, indent: usize, width: usize) -> Self {
        let line = line.trim_end();
        let length = line.chars().count();
        if length <= LONGEST_LINE {
            return Self {
                line: line.to_owned(),
                indent,
                width: width.max(1),
            };
        }
        let start = indent
            .saturating_sub(LONGEST_LINE / 2)
            .min(length - LONGEST_LINE);
        let kept: String = line.chars().skip(start).take(LONGEST_LINE).collect();
        let before = if start > 0 { CUT } else { "" };
        let after = if start + LONGEST_LINE < length {
            CUT
        } else {
            ""
        };
        let indent = indent - start;
        Self {
            line: format!("{before}{kept}{after}"),
            indent: indent + before.len(),
            width: width.clamp(1, LONGEST_LINE.saturating_sub(indent).max(1)),
        }
    }
}

impl ConfigErrors {
    /// How many keep the configuration from being used.
    pub fn errors(&self) -> usize {
        let is_error = |error: &&ConfigError| error.severity == Severity::Error;
        self.0.iter().filter(is_error).count()
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.0 {
            writeln!(f, "{error}\n")?;
        }
        let errors = self.errors();
        write!(f, "{}", counted(errors, "error"))?;
        match self.0.len() - errors {
            0 => {}
            warnings => write!(f, ", {}", counted(warnings, "warning"))?,
        }
        if errors > 0 {
            write!(f, ": correct what is named above, then: renewd check")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}: {}", self.severity, self.message)?;
        let gutter = self.line.to_string();
        let margin = " ".repeat(gutter.len());
        if let Some(Excerpt {
            line,
            indent,
            width,
        }) = &self.excerpt
        {
            let space = " ".repeat(*indent);
            let mark = "^".repeat(*width);
            write!(
                f,
                "\n{margin} |\n{gutter} | {line}\n{margin} | {space}{mark}"
            )?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n{margin} = hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

fn counted(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}

/// Characters of a line that are shown; with its number and margin it fits most terminals.
const LONGEST_LINE: usize = 100;

/// Stands for what was left out of a long line.
const CUT: &str = "...";
