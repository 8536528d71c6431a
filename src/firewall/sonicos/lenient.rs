//! JSON as SonicOS 6.5 writes it: words without quotes where a value belongs (SonicOS reference 1.5). Nothing else is
//! forgiven, and a word is only ever read as text: what it means is for the reader of the value.

use std::borrow::Cow;

use serde_json::Value;

/// Reads JSON, if need be with its bare words in quotes.
pub(super) fn read(text: &str) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(json) => Some(json),
        // A text that is no object and no list is words altogether.
        Err(_) if !text.trim_start().starts_with(['{', '[']) => None,
        Err(_) => serde_json::from_str(&quoted(text)?).ok(),
    }
}

/// The text with its bare words in quotes; `None` when a string in it has no end.
fn quoted(text: &str) -> Option<String> {
    let mut written = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (token, after) = match next {
            '"' => rest.split_at(string_end(rest)?),
            '{' | '}' | '[' | ']' | ':' | ',' => rest.split_at(next.len_utf8()),
            _ if next.is_whitespace() => rest.split_at(next.len_utf8()),
            _ => rest.split_at(rest.find(ENDS_OF_WORDS).unwrap_or(rest.len())),
        };
        written.push_str(&value(token));
        rest = after;
    }
    Some(written)
}

/// A token as it stands, or in quotes when it is a bare word.
fn value(token: &str) -> Cow<'_, str> {
    let word = token.trim_end();
    let is_bare = word.starts_with(|first: char| first.is_alphabetic())
        && !["true", "false", "null"].contains(&word);
    if is_bare {
        Cow::Owned(Value::from(word).to_string())
    } else {
        Cow::Borrowed(token)
    }
}

/// Where the string ends that `text` begins with, behind its closing quote.
fn string_end(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (place, character) in text.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}

const ENDS_OF_WORDS: [char; 8] = ['"', '{', '}', '[', ']', ',', '\r', '\n'];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bare_word_is_read_as_text() {
        assert_eq!(
            read("{\"validated\": expired, \"n\":1,\"ok\":true}"),
            Some(json!({ "validated": "expired", "n": 1, "ok": true }))
        );
        assert_eq!(
            read("[{\"a\":Expire in 3 days\n}, null, no]"),
            Some(json!([{ "a": "Expire in 3 days" }, null, "no"]))
        );
        assert_eq!(
            read("{\"at\":expired 10:00:00 GMT}"),
            Some(json!({ "at": "expired 10:00:00 GMT" }))
        );
    }

    #[test]
    fn what_stands_in_quotes_is_left_alone() {
        let text = r#"{"a\"b, c: word":"x: expired, {\\","b":expired}"#;
        assert_eq!(
            read(text),
            Some(json!({ "a\"b, c: word": "x: expired, {\\", "b": "expired" }))
        );
    }

    #[test]
    fn everything_else_that_is_no_json_is_none() {
        for text in [
            "",
            "{\"a\":expired",
            "{\"a\":\"no end",
            "{\"a\":1,}",
            "{\"a\":say \"hello\"}",
            "{\"a\":}",
            "{a:b:}c",
            "{\"a\":12 days}",
            "% Error",
            "Unauthorized",
            "{bare:1}",
            "\u{0}",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
