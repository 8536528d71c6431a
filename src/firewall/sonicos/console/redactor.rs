//! Redacts secrets in the output of the device. Typed lines contain passwords and URLs with one-time passwords, and
//! devices repeat lines when they refuse them.

use regex::Regex;

use crate::secret::{self, Secret};

/// The secrets that are redacted.
#[derive(Debug, Default)]
pub(super) struct Redactor {
    secrets: Vec<Secret>,
}

impl Redactor {
    /// Redacts `password`.
    pub(super) fn about(password: &Secret) -> Self {
        Self {
            secrets: vec![password.clone()],
        }
    }

    /// Learns what is secret in a line: the password in an URL, and the word after `password`.
    pub(super) fn learn(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        for word in &words {
            if let Some((_, rest)) = word.split_once("://")
                && let Some((credentials, _)) = rest.rsplit_once('@')
                && let Some((_, password)) = credentials.split_once(':')
            {
                self.keep(&decoded(password));
                self.keep(password);
            }
        }
        for pair in words.windows(2) {
            if let [name, value] = pair
                && name.eq_ignore_ascii_case("password")
            {
                self.keep(value.trim_matches('"'));
            }
        }
    }

    /// The text without what is secret, also where a terminal has broken it.
    pub(super) fn cut(&self, text: &str) -> String {
        let patterns = self
            .secrets
            .iter()
            .filter_map(|secret| broken(secret.expose()));
        let places = patterns.flat_map(|pattern| {
            let found = pattern.find_iter(text).map(|found| found.range());
            found.collect::<Vec<_>>()
        });
        secret::redact_with(text, &self.secrets, places.collect())
    }

    fn keep(&mut self, secret: &str) {
        if !secret.is_empty() {
            self.secrets.push(Secret::new(secret.to_owned()));
        }
    }
}

/// The secret with any white space in it.
fn broken(secret: &str) -> Option<Regex> {
    let characters = secret.chars().filter(|c| !c.is_whitespace());
    let parts: Vec<String> = characters.map(|c| regex::escape(&c.to_string())).collect();
    if parts.is_empty() {
        return None;
    }
    Regex::new(&parts.join(r"\s*")).ok()
}

/// Percent-encoding undone (RFC 3986, 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let byte = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(b'%'));
        rest = byte.and_then(|_| after.get(2..)).unwrap_or(after);
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_and_after_their_word_are_cut_out() {
        let mut redactor = Redactor::about(&Secret::new("correct horse".to_owned()));
        redactor
            .learn("import cert-key-pair fw-1 password \"p1xyz\" scp scp://u1:o%2B-e@192.0.2.1/f");
        let said =
            "correct horse, correct\n horse: p1xyz, scp://u1:o%2B-e@192.0.2.1/f, o+-e, o%2B\r\n-e";
        let reported = redactor.cut(said);
        assert_eq!(
            reported,
            "[secret], [secret]: [secret], scp://u1:[secret]@192.0.2.1/f, [secret], [secret]"
        );
    }

    #[test]
    fn passwords_that_share_a_letter_leave_nothing_of_themselves() {
        let mut redactor = Redactor::about(&Secret::new("horse-7".to_owned()));
        redactor.learn("password 7-staples");
        assert_eq!(redactor.cut("a hor\r\nse-7-staples!"), "a [secret]!");
    }

    #[test]
    fn nothing_is_printed_of_them() {
        let mut redactor = Redactor::default();
        redactor.learn("x ftp://u:hidden@192.0.2.1/");
        assert!(!format!("{redactor:?}").contains("hidden"));
        assert_eq!(redactor.cut("plain"), "plain");
    }
}
