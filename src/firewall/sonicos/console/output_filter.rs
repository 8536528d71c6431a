//! Removes terminal control from the output: escape sequences, CR, backspaces, the echo of typed lines.
//! It does not interpret the output.

use std::iter::Peekable;
use std::str::Chars;

/// The text as it stands on a screen of any width: lines separated by "\n", without spaces at their ends.
pub(super) fn visible(raw: &str) -> String {
    let mut lines = vec![Line::default()];
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        let Some(line) = lines.last_mut() else { break };
        match character {
            '\n' => lines.push(Line::default()),
            '\r' => line.column = 0,
            '\u{8}' => line.column = line.column.saturating_sub(1),
            '\t' => line.put(' '),
            '\u{1b}' if escape(&mut characters) == Some('K') => line.text.truncate(line.column),
            character if character.is_control() => {}
            character => line.put(character),
        }
    }
    let lines: Vec<String> = lines.into_iter().map(Line::into_text).collect();
    lines.join("\n")
}

/// What follows the echo of `typed`; all of it where there is no echo.
///
/// A narrow terminal breaks the echo in its own ways, so white space and control characters do not count.
pub(super) fn after_echo<'a>(raw: &'a str, typed: &str) -> &'a str {
    let mut expected = typed.chars().filter(|c| !is_blank(*c)).peekable();
    if expected.peek().is_none() {
        return raw;
    }
    let mut characters = raw.chars().peekable();
    while expected.peek().is_some() {
        match characters.next() {
            Some('\u{1b}') => {
                escape(&mut characters);
            }
            Some(character) if is_blank(character) => {}
            character if character == expected.peek().copied() => {
                expected.next();
            }
            _ => return raw,
        }
    }
    let rest: String = characters.collect();
    let behind = raw.get(raw.len() - rest.len()..).unwrap_or_default();
    match behind.split_once('\n') {
        Some((end, rest)) if visible(end).is_empty() => rest,
        _ => behind,
    }
}

/// A line on the screen, and where the cursor is.
#[derive(Debug, Default)]
struct Line {
    text: Vec<char>,
    column: usize,
}

impl Line {
    fn put(&mut self, character: char) {
        match self.text.get_mut(self.column) {
            Some(place) => *place = character,
            None => self.text.push(character),
        }
        self.column += 1;
    }

    fn into_text(self) -> String {
        let text: String = self.text.into_iter().collect();
        text.trim_end().to_owned()
    }
}

/// Reads past an escape sequence whose first character was read already (ECMA-48, 5.4); the character that ends a
/// control sequence says what it does.
fn escape(characters: &mut Peekable<Chars<'_>>) -> Option<char> {
    match characters.next()? {
        '[' => characters.find(|c| ('@'..='~').contains(c)),
        // An operating system command ends with BEL or with another escape sequence.
        ']' => {
            let end = characters.find(|c| matches!(c, '\u{7}' | '\u{1b}'));
            if end == Some('\u{1b}') {
                characters.next();
            }
            None
        }
        '(' | ')' => {
            characters.next();
            None
        }
        _ => None,
    }
}

fn is_blank(character: char) -> bool {
    character.is_whitespace() || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_overwritten_text_leave_no_trace() {
        assert_eq!(
            visible("\u{1b}[2J\u{1b}[1;31mred\u{1b}[0m  \r\nb"),
            "red\nb"
        );
        assert_eq!(visible("\u{1b}]0;title\u{7}a\u{1b}(Bb"), "ab");
        assert_eq!(visible("abc\u{8}\u{8}XY"), "aXY");
        assert_eq!(visible("--MORE--\r        \rnext"), "next");
        assert_eq!(visible("--MORE--\r\u{1b}[Knext"), "next");
        assert_eq!(visible("a\r\r\nb\u{0}\u{7}"), "a\nb");
    }

    #[test]
    fn a_torn_escape_sequence_is_no_panic() {
        for raw in ["\u{1b}", "\u{1b}[", "\u{1b}[12;", "\u{1b}]0;t", "\u{1b}("] {
            assert_eq!(visible(raw), "");
            assert_eq!(after_echo(raw, "x"), raw);
        }
    }

    #[test]
    fn the_echo_is_cut_off_however_the_terminal_breaks_it() {
        let typed = "import signed-cert fw-1 scp scp://a:b@192.0.2.1:22/fw-1.pem";
        for echo in [
            "import signed-cert fw-1 scp scp://a:b@192.0.2.1:22/fw-1.pem\r\n",
            "import signed-cert fw-1 scp scp://a:b@192.0.2.1\r\n:22/fw-1.pem\r\n",
            "import signed-cert fw-1 scp scp://a:b@192.0.2. \r1:22/fw-1.pem \u{1b}[K\r\n",
        ] {
            assert_eq!(
                after_echo(&format!("{echo}% Done.\r\n"), typed),
                "% Done.\r\n"
            );
        }
        assert_eq!(after_echo("import signed-c", typed), "import signed-c");
        assert_eq!(after_echo("commit", "commit"), "");
        assert_eq!(
            after_echo("% Changes made.\r\n", "commit"),
            "% Changes made.\r\n"
        );
        assert_eq!(after_echo("anything", ""), "anything");
        assert_eq!(after_echo("exit% Bye.\r\n", "exit"), "% Bye.\r\n");
    }
}
