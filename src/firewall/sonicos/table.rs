//! Listings as the command line prints them: columns under a header, or one `name value` to a line (SonicOS reference 3.2,
//! 3.9 know the words, but not the layout). What cannot be read for sure is no listing.

use super::listing::{NAME, Row};
use super::messages;

/// The rows of a listing; `None` when the text is something else.
pub(super) fn rows(text: &str) -> Option<Vec<Row>> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !is_frame(line))
        .collect();
    if lines.iter().all(|line| messages::is_nothing_listed(line)) {
        return Some(Vec::new());
    }
    let header = lines.iter().position(|line| Header::of(line).is_some());
    match header.and_then(|place| lines.split_at_checked(place)) {
        Some((_, [first, rest @ ..])) => {
            let header = Header::of(first)?;
            let rows = rest
                .iter()
                .filter(|line| !messages::is_nothing_listed(line));
            rows.map(|line| header.row(line)).collect()
        }
        _ => blocks(&lines),
    }
}

/// What is said of one certificate, as names and texts; the certificate's own name is left out.
pub(super) fn detail(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !is_frame(line));
    lines
        .filter_map(pair)
        .filter(|(name, value)| !is_name(name) && !value.is_empty())
        .collect()
}

/// Where the columns begin and what they are called.
struct Header {
    names: Vec<String>,
    /// Counted in characters.
    starts: Vec<usize>,
}

impl Header {
    /// A line that names at least a column for names and one for types.
    fn of(line: &str) -> Option<Self> {
        let mut cells = cells(line);
        if let [(start, only)] = cells.as_slice() {
            let words = only.split_whitespace().take(MOST_COLUMNS + 1);
            cells = words
                .map(|word| (start + only.find(word).unwrap_or(0), word))
                .collect();
        }
        let is_short = |(_, text): &(usize, &str)| text.len() <= LONGEST_LABEL;
        if cells.len() > MOST_COLUMNS || !cells.iter().all(is_short) {
            return None;
        }
        let names: Vec<String> = cells.iter().map(|(_, text)| normal(text)).collect();
        let is_header = names.first().is_some_and(|name| is_name(name))
            && names.iter().any(|name| name == "type");
        let starts = cells.iter().map(|(start, _)| *start).collect();
        is_header.then_some(Self { names, starts })
    }

    fn row(&self, line: &str) -> Option<Row> {
        let cells = cells(line);
        let texts: Vec<String> = if cells.len() == self.names.len() {
            cells.iter().map(|(_, text)| (*text).to_owned()).collect()
        } else {
            self.cut(line)
        };
        let mut columns = self.names.iter().cloned().zip(texts);
        let (_, alias) = columns.next()?;
        let alias = plain(&alias);
        let columns = columns.filter(|(_, text)| !text.is_empty()).collect();
        (!alias.is_empty()).then(|| Row::new(alias, columns))
    }

    /// The line cut where the columns begin: for one in which a column is empty.
    fn cut(&self, line: &str) -> Vec<String> {
        let ends = self.starts.iter().skip(1).copied().chain([usize::MAX]);
        let spans = self.starts.iter().zip(ends);
        spans
            .map(|(start, end)| {
                let text: String = line.chars().take(end).skip(*start).collect();
                text.trim_matches([' ', '\t', '|']).to_owned()
            })
            .collect()
    }
}

/// The texts of a line that stand apart from each other, with where they begin; of too many only one more than a header has.
/// Only rules keep an empty one.
fn cells(line: &str) -> Vec<(usize, &str)> {
    let (separator, is_ruled) = match line {
        line if line.contains('|') => ("|", true),
        line if line.contains('\t') => ("\t", false),
        _ => ("  ", false),
    };
    let line = if is_ruled {
        line.trim().trim_matches('|')
    } else {
        line
    };
    let mut place = 0;
    let mut cells = Vec::new();
    for part in line.split(separator) {
        let text = part.trim();
        if is_ruled || !text.is_empty() {
            let blank = part.chars().take_while(|c| c.is_whitespace()).count();
            cells.push((place + blank, text));
        }
        if cells.len() > MOST_COLUMNS {
            break;
        }
        place += part.chars().count() + separator.len();
    }
    cells
}

/// Listings without columns: each certificate begins with its name.
fn blocks(lines: &[&str]) -> Option<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in lines {
        let (name, value) = pair(line)?;
        if is_name(&name) && value.is_empty() {
            return None;
        } else if is_name(&name) {
            rows.push(Row::new(&value, Vec::new()));
        } else {
            let row = rows.last_mut()?;
            if !value.is_empty() {
                row.columns.push((name, value));
            }
        }
    }
    Some(rows)
}

/// `Name: value`, or `name value` where the name is one that a listing has.
fn pair(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let is_label = |text: &str| {
        text.len() <= LONGEST_LABEL
            && !text.trim().is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphabetic() || " -_".contains(c))
    };
    if let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_label(name)) {
        return Some((normal(name), plain(value).to_owned()));
    }
    let (name, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let name = (name.len() <= LONGEST_LABEL).then(|| normal(name))?;
    LABELS
        .contains(&name.as_str())
        .then(|| (name, plain(value).to_owned()))
}

/// A label as the API spells it.
fn normal(label: &str) -> String {
    label.trim().to_ascii_lowercase().replace([' ', '-'], "_")
}

fn plain(value: &str) -> &str {
    value.trim().trim_matches('"')
}

fn is_name(label: &str) -> bool {
    [NAME, "name", "certificate_name", "alias"].contains(&label)
}

/// A line with nothing in it but decoration.
fn is_frame(line: &str) -> bool {
    line.chars()
        .all(|c| c.is_whitespace() || "-=+|%*".contains(c))
}

/// Of which each costs a look at every line.
const MOST_COLUMNS: usize = 32;
/// Bytes, which stand with every row.
const LONGEST_LABEL: usize = 64;

/// First words of lines (SonicOS reference 3.2, as the API spells them).
const LABELS: [&str; 14] = [
    NAME,
    "name",
    "alias",
    "type",
    "validated",
    "status",
    "expires_on",
    "expired_on",
    "valid_from",
    "certificate_issuer",
    "certificate_serial_number",
    "subject_distinguished_name",
    "public_key_algorithm",
    "signature_algorithm",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::super::listing::RowKind;
    use super::*;
    use crate::firewall::ObjectKind;

    fn kinds(text: &str) -> Vec<(String, RowKind)> {
        let rows = rows(text).unwrap();
        rows.into_iter()
            .map(|row| (row.alias.clone(), row.kind()))
            .collect()
    }

    fn expected() -> Vec<(String, RowKind)> {
        vec![
            ("fw-1".to_owned(), RowKind::Object(ObjectKind::Certificate)),
            (
                "fw 2".to_owned(),
                RowKind::Object(ObjectKind::PendingRequest),
            ),
            ("Office CA".to_owned(), RowKind::Ca),
        ]
    }

    #[test]
    fn columns_are_read_in_every_layout() {
        let aligned = "\
            Certificate     Type               Validated  Expires On\r\n\
            --------------- ------------------ ---------- ------------------------\r\n\
            fw-1            Local certificate  Yes        Jan  1 00:00:00 2027 GMT\r\n\
            fw 2            Pending request\r\n\
            Office CA       CA certificate                Jan  1 2030\r\n";
        let ruled = "\
            | Name | Type | Validated | Expires On |\n\
            +------+------+-----------+------------+\n\
            | fw-1 | Local certificate | Yes | 2027 |\n\
            | fw 2 | Pending request | | |\n\
            | Office CA | CA certificate | No | 2030 |\n";
        let tabbed = "Name\tType\tValidated\nfw-1\tLocal certificate\tYes\nfw 2\tPending request\tNo\n\
                      Office CA\tCA certificate\tYes\n";
        for text in [aligned, tabbed, ruled] {
            assert_eq!(kinds(text), expected(), "{text}");
        }
        let first = rows(aligned).unwrap().remove(0);
        assert_eq!(
            first.columns,
            [
                ("type", "Local certificate"),
                ("validated", "Yes"),
                ("expires_on", "Jan  1 00:00:00 2027 GMT")
            ]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
    }

    #[test]
    fn lines_of_names_and_values_are_read_too() {
        let quoted = "certificate fw-1\n  type \"Local certificate\"\n  validated Yes\n  expires-on \"Jan 1 10:00:00 2027\"\n\
                      certificate \"fw 2\"\n  type \"Pending request\"\ncertificate \"Office CA\"\n  type \"CA certificate\"\n";
        let colons = "Certificate: fw-1\nType: Local certificate\n\nCertificate: fw 2\nType: Pending request\n\n\
                      Certificate: Office CA\nType: CA certificate\n";
        for text in [quoted, colons] {
            assert_eq!(kinds(text), expected(), "{text}");
        }
    }

    #[test]
    fn an_empty_listing_is_distinguished_from_what_is_no_listing() {
        for text in [
            "",
            "\r\n",
            "No certificates found.",
            "% No entries.",
            "Name  Type\n-----",
        ] {
            assert_eq!(rows(text), Some(vec![]), "{text}");
        }
        for text in ["Welcome", "certificate", "some words\nand more: words"] {
            assert_eq!(rows(text), None, "{text}");
        }
    }

    #[test]
    fn a_detail_is_read_by_its_labels() {
        let detail = detail(
            "Certificate: fw-1\nCertificate Issuer: CN=Office CA, O=x:y\nStatus: Verified\nCertificate Serial Number: 0x12ab\n",
        );
        assert_eq!(
            detail,
            [
                ("certificate_issuer", "CN=Office CA, O=x:y"),
                ("status", "Verified"),
                ("certificate_serial_number", "0x12ab"),
            ]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
    }

    #[test]
    fn a_line_of_countless_columns_is_no_header() {
        let header = format!("Name Type {}", "x ".repeat(100));
        assert_eq!(rows(&format!("{header}\nfw-1 Local")), None);
        let header = format!("Name|Type|{}", "x|".repeat(100));
        assert_eq!(rows(&format!("{header}\nfw-1|Local")), None);
        for unit in ["x ", "x|", "x  ", "x\t"] {
            let line = unit.repeat(100_000);
            assert!(cells(&line).len() <= MOST_COLUMNS + 1, "{unit:?}");
            assert_eq!(rows(&line), None, "{unit:?}");
            assert_eq!(
                rows(&format!("Name  Type\n{line}")).map(|rows| rows.len()),
                Some(1)
            );
        }
        let header = format!("Name|Type|{}", "x".repeat(100));
        assert_eq!(rows(&format!("{header}\nfw-1|Local|y")), None);
    }
}
