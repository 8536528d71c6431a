//! Text from peers before it is shown, logged or stored: one line of bounded length, without the characters that a
//! terminal obeys and those that hide, reorder or break text. It knows nothing of secrets.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether the character could deceive a reader or control a terminal: control characters (C0, DEL, C1),
/// line and paragraph separators, bidirectional marks, and everything that has no width of its own.
pub const fn is_unsafe(character: char) -> bool {
    // General categories Cc, Cf, Zl and Zp, and the property Default_Ignorable_Code_Point (Unicode 17).
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// What a peer said, as it may be stored and logged: one line of bounded length, without unsafe characters.
pub fn readable(words: &str) -> String {
    bounded(words, LONGEST_WORDS)
}

/// The same with at most `longest` characters, and `…` where more stood. It reads no further than that.
///
/// Unsafe characters are left out, not replaced: a secret that one of them interrupts must still be found.
pub fn bounded(words: &str, longest: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in words.split_whitespace() {
        let mut is_first = true;
        for character in word.chars().filter(|character| !is_unsafe(*character)) {
            let gap = usize::from(is_first && length > 0);
            if length + gap >= longest {
                line.push('…');
                return line;
            }
            if gap > 0 {
                line.push(' ');
            }
            line.push(character);
            length += gap + 1;
            is_first = false;
        }
    }
    line
}

/// A piece of a printed line: each unsafe character is replaced, and a line break or tab is a space.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|character| match character {
        '\t' | '\n' | '\r' => ' ',
        character if is_unsafe(character) => char::REPLACEMENT_CHARACTER,
        character => character,
    });
    Cow::Owned(shown.collect())
}

/// JSON whose strings hold no unsafe character as it is; the line breaks between its members stay.
pub fn escaped_json(json: &str) -> Cow<'_, str> {
    let is_raw = |character: char| character != '\n' && is_unsafe(character);
    if !json.contains(is_raw) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        if is_raw(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a text does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// `text` as a basic string of TOML in one line, without an unsafe character as it is.
pub fn toml_string(text: &str) -> String {
    // What JSON escapes is escaped alike in TOML. TOML's own writer prefers literal strings, in which nothing can be.
    let json = serde_json::Value::from(text).to_string();
    let mut string = String::with_capacity(json.len());
    for character in json.chars() {
        let code = u32::from(character);
        let _ = match code {
            _ if !is_unsafe(character) => string.write_char(character),
            ..=0xffff => write!(string, "\\u{code:04X}"),
            _ => write!(string, "\\U{code:08X}"),
        };
    }
    string
}

/// Characters: more than any sentence of ours, and less than a peer may send.
pub const LONGEST_WORDS: usize = 2000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_peer_says_becomes_one_line_of_bounded_length() {
        assert_eq!(readable(" a\nb\t\u{1b}[31mc "), "a b [31mc");
        let long = readable(&"ü".repeat(1 << 20));
        assert_eq!(long.chars().count(), LONGEST_WORDS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(bounded("abc \u{202e} d", 5), "abc d");
        assert_eq!(bounded("abc d\u{200b}", 5), "abc d");
        assert_eq!(bounded("abc de", 5), "abc d…");
        assert_eq!(bounded("abcde f", 5), "abcde…");
        assert_eq!(bounded("\u{200b} \u{feff}", 5), "");
    }

    #[test]
    fn escapes_separators_and_marks_that_reorder_or_hide_text_are_unsafe_and_names_are_not() {
        for character in [
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{85}',
            '\u{ad}',
            '\u{200b}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2029}',
            '\u{2066}',
            '\u{2069}',
            '\u{feff}',
            '\u{e0041}',
        ] {
            assert!(is_unsafe(character), "{character:?}");
            let shown = printable(&format!("a{character}b")).into_owned();
            assert!(
                !shown.contains(character) && shown.starts_with('a'),
                "{shown:?}"
            );
        }
        for name in [
            "Zürich",
            "Łódź",
            "東京",
            "Σύρος",
            "ירושלים",
            "e\u{301}",
            "a\u{a0}b",
            "🔥",
        ] {
            assert!(!name.contains(is_unsafe), "{name:?}");
        }
        assert_eq!(printable("a\tb\nc\rd\u{1b}e"), "a b c d\u{fffd}e");
    }

    proptest! {
        #[test]
        fn a_toml_string_holds_the_text_exactly_and_shows_no_unsafe_character(text in any::<String>()) {
            let written = toml_string(&text);
            prop_assert!(!written.contains(is_unsafe), "{written:?}");
            let table: toml::Table = format!("a = {written}").parse().unwrap();
            prop_assert_eq!(table["a"].as_str(), Some(text.as_str()));
        }

        #[test]
        fn escaped_json_means_the_same_and_shows_no_unsafe_character(text in any::<String>()) {
            let value = serde_json::json!({ "a": [text], "b": 1 });
            let json = serde_json::to_string_pretty(&value).unwrap();
            let escaped = escaped_json(&json);
            prop_assert!(!escaped.contains(|c: char| c != '\n' && is_unsafe(c)), "{escaped:?}");
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
        }

        #[test]
        fn bounded_words_are_never_longer_and_hold_no_unsafe_character(text in any::<String>(), longest in 0_usize..64) {
            let line = bounded(&text, longest);
            prop_assert!(line.chars().count() <= longest + 1);
            prop_assert!(!line.contains(is_unsafe));
            prop_assert_eq!(line.trim(), line.as_str());
        }
    }
}
