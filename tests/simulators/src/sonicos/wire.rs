//! Requests as the handlers see them, and replies before they become bytes (SonicOS reference 1.5).
//! Contains the envelope. Independent of the device's state.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::device::Device;
use super::transfer_request::{TransferRequest, TransferStep};

/// Everything of the API lives below this path (1.1).
pub(super) const BASE: &str = "/api/sonicos";

/// One request to the API.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query exactly as sent. A digest covers them.
    pub(super) target: String,
    /// Path below [`BASE`], still encoded: for rules and the journal.
    pub(super) path: String,
    /// Its segments, decoded one by one, so that an encoded `/` stays inside its segment.
    pub(super) segments: Vec<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) peer: IpAddr,
}

impl Request {
    /// `None` when the target is not below [`BASE`].
    pub(super) fn new(
        method: &str,
        target: &str,
        headers: HeaderMap,
        body: Vec<u8>,
        peer: IpAddr,
    ) -> Option<Self> {
        let path = target
            .split('?')
            .next()
            .unwrap_or_default()
            .strip_prefix(BASE)?;
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            path: path.to_owned(),
            segments: path
                .split('/')
                .filter(|segment| !segment.is_empty())
                .map(decode)
                .collect(),
            headers,
            body,
            peer,
        })
    }

    /// Everything that came, secrets and all, as text.
    pub(super) fn whole(&self) -> String {
        let headers: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        format!(
            "{} {} {} {}",
            self.segments.join("/"),
            self.target,
            headers.join(", "),
            String::from_utf8_lossy(&self.body)
        )
    }

    /// The path for the journal: without the credentials of an URL and without the password of a PKCS#12 file (3.6).
    pub(super) fn display_path(&self) -> String {
        let mut shown = String::new();
        let mut hide = false;
        for segment in self.path.split('/').skip(1) {
            let decoded = percent_decode_str(segment).decode_utf8_lossy();
            shown.push('/');
            match decoded.split_once("://") {
                _ if hide => shown.push_str("***"),
                Some(_) => shown.push_str(&without_credentials(&decoded)),
                None => shown.push_str(segment),
            }
            hide = segment == "password";
        }
        shown
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether a password came, or something that was computed from one (1.2).
    pub(super) fn has_credentials(&self) -> bool {
        let by_header = self.header("authorization").is_some_and(|header| {
            let scheme = header.split_whitespace().next().unwrap_or_default();
            !scheme.eq_ignore_ascii_case("bearer")
        });
        let body = self.json().unwrap_or(Value::Null);
        by_header
            || ["digest", "password"]
                .iter()
                .any(|name| body.get(*name).is_some())
    }

    /// The body as JSON; an empty body is `null`.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::new(400, format!("Invalid JSON: {error}")))
    }

    /// 1.5: the order of headers that 6.5 requires. `HeaderMap` keeps the order of the request as long as none is
    /// removed.
    pub(super) fn accept_comes_first(&self) -> bool {
        let place = |wanted: HeaderName| self.headers.keys().position(|name| *name == wanted);
        let Some(accept) = place(header::ACCEPT) else {
            return false;
        };
        let later = [
            header::ACCEPT_ENCODING,
            header::USER_AGENT,
            header::CONNECTION,
        ];
        later
            .into_iter()
            .filter_map(place)
            .all(|place| accept < place)
    }

    /// `{"override": true}` of the login body (1.2).
    pub(super) fn wants_override(&self) -> bool {
        self.json()
            .is_ok_and(|body| body.get("override") == Some(&Value::Bool(true)))
    }

    pub(super) fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// A reply before the finishing touches of `decorate.rs`.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    /// For the journal only.
    pub(super) note: Option<String>,
    /// Entries of `info` before the result (1.5).
    pub(super) earlier: Vec<Value>,
    /// The transfer that has to end before the rest of this reply is known.
    pub(super) transfer: Option<Box<TransferStep>>,
}

/// The body of a reply.
#[derive(Debug)]
pub(super) enum Body {
    /// No body at all, as a 401 in digest mode (1.2).
    Empty,
    /// The status envelope of 1.5; `result` is the entry with the outcome.
    Envelope {
        success: bool,
        result: Map<String, Value>,
    },
    /// Any other JSON.
    Json(Value),
    /// A file.
    File {
        content_type: String,
        bytes: Vec<u8>,
    },
}

impl Reply {
    fn with(status: u16, body: Body) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            note: None,
            earlier: Vec::new(),
            transfer: None,
        }
    }

    /// The reply is sent when this transfer has ended.
    pub(super) fn after(transfer: TransferRequest) -> Self {
        Self {
            transfer: Some(Box::new(TransferStep::new(transfer))),
            ..Self::empty(200)
        }
    }

    /// Continues with this reply: at once, or when its transfer has ended.
    pub(super) fn and_then(
        mut self,
        device: &mut Device,
        next: impl FnOnce(&mut Device, Handled) -> Handled + Send + 'static,
    ) -> Handled {
        match self.transfer.take() {
            Some(step) => {
                self.transfer = Some(Box::new(step.and_then(next)));
                Ok(self)
            }
            None => next(device, Ok(self)),
        }
    }

    /// 200 with `E_OK` and this message.
    pub(super) fn done(message: &str) -> Self {
        Self::succeeded(json!({"level": "info", "code": "E_OK", "message": message}))
    }

    /// 200 with this result entry.
    pub(super) fn succeeded(result: Value) -> Self {
        Self::with(
            200,
            Body::Envelope {
                success: true,
                result: object(result),
            },
        )
    }

    /// The message of its envelope.
    pub(super) fn message(&self) -> Option<&str> {
        match &self.body {
            Body::Envelope { result, .. } => result.get("message")?.as_str(),
            _ => None,
        }
    }

    /// The same reply with another message.
    pub(super) fn saying(mut self, message: &str) -> Self {
        if let Body::Envelope { result, .. } = &mut self.body {
            result.insert("message".to_owned(), Value::String(message.to_owned()));
        }
        self
    }

    pub(super) fn json(value: Value) -> Self {
        Self::with(200, Body::Json(value))
    }

    pub(super) fn file(content_type: &str, bytes: Vec<u8>) -> Self {
        Self::with(
            200,
            Body::File {
                content_type: content_type.to_owned(),
                bytes,
            },
        )
    }

    pub(super) fn empty(status: u16) -> Self {
        Self::with(status, Body::Empty)
    }

    /// Adds a word for the journal.
    pub(super) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// A request that the device does not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    /// guess: only a few codes are public (1.5); everything else has `E_ERROR`.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            code: "E_ERROR",
            message: message.into(),
        }
    }

    pub(super) fn coded(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The CLI's way to name an offending word (1.5, 3.1).
    pub(super) fn unreasonable(word: &str) -> Self {
        Self::new(400, format!("'{word}' is not a reasonable value."))
    }

    /// 1.5.
    pub(super) fn incomplete() -> Self {
        Self::coded(400, "E_INVALID_API_CALL", "API endpoint is incomplete.")
    }

    /// 1.5.
    pub(super) fn unauthorized(message: &str) -> Self {
        Self::coded(401, "E_UNAUTHORIZED", message)
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let result = json!({"level": "error", "code": refusal.code, "message": refusal.message});
        let body = Body::Envelope {
            success: false,
            result: object(result),
        };
        Self::with(refusal.status, body).noted(refusal.message)
    }
}

/// 1.5: a call that this device does not have.
pub(super) fn unknown_call() -> Refusal {
    Refusal::coded(404, "E_NOT_FOUND", "API not found.")
}

/// The result of a handler.
pub(super) type Handled = Result<Reply, Refusal>;

/// The reply that a rule requests: `success: false` with HTTP 200 (1.5).
pub(super) fn envelope_text(success: bool, message: &str) -> String {
    let level = if success { "info" } else { "error" };
    let code = if success { "E_OK" } else { "E_ERROR" };
    json!({"status": {"success": success, "info": [{"level": level, "code": code, "message": message}]}}).to_string()
}

/// Any text with URLs in it, without their names and passwords: for the journal.
pub(super) fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .find(|letter: char| letter == '/' || letter == '\'' || letter.is_whitespace())
            .unwrap_or(part.len());
        let (authority, rest) = part.split_at(end);
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        shown.push_str("://");
        shown.push_str(host);
        shown.push_str(rest);
    }
    shown
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use hyper::HeaderMap;

    use super::{Request, without_credentials};

    fn shown(path: &str) -> String {
        let target = format!("/api/sonicos{path}");
        let peer = [127, 0, 0, 1].into();
        Request::new("PUT", &target, HeaderMap::new(), Vec::new(), peer)
            .unwrap()
            .display_path()
    }

    #[test]
    fn the_journal_shows_no_password_of_a_path() {
        let url = "ftp%3A%2F%2Fcert%3Asecret%40192.0.2.1%3A2121%2F";
        assert_eq!(
            shown(&format!("/certificates/import/ca-cert/ftp/{url}")),
            "/certificates/import/ca-cert/ftp/ftp://192.0.2.1:2121/"
        );
        assert_eq!(
            shown("/import/certificates/cert-key-pair/name/fw/password/secret"),
            "/import/certificates/cert-key-pair/name/fw/password/***"
        );
    }

    #[test]
    fn a_text_loses_the_credentials_of_every_url_and_nothing_else() {
        assert_eq!(
            without_credentials("scp://a:b@192.0.2.1/x and ftp://c@192.0.2.2"),
            "scp://192.0.2.1/x and ftp://192.0.2.2"
        );
        assert_eq!(
            without_credentials("reader@example.com"),
            "reader@example.com"
        );
    }
}
