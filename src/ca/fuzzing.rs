//! Answers of a CA over HTTP with any input, and the entry points to each driver's parsers: for fuzz targets.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};

use super::http::Response;
use crate::sanitize::is_unsafe;
use crate::secret::Secret;

pub use super::acme::fuzzing::acme;
pub use super::exec::fuzzing::exec;
pub use super::pam360::fuzzing::pam360;
pub use super::resello::fuzzing::{archive, resello};
pub use super::venafi::fuzzing::venafi;

/// A status, headers in two lines, and a body that repeats a secret: the message is short, plain and does not contain
/// it.
pub fn http(data: &[u8]) {
    let Some(mut answer) = Response::planted(data) else {
        return;
    };
    // The same bytes once more: all that matters is that a seed can say what it wants.
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    for name in [RETRY_AFTER, CONTENT_TYPE] {
        let value = lines
            .next()
            .and_then(|line| HeaderValue::from_bytes(line.get(2..)?).ok());
        if let Some(value) = value {
            answer.headers.insert(name, value);
        }
    }
    let wait = answer.retry_after(now());
    assert!(wait.is_none_or(|wait| wait >= SignedDuration::ZERO));
    for is_lasting in [true, false] {
        let refusal = answer.refusal_by_status(is_lasting, now());
        assert_eq!(refusal.is_none(), answer.status < 300);
        if let Some(failure) = refusal {
            failure.assert_tellable(&SECRETS);
        }
    }
    if let Err(failure) = answer.json() {
        failure.assert_tellable(&SECRETS);
    }
    let evidence = answer.evidence();
    assert!(evidence.chars().count() <= 320, "{evidence}");
    assert!(!evidence.chars().any(char::is_control), "{evidence:?}");
    for secret in SECRETS {
        assert!(!evidence.contains(secret), "{evidence}");
    }
}

impl Response {
    /// Two bytes of status and a body, in which each byte 255 becomes a secret that was sent with the call. `None`: too
    /// short, or it holds a piece of that secret of its own accord.
    pub(super) fn planted(data: &[u8]) -> Option<Self> {
        let ([high, low], rest) = data.split_first_chunk()?;
        let status = 100 + (u16::from(*high) * 256 + u16::from(*low)) % 500;
        let mut body = Vec::new();
        for byte in rest {
            match byte {
                255 => body.extend_from_slice(SECRET.as_bytes()),
                byte => body.push(*byte),
            }
        }
        // A fuzzer sees what its input is compared with, and writes it, with signs in between that are never shown.
        let text: String = String::from_utf8_lossy(rest)
            .chars()
            .filter(|c| !is_unsafe(*c))
            .collect();
        let is_own = SECRET
            .as_bytes()
            .windows(PIECE)
            .any(|piece| text.as_bytes().windows(PIECE).any(|window| window == piece));
        let answer = Self::example("GET /fuzz", status, &body);
        (!is_own).then(|| answer.hiding(&Secret::new(SECRET.to_owned())))
    }
}

/// A moment for all that is computed.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap_or_default()
}

/// So many characters of the secret in a row are no accident.
const PIECE: usize = 6;
const SECRET: &str = "k7Qm2xWzR9tBv4LpY8nD3cHs";
/// The whole of it, and half of it: what is cut at its length must not leave so much.
pub(super) const SECRETS: [&str; 2] = [SECRET, "k7Qm2xWzR9tB"];
