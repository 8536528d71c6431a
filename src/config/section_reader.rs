//! Reads one piece of a file: parses it, checks it, fills the written types and resolves them.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::check::Check;
use super::diagnostics::{FileSpan, Origin};
use super::loader::Loader;
use super::resolve::Resolver;
use super::source::FileId;
use super::{file_model, schema};

/// Reads the pieces of one file.
pub(super) struct SectionReader<'a> {
    loader: &'a mut Loader,
    folder: &'a Path,
    exposed: Option<u32>,
    is_main: bool,
    /// Sections that were read, to find those that are written twice.
    sections: HashMap<&'static str, FileSpan>,
}

impl<'a> SectionReader<'a> {
    /// A reader for a file in `folder`; `exposed` is its mode when others can read it.
    pub fn new(
        loader: &'a mut Loader,
        folder: &'a Path,
        exposed: Option<u32>,
        is_main: bool,
    ) -> Self {
        Self {
            loader,
            folder,
            exposed,
            is_main,
            sections: HashMap::new(),
        }
    }

    /// Reads the piece at `range` of `text`.
    pub fn read(&mut self, file: FileId, text: &str, range: Range<usize>) {
        let origin = Origin {
            file,
            start: range.start,
        };
        let text = text.get(range).unwrap_or_default();
        let mut table = self.parse(origin, text);
        for section in ["daemon", "renewal", "file_transfer"] {
            self.section(origin, &mut table, section);
        }
        for (raw, _) in self.elements(origin, &mut table, "ca") {
            let ca = self.resolver(origin).ca(raw);
            self.loader.elements.cas.push(ca);
        }
        for (raw, _) in self.elements(origin, &mut table, "firewall") {
            let firewall = self.resolver(origin).firewall(raw);
            self.loader.elements.firewalls.push(firewall);
        }
        for (raw, range) in self.elements(origin, &mut table, "certificate") {
            let draft = self.resolver(origin).certificate(raw, &range);
            self.loader.elements.certificates.push(draft);
        }
    }

    /// After the sections of the main file: a `[daemon]` that is not there has its defaults.
    pub fn end_of_sections(&mut self, file: FileId) {
        if self.loader.daemon.is_none() {
            let origin = Origin { file, start: 0 };
            let daemon = self.resolver(origin).daemon(&file_model::Daemon::default());
            self.loader.daemon = Some(daemon);
        }
    }

    /// What could be understood of the text, checked.
    fn parse<'t>(&mut self, origin: Origin, text: &'t str) -> DeTable<'t> {
        let diagnostics = &mut self.loader.diagnostics;
        let (table, errors) = DeTable::parse_recoverable(text);
        let torn = !errors.is_empty();
        for error in errors {
            let place = origin.place(&error.span().unwrap_or_default());
            diagnostics.syntax_error(place, error.message(), Some(syntax_hint(error.message())));
        }
        let mut table = table.into_inner();
        let mut check = Check {
            diagnostics,
            origin,
            torn,
        };
        check.table(schema::root(), &mut table, &(0..0));
        table
    }

    fn section(&mut self, origin: Origin, table: &mut DeTable<'_>, name: &'static str) {
        let Some((key, value)) = table.remove_entry(name) else {
            return;
        };
        let place = origin.place(&key.span());
        let diagnostics = &mut self.loader.diagnostics;
        if !self.is_main {
            let message = format!("[{name}] belongs in the main file only");
            let hint = "a file in conf.d holds [[ca]], [[firewall]] and [[certificate]]".to_owned();
            diagnostics.error(place, message, Some(hint));
        } else if let Some(first) = self.sections.insert(name, place) {
            let hint = format!("the first is at {}", diagnostics.describe(first));
            diagnostics.error(place, format!("there are two [{name}]"), Some(hint));
        }
        match name {
            "daemon" => {
                let raw = self.raw(origin, value).unwrap_or_default();
                let daemon = self.resolver(origin).daemon(&raw);
                self.loader.daemon = Some(daemon);
            }
            "file_transfer" => {
                let raw = self.raw(origin, value).unwrap_or_default();
                self.loader.shared.transfers = self.resolver(origin).shared_transfers(&raw);
            }
            _ => {
                let raw = self.raw(origin, value).unwrap_or_default();
                let default = self.loader.shared.policy.clone();
                self.loader.shared.policy = self.resolver(origin).policy(&raw, &default);
            }
        }
    }

    /// Takes the elements of an array of tables out of the piece, each with its range.
    fn elements<T: DeserializeOwned>(
        &mut self,
        origin: Origin,
        table: &mut DeTable<'_>,
        name: &str,
    ) -> Vec<(T, Range<usize>)> {
        let array = match table.remove(name).map(Spanned::into_inner) {
            Some(DeValue::Array(array)) => array,
            _ => DeArray::new(),
        };
        let element = |value: Spanned<DeValue<'_>>| {
            let range = value.span();
            Some((self.raw(origin, value)?, range))
        };
        array.into_iter().filter_map(element).collect()
    }

    /// What was checked fits the types; if ever it does not, that is reported and not passed over.
    fn raw<T: DeserializeOwned>(
        &mut self,
        origin: Origin,
        value: Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let range = value.span();
        match T::deserialize(value.into_deserializer()) {
            Ok(raw) => Some(raw),
            Err(error) => {
                // serde's message may repeat a value, and the value may be a secret.
                let place = origin.place(&error.span().unwrap_or(range));
                let message = "this does not fit the configuration";
                let hint = "`renewd schema` prints what does".to_owned();
                self.loader
                    .diagnostics
                    .syntax_error(place, message, Some(hint));
                None
            }
        }
    }

    fn resolver(&mut self, origin: Origin) -> Resolver<'_> {
        Resolver {
            diagnostics: &mut self.loader.diagnostics,
            origin,
            folder: self.folder,
            exposed: self.exposed,
            shared: &mut self.loader.shared,
        }
    }
}

/// The parser states what it expected. An operator wants to know what to do.
fn syntax_hint(message: &str) -> String {
    let hint = match message {
        _ if message.starts_with("duplicate key") => {
            "a key can occur only once in a table: remove one of the two"
        }
        _ if message.starts_with("key with no value") => "write it as: key = value",
        _ if message.contains("unclosed inline table") || message.contains("missing comma") => {
            "a table in braces is written between `{` and `}`, with commas between its keys"
        }
        _ if message.contains("unclosed array") => "a list is written between `[` and `]`",
        _ if message.contains("string") => {
            "a text is written between two quotes in one line: \"text\""
        }
        _ => "a value is a \"text\", a number, true, false, a list [ ] or a table { }",
    };
    hint.to_owned()
}
