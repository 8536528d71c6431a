//! The envelope around every JSON answer (purchase API reference 3): whether it went well, and an error in words. An
//! error may come with HTTP 200, `success` may be a text, and the error may be nested.

use jiff::Timestamp;
use serde_json::Value;

use super::super::http::Response;
use crate::failure::{Failure, FailureKind};

/// What an answer says.
#[derive(Debug)]
pub(super) enum Reply {
    /// It went well: the whole answer.
    Done(Value),
    /// The CA says, in its own words, that there is no such thing.
    Missing(Failure),
}

impl Reply {
    /// The whole answer, where what was asked for must be there.
    pub fn done(self) -> Result<Value, Failure> {
        match self {
            Self::Done(body) => Ok(body),
            Self::Missing(failure) => Err(failure),
        }
    }
}

/// Reads an answer. `lasting`: the call may have taken effect where the answer does not say clearly that it did not.
pub(super) fn read(answer: &Response, lasting: bool, now: Timestamp) -> Result<Reply, Failure> {
    let refusal = answer.refusal_by_status(lasting, now);
    let body = match (answer.json(), &refusal) {
        (Ok(body), _) => body,
        (Err(_), Some(_)) => return Err(clear(answer, refusal, "")),
        (Err(unreadable), None) => return Err(unknown_if(lasting, unreadable)),
    };
    let (code, words) = error(&body);
    match refusal {
        None if is_success(&body) => Ok(Reply::Done(body)),
        None if words.is_empty() => Err(unknown_if(lasting, strange(answer))),
        None if says(&code, &MISSING) => Ok(Reply::Missing(said(answer, &code, &words))),
        None => Err(clear(answer, Some(said(answer, &code, &words)), &words)),
        Some(_) if answer.status == 404 && !words.is_empty() => {
            Ok(Reply::Missing(said(answer, &code, &words)))
        }
        Some(_) => Err(clear(answer, refusal, &words)),
    }
}

/// Whether a body is the envelope of an error.
pub(super) fn is_error(body: &Value) -> bool {
    !is_success(body) && !error(body).1.is_empty()
}

/// `success` as truth value or as text; where it is left out, a result without an error.
fn is_success(body: &Value) -> bool {
    match body.get("success") {
        Some(Value::Bool(success)) => *success,
        Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
        Some(_) => false,
        None => body.get("result").is_some() && body.get("error").is_none(),
    }
}

/// The error's code and its words; both empty where there is no error.
fn error(body: &Value) -> (String, String) {
    let Some(error) = body.get("error").filter(|error| !error.is_null()) else {
        return Default::default();
    };
    let code = error
        .get("code")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let message = error.get("message").unwrap_or(match error {
        Value::Object(_) => &Value::Null,
        other => other,
    });
    let mut lines = Vec::new();
    flatten(message, "", &mut lines);
    let message = lines.join("; ");
    let words = match (code, &*message) {
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    (code.to_ascii_lowercase(), words)
}

/// A text, or fields with lists of texts or of `{message, code}`, nested at will.
///
/// A few lines tell what is wrong; a long name before each of many values would fill the memory.
fn flatten(message: &Value, field: &str, lines: &mut Vec<String>) {
    if lines.len() >= MOST_LINES {
        return;
    }
    match message {
        _ if field.len() > LONGEST_FIELD => lines.push("…".to_owned()),
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| flatten(item, field, lines)),
        Value::Object(object) => match object.get("message") {
            Some(message) => flatten(message, field, lines),
            None => {
                for (name, value) in object {
                    let dot = if field.is_empty() { "" } else { "." };
                    flatten(value, &format!("{field}{dot}{name}"), lines);
                }
            }
        },
        Value::String(text) if field.is_empty() => lines.push(text.clone()),
        Value::String(text) => lines.push(format!("{field}: {text}")),
        other => lines.push(format!("{field}: {other}")),
    }
}

/// An error object that came with HTTP 200. Its codes are in no documentation: only what their words leave no doubt
/// about is taken for anything but a plain no.
fn said(answer: &Response, code: &str, words: &str) -> Failure {
    let kind = if says(code, &UNAUTHORIZED) {
        FailureKind::Unauthorized
    } else if says(code, &BUSY) {
        FailureKind::Busy
    } else {
        FailureKind::Refused
    };
    answer.failure(kind, words)
}

fn says(code: &str, words: &[&str]) -> bool {
    words.iter().any(|word| code.contains(word))
}

/// The failure in one sentence, with the CA's words where there are any.
fn clear(answer: &Response, failure: Option<Failure>, words: &str) -> Failure {
    let Some(mut failure) = failure else {
        return strange(answer);
    };
    let evidence = match words {
        "" => failure.detail.clone(),
        words => answer.redacted(&format!("HTTP {}: {words}", answer.status)),
    };
    failure.detail = match failure.kind {
        FailureKind::Unauthorized => format!(
            "the CA refuses the credentials: correct `user` or `api_key` of this CA, or let the CA give them the right ({evidence})"
        ),
        _ if answer.status == 404 => {
            format!("{evidence}: does `url` of this CA lead to the base of the API?")
        }
        _ => evidence,
    };
    failure
}

fn strange(answer: &Response) -> Failure {
    let detail = format!(
        "the answer contains neither success nor an error: HTTP {}: {}",
        answer.status,
        answer.evidence()
    );
    answer.failure(FailureKind::Unexpected, detail)
}

/// A success that cannot be read is a success perhaps.
fn unknown_if(lasting: bool, mut failure: Failure) -> Failure {
    if lasting {
        failure.kind = FailureKind::OutcomeUnknown;
    }
    failure
}

const MISSING: [&str; 3] = ["not_found", "does_not_exist", "notfound"];
const UNAUTHORIZED: [&str; 6] = [
    "unauthorized",
    "authentication",
    "authenticated",
    "credential",
    "permission",
    "forbidden",
];
const BUSY: [&str; 3] = ["rate_limit", "throttl", "too_many"];
const MOST_LINES: usize = 50;
/// Bytes.
const LONGEST_FIELD: usize = 500;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    fn answer(status: u16, body: &str) -> Response {
        Response::example("POST /ssl-certificate", status, body.as_bytes())
    }

    fn opened(status: u16, body: &str, lasting: bool) -> Result<Reply, Failure> {
        read(&answer(status, body), lasting, Timestamp::UNIX_EPOCH)
    }

    fn failure(status: u16, body: &str, lasting: bool) -> Failure {
        opened(status, body, lasting).unwrap_err()
    }

    #[test]
    fn success_is_a_truth_value_or_a_text() {
        for body in [
            r#"{"success":true,"result":{"id":"1"}}"#,
            r#"{"success":"true","result":{"id":"1"}}"#,
            r#"{"result":{"id":"1"}}"#,
        ] {
            let body = opened(200, body, true).unwrap().done().unwrap();
            assert_eq!(body["result"]["id"], "1");
        }
    }

    #[test]
    fn a_nested_error_becomes_words_with_http_200_as_with_400() {
        let body = r#"{"success":false,"error":{"code":"request_validation_failed",
            "message":{"contacts":{"contact":[{"message":"error message.","code":"invalid_choice"}]},"csr":["too short"]}}}"#;
        for status in [200, 400] {
            let failure = failure(status, body, true);
            assert_eq!(failure.kind, FailureKind::Refused);
            assert_eq!(
                failure.detail,
                format!(
                    "HTTP {status}: request_validation_failed: contacts.contact: error message.; csr: too short"
                )
            );
        }
    }

    #[test]
    fn refused_credentials_are_one_sentence_however_they_are_reported() {
        let object =
            r#"{"success":"false","error":{"code":"authentication_failed","message":"who?"}}"#;
        for (status, body) in [(401, "Unauthorized"), (403, object), (200, object)] {
            let failure = failure(status, body, true);
            assert_eq!(failure.kind, FailureKind::Unauthorized, "{status}");
            assert!(
                failure.detail.contains("correct `user` or `api_key`"),
                "{failure}"
            );
        }
    }

    #[test]
    fn only_the_ca_itself_can_say_that_there_is_no_such_thing() {
        let object = r#"{"success":false,"error":{"code":"not_found","message":"gone"}}"#;
        for status in [200, 404] {
            let reply = opened(status, object, false).unwrap();
            assert!(matches!(reply, Reply::Missing(_)), "{status}");
        }
        let failure = failure(404, "<html><title>Not here</title></html>", false);
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(
            failure.detail.contains("does `url` of this CA lead"),
            "{failure}"
        );
    }

    #[test]
    fn what_cannot_be_read_after_an_order_may_have_been_an_order() {
        for body in [
            "{\"success\":tr",
            "<html><title>Sign in</title>",
            "{}",
            "[]",
        ] {
            assert_eq!(
                failure(200, body, true).kind,
                FailureKind::OutcomeUnknown,
                "{body}"
            );
            assert_eq!(
                failure(200, body, false).kind,
                FailureKind::Unexpected,
                "{body}"
            );
        }
        assert_eq!(failure(500, "", true).kind, FailureKind::OutcomeUnknown);
        assert_eq!(failure(429, "", true).kind, FailureKind::Busy);
    }

    #[test]
    fn an_error_of_countless_parts_is_reported_in_a_few_words() {
        let (name, zeros) = ("a".repeat(10_000), "0,".repeat(10_000));
        let body = format!(r#"{{"success":false,"error":{{"message":{{"{name}":[{zeros}0]}}}}}}"#);
        let (_, words) = error(&serde_json::from_str(&body).unwrap());
        assert!(
            !words.is_empty() && words.len() < 100_000,
            "{}",
            words.len()
        );
        assert_eq!(failure(200, &body, true).kind, FailureKind::Refused);
    }
}
