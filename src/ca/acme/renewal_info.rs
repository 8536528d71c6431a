//! The CA's renewal window for a certificate (ARI, RFC 9773). The request needs no account.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::Value;
use url::Url;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::object;
use crate::ca::http::{Http, Request};
use crate::ca::{RenewalInfo, Window};
use crate::failure::{Failure, readable};

/// The name of a certificate in these requests: its issuer's key and its serial number (RFC 9773, 4.1). `None`: it
/// does not tell which key issued it.
pub(super) fn identifier(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let issuer =
        certificate
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref(),
                _ => None,
            })?;
    Some(joined(issuer.0, certificate.raw_serial()))
}

/// Asks for the window of the certificate of this name.
///
/// # Errors
/// Only where a retry soon may help: no answer, or a server error. After any other failure the next request follows in
/// six hours (RFC 9773, 4.3.3).
pub(super) async fn ask(
    http: &Http,
    service: &Url,
    identifier: &str,
    now: Timestamp,
) -> Result<RenewalInfo, Failure> {
    let silent = RenewalInfo {
        ask_again: Some(SILENCE),
        ..RenewalInfo::default()
    };
    let Ok(url) = Url::parse(&format!(
        "{}/{identifier}",
        service.as_str().trim_end_matches('/')
    )) else {
        return Ok(silent);
    };
    let answer = http
        .send(Request::reading(Method::GET, url), |request| request)
        .await?;
    match answer.refusal_by_status(false, now) {
        Some(failure) if answer.status >= 500 => Err(failure),
        Some(failure) => {
            tracing::debug!(%failure, "the CA names no renewal window");
            Ok(silent)
        }
        None => Ok(info(&answer.body, answer.retry_after(now)).unwrap_or(silent)),
    }
}

pub(super) fn info(body: &[u8], retry_after: Option<SignedDuration>) -> Option<RenewalInfo> {
    let reported: Value = serde_json::from_slice(body).ok()?;
    let window = reported.get("suggestedWindow")?;
    let start = object::moment(window.get("start"))?;
    let end = object::moment(window.get("end"))?;
    if end <= start {
        return None;
    }
    let ask_again = retry_after.map_or(SILENCE, |wait| wait.clamp(SOONEST, LATEST));
    Some(RenewalInfo {
        window: Some(Window { start, end }),
        explanation: object::text(reported.get("explanationURL")).map(readable),
        ask_again: Some(ask_again),
    })
}

fn joined(key_identifier: &[u8], serial: &[u8]) -> String {
    let encode = |bytes| data_encoding::BASE64URL_NOPAD.encode(bytes);
    format!("{}.{}", encode(key_identifier), encode(serial))
}

/// What Retry-After is held to (RFC 9773, 4.3.2).
const SOONEST: SignedDuration = SignedDuration::from_mins(1);
const LATEST: SignedDuration = SignedDuration::from_hours(24);
/// When a CA that gave no answer is asked again.
pub(super) const SILENCE: SignedDuration = SignedDuration::from_hours(6);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn reported(window: &str, retry_after: Option<i64>) -> Option<RenewalInfo> {
        info(
            window.as_bytes(),
            retry_after.map(SignedDuration::from_secs),
        )
    }

    const EXAMPLE: &str = r#"{"suggestedWindow":{"start":"2025-01-02T04:00:00Z","end":"2025-01-03T04:00:00Z"},
        "explanationURL":"https://acme.example.com/docs/ari","mood":"good"}"#;

    #[test]
    fn the_name_of_a_certificate_is_that_of_the_rfcs_example() {
        let key = data_encoding::HEXUPPER
            .decode(b"69885B6B87464041E1B37B847BA0AE2CDE01C8D4")
            .unwrap();
        assert_eq!(
            joined(&key, &[0x00, 0x87, 0x65, 0x43, 0x21]),
            "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"
        );
    }

    #[test]
    fn a_window_is_read_with_its_explanation_and_unknown_fields_are_skipped() {
        let info = reported(EXAMPLE, Some(21600)).unwrap();
        let window = info.window.unwrap();
        assert_eq!(window.start.to_string(), "2025-01-02T04:00:00Z");
        assert_eq!(window.end.to_string(), "2025-01-03T04:00:00Z");
        assert_eq!(
            info.explanation.as_deref(),
            Some("https://acme.example.com/docs/ari")
        );
        assert_eq!(info.ask_again, Some(SignedDuration::from_hours(6)));
    }

    #[test]
    fn the_pause_is_held_between_a_minute_and_a_day() {
        for (seconds, minutes) in [(Some(1), 1), (Some(9_999_999), 24 * 60), (None, 6 * 60)] {
            let info = reported(EXAMPLE, seconds).unwrap();
            assert_eq!(
                info.ask_again.map(|wait| wait.as_mins()),
                Some(minutes),
                "{seconds:?}"
            );
        }
    }

    #[test]
    fn a_window_that_ends_before_it_starts_is_no_answer() {
        for window in [
            r#"{"suggestedWindow":{"start":"2025-01-03T04:00:00Z","end":"2025-01-03T04:00:00Z"}}"#,
            r#"{"suggestedWindow":{"start":"2025-01-03T04:00:00Z"}}"#,
            "<html>no</html>",
        ] {
            assert_eq!(reported(window, None), None, "{window}");
        }
    }
}
