//! What a device says, under any input: the bodies of fuzz targets. They assert what must hold of every answer and change
//! nothing; nothing but tests calls them.
#![allow(
    clippy::missing_panics_doc,
    reason = "a property that does not hold is a panic"
)]

use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use super::challenge::{challenges, information};
use super::digest::{Digester, Subject};
use super::envelope::{Envelope, judge, judge_change, judge_json};
use super::login_level::Floor;
use super::ownership::Ours;
use super::pending::Pending;
use super::public_key::{Padding, authorization};
use super::relaxed_json::json_in;
use super::sentence::Sentence;
use super::transport::{Request, Response, segment};
use super::version::Version;
use super::{listing, table};
use crate::random::SeededRandom;
use crate::secret::Secret;

pub use super::console::fuzzing::{redactor, screen};

/// A status (two bytes) and a body: nothing passes for a success that does not say so.
pub fn answer(data: &[u8]) {
    let Some((status, body)) = data.split_at_checked(2) else {
        return;
    };
    let status = status
        .iter()
        .fold(0, |status, byte| status * 256 + u16::from(*byte));
    let answer = said(status, body);
    let text = answer.text();
    let is_good = (200..300).contains(&status);
    let strict: Option<Value> = serde_json::from_slice(body).ok();
    let says_no = strict
        .as_ref()
        .is_some_and(|json| json["status"]["success"] == json!(false));
    let read = Request::get("/version");
    let change = Request::change(Method::POST, "/config/pending");
    let outcomes = [
        judge(&read, &answer).map(drop),
        judge_change(&change, &answer).map(drop),
        judge_json(&read, &answer).map(drop),
    ];
    if let Some(what) = reply_to(&change, &answer).and_then(|reply| reply.restart_required) {
        assert!(what.chars().count() <= LONGEST_WISH, "{what}");
    }
    for outcome in &outcomes {
        match outcome {
            Ok(()) => assert!(is_good && !says_no, "{status} {text}"),
            Err(failure) => failure.assert_tellable(&[]),
        }
    }
    if let [_, Ok(()), _] = outcomes {
        assert_torn_is_refused(&change, &text, strict.as_ref());
    }
    let version = Version::of(&strict.unwrap_or_default());
    assert!(!version.identity.serial.contains('-'));
}

fn reply_to(call: &Request, answer: &Response) -> Option<Envelope> {
    judge(call, answer).ok()?.envelope
}

/// Where a change was accepted, no beginning of the answer is.
fn assert_torn_is_refused(change: &Request, text: &str, strict: Option<&Value>) {
    let has_envelope = strict.is_some_and(|json| json["status"].is_object());
    let text = text.trim();
    if !has_envelope || text.len() > LONGEST_TORN {
        return;
    }
    for (end, _) in text.char_indices().skip(1) {
        let torn = said(200, text.get(..end).unwrap_or_default().as_bytes());
        assert!(judge_change(change, &torn).is_err(), "torn: {text}");
    }
}

/// A value without quotes where `success` stands: only the word for it is a yes.
pub fn success(data: &[u8]) {
    let word: String = String::from_utf8_lossy(data)
        .chars()
        .filter(|c| c.is_alphanumeric() || " _-.".contains(*c))
        .collect();
    let change = Request::change(Method::POST, "/config/pending");
    for text in [
        format!("{{\"status\":{{\"success\":{word},\"info\":[]}}}}"),
        format!("{{\"status\":{{\"success\":\"{word}\",\"info\":[]}}}}"),
    ] {
        if judge_change(&change, &said(200, text.as_bytes())).is_ok() {
            assert!(word.trim().eq_ignore_ascii_case("true"), "{text}");
        }
    }
    let level = format!(
        "{{\"status\":{{\"success\":true,\"info\":[{{\"message\":{word},\"level\":error}}]}}}}"
    );
    let judged = judge_change(&change, &said(200, level.as_bytes()));
    assert!(judged.is_err(), "{level}");
}

/// JSON with words that lack their quotes: what has them reads the same, nothing is made up, and no beginning passes for the
/// whole.
pub fn json(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let text = text.trim();
    let Some(value) = json_in(text) else {
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
        return;
    };
    if let Ok(strict) = serde_json::from_str::<Value>(text) {
        assert_eq!(value, strict);
    }
    let written = text.matches("true").count();
    let is_true = |value: &Value| value == &json!(true);
    assert!(count(&value, &is_true) <= written, "{text}");
    if !(value.is_object() || value.is_array()) {
        return;
    }
    // A fraction may change in its last digit when it is read.
    if count(&value, &Value::is_f64) > 0 {
        return;
    }
    let printed = value.to_string();
    assert_eq!(json_in(&printed).as_ref(), Some(&value));
    let progress = format!("% Processing {{...}}\r\n% Done.\r\n{printed}");
    assert_eq!(json_in(&progress).as_ref(), Some(&value));
    assert_eq!(json_in(&bare(&value)), Some(value.clone()), "{value}");
    let pretty = serde_json::to_string_pretty(&value).unwrap_or_default();
    for (end, _) in pretty.char_indices().skip(1).take(LONGEST_TORN) {
        let torn = pretty.get(..end).unwrap_or_default();
        assert_eq!(json_in(torn), None, "{torn}");
    }
}

/// As 6.5 writes it: without quotes around texts that are words.
fn bare(value: &Value) -> String {
    match value {
        Value::String(word)
            if word.starts_with(char::is_alphabetic)
                && word.chars().all(char::is_alphanumeric)
                && !["true", "false", "null"].contains(&word.as_str()) =>
        {
            word.clone()
        }
        Value::Array(members) => {
            let members: Vec<String> = members.iter().map(bare).collect();
            format!("[{}]", members.join(","))
        }
        Value::Object(members) => {
            let member = |(name, value)| format!("{}:{}", Value::from(name), bare(value));
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| member((name.as_str(), value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

/// How many values within `value` are such.
fn count(value: &Value, is_such: &impl Fn(&Value) -> bool) -> usize {
    let within = match value {
        Value::Array(members) => members.iter().map(|member| count(member, is_such)).sum(),
        Value::Object(members) => members.values().map(|member| count(member, is_such)).sum(),
        _ => 0,
    };
    within + usize::from(is_such(value))
}

/// Listings as JSON and as text: no more entries than lines, no more words than were said, and no list that cannot be read
/// is taken for an empty one.
pub fn listing(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(json) = json_in(&text)
        && let Some(rows) = listing::rows(&json)
    {
        assert_eq!(rows.len(), entries(&json), "{json}");
        assert!(size(&rows) <= 4 * data.len() + 64);
    }
    if let Some(rows) = table::rows(&text) {
        assert!(rows.len() <= text.lines().count());
        assert!(size(&rows) <= WORDS_PER_BYTE * text.len());
        for row in &rows {
            assert!(!row.alias.is_empty() && text.contains(&row.alias), "{text}");
            let _ = row.kind();
        }
    }
    let detail = table::detail(&text);
    assert!(detail.len() <= text.lines().count());
    let _ = listing::kind_by_detail(&detail);
}

/// Everything in `json` that a listing may hold: itself, or what stands in its lists.
fn entries(json: &Value) -> usize {
    let is_row = |json: &Value| json.get(listing::NAME).is_some_and(Value::is_string);
    match json {
        Value::Array(members) => members.len(),
        json if is_row(json) => 1,
        Value::Object(members) => members.values().map(entries).sum(),
        _ => 0,
    }
}

fn size(rows: &[listing::Row]) -> usize {
    let columns = |row: &listing::Row| -> usize {
        row.columns
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum()
    };
    rows.iter().map(|row| row.alias.len() + columns(row)).sum()
}

/// Uncommitted changes: a device that reports pending changes is never read as having none, changes that are not ours
/// are foreign, and the report about them is of bounded length.
pub fn pending(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let pending = Pending::of(&text);
    let nothing_written = Ours::by("renewd");
    let foreign = pending.foreign(&nothing_written);
    if let Some(json) = json_in(&text) {
        let flag = &json["status"]["cli"]["pending_config"];
        assert!(
            flag != &json!(true) || pending != Pending::Nothing,
            "{text}"
        );
    } else if text.contains("certificate") {
        let is_said = |line| Sentence::of(line) == Sentence::Nothing;
        assert!(
            pending != Pending::Nothing || text.lines().any(is_said),
            "{text}"
        );
    }
    let ours = Ours {
        aliases: vec!["fw-1".to_owned()],
        ..nothing_written
    };
    let rest = pending.foreign(&ours);
    let is_whole = foreign.len() < 100;
    assert!(
        !is_whole || rest.iter().all(|line| foreign.contains(line)),
        "{text}"
    );
    let reported: usize = foreign.iter().map(String::len).sum();
    assert!(
        reported <= WORDS_PER_BYTE * text.len() + 64,
        "{reported} bytes"
    );
    assert!(pending.summary().chars().count() <= 400);
    assert!(
        pending
            .author()
            .is_none_or(|who| who.chars().count() <= 400)
    );
}

/// Challenges in headers, and the answers to them: never with the password in them, and with the device's own words as it
/// wrote them.
pub fn challenge(data: &[u8]) {
    let header: String = data.iter().map(|byte| char::from(*byte)).collect();
    let found = challenges(header.split('\n'));
    assert!(found.len() <= header.len());
    let _ = information(&header);
    let password = Secret::new(PASSWORD.to_owned());
    let random = SeededRandom::new(1);
    if let Some(mut digester) = Digester::best(&found, Floor::NONE, &random) {
        let subject = Subject {
            user: "renewd",
            password: &password,
            method: "GET",
            target: "/api/sonicos/version",
            body: b"",
        };
        let nonce = digester.nonce().to_owned();
        if let Some(answer) = digester.answer(&subject) {
            let answer = String::from_utf8_lossy(answer.as_bytes()).into_owned();
            assert!(!answer.contains(PASSWORD), "{answer}");
            let read = challenges([answer.as_str()]);
            let reported = read.first().and_then(|one| one.parameter("nonce"));
            assert_eq!(reported, Some(nonce.as_str()), "{answer}");
            assert_eq!(read.len(), 1, "{answer}");
        }
    }
    for challenge in found.iter().filter(|one| one.is("SNWL-PK-AUTH")) {
        if let Ok(header) = authorization(challenge, "renewd", &password, Padding::Oaep) {
            let header = String::from_utf8_lossy(header.as_bytes()).into_owned();
            assert!(!header.contains(&BASE64.encode(PASSWORD.as_bytes())));
        }
    }
}

/// Names in paths: whatever a device calls its certificates, they stay one segment of ours.
pub fn name(data: &[u8]) {
    let name = String::from_utf8_lossy(data);
    if let Some(segment) = segment(&name) {
        let url = format!("https://192.0.2.1/a/{segment}/b");
        let url: Option<url::Url> = url.parse().ok();
        let path = url.as_ref().and_then(url::Url::path_segments);
        assert_eq!(path.map(Iterator::count), Some(3), "{segment}");
    }
}

fn said(status: u16, body: &[u8]) -> Response {
    Response {
        status,
        body: body.to_vec(),
        ..Response::default()
    }
}

const LONGEST_WISH: usize = 301;
const PASSWORD: &str = "correct horse battery";
/// The report may repeat the names of columns and settings, but not without limit.
const WORDS_PER_BYTE: usize = 200;
/// Bytes: of what is longer, not every beginning is looked at.
const LONGEST_TORN: usize = 2000;
