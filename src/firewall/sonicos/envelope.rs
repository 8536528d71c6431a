//! What an answer says: the status envelope, judged by `success`, by the HTTP code and by any entry of level
//! error (SonicOS reference 1.5). Pure functions; the device's words go into failures only shortened.

use jiff::SignedDuration;
use reqwest::header::SERVER;
use serde_json::Value;

use super::messages;
use super::relaxed_json::json_in;
use super::transport::{Request, Response};
use crate::failure::{Failure, FailureKind};
use crate::sanitize::bounded;

/// An answer that is not a refusal.
#[derive(Debug, Clone, Default)]
pub(super) struct Reply {
    /// The JSON in it, without the progress lines before it.
    pub(super) json: Option<Value>,
    /// The envelope, when the JSON is one.
    pub(super) envelope: Option<Envelope>,
}

/// The status envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Envelope {
    success: Option<bool>,
    /// Whether there are changes that wait for a commit; `None` when the device does not say.
    pub(super) pending_config: Option<bool>,
    /// Whether our session is in configuration mode; `None` when the device does not say.
    pub(super) configuring: Option<bool>,
    /// What the device wants restarted, other than nothing.
    pub(super) restart_required: Option<String>,
    entries: Vec<Value>,
}

impl Reply {
    /// The reply to a change that waits for no commit of ours.
    pub(super) fn settled() -> Self {
        Self {
            envelope: Some(Envelope {
                pending_config: Some(false),
                ..Envelope::default()
            }),
            ..Self::default()
        }
    }
}

impl Envelope {
    /// The envelope of an answer's JSON; `None` when it is something else.
    pub(super) fn of(json: &Value) -> Option<Self> {
        let status = json.get("status")?.as_object()?;
        let cli = |name| status.get("cli").and_then(|cli| cli.get(name));
        let entries = match status.get("info") {
            Some(Value::Array(entries)) => entries.clone(),
            Some(entry @ Value::Object(_)) => vec![entry.clone()],
            _ => Vec::new(),
        };
        Some(Self {
            success: status.get("success").map(is_yes),
            pending_config: cli("pending_config").and_then(is_pending),
            configuring: cli("configuring")
                .filter(|said| !said.is_null())
                .map(is_yes),
            restart_required: cli("restart_required").and_then(restart_wanted),
            entries,
        })
    }

    /// A field that one of the entries carries, such as `auth_code`.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.entries.iter().filter_map(|entry| entry.get(name));
        values.find_map(Value::as_str)
    }

    /// A yes or no that one of the entries carries, such as `is_fw_managed_by_gms_actively`.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let mut values = self.entries.iter().filter_map(|entry| entry.get(name));
        values.next().map(is_yes)
    }

    /// The entries, as they are.
    pub(super) fn entries(&self) -> &[Value] {
        &self.entries
    }

    /// Every message as it is, without its code.
    pub(super) fn words(&self) -> Vec<&str> {
        let words = self.entries.iter().filter_map(|entry| entry.get("message"));
        words.filter_map(Value::as_str).collect()
    }

    /// Every message, shortened, with its code.
    pub(super) fn messages(&self) -> String {
        let said: Vec<String> = self.entries.iter().filter_map(message).collect();
        shortened(&said.join("; "))
    }

    fn says_no(&self) -> bool {
        let is_error = |entry: &Value| {
            let level = entry.get("level").and_then(Value::as_str);
            level.is_some_and(|level| level.eq_ignore_ascii_case("error"))
        };
        self.success == Some(false) || self.entries.iter().any(is_error)
    }
}

/// Whether `success` says yes. What it says in any other way is a no: a refusal must never pass for a success.
fn is_yes(success: &Value) -> bool {
    match success {
        Value::Bool(success) => *success,
        Value::String(word) => word.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// Whether a flag says that changes wait. What it says in any other way than a plain no is a yes: changes of others must
/// never pass for none.
fn is_pending(flag: &Value) -> Option<bool> {
    Some(match flag {
        Value::Null => return None,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_u64() != Some(0),
        Value::String(word) => !matches!(
            word.trim().to_ascii_lowercase().as_str(),
            "false" | "no" | "0"
        ),
        _ => true,
    })
}

/// What the device wants restarted, shortened; `None`: nothing.
fn restart_wanted(said: &Value) -> Option<String> {
    let what = match said {
        Value::String(what) => shortened(what),
        Value::Bool(true) => "true".to_owned(),
        _ => return None,
    };
    let is_nothing = ["", "none", "false", "no"].contains(&what.to_ascii_lowercase().as_str());
    (!is_nothing).then_some(what)
}

/// Judges an answer: a reply, or the failure that it is.
pub(super) fn judge(call: &Request, answer: &Response) -> Result<Reply, Failure> {
    let text = answer.text();
    let json = json_in(&text);
    let envelope = json.as_ref().and_then(Envelope::of);
    let said = match &envelope {
        Some(envelope) => envelope.messages(),
        None => shortened(&text),
    };
    if let Some(failure) = intercepted(call, answer) {
        return Err(failure);
    }
    if let Some(failure) = refused_by_code(call, answer, &said) {
        return Err(failure);
    }
    // Another verb or spelling, unless it says that it is about configuration mode (SonicOS reference 1.5).
    if answer.status == 405 && !messages::is_out_of_configuration_mode(&said) {
        let detail = evidence(messages::UNKNOWN_CALL, answer.status, &said);
        return Err(call.failure(FailureKind::Refused, detail));
    }
    let is_page = is_web_page(&text);
    // A page that the API's own server did not write: there is nothing at that path.
    if answer.status == 404 && (is_page || said.is_empty()) {
        let detail = evidence(messages::UNKNOWN_CALL, answer.status, "");
        return Err(call.failure(FailureKind::Refused, detail));
    }
    if is_page {
        let detail = format!("a web page instead of an answer of the API: {said}");
        return Err(call.failure(FailureKind::Unexpected, detail));
    }
    let says_no = match &envelope {
        Some(envelope) => envelope.says_no(),
        None => json.is_none() && messages::is_error_text(&text),
    };
    let is_fine = (200..300).contains(&answer.status);
    if says_no || !is_fine {
        let kind = match (answer.status, &envelope) {
            (500.., None) | (300..400, _) => FailureKind::Unexpected,
            _ => FailureKind::Refused,
        };
        return Err(call.failure(kind, refusal_text(answer.status, &said)));
    }
    Ok(Reply { json, envelope })
}

/// Judges the answer to a change: it must say that the change was made.
pub(super) fn judge_change(call: &Request, answer: &Response) -> Result<Reply, Failure> {
    let reply = judge(call, answer)?;
    let text = answer.text();
    let is_confirmed = match (&reply.envelope, &reply.json) {
        (Some(_), _) => true,
        (None, Some(json)) => is_empty(json),
        // JSON that breaks off may break off before the refusal in it.
        (None, None) if text.contains('{') => false,
        (None, None) => text.trim().is_empty() || messages::is_success_text(&text),
    };
    if is_confirmed {
        return Ok(reply);
    }
    let detail = format!("neither yes nor no: {}", shortened(&text));
    Err(call.failure(FailureKind::Unexpected, detail))
}

/// Judges the answer to a question: it must hold JSON that is not only an envelope.
pub(super) fn judge_json(call: &Request, answer: &Response) -> Result<Value, Failure> {
    let reply = judge(call, answer)?;
    if let (Some(json), None) = (reply.json, reply.envelope) {
        return Ok(json);
    }
    let said = shortened(&answer.text());
    let detail = format!("not the JSON that was asked for: {said}");
    Err(call.failure(FailureKind::Unexpected, detail))
}

/// The codes that mean the same whatever the body says (SonicOS reference 1.5).
fn refused_by_code(call: &Request, answer: &Response, said: &str) -> Option<Failure> {
    let (kind, meaning) = match answer.status {
        // Our credentials were good at the login: the session is what ended.
        401 => (FailureKind::Busy, "the device has ended our session"),
        413 => (
            FailureKind::Refused,
            "longer than the device takes (max_payload in its API settings)",
        ),
        429 => (FailureKind::Busy, "the device asks us to slow down"),
        503 => (FailureKind::Busy, "too many sessions on the device"),
        _ => return None,
    };
    let mut failure = call.failure(kind, evidence(meaning, answer.status, said));
    failure.retry_after = answer.retry_after();
    Some(failure)
}

/// A refusal that comes from something in front of the device: it is no word of the device about a login or its rights
/// (SonicOS reference 1.3).
pub(super) fn intercepted(call: &Request, answer: &Response) -> Option<Failure> {
    let server = answer.headers.get(SERVER)?;
    let server = String::from_utf8_lossy(server.as_bytes()).into_owned();
    let lower = server.to_ascii_lowercase();
    let is_own = lower.contains("sonicwall") || lower.contains("sonicos") || lower == "web server";
    if answer.status != 403 || is_own || json_in(&answer.text()).is_some() {
        return None;
    }
    let detail = format!(
        "refused by something in front of the device, not by the device (its `Server` is \"{}\"): HTTP 403: {}",
        shortened(&server),
        shortened(&answer.text())
    );
    let failure = call.failure(FailureKind::Busy, detail);
    Some(failure.retry_after(answer.retry_after().unwrap_or(INTERCEPTED_WAIT)))
}

fn refusal_text(status: u16, said: &str) -> String {
    if messages::is_switched_off(said) {
        return evidence(
            "the device's API is switched off: enable it under Device > Settings > Administration > SonicOS API",
            status,
            said,
        );
    }
    if messages::is_unknown_call(said) {
        return evidence(messages::UNKNOWN_CALL, status, said);
    }
    if said.is_empty() {
        return format!("refused without a word, HTTP {status}");
    }
    format!("{said} (HTTP {status})")
}

/// What we make of it, and what the device said.
pub(super) fn evidence(meaning: &str, status: u16, said: &str) -> String {
    if said.is_empty() {
        format!("{meaning} (HTTP {status})")
    } else {
        format!("{meaning} (HTTP {status}: {said})")
    }
}

/// One line of at most a few hundred characters, for a failure's detail.
pub(super) fn shortened(text: &str) -> String {
    bounded(text, LONGEST_EVIDENCE)
}

fn message(entry: &Value) -> Option<String> {
    let text = |name| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    match (text("code"), text("message")) {
        ("", "") => None,
        ("" | "E_OK", message) => Some(message.to_owned()),
        (code, "") => Some(code.to_owned()),
        (code, message) => Some(format!("{code}: {message}")),
    }
}

fn is_web_page(text: &str) -> bool {
    let beginning: String = text.trim_start().chars().take(64).collect();
    let beginning = beginning.to_ascii_lowercase();
    beginning.starts_with("<!doctype")
        || beginning.starts_with("<html")
        || beginning.contains("<head")
}

/// Whether JSON holds nothing.
pub(super) fn is_empty(json: &Value) -> bool {
    match json {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(members) => members.is_empty(),
        Value::String(text) => text.trim().is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

const LONGEST_EVIDENCE: usize = 300;
/// Boxes against floods let go after some minutes.
const INTERCEPTED_WAIT: SignedDuration = SignedDuration::from_mins(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use reqwest::Method;

    use super::*;

    const MADE: &str = r#"{"status":{"success":true,"info":[{"level":"info","code":"E_OK","message":"Changes made."}]}}"#;

    fn change(status: u16, body: &str) -> Result<Reply, Failure> {
        judge_change(
            &Request::change(Method::POST, "/config/pending"),
            &Response::saying(status, body),
        )
    }

    fn refusal(status: u16, body: &str) -> Failure {
        change(status, body).unwrap_err()
    }

    #[test]
    fn the_documented_success_is_a_success() {
        let reply = change(200, MADE).unwrap();
        assert_eq!(reply.envelope.unwrap().pending_config, None);
    }

    #[test]
    fn progress_lines_before_the_json_are_skipped() {
        let body = format!("% Processing {{...}}\r\n% Done.\r\n\r\n{MADE}");
        assert!(change(200, &body).unwrap().envelope.is_some());
    }

    #[test]
    fn success_false_with_200_is_a_refusal() {
        let body = r#"{"status":{"success":false,"info":[{"level":"error","code":"E_X","message":"Certificate is in use"}]}}"#;
        let failure = refusal(200, body);
        assert_eq!(failure.kind, FailureKind::Refused);
        assert_eq!(failure.detail, "E_X: Certificate is in use (HTTP 200)");
    }

    #[test]
    fn words_without_quotes_never_turn_a_refusal_into_a_success() {
        for body in [
            r#"{"status":{"success":False,"info":[]}}"#,
            r#"{"status":{"success":no,"info":[]}}"#,
            r#"{"status":{"success":null,"info":[]}}"#,
            r#"{"status":{"success":expired,"info":[{"message":"Success."}]}}"#,
            r#"{"status":{"success":true,"info":[{"level":error,"message":expired}]}}"#,
        ] {
            assert_eq!(refusal(200, body).kind, FailureKind::Refused, "{body}");
        }
        let made = r#"{"status":{"success":true,"info":[{"level":info,"message":Changes made.}]}}"#;
        assert!(change(200, made).is_ok());
    }

    #[test]
    fn json_that_breaks_off_is_no_success() {
        for body in [
            r#"{"status":{"success":"#,
            "% Success.\n{\"status\":{\"success\":fal",
        ] {
            assert_eq!(refusal(200, body).kind, FailureKind::Unexpected, "{body}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_an_unknown_call_and_a_missing_object_is_not() {
        for body in ["", "<html><title>404</title></html>"] {
            let failure = refusal(404, body);
            assert_eq!(failure.kind, FailureKind::Refused);
            assert!(messages::is_unknown_call(&failure.detail), "{failure}");
        }
        assert!(!messages::is_unknown_call(
            &refusal(404, "no certificate found for this name").detail
        ));
    }

    #[test]
    fn a_405_is_an_unknown_call_unless_it_says_that_it_is_about_configuration_mode() {
        for body in ["", "Method not allowed", "<html><title>405</title></html>"] {
            let failure = refusal(405, body);
            assert_eq!(failure.kind, FailureKind::Refused);
            assert!(messages::is_unknown_call(&failure.detail), "{failure}");
        }
        let mode = refusal(405, "Non config mode");
        assert!(!messages::is_unknown_call(&mode.detail), "{mode}");
    }

    #[test]
    fn a_403_of_something_in_front_of_the_device_asks_to_come_back() {
        let said = |server: &'static str, body: &str| {
            let mut answer = Response::saying(403, body);
            answer.headers.insert("server", server.parse().unwrap());
            judge(&Request::get("/version"), &answer).unwrap_err()
        };
        let failure = said("Apache", "Forbidden");
        assert_eq!(failure.kind, FailureKind::Busy);
        assert_eq!(failure.retry_after, Some(INTERCEPTED_WAIT));
        for (server, body) in [
            ("SonicWALL", ""),
            ("Web Server", "Forbidden"),
            ("Apache", r#"{"status":{"success":false,"info":[]}}"#),
        ] {
            assert_eq!(said(server, body).kind, FailureKind::Refused, "{server}");
        }
    }

    #[test]
    fn one_entry_of_level_error_makes_a_refusal_and_all_entries_are_reported() {
        let body = r#"{"status":{"success":true,"info":[{"level":"warning","message":"slow"},{"level":"error","message":"bad"}]}}"#;
        assert_eq!(refusal(200, body).detail, "slow; bad (HTTP 200)");
    }

    #[test]
    fn success_true_with_an_http_error_is_a_refusal() {
        assert_eq!(refusal(400, MADE).kind, FailureKind::Refused);
    }

    #[test]
    fn the_example_of_the_envelope_with_cli_is_read() {
        let body = r#"{"status":{"success":true,"cli":{"depth":1,"mode":"config_mode","configuring":true,"pending_config":true,"restart_required":"APPLIANCE"},"info":[]}}"#;
        let envelope = change(200, body).unwrap().envelope.unwrap();
        assert_eq!(envelope.pending_config, Some(true));
        assert_eq!(envelope.restart_required.as_deref(), Some("APPLIANCE"));
    }

    #[test]
    fn a_restart_request_is_reported_shortened_and_only_where_it_is_one() {
        let long = format!("\"{}\"", "a".repeat(1 << 20));
        for (said, wanted) in [
            (r#""APPLIANCE""#, Some("APPLIANCE")),
            ("true", Some("true")),
            (r#""NONE""#, None),
            (r#""none""#, None),
            ("\"\"", None),
            (r#""false""#, None),
            (r#""No""#, None),
            ("false", None),
            ("null", None),
        ] {
            let body = format!(
                r#"{{"status":{{"success":true,"cli":{{"restart_required":{said}}},"info":[]}}}}"#
            );
            let envelope = change(200, &body).unwrap().envelope.unwrap();
            assert_eq!(envelope.restart_required.as_deref(), wanted, "{said}");
        }
        let body =
            format!(r#"{{"status":{{"success":true,"cli":{{"restart_required":{long}}}}}}}"#);
        let envelope = change(200, &body).unwrap().envelope.unwrap();
        let reported = envelope.restart_required.unwrap();
        assert_eq!(reported.chars().count(), LONGEST_EVIDENCE + 1);
    }

    #[test]
    fn web_pages_and_garbage_are_unexpected() {
        for body in [
            "<!DOCTYPE html><html><title>SonicWall</title>",
            " <html>",
            "\u{1}\u{2}x",
        ] {
            assert_eq!(refusal(200, body).kind, FailureKind::Unexpected, "{body:?}");
        }
        assert_eq!(refusal(502, "Bad Gateway").kind, FailureKind::Unexpected);
    }

    #[test]
    fn text_answers_are_understood() {
        assert!(change(200, "INFO: Success.").is_ok());
        assert!(change(200, "% Changes made.").is_ok());
        assert!(change(200, "").is_ok());
        assert_eq!(refusal(200, "ERROR: no").kind, FailureKind::Refused);
    }

    #[test]
    fn full_houses_and_lost_sessions_ask_to_come_back() {
        let mut full = Response::saying(503, "");
        full.headers.insert("retry-after", "7".parse().unwrap());
        let failure = judge(&Request::get("/version"), &full).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Busy);
        assert_eq!(failure.retry_after, Some(SignedDuration::from_secs(7)));
        assert_eq!(refusal(401, "").kind, FailureKind::Busy);
        assert_eq!(refusal(413, "").kind, FailureKind::Refused);
    }

    #[test]
    fn a_switched_off_api_and_an_unknown_call_say_what_to_do() {
        let off = r#"{"status":{"success":false,"info":[{"level":"error","code":"E_DISABLED","message":"Service disabled."}]}}"#;
        assert!(refusal(403, off).detail.contains("enable it under"));
        let unknown = r#"{"status":{"success":false,"info":[{"level":"error","code":"E_INVALID_API_CALL","message":"API endpoint is incomplete."}]}}"#;
        assert!(
            refusal(400, unknown)
                .detail
                .starts_with("this firmware does not know the call")
        );
    }

    #[test]
    fn evidence_is_one_short_line() {
        let long = format!("a\nb\t\u{7}{}", "x".repeat(1000));
        let short = shortened(&long);
        assert!(
            short.starts_with("a b x") && short.ends_with('…'),
            "{short}"
        );
        assert_eq!(short.chars().count(), LONGEST_EVIDENCE + 1);
    }
}
