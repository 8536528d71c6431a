//! Cuts a file into pieces at the headers of its sections and elements: `[daemon]`, `[[firewall]]`.
//!
//! Each piece is parsed, used and forgotten before the next: a fleet of ten thousand firewalls in one file would else
//! be held as one tree of some two hundred megabytes, and most of that memory would stay with the daemon for years. A
//! broken piece does not disturb its neighbours either. The price: `[ca.driver.local]` has to follow its own `[[ca]]`
//! directly, where TOML would allow a `[[firewall]]` between them.

use std::ops::Range;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub range: Range<usize>,
    /// It starts with `[[…]]`.
    pub is_element: bool,
}

/// The pieces of `text`; together they are all of it, in its order.
pub(super) fn split(text: &str) -> Vec<Section> {
    let mut pieces = Vec::new();
    let mut current = Section {
        range: 0..0,
        is_element: false,
    };
    let mut open = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if open.is_none()
            && let Some(is_element) = header(line)
        {
            pieces.push(std::mem::replace(
                &mut current,
                Section {
                    range: at..at,
                    is_element,
                },
            ));
        }
        open = scan(line, open);
        at += line.len();
        current.range.end = at;
    }
    pieces.push(current);
    pieces.retain(|piece| !piece.range.is_empty());
    pieces
}

/// Whether `line` is a header of one bare word, and then whether it is that of an element.
///
/// Between brackets a bare word other than `true`, `false`, `inf` and `nan` is never a value: no array is mistaken.
fn header(line: &str) -> Option<bool> {
    let line = line.split('#').next()?.trim();
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    let element = inner
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let word = element.unwrap_or(inner).trim();
    let is_bare = word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && !["true", "false", "inf", "nan"].contains(&word);
    is_bare.then_some(element.is_some())
}

/// The delimiter of the string that is open at the end of `line`, when `open` was at its start.
fn scan(line: &str, mut open: Option<&'static str>) -> Option<&'static str> {
    let mut rest = line;
    loop {
        if let Some(delimiter) = open {
            let Some(end) = end_of_string(rest, delimiter) else {
                return open;
            };
            rest = after(rest, end);
        }
        rest = after(rest, rest.find(['"', '\'', '#'])?);
        // None of them: a comment.
        let delimiter = DELIMITERS
            .into_iter()
            .find(|quotes| rest.starts_with(quotes))?;
        rest = after(rest, delimiter.len());
        open = if delimiter.len() == 3 {
            Some(delimiter)
        } else {
            // A string of one line; without an end it ends with the line.
            rest = after(rest, end_of_string(rest, delimiter)?);
            None
        };
    }
}

/// Where `text` goes on after `delimiter`; in strings with `"` a backslash takes the next character along.
fn end_of_string(text: &str, delimiter: &str) -> Option<usize> {
    if delimiter.starts_with('\'') {
        return Some(text.find(delimiter)? + delimiter.len());
    }
    let mut at = 0;
    loop {
        at += after(text, at).find(['"', '\\'])?;
        let rest = after(text, at);
        if rest.starts_with(delimiter) {
            return Some(at + delimiter.len());
        }
        let skipped = if rest.starts_with('\\') { 2 } else { 1 };
        at += rest
            .chars()
            .take(skipped)
            .map(char::len_utf8)
            .sum::<usize>();
    }
}

fn after(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

const DELIMITERS: [&str; 4] = ["\"\"\"", "'''", "\"", "'"];

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let pieces = split(text);
        let joined: String = pieces
            .iter()
            .map(|piece| &text[piece.range.clone()])
            .collect();
        assert_eq!(joined, text, "nothing is lost");
        pieces.into_iter().map(|piece| &text[piece.range]).collect()
    }

    #[test]
    fn a_file_is_cut_before_each_header_of_one_word() {
        let text = "# head\n[daemon]\na = 1\n[[ca]] # first\nname = \"x\"\n[ca.driver]\nb = 2\n [[ firewall ]]\n";
        assert_eq!(
            pieces(text),
            [
                "# head\n",
                "[daemon]\na = 1\n",
                "[[ca]] # first\nname = \"x\"\n[ca.driver]\nb = 2\n",
                " [[ firewall ]]\n"
            ]
        );
        let kinds: Vec<bool> = split(text).iter().map(|piece| piece.is_element).collect();
        assert_eq!(kinds, [false, false, true, true]);
    }

    #[test]
    fn strings_of_several_lines_are_not_cut() {
        for text in [
            "a = \"\"\"\n[[ca]]\n\"\"\"\n",
            "a = '''\n[[ca]]\n'''\n",
            "a = \"\"\" \\\"\"\"\n[[ca]]\n\"\"\"\n",
            "a = ['x', \"\"\"\n[[ca]]",
        ] {
            assert_eq!(pieces(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn quotes_in_comments_and_in_other_strings_open_nothing() {
        for text in [
            "# it's \"\"\" \n[[ca]]\n",
            "a = '\"\"\"' # '''\n[[ca]]\n",
            "a = \"'''\\\"\"\n[[ca]]\n",
            "a = \"never closed\n[[ca]]\n",
            "a = \"\"\"x\"\"\"\n[[ca]]\n",
        ] {
            assert_eq!(pieces(text).len(), 2, "{text}");
        }
    }

    #[test]
    fn arrays_are_not_taken_for_headers() {
        for text in [
            "a = [\n[1],\n[[2]],\n[true]\n]\n",
            "a = [\n['x']\n]\n",
            "[a.b]\n[[a.b]]\n",
        ] {
            assert_eq!(pieces(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn an_empty_file_has_no_pieces() {
        assert_eq!(split(""), []);
    }
}
