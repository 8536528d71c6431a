//! The last step of every reply: the envelope's other members, `%` lines, text for clients that request it (SonicOS
//! reference 1.5). Changes the form of a reply, never its content.

use serde_json::{Map, Value, json};

use super::Profile;
use super::device::Device;
use super::wire::{Body, Reply, Request};
use crate::response_delivery::Handling;

/// A reply as bytes.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// How it reaches the client.
    pub(super) handling: Handling,
}

impl Device {
    pub(super) fn finish(&mut self, request: &Request, reply: Reply) -> Finished {
        let Reply {
            mut status,
            mut headers,
            body,
            earlier,
            ..
        } = reply;
        if self.variants.failures_with_200 && matches!(status, 400 | 404 | 405 | 500) {
            status = 200;
        }
        let (content_type, bytes) = match body {
            Body::Empty => (None, Vec::new()),
            Body::File {
                content_type,
                bytes,
            } => (Some(content_type), bytes),
            Body::Json(value) => (Some(JSON.to_owned()), self.json_text(&value).into_bytes()),
            Body::Envelope { success, result } if wants_text(request) => (
                Some("text/plain; charset=UTF-8".to_owned()),
                as_text(success, &result).into_bytes(),
            ),
            Body::Envelope { success, result } => (
                Some(JSON.to_owned()),
                self.envelope(request, success, earlier, result)
                    .into_bytes(),
            ),
        };
        headers.extend(content_type.map(|value| ("Content-Type".to_owned(), value)));
        headers.extend(STANDING.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Finished {
            status,
            headers,
            body: bytes,
            handling: Handling::Whole,
        }
    }

    fn envelope(
        &mut self,
        request: &Request,
        success: bool,
        earlier: Vec<Value>,
        result: Map<String, Value>,
    ) -> String {
        let is_login = request
            .segments
            .first()
            .is_some_and(|first| first == "auth" || first == "tfa");
        let is_action = request.is_write() && !is_login;
        let mut info = earlier;
        info.push(Value::Object(result));
        if is_action && self.variants.several_info_entries {
            let warning = json!({"level": "warning", "code": "E_WARNING", "message": "Another log setting may be affected."});
            info.insert(0, warning);
        }
        let info: Vec<String> = info.iter().map(entry_text).collect();
        let cli = if is_action && self.variants.cli_member {
            format!("\"cli\":{},", self.cli_member(request, success))
        } else {
            String::new()
        };
        let text = format!(
            "{{\"status\":{{\"success\":{success},{cli}\"info\":[{}]}}}}",
            info.join(",")
        );
        if is_action && self.rng.one_in(self.variants.progress_lines_one_in) {
            return format!("% Working...\n% Completed 100%.\n{text}");
        }
        text
    }

    /// 1.5: 6.5 can write a value without its quotation marks.
    fn json_text(&self, value: &Value) -> String {
        let text = value.to_string();
        let is_old = self.settings.profile == Profile::V6_5;
        if self.variants.unquoted_expired.unwrap_or(is_old) {
            text.replace("\"Expired\"", "expired")
        } else {
            text
        }
    }

    /// 1.5: present when the call was turned into CLI commands; `command` only on error.
    fn cli_member(&self, request: &Request, success: bool) -> Value {
        let mut cli = json!({
            "depth": 1,
            "mode": "config_mode",
            "configuring": self.holds_configuration_mode(),
            "pending_config": !self.pending.is_empty(),
            "restart_required": self.restart_required,
        });
        if !success {
            cli["command"] = Value::String(request.segments.join(" "));
        }
        cli
    }
}

const JSON: &str = "application/json; charset=UTF-8";

/// Headers seen in the trace of 1.2.
const STANDING: [(&str, &str); 4] = [
    ("Server", "SonicWALL"),
    ("Expires", "-1"),
    ("Cache-Control", "no-cache"),
    ("X-Content-Type-Options", "nosniff"),
];

/// One entry of `info`, its members in the order of the trace in 1.2.
fn entry_text(entry: &Value) -> String {
    let known = ["level", "code", "message"];
    let members = entry.as_object().into_iter().flatten();
    let mut members: Vec<(&String, &Value)> = members.collect();
    members.sort_by_key(|(key, _)| {
        known
            .iter()
            .position(|name| name == key)
            .unwrap_or(known.len())
    });
    let members: Vec<String> = members
        .into_iter()
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// 1.5: `Accept: text/plain` makes the device answer as CLI text.
pub(super) fn wants_text(request: &Request) -> bool {
    request
        .header("accept")
        .is_some_and(|accept| accept.trim_start().starts_with("text/plain"))
}

/// 1.2 shows `INFO: Success. BearToken: ...` for a login; guess: everything else looks alike.
fn as_text(success: bool, result: &Map<String, Value>) -> String {
    let level = if success { "INFO" } else { "ERROR" };
    let text = |key: &str| result.get(key).and_then(Value::as_str);
    let message = text("message").unwrap_or_default();
    match text("bearer_token") {
        Some(token) => format!("{level}: {message} BearToken: {token}\n"),
        None => format!("{level}: {message}\n"),
    }
}
