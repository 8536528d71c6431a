//! JSON as SonicOS 6.5 writes it: words without quotes where a value belongs (SonicOS reference 1.5). Nothing else is
//! forgiven, and a word is only ever read as text: what it means is for the reader of the value.

use std::borrow::Cow;

use serde_json::Value;

/// The JSON in a text: all of it, or what begins at the first line with a brace, or the last line
/// (SonicOS reference 1.5: progress lines that begin with `%` may stand before it).
pub(super) fn json_in(text: &str) -> Option<Value> {
    json_and_words(text).map(|(json, _)| json)
}

/// The same, with the lines that stand before it.
pub(super) fn json_and_words(text: &str) -> Option<(Value, &str)> {
    let text = text.trim();
    if let Some(json) = read(text) {
        return Some((json, ""));
    }
    let begins = |line: &str| line.trim_start().starts_with(['{', '[']);
    let mut rest = text;
    loop {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if begins(line) {
            break;
        }
        if after.is_empty() {
            return None;
        }
        rest = after;
    }
    let before = |part: &str| text.get(..text.len() - part.len()).unwrap_or_default();
    if let Some(json) = read(rest) {
        return Some((json, before(rest)));
    }
    let (unread, last_line) = rest.trim_end().rsplit_once('\n').unwrap_or(("", rest));
    // The last line of JSON that broke off is a part of it, and may say anything.
    let json = (begins(last_line) && !is_open(unread)).then(|| read(last_line))??;
    Some((json, before(last_line)))
}

/// Whether something that began in `text` goes on behind it.
fn is_open(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(place) = rest.find(['"', '{', '}', '[', ']']) {
        let (_, from) = rest.split_at(place);
        let length = match from.chars().next() {
            Some('"') => match string_end(from) {
                Some(end) => end,
                None => return true,
            },
            Some('{' | '[') => {
                depth += 1;
                1
            }
            _ => {
                depth = depth.saturating_sub(1);
                1
            }
        };
        rest = from.get(length..).unwrap_or_default();
    }
    depth > 0
}

/// Reads JSON, if need be with its bare words in quotes.
fn read(text: &str) -> Option<Value> {
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
    fn json_is_found_behind_other_lines() {
        assert_eq!(json_in("% only words\n% and more"), None);
        assert_eq!(json_in("[1]\n{\"a\":1}"), Some(json!({"a": 1})));
        assert_eq!(
            json_in("% Done.\n{\"a\": expired}"),
            Some(json!({"a": "expired"}))
        );
    }

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

    #[test]
    fn json_that_broke_off_is_none_whatever_its_last_line_says() {
        for text in [
            "{\"status\":{\"success\":false,\"info\":[\n{}",
            "[\n{\"certificate\":\"a\"},\n{\"certificate\":\"b\"}",
            "{\"a\":\"}\n[]",
            "{\n\"a\":\n\"\"",
        ] {
            assert_eq!(json_in(text), None, "{text}");
        }
        assert_eq!(json_in("[==>   ] 50%\n{\"a\":1}"), Some(json!({ "a": 1 })));
    }
}
