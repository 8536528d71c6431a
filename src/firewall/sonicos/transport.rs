//! One HTTP exchange with the device. Knows how a connection fails and what that means for what was asked;
//! knows nothing of logins and of what an answer says.

use std::fmt::{self, Write as _};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING,
    WWW_AUTHENTICATE,
};
use reqwest::{Client, Method, redirect};
use url::Url;

use super::challenge::{Challenge, challenges};
use super::{Settings, headers};
use crate::body::{Excess, Intake, Limits, Share};
use crate::failure::{Failure, FailureKind};
use crate::firewall::KnownDevice;
use crate::pki::Fingerprint;
use crate::tls::{self, Accepted};

/// A request, before it is authorised.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Below `/api/sonicos`, percent-encoded. It may hold a one-time password: for people there is [`Request::name`].
    pub(super) path: String,
    /// What people are shown instead of the path.
    display: Option<String>,
    pub(super) body: Vec<u8>,
    pub(super) content_type: String,
    pub(super) accept: &'static str,
    /// Whether the device is changed for good, so that a lost answer leaves a doubt.
    lasting: bool,
    /// Whether it may take as long as a transfer.
    slow: bool,
    /// What an honest answer may have.
    limits: Limits,
    /// Where the credentials of a login are; `None`: it is no login.
    login: Option<CredentialsIn>,
}

/// Where a login carries its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialsIn {
    /// In the `Authorization` header; a request without one asks for a challenge.
    Header,
    /// In the body.
    Body,
}

impl Request {
    /// Reads something.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            display: None,
            body: Vec::new(),
            content_type: JSON.to_owned(),
            accept: JSON,
            lasting: false,
            slow: false,
            limits: Limits::USUAL,
            login: None,
        }
    }

    /// Changes the device.
    pub(super) fn change(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            lasting: true,
            ..Self::get(path)
        }
    }

    /// Changes only our session, of which nothing is left when it ends.
    pub(super) fn session(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            ..Self::get(path)
        }
    }

    /// Opens a session, where its credentials are good.
    pub(super) fn login(path: impl Into<String>, credentials: CredentialsIn) -> Self {
        Self {
            login: Some(credentials),
            ..Self::session(Method::POST, path)
        }
    }

    /// With a JSON body.
    pub(super) fn json(self, body: &serde_json::Value) -> Self {
        self.content(JSON, body.to_string().into_bytes())
    }

    /// With a body of another type.
    pub(super) fn content(mut self, content_type: impl Into<String>, body: Vec<u8>) -> Self {
        self.content_type = content_type.into();
        self.body = body;
        self
    }

    /// Takes an answer of any type.
    pub(super) fn accept_anything(mut self) -> Self {
        self.accept = "*/*";
        self
    }

    /// May take as long as a transfer.
    pub(super) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// Takes an answer within other limits.
    pub(super) fn within(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Goes by another path in failures and logs: for one that holds a password.
    pub(super) fn displayed_as(mut self, path: impl Into<String>) -> Self {
        self.display = Some(path.into());
        self
    }

    /// The name of this call in failures and logs.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.display_path())
    }

    fn display_path(&self) -> &str {
        self.display.as_deref().unwrap_or(&self.path)
    }

    /// A failure of this call.
    pub(super) fn failure(&self, kind: FailureKind, detail: impl fmt::Display) -> Failure {
        Failure::new(kind, self.name(), detail)
    }
}

/// Path and body may hold passwords.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Call").field(&self.name()).finish()
    }
}

/// An answer, whatever it says.
#[derive(Debug, Clone, Default)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The address that answered.
    pub(super) peer: Option<SocketAddr>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Of the memory for all bodies.
    pub(super) share: Share,
    /// Whether the request was a login with credentials.
    pub(super) is_login: bool,
}

impl Response {
    /// An answer for tests.
    #[cfg(test)]
    pub(super) fn saying(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.as_bytes().to_vec(),
            ..Self::default()
        }
    }

    /// The same with so many bytes of its body.
    pub(super) fn beginning(&self, bytes: usize) -> Self {
        Self {
            status: self.status,
            headers: self.headers.clone(),
            body: self.body.get(..bytes).unwrap_or(&self.body).to_vec(),
            ..Self::default()
        }
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The challenges in all `WWW-Authenticate` headers.
    pub(super) fn challenges(&self) -> Vec<Challenge> {
        let headers = self.headers.get_all(WWW_AUTHENTICATE);
        challenges(headers.iter().filter_map(|header| header.to_str().ok()))
    }

    /// Whether only the end of the connection marks the end of the body, as with HTTP/1.0 (RFC 9112, 6.3). The parser
    /// of the body detects a truncated one: JSON and PEM have ends of their own.
    fn ends_with_connection(&self) -> bool {
        !self.headers.contains_key(CONTENT_LENGTH) && !self.headers.contains_key(TRANSFER_ENCODING)
    }

    /// How long the device asks us to wait, where it says so in seconds (RFC 9110, 10.2.3).
    pub(super) fn retry_after(&self) -> Option<SignedDuration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        let seconds: u32 = text.trim().parse().ok()?;
        Some(SignedDuration::from_secs(seconds.into()))
    }
}

/// The way to one device.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    base: Url,
    call_timeout: Duration,
    transfer_timeout: Duration,
    /// Certificates that are accepted besides the configured trust.
    accepted: Accepted,
}

impl Transport {
    /// Prepares the way; nothing is sent yet.
    pub(super) fn new(settings: &Settings, known: &KnownDevice<'_>) -> Result<Self, Failure> {
        let local = |detail: String| Failure::new(FailureKind::Local, "set up TLS", detail);
        if settings.url.scheme() != "https" || settings.url.cannot_be_a_base() {
            return Err(local(format!("{} must begin with https://", settings.url)));
        }
        let accepted = Accepted::of(known.also_trusted);
        let tls = tls::client_config_with(&settings.trust, &accepted, known.refused_keys)?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .http1_only()
            // Whatever other crates switch on: a small body must not become a large one.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .cookie_store(true)
            .connect_timeout((settings.call_timeout / 2).min(CONNECT_LIMIT))
            // The HTTP parser of SonicOS 6.5 is known to be strict, and was tested with clients that write header names
            // so.
            .http1_title_case_headers()
            .build()
            .map_err(|error| local(tls::root_cause(&error)))?;
        Ok(Self {
            client,
            base: settings.url.clone(),
            call_timeout: settings.call_timeout,
            transfer_timeout: settings.transfer_timeout,
            accepted,
        })
    }

    /// From now on the device may show this certificate as well.
    pub(super) fn also_accept(&self, fingerprint: Fingerprint) {
        self.accepted.add(fingerprint);
    }

    /// Path and query on the request line, which digests are computed over.
    pub(super) fn target(call: &Request) -> String {
        format!("{ROOT}{}", call.path)
    }

    /// Sends once and takes the answer.
    pub(super) async fn send(
        &self,
        call: &Request,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Failure> {
        let outcome = self.exchange(call, authorization).await;
        match &outcome {
            Ok(answer) => {
                tracing::debug!(method = %call.method, path = call.display_path(), status = answer.status, "answered");
            }
            Err(failure) => {
                tracing::debug!(method = %call.method, path = call.display_path(), error.kind = %failure.kind, "not answered");
            }
        }
        outcome
    }

    async fn exchange(
        &self,
        call: &Request,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, Failure> {
        let mut url = self.base.clone();
        let target = Self::target(call);
        // Names are encoded, so that a question mark begins the query.
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target.as_str(), None),
        };
        url.set_path(path);
        url.set_query(query);
        let timeout = if call.slow {
            self.transfer_timeout
        } else {
            self.call_timeout
        };
        let headers = headers::of(call, &url, authorization)
            .ok_or_else(|| call.failure(FailureKind::Local, "the headers cannot be written"))?;
        let is_login = match call.login {
            Some(CredentialsIn::Header) => headers.contains_key(AUTHORIZATION),
            Some(CredentialsIn::Body) => true,
            None => false,
        };
        let request = self
            .client
            .request(call.method.clone(), url)
            .timeout(timeout)
            .headers(headers)
            .body(call.body.clone());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => {
                let is_sent = !error.is_connect() && !error.is_builder();
                let failure = lost(call, error);
                let is_in_doubt = is_login && is_sent && failure.kind != FailureKind::Untrusted;
                return Err(if is_in_doubt {
                    failure.leaving_session()
                } else {
                    failure
                });
            }
        };
        let is_accepted = response.status().is_success();
        match receive(call, response).await {
            Ok(answer) => Ok(Response { is_login, ..answer }),
            Err(failure) if is_login && is_accepted => Err(failure.leaving_session()),
            Err(failure) => Err(failure),
        }
    }
}

/// Takes the answer in, within the limits of an honest one.
async fn receive(call: &Request, mut response: reqwest::Response) -> Result<Response, Failure> {
    let mut answer = Response {
        status: response.status().as_u16(),
        peer: response.remote_addr(),
        headers: response.headers().clone(),
        ..Response::default()
    };
    let mut intake = Intake::new(call.limits);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => intake
                .take(&chunk)
                .map_err(|excess| refused(call, excess))?,
            Ok(None) => break,
            Err(error) if answer.ends_with_connection() && is_closed(&error) => break,
            Err(error) => return Err(lost(call, error)),
        }
    }
    (answer.body, answer.share) = intake.finish();
    Ok(answer)
}

/// An answer that is not taken in.
fn refused(call: &Request, excess: Excess) -> Failure {
    let kind = match excess {
        Excess::Memory if call.lasting => FailureKind::OutcomeUnknown,
        Excess::Memory => FailureKind::Busy,
        Excess::Long(_) | Excess::Dense => FailureKind::Unexpected,
    };
    call.failure(kind, excess)
}

/// Whether the device has closed the connection, if without the ceremony that TLS asks for (RFC 8446, 6.1).
fn is_closed(error: &reqwest::Error) -> bool {
    let first: &dyn std::error::Error = error;
    std::iter::successors(Some(first), |error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
            )
        })
}

/// What a broken exchange means for what was asked.
fn lost(call: &Request, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    if let Some(refusal) = tls::refusal(&error) {
        return call.failure(FailureKind::Untrusted, refusal);
    }
    let kind = if call.lasting && !error.is_connect() && !error.is_builder() {
        FailureKind::OutcomeUnknown
    } else {
        FailureKind::Unreachable
    };
    call.failure(kind, tls::root_cause(&error))
}

/// A name as one segment of a path (RFC 3986, 2.3 and 3.3); `None` for one that no path can carry.
pub(super) fn segment(name: &str) -> Option<String> {
    if name.is_empty() || name == "." || name == ".." {
        return None;
    }
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Some(encoded)
}

/// Where the API begins (SonicOS reference 1.1).
const ROOT: &str = "/api/sonicos";
const JSON: &str = "application/json";
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn names_are_encoded_for_a_path() {
        assert_eq!(segment("fw-2026.a_b~").as_deref(), Some("fw-2026.a_b~"));
        assert_eq!(
            segment("a b/c%?#é").as_deref(),
            Some("a%20b%2Fc%25%3F%23%C3%A9")
        );
        assert_eq!(
            (segment(""), segment("."), segment("..")),
            (None, None, None)
        );
    }

    #[test]
    fn a_path_with_a_password_is_shown_without_it_everywhere() {
        let call =
            Request::get("/certificates/export/scp%3A%2F%2Fone-time%40x").displayed_as("/export");
        assert_eq!(call.name(), "GET /export");
        let failure = call.failure(FailureKind::Refused, "no");
        assert!(!format!("{call:?} {failure:?}").contains("one-time"));
    }

    #[test]
    fn retry_after_is_understood_in_seconds_only() {
        let mut answer = Response::default();
        assert_eq!(answer.retry_after(), None);
        answer
            .headers
            .insert(RETRY_AFTER, HeaderValue::from_static("120"));
        assert_eq!(answer.retry_after(), Some(SignedDuration::from_secs(120)));
        let date = HeaderValue::from_static("Wed, 21 Oct 2026 07:28:00 GMT");
        answer.headers.insert(RETRY_AFTER, date);
        assert_eq!(answer.retry_after(), None);
    }
}
