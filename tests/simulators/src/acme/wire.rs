//! Problems, dates, tokens and Retry-After (RFC 8555 6.6, 6.7, 7.1).

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime, UtcOffset};

use super::{Acme, ProblemType};
use crate::ca::{Office, Reply, RetryAfter};

/// The result of a handler.
pub(super) type Handled = Result<Reply, Problem>;

/// A problem document (RFC 7807; RFC 8555 6.7).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) kind: ProblemType,
    detail: String,
    status: u16,
    /// Seconds.
    pub(super) retry_after: Option<u32>,
    /// Members beyond those that every problem has.
    more: Value,
}

impl Problem {
    /// With the status that Let's Encrypt's server gives such a problem.
    pub(super) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let (status, more) = match kind {
            ProblemType::Unauthorized
            | ProblemType::Caa
            | ProblemType::OrderNotReady
            | ProblemType::ExternalAccountRequired => (403, json!({})),
            // 6.7, 7.3.3: `instance` is the page that the subscriber must visit.
            ProblemType::UserActionRequired => (
                403,
                json!({"instance": "https://ca.example/account/action"}),
            ),
            ProblemType::AlreadyReplaced => (409, json!({})),
            ProblemType::RateLimited => (429, json!({})),
            ProblemType::ServerInternal => (500, json!({})),
            ProblemType::BadSignatureAlgorithm => (400, json!({"algorithms": ["ES256", "RS256"]})),
            _ => (400, json!({})),
        };
        Self {
            kind,
            detail: detail.into(),
            status,
            retry_after: None,
            more,
        }
    }

    /// A problem that a switch requests.
    pub(super) fn asked_for(kind: ProblemType, retry_after: Option<u32>) -> Self {
        Self {
            retry_after,
            ..Self::new(kind, format!("a switch asks for {}", kind.word()))
        }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(ProblemType::Malformed, detail)
    }

    /// guess: `malformed` with 404, as Let's Encrypt's server has it.
    pub(super) fn not_found(what: &str) -> Self {
        Self::malformed(format!("{what} is not known here")).with_status(404)
    }

    pub(super) fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// 6.7.1: the problem of each name.
    pub(super) fn about(mut self, identifier: &Value) -> Self {
        let mut one = self.json();
        one["identifier"] = identifier.clone();
        self.more["subproblems"] = json!([one]);
        self
    }

    /// As a body, and as the error of a challenge or an order.
    pub(super) fn json(&self) -> Value {
        let mut problem = self.more.clone();
        problem["type"] = json!(format!("urn:ietf:params:acme:error:{}", self.kind.word()));
        problem["detail"] = json!(self.detail);
        problem["status"] = json!(self.status);
        problem
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let body = problem.json().to_string();
        Self::text(problem.status, "application/problem+json", &body).noted(problem.kind.word())
    }
}

impl Acme {
    /// Adds Retry-After (6.6), in one of its two forms.
    pub(super) fn wait(&self, office: &Office, reply: Reply, seconds: Option<u32>) -> Reply {
        let Some(seconds) = seconds else {
            return reply;
        };
        let when = if self.variants.retry_after_as_date {
            RetryAfter::Date(office.now() + Duration::seconds(i64::from(seconds)))
        } else {
            RetryAfter::Seconds(seconds)
        };
        when.add_to(reply)
    }

    /// Clients must live with members that are newer than they are (7.1).
    pub(super) fn decorated(&self, mut object: Value) -> Value {
        if self.variants.unknown_members {
            object["postQuantum"] = json!({"ready": null, "trees": []});
        }
        object
    }
}

/// RFC 3339, in UTC.
pub(super) fn date(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        moment.year(),
        u8::from(moment.month()),
        moment.day(),
        moment.hour(),
        moment.minute(),
        moment.second()
    )
}

/// 256 bits in the alphabet of tokens and nonces (6.5.1, 8.1).
pub(super) fn token(office: &mut Office) -> String {
    let bytes: Vec<u8> = (0..4)
        .flat_map(|_| office.rng.next().to_be_bytes())
        .collect();
    BASE64URL_NOPAD.encode(&bytes)
}
