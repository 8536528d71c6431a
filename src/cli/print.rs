//! Tables and times for people.

use comfy_table::{Table, presets};
use jiff::{SignedDuration, Timestamp};

/// A table without borders, so that its columns can be cut by scripts and fit 80 characters.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.to_vec());
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Prints a table without spaces at the ends of its lines.
pub fn print(table: &Table) {
    for line in table.to_string().lines() {
        println!("{}", line.trim_end());
    }
}

/// Prints `value` as indented JSON.
pub fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("renewd: this cannot be written as JSON: {error}"),
    }
}

/// How far `at` is from `now`: `in 12 d`, `3 h ago`.
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
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `label: value` lines whose values stand below each other.
pub fn facts(facts: &[(&str, String)]) {
    let width = facts
        .iter()
        .map(|(label, _)| label.len())
        .max()
        .unwrap_or(0);
    for (label, value) in facts {
        println!("{label:<width$}  {value}");
    }
}
