//! Checks a parsed file against the shape of the configuration and takes out what does not fit.
//!
//! It reports every key that is unknown, missing, of the wrong type or out of bounds, and goes on: a misspelt key is
//! taken for what it was probably meant to be, anything else that is wrong is removed. What is left fits the types of
//! `file_model.rs`. It knows no key by name and the meaning of none.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::diagnostics::{Diagnostics, FileSpan, Origin};
use super::renamed::{Renamed, renamed};
use super::schema::{Node, Shape, Table};
use super::suggest;

/// Checks one piece of a file.
pub(super) struct Check<'a> {
    pub diagnostics: &'a mut Diagnostics,
    pub origin: Origin,
    /// The piece is not TOML as a whole: what is missing may only be unreadable.
    pub torn: bool,
}

impl Check<'_> {
    /// Checks a table; `range` is where a missing key is reported.
    pub fn table(&mut self, shape: &Table, table: &mut DeTable<'_>, range: &Range<usize>) {
        let mut unknown = Vec::new();
        let mut broken = Vec::new();
        for (key, value) in &mut *table {
            match shape.keys.get(key.get_ref().as_ref()) {
                None => unknown.push(key.clone()),
                Some(node) if self.value(node, key.get_ref(), value) => {}
                Some(_) => broken.push(key.clone()),
            }
        }
        for key in unknown {
            for meant in self.unknown_key(shape, table, &key) {
                if let (Some(node), Some(value)) = (shape.keys.get(&meant), table.get_mut(&*meant))
                    && !self.value(node, &meant, value)
                {
                    broken.push(Spanned::new(key.span(), Cow::Owned(meant)));
                }
            }
        }
        if !self.torn {
            self.missing_keys(shape, table, range);
        }
        for key in broken {
            table.remove(&key);
        }
    }

    /// Reports an unknown key and takes it for what it is called now, or was probably meant to be; returns that.
    fn unknown_key(
        &mut self,
        shape: &Table,
        table: &mut DeTable<'_>,
        key: &Spanned<Cow<'_, str>>,
    ) -> Vec<String> {
        let name = key.get_ref();
        let Some(value) = table.remove(name.as_ref()) else {
            return Vec::new();
        };
        let place = self.place(&key.span());
        if let Some(renamed) = renamed(&shape.label, name, &value) {
            return self.renamed_key(place, table, key, renamed);
        }
        let hint = unknown_key_hint(shape, name);
        self.diagnostics
            .error(place, format!("unknown key `{name}`"), Some(hint));
        let (word, node) = suggest::nearest(name, shape.words())
            .and_then(|word| shape.keys.get_key_value(word))
            .unzip();
        // A value that is meant as a table is checked key by key. The contents of any other value are unknown.
        let has_keys = node
            .and_then(|node| fitting(&node.shape, value.get_ref()))
            .is_some_and(|shape| shape.table().is_some());
        if !has_keys {
            self.hide_all(&value);
        }
        let Some(word) = word.filter(|word| !table.contains_key(word.as_str())) else {
            return Vec::new();
        };
        table.insert(Spanned::new(key.span(), Cow::Owned(word.clone())), value);
        vec![word.clone()]
    }

    /// Reports a key by its new name, and puts its value there unless something is written there already.
    fn renamed_key<'t>(
        &mut self,
        place: FileSpan,
        table: &mut DeTable<'t>,
        key: &Spanned<Cow<'_, str>>,
        renamed: Renamed<'t>,
    ) -> Vec<String> {
        self.diagnostics
            .error(place, renamed.message, Some(renamed.hint));
        let mut words = Vec::new();
        for (word, value) in renamed.values {
            if !table.contains_key(word) {
                table.insert(Spanned::new(key.span(), Cow::Borrowed(word)), value);
                words.push(word.to_owned());
            }
        }
        words
    }

    fn missing_keys(&mut self, shape: &Table, table: &DeTable<'_>, range: &Range<usize>) {
        for key in &shape.required {
            if !table.contains_key(key.as_str()) {
                let hint = shape.keys.get(key).and_then(|node| node.hint.clone());
                let message = format!("`{key}` is missing in {}", shape.label);
                self.diagnostics.error(self.place(range), message, hint);
            }
        }
    }

    /// Checks a value; `false`: it must be removed.
    fn value(&mut self, node: &Node, key: &str, value: &mut Spanned<DeValue<'_>>) -> bool {
        if (node.secret && !value.get_ref().is_table()) || holds_login(value.get_ref()) {
            self.hide(value);
        }
        if let Some(shape) = fitting(&node.shape, value.get_ref()) {
            return self.fitting_value(node, shape, key, value);
        }
        if value.get_ref().is_table() {
            self.hide_all(value);
        }
        let place = self.place(&value.span());
        let (shape, value) = (&node.shape, value.get_ref());
        let message = format!("`{key}` must be {}, not {}", expected(shape), found(value));
        let hint = unquoted(shape, value)
            .or_else(|| node.hint.clone())
            .or_else(|| retyped(key, shape, value, node.secret));
        self.diagnostics.error(place, message, hint);
        false
    }

    /// Checks a value of the right type.
    fn fitting_value(
        &mut self,
        node: &Node,
        shape: &Shape,
        key: &str,
        value: &mut Spanned<DeValue<'_>>,
    ) -> bool {
        let range = value.span();
        match (shape, value.get_mut()) {
            (Shape::Table(shape), DeValue::Table(table)) => {
                self.inner_table(node, shape, key, table, &range)
            }
            (Shape::List(items), DeValue::Array(values)) => {
                let checked = std::mem::replace(values, DeArray::new())
                    .into_iter()
                    .filter_map(|mut value| self.value(items, key, &mut value).then_some(value));
                *values = checked.collect();
                true
            }
            (Shape::Words(words), DeValue::String(word)) => {
                self.word(node, words, key, word, &range)
            }
            (Shape::Integer { min, max }, DeValue::Integer(number)) => {
                let fits = integer(number).is_some_and(|number| (*min..=*max).contains(&number));
                self.bounds((key, node), fits, (min, max, &*number), &range)
            }
            (Shape::Number { min, max }, DeValue::Float(number)) => {
                let fits = number_of(number.as_str()).is_some_and(|n| (*min..=*max).contains(&n));
                self.bounds((key, node), fits, (min, max, &*number), &range)
            }
            (Shape::Number { min, max }, DeValue::Integer(number)) => {
                let fits = number_of(number.as_str()).is_some_and(|n| (*min..=*max).contains(&n));
                self.bounds((key, node), fits, (min, max, &*number), &range)
            }
            _ => true,
        }
    }

    fn inner_table(
        &mut self,
        node: &Node,
        shape: &Table,
        key: &str,
        table: &mut DeTable<'_>,
        range: &Range<usize>,
    ) -> bool {
        let was_empty = table.is_empty();
        let known = table
            .keys()
            .filter(|word| shape.keys.contains_key(word.get_ref().as_ref()))
            .count();
        self.table(shape, table, range);
        if !shape.exactly_one {
            return true;
        }
        if was_empty || known > 1 {
            let words: Vec<&str> = shape.words().collect();
            let message = format!("`{key}` must hold exactly one of: {}", words.join(", "));
            self.diagnostics
                .error(self.place(range), message, node.hint.clone());
        }
        table.len() == 1
    }

    fn word(
        &mut self,
        node: &Node,
        words: &[String],
        key: &str,
        word: &str,
        range: &Range<usize>,
    ) -> bool {
        let fits = words.iter().any(|known| known == word);
        if !fits {
            // A guess could be wrong where a key has its own hint: it would suggest FTP for SFTP.
            let guess = || suggest::hint(word, words.iter().map(String::as_str), "one of");
            let hint = node.hint.clone().unwrap_or_else(guess);
            let message = format!("`{key}` cannot be `{word}`");
            self.diagnostics
                .error(self.place(range), message, Some(hint));
        }
        fits
    }

    fn bounds(
        &mut self,
        (key, node): (&str, &Node),
        fits: bool,
        (min, max, number): (impl Display, impl Display, impl Display),
        range: &Range<usize>,
    ) -> bool {
        if !fits {
            let message = format!("`{key}` must be between {min} and {max}, not {number}");
            let default = || Some(format!("left out, it is {}", node.default.as_ref()?));
            let hint = node.hint.clone().or_else(default);
            self.diagnostics.error(self.place(range), message, hint);
        }
        fits
    }

    /// Hides every value in a value, but not the keys.
    fn hide_all(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => table.values().for_each(|value| self.hide_all(value)),
            DeValue::Array(values) => values.iter().for_each(|value| self.hide_all(value)),
            _ => self.hide(value),
        }
    }

    fn hide(&mut self, value: &Spanned<DeValue<'_>>) {
        self.diagnostics.hide(self.place(&value.span()));
    }

    fn place(&self, range: &Range<usize>) -> FileSpan {
        self.origin.place(range)
    }
}

/// The shape that a value of this type can have, if any.
fn fitting<'a>(shape: &'a Shape, value: &DeValue<'_>) -> Option<&'a Shape> {
    let fits = match shape {
        Shape::Text | Shape::Words(_) => value.is_str(),
        Shape::Integer { .. } => value.is_integer(),
        Shape::Number { .. } => value.is_float() || value.is_integer(),
        Shape::Boolean => value.is_bool(),
        Shape::List(_) => value.is_array(),
        Shape::Table(_) => value.is_table(),
        Shape::Either(shapes) => return shapes.iter().find_map(|shape| fitting(shape, value)),
    };
    fits.then_some(shape)
}

/// What was meant by an unknown key, or where it belongs, or what there is.
fn unknown_key_hint(shape: &Table, key: &str) -> String {
    if suggest::nearest(key, shape.words()).is_none()
        && let Some(home) = shape.home_of(key)
    {
        return format!("`{key}` belongs in {home}");
    }
    let lead = format!("the keys of {} are", shape.label);
    suggest::hint(key, shape.words(), &lead)
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Text | Shape::Words(_) => "a text".to_owned(),
        Shape::Integer { .. } => "a whole number".to_owned(),
        Shape::Number { .. } => "a number".to_owned(),
        Shape::Boolean => "true or false".to_owned(),
        Shape::List(_) => "a list".to_owned(),
        Shape::Table(_) => "a table".to_owned(),
        Shape::Either(shapes) => {
            let words: Vec<String> = shapes.iter().map(expected).collect();
            words.join(" or ")
        }
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// For what is right but for its quotes.
fn unquoted(shape: &Shape, value: &DeValue<'_>) -> Option<String> {
    let text = value.as_str()?;
    let fits = match shape {
        Shape::Integer { .. } | Shape::Number { .. } => number_of(text).is_some(),
        Shape::Boolean => matches!(text, "true" | "false"),
        _ => false,
    };
    fits.then(|| format!("write it without quotes: {text}"))
}

/// How to write it as the type that is wanted.
fn retyped(key: &str, shape: &Shape, value: &DeValue<'_>, secret: bool) -> Option<String> {
    match (shape, value) {
        (Shape::List(_), DeValue::Table(_)) => Some(format!("write it as [[{key}]]")),
        (Shape::List(_), DeValue::String(text)) if !secret => {
            Some(format!("write it in brackets: [\"{text}\"]"))
        }
        (Shape::Text | Shape::Words(_), DeValue::Array(_) | DeValue::Table(_)) => {
            Some("write one text in quotes".to_owned())
        }
        (Shape::Text | Shape::Words(_), _) => Some("write it in quotes".to_owned()),
        (Shape::Boolean, _) => Some("write true or false".to_owned()),
        (Shape::Table(table), _) => {
            let words: Vec<&str> = table.words().collect();
            Some(format!(
                "write it as {{ … }} with the keys: {}",
                words.join(", ")
            ))
        }
        _ => None,
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn number_of(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A URL with a user's name or password in it.
fn holds_login(value: &DeValue<'_>) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.contains('@') && text.contains("://"))
}
