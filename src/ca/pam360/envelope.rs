//! The envelope of an answer (PAM360 reference 2). Keys are found with any case and separators, and inside the wrapper
//! that some builds add: documents, samples and real servers differ in both. Only the status decides. The message is
//! shown.

use jiff::Timestamp;
use serde_json::Value;

use super::settings::Product;
use crate::ca::http::Response;
use crate::failure::{Failure, FailureKind};

/// An answer that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Envelope {
    /// What the server says of the call.
    pub verdict: Verdict,
    /// The server's words; may be empty.
    pub message: String,
    /// The rows; `None`: there is no such key.
    pub details: Option<Vec<Value>>,
    /// The total number of rows, if the server reports it.
    pub total_rows: Option<u64>,
    /// All of it.
    pub whole: Value,
    /// The operation that answers, as it calls itself.
    name: String,
}

/// What the server says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Status "Success".
    Done,
    /// Any other status.
    Declined,
    /// No status at all.
    Silent,
}

impl Envelope {
    /// Reads `answer`. Fails if the server did not process the call itself: refused credentials, a limit, a breakdown,
    /// the page of a proxy. `lasting`: the call changes something and may have been executed anyway.
    pub fn open(
        answer: &Response,
        product: Product,
        lasting: bool,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let refusal = answer.refusal_by_status(lasting, now);
        let whole = answer.json();
        match (refusal, whole) {
            // Whether a "no" comes with 200 or with 4xx is not documented.
            (Some(failure), Ok(whole)) if matches!(answer.status, 400 | 404 | 409 | 422) => {
                let envelope = Self::read(whole);
                match envelope.verdict {
                    Verdict::Declined => envelope.admitted(answer, product),
                    Verdict::Done | Verdict::Silent => Err(failure),
                }
            }
            (Some(failure), _) => Err(with_remedy(failure, product)),
            (None, Ok(whole)) if whole.is_object() => Self::read(whole).admitted(answer, product),
            (None, Ok(_)) => {
                let words = format!("a JSON object was expected: {}", answer.evidence());
                Err(answer.failure(FailureKind::Unexpected, words))
            }
            // A truncated answer comes from a server that has executed the call. A web page does not.
            (None, Err(failure)) if lasting && !answer.is_html() => Err(Failure {
                kind: FailureKind::OutcomeUnknown,
                ..failure
            }),
            (None, Err(failure)) => Err(failure),
        }
    }

    /// Takes `whole` apart.
    pub fn read(whole: Value) -> Self {
        let body = field(&whole, "operation")
            .filter(|inner| inner.is_object())
            .unwrap_or(&whole);
        let result = field(body, "result").filter(|result| result.is_object());
        let find = |name| {
            result
                .and_then(|result| field(result, name))
                .or_else(|| field(body, name))
        };
        let error = field(body, "error").and_then(|error| field(error, "message"));
        Self {
            verdict: match find("status").and_then(text) {
                Some(status) if status.eq_ignore_ascii_case("success") => Verdict::Done,
                Some(_) => Verdict::Declined,
                None => Verdict::Silent,
            },
            message: find("message").or(error).and_then(text).unwrap_or_default(),
            details: match field(body, "details") {
                None | Some(Value::Null) => None,
                Some(Value::Array(rows)) => Some(rows.clone()),
                Some(one) => Some(vec![one.clone()]),
            },
            total_rows: field(body, "totalRows")
                .and_then(text)
                .and_then(|rows| rows.parse().ok()),
            name: field(body, "name").and_then(text).unwrap_or_default(),
            whole,
        }
    }

    /// Refused credentials come with HTTP 200 as well (PAM360 reference 2).
    fn admitted(self, answer: &Response, product: Product) -> Result<Self, Failure> {
        let says = |words: &str| self.message.to_ascii_lowercase().contains(words);
        let is_refused = self.verdict != Verdict::Done
            && (self.name.eq_ignore_ascii_case("authentication")
                || REFUSED_CREDENTIALS.iter().any(|words| says(words)));
        if !is_refused {
            return Ok(self);
        }
        let words = if says(OTHER_HOST) {
            format!(
                "{} serves this API user from another host only ({}): add this machine to the API user",
                product.name(),
                self.message
            )
        } else {
            refused_token(product, &self.message)
        };
        Err(answer.failure(FailureKind::Unauthorized, words))
    }

    /// The rows of a call that must have succeeded; `what` was asked for. `remedy`: what helps where not all of them come.
    pub fn rows(self, answer: &Response, what: &str, remedy: &str) -> Result<Vec<Value>, Failure> {
        self.done(answer, what)?;
        let rows = match (self.details, self.total_rows) {
            (Some(rows), _) => rows,
            (None, Some(0)) => Vec::new(),
            (None, _) => {
                let words = format!("no rows in the answer: {}", answer.evidence());
                return Err(answer.failure(FailureKind::Unexpected, words));
            }
        };
        let reported = self.total_rows.unwrap_or_default();
        if reported > rows.len() as u64 {
            let words = format!("{} of {reported} rows came: {remedy}", rows.len());
            return Err(answer.failure(FailureKind::Unexpected, words));
        }
        Ok(rows)
    }

    /// That the call succeeded; `what` was asked for.
    pub fn done(&self, answer: &Response, what: &str) -> Result<(), Failure> {
        match self.verdict {
            Verdict::Done => Ok(()),
            Verdict::Declined => {
                let words = format!("the server does not {what}: {}", self.words(answer));
                Err(answer.failure(FailureKind::Refused, words))
            }
            Verdict::Silent => {
                let words = format!("no status in the answer: {}", answer.evidence());
                Err(answer.failure(FailureKind::Unexpected, words))
            }
        }
    }

    /// The server's own words, or all that came.
    pub fn words(&self, answer: &Response) -> String {
        if self.message.is_empty() {
            answer.evidence()
        } else {
            answer.redacted(&self.message)
        }
    }
}

/// The value under `name`, whatever its case and separators: `CSR_ID` is `csrId`, `Common Name` is `commonName`.
pub(super) fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let plain = |text: &str| -> String {
        text.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let wanted = plain(name);
    object
        .as_object()?
        .iter()
        .find(|(key, _)| plain(key) == wanted)
        .map(|(_, value)| value)
}

/// A text or a number, as text; nothing where it is empty.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// Names the setting of a refused credential.
fn with_remedy(mut failure: Failure, product: Product) -> Failure {
    if failure.kind == FailureKind::Unauthorized {
        failure.detail = refused_token(product, &failure.detail);
    }
    failure
}

fn refused_token(product: Product, words: &str) -> String {
    format!(
        "{} refuses the token ({words}): make a new one for the API user and put it where `token` says",
        product.name()
    )
}

/// Words of the older sister product (PAM360 reference 2); they may come under another name than "Authentication".
const REFUSED_CREDENTIALS: [&str; 2] = ["authentication failed", OTHER_HOST];
const OTHER_HOST: &str = "not allowed to access from this host";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use serde_json::json;

    use super::*;

    fn open(status: u16, body: &str, lasting: bool) -> Result<Envelope, Failure> {
        let answer = Response::example("POST /x", status, body.as_bytes());
        Envelope::open(&answer, Product::Pam360, lasting, Timestamp::UNIX_EPOCH)
    }

    fn kind(status: u16, body: &str, lasting: bool) -> FailureKind {
        open(status, body, lasting).unwrap_err().kind
    }

    /// The vendor's sample (PAM360 reference 2).
    const SIGNED: &str = r#"{"result":{"message":"Certificate csrtest successfully signed with mytestcert.","status":"Success"},
        "name":"SignCSR","details":[{"commonName":"csrtest","Certificate_ID":309,"serialNumber":"b7d5fcb7"}]}"#;

    #[test]
    fn the_vendors_sample_is_read() {
        let envelope = open(200, SIGNED, true).unwrap();
        assert_eq!(envelope.verdict, Verdict::Done);
        let rows = envelope.details.unwrap();
        assert_eq!(
            field(&rows[0], "SERIAL_NUMBER").and_then(text).unwrap(),
            "b7d5fcb7"
        );
        assert_eq!(
            field(&rows[0], "certificateId").and_then(text).unwrap(),
            "309"
        );
    }

    #[test]
    fn another_case_and_another_wrapping_say_the_same() {
        for whole in [
            json!({"Status": "SUCCESS", "Details": {"CSR_ID": 512}}),
            json!({"operation": {"Result": {"Status": "Success"}, "Details": [{"CSR_ID": 512}], "totalRows": "1"}}),
        ] {
            let envelope = Envelope::read(whole);
            assert_eq!(envelope.verdict, Verdict::Done);
            assert_eq!(
                field(&envelope.details.unwrap()[0], "csrId"),
                Some(&json!(512))
            );
        }
    }

    #[test]
    fn refused_credentials_are_recognised_whatever_the_http_status() {
        let refused = r#"{"operation":{"name":"Authentication","result":{"status":"Failed","message":"API key received is not associated to any user. Authentication failed."}}}"#;
        let host = r#"{"name":"x","result":{"status":"Failed","message":"User is not allowed to access from this host"}}"#;
        for (status, body, words) in [
            (200, refused, "where `token` says"),
            (400, refused, "where `token` says"),
            (401, "", "where `token` says"),
            (200, host, "from another host only"),
        ] {
            let failure = open(status, body, false).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Unauthorized, "{failure}");
            assert!(failure.detail.contains(words), "{failure}");
        }
    }

    #[test]
    fn a_no_is_a_no_with_200_and_with_400() {
        let no = r#"{"name":"SignCSR","result":{"status":"Failed","message":"No such CSR"}}"#;
        for status in [200, 400] {
            let envelope = open(status, no, true).unwrap();
            assert_eq!(envelope.verdict, Verdict::Declined);
            assert_eq!(envelope.message, "No such CSR");
        }
    }

    #[test]
    fn other_answers_are_classified_by_whether_the_call_may_have_been_executed() {
        assert_eq!(kind(429, SIGNED, true), FailureKind::Busy);
        assert_eq!(kind(500, SIGNED, true), FailureKind::OutcomeUnknown);
        assert_eq!(kind(500, "", false), FailureKind::Busy);
        assert_eq!(kind(200, &SIGNED[..90], true), FailureKind::OutcomeUnknown);
        assert_eq!(kind(200, &SIGNED[..90], false), FailureKind::Unexpected);
        assert_eq!(
            kind(200, "<html>Sign in</html>", true),
            FailureKind::Unexpected
        );
        assert_eq!(kind(200, "[1]", true), FailureKind::Unexpected);
        assert_eq!(kind(302, "", true), FailureKind::Unexpected);
        assert_eq!(kind(404, "{}", true), FailureKind::Refused);
    }

    #[test]
    fn part_of_a_list_is_not_taken_for_all_of_it() {
        let rows = |whole: Value| {
            let answer = Response::example("GET /x", 200, b"{}");
            Envelope::read(whole)
                .rows(&answer, "list", "all are needed")
                .map(|rows| rows.len())
        };
        assert_eq!(
            rows(json!({"status": "Success", "details": [1, 2], "totalRows": 2})),
            Ok(2)
        );
        assert_eq!(rows(json!({"status": "Success", "totalRows": 0})), Ok(0));
        for whole in [
            json!({"status": "Success", "details": [1, 2], "totalRows": 3}),
            json!({"status": "Success"}),
            json!({"status": "Failed", "details": []}),
            json!({"details": []}),
        ] {
            assert!(rows(whole.clone()).is_err(), "{whole}");
        }
    }
}
