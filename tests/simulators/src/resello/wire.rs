//! The envelope of every answer (purchase API reference 3). Independent of orders.

use serde_json::{Map, Value, json};

use super::switch::ErrorMessage;
use super::variants::Variants;
use crate::ca::Reply;

/// The result of a handler.
pub(super) type Handled = Result<ShopAnswer, Refusal>;

/// An answer before its envelope.
#[derive(Debug)]
pub(super) enum ShopAnswer {
    /// `result`.
    Object(Value),
    /// A page of a list.
    Page {
        total: usize,
        limit: usize,
        offset: usize,
        result: Vec<Value>,
    },
    /// No envelope at all.
    Bare(Reply),
}

impl ShopAnswer {
    pub(super) fn reply(self, variants: &Variants) -> Reply {
        let success = success(variants, true);
        let body = match self {
            Self::Bare(reply) => return reply,
            Self::Object(result) => json!({"success": success, "result": result}),
            Self::Page {
                total,
                limit,
                offset,
                result,
            } => json!({
                "success": success, "total": total, "limit": limit, "offset": offset, "result": result,
            }),
        };
        Reply::json(200, &body)
    }
}

/// A request that is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: Message,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Message {
    Text(String),
    Fields(Vec<FieldError>),
}

/// The problem of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldError {
    pub(super) field: &'static str,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    /// guess: every code but `request_validation_failed` (3 knows no other of these calls).
    pub(super) fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self {
            status,
            code,
            message: Message::Text(message.to_owned()),
        }
    }

    /// guess: the code.
    pub(super) fn not_found() -> Self {
        Self::new(404, "not_found", "The requested object does not exist.")
    }

    /// `request_validation_failed` (3).
    pub(super) fn fields(errors: Vec<FieldError>) -> Self {
        Self {
            status: 400,
            code: "request_validation_failed",
            message: Message::Fields(errors),
        }
    }

    pub(super) fn reply(&self, variants: &Variants) -> Reply {
        let status = match self.status {
            401 if !variants.unauthorized_with_200 => 401,
            _ if variants.errors_with_200 => 200,
            status => status,
        };
        let body = json!({
            "success": success(variants, false),
            "error": {"code": self.code, "message": self.message.value(variants.error_message)},
        });
        Reply::json(status, &body).noted(self.code)
    }
}

impl Message {
    fn value(&self, form: ErrorMessage) -> Value {
        let errors = match self {
            Self::Text(text) => return json!(text),
            Self::Fields(errors) => errors,
        };
        if form == ErrorMessage::Plain {
            let lines = errors
                .iter()
                .map(|error| format!("{}: {}", error.field, error.message));
            return json!(lines.collect::<Vec<_>>().join(" "));
        }
        let value = |error: &FieldError| match form {
            ErrorMessage::Texts => json!([error.message]),
            _ => json!([{"message": error.message, "code": error.code}]),
        };
        let fields = errors
            .iter()
            .map(|error| (error.field.to_owned(), value(error)));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

/// A truth value, or the text of one (3).
fn success(variants: &Variants, success: bool) -> Value {
    if variants.success_as_text {
        json!(success.to_string())
    } else {
        json!(success)
    }
}
