//! Secrets: their sources, a wrapper that never shows them, and their redaction in text of peers.
//!
//! A [`SecretSource`] is what the configuration holds; it is read at each use, so that a changed
//! password file takes effect at the next login and ten thousand passwords do not lie in memory.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::ops::Range;
use std::path::PathBuf;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use secrecy::{ExposeSecret, SecretString};

use crate::sanitize;

/// A secret's text. `Debug` prints a placeholder; there is no `Display`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// Whether it begins or ends with a blank: most likely a mistake of an editor, but it may be meant.
    pub fn has_blank_at_an_end(&self) -> bool {
        let text = self.expose();
        text.trim() != text
    }

    /// The text itself: for the wire only, never for a log, an error or an URL.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Where a secret is to be read from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// A file; its first line is the secret.
    File(PathBuf),
    /// An environment variable of the daemon.
    Env(String),
    /// A systemd credential: the file of this name in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential=).
    Credential(String),
    /// Written in the configuration, in a file that no other user can read.
    Inline(Secret),
}

/// Why a secret could not be read. Says where it was looked for, never what was found.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct SecretError {
    /// The file, variable or credential.
    pub place: String,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl SecretSource {
    /// Reads the secret now.
    ///
    /// # Errors
    /// When the place does not exist, cannot be read, or holds nothing.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let text = match self {
            Self::Inline(secret) => return Ok(secret.clone()),
            Self::Env(name) => std::env::var(name)
                .map_err(|_| self.problem("not set in the environment of renewd, or not UTF-8"))?,
            Self::File(path) => self.read_file(path)?,
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    self.problem("CREDENTIALS_DIRECTORY is not set: the service needs LoadCredential= for it")
                })?;
                self.read_file(&PathBuf::from(folder).join(name))?
            }
        };
        let line = first_line(&text);
        if line.trim().is_empty() {
            return Err(self.problem("empty: its first line must hold the secret"));
        }
        Ok(Secret::new(line.to_owned()))
    }

    fn read_file(&self, path: &std::path::Path) -> Result<String, SecretError> {
        std::fs::read_to_string(path).map_err(|error| self.problem(&error.to_string()))
    }

    fn problem(&self, problem: &str) -> SecretError {
        SecretError {
            place: self.to_string(),
            problem: problem.to_owned(),
        }
    }
}

/// The first line without the mark that some editors put before it, and without its end; blanks are a part of it.
fn first_line(text: &str) -> &str {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let line = text.split('\n').next().unwrap_or_default();
    line.strip_suffix('\r').unwrap_or(line)
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Credential(name) => write!(f, "credential {name}"),
            Self::Inline(_) => f.write_str("the configuration itself"),
        }
    }
}

/// `text`, which a peer may have had a hand in, without `secrets`: neither as they are, nor in an encoding in which a peer
/// could give them back, nor begun and then cut off by `…`.
///
/// The work grows with the text times the secrets. A long text is shortened first ([`crate::sanitize::bounded`]): what
/// the end of it leaves of a secret is a beginning before `…`. Of one that was not, what is longer than [`LONGEST_TEXT`]
/// is left out here.
pub fn redact<'a>(text: &str, secrets: impl IntoIterator<Item = &'a Secret>) -> String {
    redact_with(text, secrets, Vec::new())
}

/// The same without what stands in the `known` places besides.
pub fn redact_with<'a>(
    text: &str,
    secrets: impl IntoIterator<Item = &'a Secret>,
    known: Vec<Range<usize>>,
) -> String {
    let text = &beginning(text);
    let secrets = secrets.into_iter().map(Secret::expose);
    let mut forms: Vec<String> = secrets
        .filter(|secret| secret.len() >= SHORTEST)
        // Of one that is longer than the text only the beginning can be in it: a peer chooses how long its token is.
        .filter_map(|secret| secret.get(..secret.floor_char_boundary(text.len())))
        .flat_map(forms)
        .collect();
    // Most secrets look the same in most encodings.
    forms.sort_unstable();
    forms.dedup();
    let mut places = known;
    places.retain(|place| place.start < text.len());
    places.extend(forms.iter().flat_map(|form| places_of(form, text)));
    without_beginnings(&marked(text, places), &forms)
}

/// So much of a text as secrets are looked for in; the ellipsis says where a secret may have been.
fn beginning(text: &str) -> Cow<'_, str> {
    match text.get(..text.floor_char_boundary(LONGEST_TEXT)) {
        Some(begin) if begin.len() < text.len() => Cow::Owned(format!("{begin}{ELLIPSIS}")),
        _ => Cow::Borrowed(text),
    }
}

/// Wherever `form`, which is not empty, stands in `text`. Where one overlaps the next, they are one place.
fn places_of<'a>(form: &'a str, text: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let step = form.chars().next().map_or(1, char::len_utf8);
    let mut from = 0;
    let mut next = move || {
        let start = from + text.get(from..)?.find(form)?;
        from = start + step;
        Some(start..start + form.len())
    };
    let mut waiting = next();
    std::iter::from_fn(move || {
        let mut place = waiting.take()?;
        waiting = next();
        while let Some(overlapping) = waiting.take_if(|next| next.start < place.end) {
            place.end = overlapping.end;
            waiting = next();
        }
        Some(place)
    })
}

/// `text` with a mark for each of `places`, and one for several that overlap: what one takes away of another would leave
/// the rest of it standing.
fn marked(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_unstable_by_key(|place| place.start);
    let mut whole = String::with_capacity(text.len());
    let mut end = 0;
    for place in places {
        if place.start >= end {
            whole.push_str(text.get(end..place.start).unwrap_or_default());
            whole.push_str(CUT);
        }
        end = end.max(place.end);
    }
    whole.push_str(text.get(end..).unwrap_or_default());
    whole
}

/// The secret in whichever way it may come back.
fn forms(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let json = json.trim_matches('"').to_owned();
    let bytes = secret.as_bytes();
    let mut forms = vec![
        secret.to_owned(),
        // As it looks in one line.
        sanitize::bounded(secret, usize::MAX),
        json.replace('/', "\\/"),
        json,
        html(secret),
        percent(secret, HexCase::Upper),
        percent(secret, HexCase::Lower),
        percent(secret, HexCase::Upper).replace("%20", "+"),
        HEXLOWER.encode(bytes),
        HEXUPPER.encode(bytes),
    ];
    for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
        forms.extend((0..3).map(|before| base64(bytes, before, &encoding)));
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

/// What of the base64 of a text is that of `secret` alone, wherever it stands in it: after so many bytes, modulo three.
fn base64(secret: &[u8], before: usize, encoding: &data_encoding::Encoding) -> String {
    let bytes = [&[0; 2][..before.min(2)], secret].concat();
    let text = encoding.encode(&bytes);
    let (start, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    text.get(start..end).unwrap_or_default().to_owned()
}

#[derive(Clone, Copy)]
enum HexCase {
    Upper,
    Lower,
}

/// Everything but the unreserved characters (RFC 3986, 2.3).
fn percent(text: &str, case: HexCase) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        // Writing to a text does not fail.
        let _ = match case {
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                encoded.write_char(char::from(byte))
            }
            HexCase::Upper => write!(encoded, "%{byte:02X}"),
            HexCase::Lower => write!(encoded, "%{byte:02x}"),
        };
    }
    encoded
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// What a cut left of a secret at its end.
fn without_beginnings(text: &str, forms: &[String]) -> String {
    let mut parts: Vec<&str> = text.split(ELLIPSIS).collect();
    let last = parts.pop().unwrap_or_default();
    let mut whole = String::with_capacity(text.len());
    for part in parts {
        // Most parts of a hostile text are shorter than any beginning.
        let begun = match part.len() {
            ..SHORTEST_BEGINNING => None,
            _ => forms.iter().filter_map(|form| begun(part, form)).max(),
        };
        match begun.and_then(|length| part.len().checked_sub(length)) {
            Some(end) => {
                whole.push_str(part.get(..end).unwrap_or_default());
                whole.push_str(CUT);
            }
            None => whole.push_str(part),
        }
        whole.push(ELLIPSIS);
    }
    whole.push_str(last);
    whole
}

/// How many bytes at the end of `text` are the beginning of `form`.
fn begun(text: &str, form: &str) -> Option<usize> {
    let longest = form.len().min(text.len() + 1);
    (SHORTEST_BEGINNING..longest).rev().find(|length| {
        form.get(..*length)
            .is_some_and(|begin| text.ends_with(begin))
    })
}

const BYTE_ORDER_MARK: char = '\u{feff}';
/// The replacement for a secret.
const CUT: &str = "[secret]";
/// Where something long was cut off.
const ELLIPSIS: char = '…';
/// Bytes: more than a device says on its command line before its session is ended.
const LONGEST_TEXT: usize = 1 << 20;
/// What is shorter than this occurs in every text.
const SHORTEST: usize = 4;
/// A shorter beginning of a secret reveals nothing.
const SHORTEST_BEGINNING: usize = 3;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    const NASTY: &str = "p\"ä/ s&w<r+d=\\1";

    fn reported(text: &str, secret: &str) -> String {
        redact(text, [&Secret::new(secret.to_owned())])
    }

    #[test]
    fn a_file_gives_its_first_line_without_a_byte_order_mark_and_with_its_blanks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (content, wanted, has_blank) in [
            ("hunter2", "hunter2", false),
            ("hunter2\n", "hunter2", false),
            ("hunter2\r\n", "hunter2", false),
            ("\u{feff}hunter2\r\n", "hunter2", false),
            ("hunter2 \n", "hunter2 ", true),
            ("hunter2\t", "hunter2\t", true),
            (" hunter2\nnot this", " hunter2", true),
            ("hunter2\r\r\n", "hunter2\r", true),
            ("hunter\u{85}2\u{2028}\n", "hunter\u{85}2\u{2028}", true),
        ] {
            std::fs::write(&path, content).unwrap();
            let secret = SecretSource::File(path.clone()).read().unwrap();
            assert_eq!(secret.expose(), wanted, "{content:?}");
            assert_eq!(secret.has_blank_at_an_end(), has_blank, "{content:?}");
        }
        for content in ["", "\n", "\u{feff}\n", " \r\nsecond"] {
            std::fs::write(&path, content).unwrap();
            let error = SecretSource::File(path.clone()).read().unwrap_err();
            assert!(error.problem.starts_with("empty"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_cut_out_as_it_is_and_in_every_usual_encoding() {
        for form in forms(NASTY) {
            let text = reported(&format!("no: {form}; again"), NASTY);
            assert_eq!(text, "no: [secret]; again", "{form}");
        }
        assert_eq!(reported("hunter2", "hunter2"), "[secret]");
        assert_eq!(reported("tell", "te"), "tell", "too short to be one");
    }

    #[test]
    fn base64_is_found_wherever_the_secret_stands_in_it() {
        for before in ["", "u", "us", "user", "renewd:"] {
            for after in ["", "x", "xy", "xyz"] {
                let text = format!("{before}{NASTY}{after}");
                for encoding in [data_encoding::BASE64, data_encoding::BASE64URL] {
                    let encoded = encoding.encode(text.as_bytes());
                    let reported = reported(&encoded, NASTY);
                    assert!(reported.contains(CUT), "{encoded} became {reported}");
                    assert!(reported.len() < encoded.len(), "{reported}");
                }
            }
        }
    }

    #[test]
    fn what_a_cut_left_of_a_secret_is_cut_out_too() {
        let secret = "correct-horse-battery";
        for length in SHORTEST_BEGINNING..secret.len() {
            let text = format!("said {}… (HTTP 400)", &secret[..length]);
            assert_eq!(reported(&text, secret), "said [secret]… (HTTP 400)");
        }
        assert_eq!(
            reported("a corral… of horses…", secret),
            "a corral… of horses…"
        );
        let encoded = &HEXLOWER.encode(secret.as_bytes())[..19];
        assert_eq!(reported(&format!("{encoded}…"), secret), "[secret]…");
    }

    #[test]
    fn a_text_full_of_ellipses_costs_no_more_than_its_length() {
        let secrets: Vec<Secret> = (0..4)
            .map(|seed| Secret::new(format!("{seed}{}", "k7Qm2xWz".repeat(256))))
            .collect();
        for part in ["…", "k7Q…", "k7Qm2xWz…"] {
            let text = part.repeat((1 << 20) / part.len());
            let reported = redact(&text, &secrets);
            assert!(reported.ends_with('…'));
        }
    }

    #[test]
    fn a_long_text_of_one_letter_is_one_place_and_what_is_too_long_is_cut_off() {
        let text = "a".repeat(LONGEST_TEXT);
        assert_eq!(places_of("aaaa", &text).count(), 1);
        let between = "aaaab".repeat(1000);
        assert_eq!(places_of("aaaa", &between).count(), 1000);
        let secret = Secret::new("aaaa".to_owned());
        assert_eq!(redact(&text, [&secret]), CUT);
        let text = format!("{}{text}", "b".repeat(LONGEST_TEXT - 2));
        let beyond = text.len() - 4..text.len();
        let reported = redact_with(&text, [&secret], vec![beyond.clone(), beyond]);
        assert_eq!(reported.len(), LONGEST_TEXT + ELLIPSIS.len_utf8());
        assert!(
            reported.ends_with("baa…") && !reported.contains(CUT),
            "{}",
            reported.len()
        );
    }

    #[test]
    fn a_secret_that_contains_another_leaves_nothing_of_itself() {
        let secrets = ["horse", "correct horse"].map(|text| Secret::new(text.to_owned()));
        assert_eq!(
            redact("correct horse, horse", &secrets),
            "[secret], [secret]"
        );
    }

    #[test]
    fn what_shares_a_letter_with_another_secret_leaves_nothing_of_itself() {
        assert_eq!(
            reported("say rotor rotorotor, rotor!", "rotor"),
            "say [secret] [secret], [secret]!"
        );
        // Its base64, one byte into a text, begins with the letter with which it ends itself.
        let secret = "k7Qm2xWzR9tBv4LpY8nD3cHs";
        let encoded = base64(secret.as_bytes(), 1, &BASE64_NOPAD);
        assert!(encoded.starts_with('s'), "{encoded}");
        assert_eq!(
            reported(&format!("({secret}{})", &encoded[1..]), secret),
            "([secret])"
        );
    }
}
