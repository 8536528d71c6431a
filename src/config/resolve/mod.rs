//! From what was written to what is meant: one section of one file at a time.
//!
//! Nothing stops at a mistake. A wrong value is reported and its default stands in for it, because a configuration
//! with a mistake is never used; only what has no default makes an element `None`. What concerns more than one
//! element (double names, references, services) is looked at in `fleet.rs`.

mod ca;
mod certificate;
mod daemon;
mod firewall;
pub(super) mod fleet;
mod request;
mod secret;
mod transfers;
mod validation;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;

use super::diagnostics::{Diagnostics, FileSpan, Origin};
use super::file_model::{Placed, default};
use super::values::{self, Wrong};
use crate::inventory::{RenewalPolicy, Urgent};
use crate::schedule::Schedule;
use crate::secret::SecretSource;
use crate::transfer;

/// Resolves one piece of a file.
pub(super) struct Resolver<'a> {
    pub diagnostics: &'a mut Diagnostics,
    pub origin: Origin,
    /// Where relative paths start.
    pub folder: &'a Path,
    /// The mode of the file when others can read it: then no secret may stand in it.
    pub exposed: Option<u32>,
    pub shared: &'a mut Shared,
}

/// What the sections of all files have in common.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub state_directory: PathBuf,
    pub sealing_key: Option<SecretSource>,
    pub policy: RenewalPolicy,
    /// One for all firewalls that write no other.
    pub transfers: Arc<transfer::Settings>,
    /// Each expression is read once: a fleet repeats a few of them ten thousand times.
    schedules: HashMap<String, Result<Schedule, Wrong>>,
}

/// A name and where it is written.
#[derive(Debug, Clone)]
pub(super) struct Name {
    pub text: Arc<str>,
    pub place: FileSpan,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            state_directory: PathBuf::from(default::STATE_DIRECTORY),
            sealing_key: None,
            policy: RenewalPolicy {
                renew_after: None,
                verify_timeout: SignedDuration::from_mins(2),
                urgent: Urgent::default(),
            },
            transfers: Arc::default(),
            schedules: HashMap::new(),
        }
    }
}

impl Resolver<'_> {
    /// The value that `parse` makes of a text, or of `default` where the key is left out; `None` when it was wrong.
    fn parse_or<T>(
        &mut self,
        key: Option<&Placed<String>>,
        default: &str,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match key {
            Some(raw) => self.parse(raw, parse),
            None => parse(default).ok(),
        }
    }

    fn parse<T>(
        &mut self,
        raw: &Placed<String>,
        parse: impl FnOnce(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        match parse(&raw.value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong(&raw.range, wrong);
                None
            }
        }
    }

    fn duration_or(
        &mut self,
        key: Option<&Placed<String>>,
        default: &str,
        (shortest, longest): (SignedDuration, SignedDuration),
    ) -> SignedDuration {
        self.parse_or(key, default, |text| {
            values::duration(text, shortest, longest)
        })
        .unwrap_or(shortest)
    }

    /// A name, also a bad one: what refers to it is right.
    fn name(&mut self, key: Option<&Placed<String>>) -> Option<Name> {
        let raw = key?;
        self.parse(raw, values::name);
        self.reference(key)
    }

    /// What is written as the name of something else.
    fn reference(&self, key: Option<&Placed<String>>) -> Option<Name> {
        key.map(|raw| Name {
            text: Arc::from(raw.value.as_str()),
            place: self.place(&raw.range),
        })
    }

    fn path(&mut self, key: Option<&Placed<String>>) -> Option<PathBuf> {
        let raw = key?;
        let folder = self.folder;
        self.parse(raw, |text| match text {
            "" => Err(Wrong::new(
                "a path is missing",
                "for example: \"/etc/renewd/ca.pem\"",
            )),
            text => Ok(folder.join(text)),
        })
    }

    fn schedule(&mut self, key: Option<&Placed<String>>, default: &str) -> Option<Schedule> {
        let text = key.map_or(default, |raw| &raw.value);
        if !self.shared.schedules.contains_key(text) {
            let read = Schedule::new(text).map_err(|words| Wrong::new(words, CRON_HINT));
            self.shared.schedules.insert(text.to_owned(), read);
        }
        let read = self.shared.schedules.get(text)?.clone();
        self.parse_or(key, default, |_| read)
    }

    fn wrong(&mut self, range: &Range<usize>, wrong: Wrong) {
        self.diagnostics
            .error(self.place(range), wrong.message, Some(wrong.hint));
    }

    /// Reports that `range` lacks something, unless it is a consequence of a mistake inside it.
    fn lacking(&mut self, range: &Range<usize>, message: &str, hint: &str) {
        if !self.diagnostics.any_error_in(self.origin, range) {
            self.wrong(range, Wrong::new(message, hint));
        }
    }

    /// Gives something to think about, unless the piece has mistakes: they may be the reason.
    fn warn(&mut self, range: &Range<usize>, message: &str, hint: &str) {
        if !self.diagnostics.any_error_in(self.origin, &(0..usize::MAX)) {
            self.diagnostics
                .warning(self.place(range), message, Some(hint.to_owned()));
        }
    }

    fn place(&self, range: &Range<usize>) -> FileSpan {
        self.origin.place(range)
    }
}

const CRON_HINT: &str =
    "for example: \"0 2 * * SAT,SUN\" (minute, hour, day of month, month, day of week)";
