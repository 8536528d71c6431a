//! `INPUT_DATA` and the envelope (PAM360 reference 1, 2).

use serde_json::{Map, Value, json};

use super::variants::{DetailsForm, NameForm, Variants};
use crate::ca::{Reply, Request};
use crate::multipart;

/// The result of a handler: the answer, or the text of a failure.
pub(super) type Handled = Result<PortalAnswer, String>;

/// An answer before it becomes bytes.
#[derive(Debug)]
pub(super) enum PortalAnswer {
    /// The envelope with status Success.
    Success {
        message: String,
        /// The created or found objects, one by one.
        details: Vec<Value>,
        /// Whether it is a list with its length.
        is_list: bool,
    },
    /// A file.
    File {
        content_type: &'static str,
        bytes: Vec<u8>,
    },
}

impl PortalAnswer {
    pub(super) fn success(message: impl Into<String>) -> Self {
        Self::with_details(message, Vec::new())
    }

    pub(super) fn with_details(message: impl Into<String>, details: Vec<Value>) -> Self {
        Self::Success {
            message: message.into(),
            details,
            is_list: false,
        }
    }

    pub(super) fn list(message: impl Into<String>, details: Vec<Value>) -> Self {
        Self::Success {
            message: message.into(),
            details,
            is_list: true,
        }
    }
}

/// 1: `{"operation":{"Details":{...}}}` in a form body, in the query, or in a field of a multipart form.
pub(super) fn input_data(request: &Request) -> Result<Value, String> {
    let text = multipart_field(request)
        .or_else(|| found(&request.form()))
        .or_else(|| found(&request.query))
        .ok_or("INPUT_DATA is missing")?;
    let input: Value =
        serde_json::from_str(&text).map_err(|_| "INPUT_DATA is not a valid JSON".to_owned())?;
    match input.pointer("/operation/Details") {
        Some(details @ Value::Object(_)) => Ok(details.clone()),
        _ => Err("INPUT_DATA has no operation with Details".to_owned()),
    }
}

fn multipart_field(request: &Request) -> Option<String> {
    let parts = multipart::parts(request.header("content-type"), &request.body)?;
    let part = parts.into_iter().find(|part| part.name == "INPUT_DATA")?;
    String::from_utf8(part.content).ok()
}

fn found(pairs: &[(String, String)]) -> Option<String> {
    pairs
        .iter()
        .find(|(name, _)| name == "INPUT_DATA")
        .map(|(_, value)| value.clone())
}

/// A member that must be there and not empty; numbers and booleans count as text (4: samples use both).
pub(super) fn text(details: &Value, member: &str) -> Result<String, String> {
    let text = match details.get(member) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(truth)) => truth.to_string(),
        _ => String::new(),
    };
    if text.is_empty() {
        Err(format!("{member} is mandatory"))
    } else {
        Ok(text)
    }
}

/// The bytes of a handler's result.
pub(super) fn reply(variants: &Variants, operation: &str, handled: Handled) -> Reply {
    match handled {
        Ok(PortalAnswer::File {
            content_type,
            bytes,
        }) => Reply::bytes(content_type, bytes),
        Ok(PortalAnswer::Success {
            message,
            details,
            is_list,
        }) => {
            let envelope = envelope(variants, operation, "Success", &message);
            Reply::json(
                200,
                &wrapped(variants, with_details(variants, envelope, details, is_list)),
            )
        }
        Err(message) => failure(variants, operation, variants.failure_status, &message),
    }
}

/// guess: the texts; no real failure of these operations is public (2).
pub(super) fn failure(variants: &Variants, operation: &str, status: u16, message: &str) -> Reply {
    let envelope = envelope(variants, operation, "Failed", message);
    Reply::json(status, &wrapped(variants, envelope)).noted(message)
}

fn envelope(
    variants: &Variants,
    operation: &str,
    status: &str,
    message: &str,
) -> Map<String, Value> {
    let name = match (variants.name_form, operation) {
        (NameForm::Documented, "signCSR") => "SignCSR".to_owned(),
        (NameForm::Upper, _) => operation.to_uppercase(),
        _ => operation.to_owned(),
    };
    let status_key = if variants.capital_keys {
        "Status"
    } else {
        "status"
    };
    let mut envelope = Map::new();
    envelope.insert(
        "result".to_owned(),
        json!({"message": message, status_key: status}),
    );
    envelope.insert("name".to_owned(), json!(name));
    if variants.unknown_members {
        envelope.insert("buildNumber".to_owned(), json!(8000));
    }
    envelope
}

/// 2: absent when there are no details, a list of one, an object, or a list with its length.
fn with_details(
    variants: &Variants,
    mut envelope: Map<String, Value>,
    mut details: Vec<Value>,
    is_list: bool,
) -> Map<String, Value> {
    let key = if variants.capital_keys {
        "Details"
    } else {
        "details"
    };
    if is_list {
        envelope.insert("totalRows".to_owned(), json!(details.len()));
        if let Some(rows) = variants.rows_per_list {
            details.truncate(rows.try_into().unwrap_or(usize::MAX));
        }
        envelope.insert(key.to_owned(), Value::Array(details));
    } else if !details.is_empty() {
        let value = match variants.details_form {
            DetailsForm::List => Value::Array(details),
            DetailsForm::Object => details.remove(0),
        };
        envelope.insert(key.to_owned(), value);
    }
    envelope
}

/// 2: the sister product wraps everything once more.
fn wrapped(variants: &Variants, envelope: Map<String, Value>) -> Value {
    if variants.operation_wrapper {
        json!({"operation": envelope})
    } else {
        Value::Object(envelope)
    }
}
