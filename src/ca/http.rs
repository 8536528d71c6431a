//! One HTTP exchange with a CA. Classifies connection failures by whether the call may have been executed, and does not
//! interpret the answer. Secrets that were sent, or that the CA has of us, are redacted in everything that comes back.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, redirect};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use crate::body::{Excess, Intake, Limits, Share};
use crate::failure::{Failure, FailureKind, readable};
use crate::sanitize::bounded;
use crate::secret::{self, Secret};
use crate::tls::{self, Trust};

/// The way to a CA.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    secrets: Vec<Secret>,
}

/// A request, before it is sent.
#[derive(Debug)]
pub(super) struct Request {
    name: String,
    method: Method,
    url: Url,
    lasting: bool,
    secrets: Vec<Secret>,
}

/// An answer, whatever it says.
#[derive(Debug, Clone)]
pub(super) struct Response {
    /// The name of the call in failures and logs.
    pub call: String,
    pub status: u16,
    pub headers: HeaderMap,
    /// As received. For messages use `evidence`.
    pub body: Vec<u8>,
    secrets: Vec<Secret>,
    /// Of the memory for all bodies.
    share: Share,
}

impl Http {
    /// Prepares the way; nothing is sent yet. Redirects are not followed: they would carry credentials elsewhere.
    pub fn new(trust: &Trust, timeout: Duration) -> Result<Self, Failure> {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(trust, &[])?)
            .https_only(true)
            .http1_only()
            // Whatever other crates switch on: a small body must not become a large one.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout((timeout / 2).min(CONNECT_LIMIT))
            .timeout(timeout)
            .user_agent(concat!("renewd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                Failure::new(FailureKind::Local, "set up TLS", tls::root_cause(&error))
            })?;
        Ok(Self {
            client,
            secrets: Vec::new(),
        })
    }

    /// No answer on this way shows `secret`, which the CA knows although no call carries it.
    pub fn hiding(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Sends once and takes the answer; `prepare` adds headers and body.
    pub async fn send(
        &self,
        mut call: Request,
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder + Send,
    ) -> Result<Response, Failure> {
        call.secrets.extend_from_slice(&self.secrets);
        let request = prepare(self.client.request(call.method.clone(), call.url.clone()));
        let outcome = match request.send().await {
            Ok(response) => receive(&call, response).await,
            Err(error) => Err(call.lost(error)),
        };
        match &outcome {
            Ok(answer) => tracing::debug!(call = call.name, status = answer.status, "answered"),
            Err(failure) => {
                tracing::debug!(call = call.name, error.kind = %failure.kind, "not answered");
            }
        }
        outcome
    }
}

impl Request {
    /// A call that changes nothing.
    pub fn reading(method: Method, url: Url) -> Self {
        Self {
            // The query may contain a name, which does not belong in every log line.
            name: format!("{method} {}", url.path()),
            method,
            url,
            lasting: false,
            secrets: Vec::new(),
        }
    }

    /// A call that may have happened when its answer is lost.
    pub fn lasting(method: Method, url: Url) -> Self {
        Self {
            lasting: true,
            ..Self::reading(method, url)
        }
    }

    /// Sends `secret`, which is redacted in all messages about the answer.
    pub fn with_secret(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    /// What a broken exchange means for what was asked.
    fn lost(&self, error: reqwest::Error) -> Failure {
        let error = error.without_url();
        if let Some(refusal) = tls::refusal(&error) {
            return Failure::new(FailureKind::Untrusted, &self.name, refusal);
        }
        let kind = if self.lasting && !error.is_connect() && !error.is_builder() {
            FailureKind::OutcomeUnknown
        } else {
            FailureKind::Unreachable
        };
        Failure::new(kind, &self.name, tls::root_cause(&error))
    }
}

impl Response {
    /// An answer for tests, without headers.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn example(call: &str, status: u16, body: &[u8]) -> Self {
        Self {
            call: call.to_owned(),
            status,
            headers: HeaderMap::new(),
            body: body.to_vec(),
            secrets: Vec::new(),
            share: Share::default(),
        }
    }

    /// The same to a call that carried `secret`.
    #[cfg(any(test, feature = "fuzzing"))]
    pub fn hiding(mut self, secret: &Secret) -> Self {
        self.secrets.push(secret.clone());
        self
    }

    /// A failure of this call.
    pub fn failure(&self, kind: FailureKind, detail: impl std::fmt::Display) -> Failure {
        Failure::new(kind, &self.call, self.redacted(&detail.to_string()))
    }

    /// `words` for a message: in the form of every failure, and without the secrets that were sent, even if an
    /// invisible character stood in one. Shortened before the search, because the CA decides how long the text is.
    pub fn redacted(&self, words: &str) -> String {
        self.scrub(&readable(words))
    }

    /// The body as JSON; a page of HTML or anything else is a failure with its evidence.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = if self.is_html() {
                "a web page came where JSON was expected; does the URL lead to the API, past every login page and proxy?"
                    .to_owned()
            } else {
                format!("no JSON: {error}")
            };
            self.failure(
                FailureKind::Unexpected,
                format!("{what} HTTP {}: {}", self.status, self.evidence()),
            )
        })
    }

    /// What a status says by itself, whatever is in the body; `None` below 400. `lasting` as in [`Request::lasting`]:
    /// after a 5xx it is not known whether the call took effect.
    pub fn refusal_by_status(&self, lasting: bool, now: Timestamp) -> Option<Failure> {
        let kind = match self.status {
            ..=299 => return None,
            300..=399 => FailureKind::Unexpected,
            401 | 403 => FailureKind::Unauthorized,
            408 | 500..=502 | 504..=599 if lasting => FailureKind::OutcomeUnknown,
            408 | 429 | 500..=599 => FailureKind::Busy,
            _ => FailureKind::Refused,
        };
        let mut failure = self.failure(kind, format!("HTTP {}: {}", self.status, self.evidence()));
        failure.retry_after = self.retry_after(now);
        Some(failure)
    }

    /// How long the CA asks us to wait, in seconds or until a date (RFC 9110, 10.2.3).
    pub fn retry_after(&self, now: Timestamp) -> Option<SignedDuration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse::<u32>() {
            return Some(SignedDuration::from_secs(seconds.into()));
        }
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Some(now.duration_until(date).max(SignedDuration::ZERO))
    }

    /// When it was sent by the CA's clock (RFC 9110, 6.6.1), where it says so.
    pub fn date(&self) -> Option<Timestamp> {
        let text = self.headers.get(DATE)?.to_str().ok()?.trim();
        Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
    }

    /// The beginning of the body for messages: one short line without secrets and control characters.
    pub fn evidence(&self) -> String {
        self.excerpt(EVIDENCE)
    }

    /// The same with about so many characters.
    pub fn excerpt(&self, longest: usize) -> String {
        let text = self.beginning();
        let text = if self.is_html() { title(&text) } else { text };
        let line = bounded(&text, longest);
        if line.is_empty() {
            "an empty body".to_owned()
        } else {
            bounded(&self.scrub(&line), longest)
        }
    }

    /// The part of the body that may appear in a message.
    fn beginning(&self) -> String {
        let Some(beginning) = self.body.get(..LONGEST_LOOK_BYTES) else {
            return String::from_utf8_lossy(&self.body).into_owned();
        };
        let text = String::from_utf8_lossy(beginning);
        // A letter may have been cut in two. The ellipsis says where a secret may have been.
        format!("{}…", text.trim_end_matches(char::REPLACEMENT_CHARACTER))
    }

    /// `text`, which is short, without any of the secrets that were sent.
    fn scrub(&self, text: &str) -> String {
        secret::redact(text, &self.secrets)
    }

    /// Whether it is a web page.
    pub fn is_html(&self) -> bool {
        let declared = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let start = self.body.trim_ascii_start();
        declared.is_some_and(|kind| kind.contains("text/html"))
            || start.len() >= 5 && start[..5].eq_ignore_ascii_case(b"<html")
            || start.len() >= 9 && start[..9].eq_ignore_ascii_case(b"<!doctype")
    }
}

/// For a member of an answer: `null` counts as absent. Servers in Go write an empty list as `null`.
pub(super) fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Takes the answer in, within the limits of an honest one.
async fn receive(call: &Request, mut response: reqwest::Response) -> Result<Response, Failure> {
    let mut answer = Response {
        call: call.name.clone(),
        status: response.status().as_u16(),
        headers: response.headers().clone(),
        body: Vec::new(),
        secrets: call.secrets.clone(),
        share: Share::default(),
    };
    let mut intake = Intake::new(Limits::USUAL);
    while let Some(chunk) = response.chunk().await.map_err(|error| call.lost(error))? {
        intake.take(&chunk).map_err(|excess| {
            let kind = match excess {
                Excess::Memory if call.lasting => FailureKind::OutcomeUnknown,
                Excess::Memory => FailureKind::Busy,
                Excess::Long(_) | Excess::Dense => FailureKind::Unexpected,
            };
            answer.failure(kind, excess)
        })?;
    }
    (answer.body, answer.share) = intake.finish();
    Ok(answer)
}

/// The title of a web page, which says best whose page it is.
fn title(page: &str) -> String {
    let title = page
        .split_once("<title")
        .and_then(|(_, rest)| rest.split_once('>'))
        .and_then(|(_, rest)| rest.split_once('<'))
        .map(|(title, _)| title.trim());
    format!("a web page titled {:?}", title.unwrap_or_default())
}

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Characters.
const EVIDENCE: usize = 300;
/// The part of a body that is looked at for evidence.
const LONGEST_LOOK_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use reqwest::header::HeaderValue;

    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response {
            call: "GET /x".to_owned(),
            status,
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
            secrets: vec![Secret::new("s3cr3t-key".to_owned())],
            share: Share::default(),
        }
    }

    fn now() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    #[test]
    fn retry_after_is_understood_in_seconds_and_as_a_date() {
        for (text, seconds) in [
            ("120", Some(120)),
            ("Sun, 22 Nov 2026 10:01:00 GMT", Some(60)),
            ("Sat, 21 Nov 2026 10:00:00 GMT", Some(0)),
            ("soon", None),
        ] {
            let mut answer = answer(429, "");
            answer
                .headers
                .insert(RETRY_AFTER, HeaderValue::from_static(text));
            let wait = answer.retry_after(now());
            assert_eq!(wait.map(|wait| wait.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn a_secret_that_comes_back_is_never_repeated() {
        let answer = answer(412, r#"{"message":"no key s3cr3t-key"}"#);
        let failure = answer.refusal_by_status(false, now()).unwrap();
        assert_eq!(failure.detail, r#"HTTP 412: {"message":"no key [secret]"}"#);
        let failure = answer.failure(FailureKind::Refused, "s3cr3t-key is unknown");
        assert_eq!(failure.detail, "[secret] is unknown");
    }

    #[test]
    fn a_login_page_is_reported_by_its_title() {
        let page = "<!DOCTYPE html><html><head><title>Sign in</title></head>…</html>";
        let failure = answer(200, page).json().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unexpected);
        assert!(
            failure.detail.contains("a web page titled \"Sign in\""),
            "{failure}"
        );
    }

    #[test]
    fn after_a_server_error_a_change_may_have_happened_and_a_look_has_not() {
        let kind = |status, lasting| {
            let failure = answer(status, "").refusal_by_status(lasting, now());
            failure.map(|failure| failure.kind)
        };
        assert_eq!(kind(500, true), Some(FailureKind::OutcomeUnknown));
        assert_eq!(kind(500, false), Some(FailureKind::Busy));
        assert_eq!(kind(503, true), Some(FailureKind::Busy));
        assert_eq!(kind(401, true), Some(FailureKind::Unauthorized));
        assert_eq!(kind(302, false), Some(FailureKind::Unexpected));
        assert_eq!(kind(404, false), Some(FailureKind::Refused));
        assert_eq!(kind(201, true), None);
    }

    #[test]
    fn evidence_is_one_short_line() {
        let answer = answer(500, &format!("line\none\u{1b}[31m {}", "x".repeat(1000)));
        let evidence = answer.evidence();
        assert!(evidence.starts_with("line one[31m x"), "{evidence}");
        assert!(evidence.chars().count() <= EVIDENCE + 1);
    }

    #[test]
    fn a_body_of_megabytes_of_ellipses_is_reported_at_once_and_without_secrets() {
        let secret = "k7Qm2xWz".repeat(250);
        for part in ["…", "k7Qm2xWz…", "\u{202e}…"] {
            let mut answer = answer(500, &part.repeat((8 << 20) / part.len()));
            answer.secrets = vec![Secret::new(secret.clone()); 4];
            let text = String::from_utf8(answer.body.clone()).unwrap();
            let evidence = answer.evidence();
            assert!(evidence.chars().count() <= EVIDENCE + 1, "{evidence}");
            assert!(!evidence.contains("k7Q"), "{evidence}");
            let failure = answer.failure(FailureKind::Refused, text);
            assert!(!failure.detail.contains("k7Q"), "{failure}");
        }
    }

    #[test]
    fn a_secret_at_the_end_of_what_is_looked_at_is_cut_out() {
        for length in LONGEST_LOOK_BYTES - 12..LONGEST_LOOK_BYTES {
            let answer = answer(
                400,
                &format!("{}s3cr3t-key{}", " ".repeat(length), "ü".repeat(99)),
            );
            let evidence = answer.evidence();
            assert!(!evidence.contains("s3c"), "{evidence}");
        }
    }

    #[test]
    fn a_secret_is_found_behind_signs_that_are_not_shown_and_where_words_are_cut_off() {
        let answer = answer(400, "no key s3cr\u{1}3t-key");
        assert_eq!(answer.evidence(), "no key [secret]");
        for length in 1980..2000 {
            let words = format!("{} s3cr3t-key", "x".repeat(length));
            let failure = answer.failure(FailureKind::Refused, words);
            assert!(!failure.detail.contains("s3c"), "{failure}");
        }
    }
}
