//! What a command prints for people: lines, paragraphs, tables and times. Everything on stdout passes through here, and
//! nothing that a peer said reaches a terminal with characters that it obeys, or makes a line of its own.
//!
//! A reader that goes away early (`renewd status | head -1`) is no failure; `println!` would panic.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

use comfy_table::presets;
use jiff::{SignedDuration, Timestamp};

use crate::sanitize::{escaped_json, is_unsafe, printable};

/// Prints a line to stdout, as `println!` does.
macro_rules! say {
    () => { $crate::cli::print::line(format_args!("")) };
    ($($words:tt)*) => { $crate::cli::print::line(format_args!($($words)*)) };
}
pub(super) use say;

/// Prints one line to stdout.
pub fn line(words: Arguments<'_>) {
    let words = words.to_string();
    report(writeln!(io::stdout().lock(), "{}", printable(&words)));
}

/// Prints `text` of our own to stdout as it is.
pub fn text(text: &str) {
    let mut stdout = io::stdout().lock();
    report(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    );
}

/// Reports on stderr what went wrong, in one line.
pub fn complain(words: &str) {
    diagnose(&format!("renewd: {}", printable(words)));
}

/// Writes lines to stderr, such as `FILE:LINE:COLUMN: …`, which editors can follow.
pub fn diagnose(words: &str) {
    let visible = |character| match character {
        '\n' => '\n',
        character if is_unsafe(character) => char::REPLACEMENT_CHARACTER,
        character => character,
    };
    let words: String = words.chars().map(visible).collect();
    // A closed stderr means that no output is wanted.
    let _ = writeln!(io::stderr().lock(), "{words}");
}

fn report(written: io::Result<()>) {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("stdout cannot be written: {error}"));
        }
        _ => {}
    }
}

/// Prints `words` in lines that fit: the first begins with `label`, the others `depth` characters from the edge.
pub fn paragraph(label: &str, depth: usize, words: &str) {
    for row in wrapped(label, depth, words) {
        line(format_args!("{row}"));
    }
}

/// Cuts at spaces into rows that fit; a word that is too long has a row of its own, uncut, so that it can be copied.
fn wrapped(label: &str, depth: usize, words: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = label.to_owned();
    let mut is_empty = true;
    for word in words.split_whitespace() {
        let needed = row.chars().count() + usize::from(!is_empty) + word.chars().count();
        if !is_empty && needed > WIDTH {
            rows.push(std::mem::replace(&mut row, " ".repeat(depth)));
            is_empty = true;
        }
        if !is_empty {
            row.push(' ');
        }
        row.push_str(word);
        is_empty = false;
    }
    rows.push(row.trim_end().to_owned());
    rows
}

/// A table whose rows are one line each.
pub struct Table(comfy_table::Table);

impl Table {
    /// Adds a row.
    pub fn add_row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter();
        self.0
            .add_row(cells.map(|cell| printable(&cell).into_owned()));
    }
}

/// A table without borders, so that its columns can be cut by scripts.
pub fn table(header: &[&str]) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.to_vec());
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    Table(table)
}

/// Prints a table.
pub fn print(table: &Table) {
    for row in lines(table) {
        line(format_args!("{row}"));
    }
}

/// The lines of a table, without spaces at their ends.
pub fn lines(table: &Table) -> Vec<String> {
    let text = table.0.to_string();
    text.lines().map(|row| row.trim_end().to_owned()).collect()
}

/// How many characters of a table of `columns` are left for names, when the other columns take `taken`.
pub const fn room_for_names(columns: usize, taken: usize) -> usize {
    WIDTH.saturating_sub(taken + (columns - 1) * GAP as usize)
}

/// `name`, cut so that it takes at most `width` characters.
pub fn shortened(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    name.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

/// Prints `value` as indented JSON.
pub fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(json) => text(&format!("{}\n", escaped_json(&json))),
        Err(error) => complain(&format!("this cannot be written as JSON: {error}")),
    }
}

/// `1 firewall`, `2 firewalls`.
pub fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// How far `at` is from `now`: `in 12 d`, `3 h ago`. At most ten characters for a thousand years.
pub fn distance(now: Timestamp, at: Timestamp) -> String {
    let distance = now.duration_until(at);
    let words = amount(distance.abs());
    if distance.is_negative() {
        format!("{words} ago")
    } else {
        format!("in {words}")
    }
}

/// A length of time in its largest useful unit.
pub fn amount(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0..=99 => format!("{seconds} s"),
        100..=5999 => format!("{} min", seconds / 60),
        6000..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `label  value` lines whose values stand below each other.
pub fn facts(facts: &[(&str, String)]) {
    let width = facts
        .iter()
        .map(|(label, _)| label.chars().count())
        .max()
        .unwrap_or(0);
    for (label, value) in facts {
        paragraph(&format!("{label:<width$}  "), width + 2, value);
    }
}

/// Fits every terminal, a mail and a ticket.
const WIDTH: usize = 80;
/// Spaces between two columns.
const GAP: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_fits_its_width_and_loses_no_word() {
        let words = "one two three four five six seven eight nine ten ".repeat(5);
        let rows = wrapped("label  ", 7, &words);
        assert!(rows.iter().all(|row| row.len() <= WIDTH), "{rows:?}");
        let printed: Vec<&str> = rows.iter().flat_map(|row| row.split_whitespace()).collect();
        assert_eq!(printed.join(" "), format!("label {}", words.trim_end()));
    }

    #[test]
    fn a_word_that_is_too_long_is_not_cut() {
        let address = "https://192.0.2.1/".repeat(5);
        let rows = wrapped("  ", 2, &format!("look at {address} there"));
        assert_eq!(rows, ["  look at", &format!("  {address}"), "  there"]);
    }

    #[test]
    fn a_distance_takes_at_most_ten_characters() {
        let now = Timestamp::UNIX_EPOCH;
        for seconds in [0, 99, 100, 5999, 6000, 172_799, 172_800, 365 * 86_400 * 27] {
            for at in [
                now + SignedDuration::from_secs(seconds),
                now - SignedDuration::from_secs(seconds),
            ] {
                let words = distance(now, at);
                assert!(words.chars().count() <= 10, "{words}");
            }
        }
    }

    #[test]
    fn a_name_that_is_too_long_ends_with_an_ellipsis() {
        assert_eq!(shortened("hq-portal", 9), "hq-portal");
        assert_eq!(shortened("hq-portal", 8), "hq-port…");
    }
}
