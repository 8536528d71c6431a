//! Cuts a file into pieces at the headers of its sections and elements: `[daemon]`, `[[firewall]]`.
//!
//! Each piece is parsed, used and forgotten before the next: a fleet of ten thousand firewalls in one file would else
//! be held as one tree of some two hundred megabytes, and most of that memory would stay with the daemon for years. A
//! broken piece does not disturb its neighbours either. The price: `[ca.driver.local]` has to follow its own `[[ca]]`
//! directly, where TOML would allow a `[[firewall]]` between them.

use std::ops::Range;

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub range: Range<usize>,
    /// It starts with `[[…]]`.
    pub is_element: bool,
}

/// The pieces of `text`; together they are all of it, in its order.
pub(super) fn cut(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut current = Piece {
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
                Piece {
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

/// A string that goes on in the next line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// `"""`
    Basic,
    /// `'''`
    Literal,
}

/// Which string is open at the end of `line`, when `open` was at its start.
fn scan(line: &str, mut open: Option<Open>) -> Option<Open> {
    let mut rest = line;
    loop {
        rest = match open {
            Some(string) => {
                let Some(end) = end_of(rest, string) else {
                    return open;
                };
                open = None;
                rest.get(end..).unwrap_or_default()
            }
            None => {
                let start = rest.find(['"', '\'', '#'])?;
                let found = rest.get(start..).unwrap_or_default();
                if found.starts_with('#') {
                    return None;
                }
                if found.starts_with("\"\"\"") || found.starts_with("'''") {
                    open = Some(if found.starts_with('"') {
                        Open::Basic
                    } else {
                        Open::Literal
                    });
                    found.get(3..).unwrap_or_default()
                } else {
                    // A string of one line; without an end it ends with the line.
                    let delimiter = if found.starts_with('"') { "\"" } else { "'" };
                    let inner = found.get(1..).unwrap_or_default();
                    inner.get(find_end(inner, delimiter)?..).unwrap_or_default()
                }
            }
        };
    }
}

fn end_of(text: &str, string: Open) -> Option<usize> {
    match string {
        Open::Basic => find_end(text, "\"\"\""),
        Open::Literal => find_end(text, "'''"),
    }
}

/// Where `text` goes on after `delimiter`; in strings with `"` a backslash takes the next character along.
fn find_end(text: &str, delimiter: &str) -> Option<usize> {
    let escapes = delimiter.starts_with('"');
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if escapes && character == '\\' {
            escaped = true;
        } else if text
            .get(at..)
            .is_some_and(|rest| rest.starts_with(delimiter))
        {
            return Some(at + delimiter.len());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        let pieces = cut(text);
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
        let kinds: Vec<bool> = cut(text).iter().map(|piece| piece.is_element).collect();
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
        assert_eq!(cut(""), []);
    }
}
