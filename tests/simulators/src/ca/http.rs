//! Requests as a CA's handlers see them, and replies before they become bytes. Independent of any CA's envelope.

use hyper::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// One request.
#[derive(Debug)]
pub struct Request {
    /// HTTP method, upper case.
    pub method: String,
    /// Path as sent, without the query: for faults and the log.
    pub path: String,
    /// Its segments, decoded one by one, so that an encoded `/` stays inside its segment.
    pub segments: Vec<String>,
    /// Names and values of the query, decoded, in their order.
    pub query: Vec<(String, String)>,
    /// Header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str, headers: HeaderMap, body: Vec<u8>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let decode = |segment: &str| percent_decode_str(segment).decode_utf8_lossy().into_owned();
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            segments: path
                .split('/')
                .filter(|segment| !segment.is_empty())
                .map(decode)
                .collect(),
            query: pairs(query),
            headers,
            body,
        }
    }

    /// A request without headers and body.
    #[cfg(test)]
    pub(crate) fn fake(method: &str, target: &str) -> Self {
        Self::new(method, target, HeaderMap::new(), Vec::new())
    }

    /// A header field, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first value of this name in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        first(&self.query, name)
    }

    /// The decoded segments as slices, to match on.
    pub fn route(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// The body as JSON; the error says where it is wrong.
    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_slice(&self.body).map_err(|error| error.to_string())
    }

    /// The body as `application/x-www-form-urlencoded`, in its order.
    pub fn form(&self) -> Vec<(String, String)> {
        pairs(&String::from_utf8_lossy(&self.body))
    }

    /// `METHOD /path`, for the log.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// A word for the journal; never sent.
    pub note: Option<String>,
}

impl Reply {
    /// JSON with this status.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::text(status, "application/json", &value.to_string())
    }

    /// Text of this content type with this status.
    pub fn text(status: u16, content_type: &str, text: &str) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), content_type.to_owned())],
            body: text.as_bytes().to_vec(),
            note: None,
        }
    }

    /// 200 with these bytes.
    pub fn bytes(content_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            body: bytes,
            ..Self::text(200, content_type, "")
        }
    }

    /// Only this status.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            note: None,
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a word for the journal.
    #[must_use]
    pub fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The first half of the body.
    pub(super) fn halved(mut self) -> Self {
        self.body.truncate(self.body.len() / 2);
        self
    }
}

/// The first value of this name.
pub(crate) fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// `application/x-www-form-urlencoded`, in a body or a query.
fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn an_encoded_slash_stays_in_its_segment_and_a_plus_is_a_space() {
        let request = Request::fake("GET", "/a/b%2Fc%20d?x=1+2%2B3&y");
        assert_eq!(request.route(), ["a", "b/c d"]);
        assert_eq!(request.query("x"), Some("1 2+3"));
        assert_eq!(request.query("y"), Some(""));
        assert_eq!(request.line(), "GET /a/b%2Fc%20d");
    }
}
