//! The problem document of an ACME server (RFC 7807, RFC 8555 6.7), and the possible reaction to it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::object;
use crate::ca::http::Response;
use crate::failure::{Failure, FailureKind};

/// A problem document. Unknown members and types are skipped, and an invalid member is read as absent.
#[derive(Debug, Clone, Default)]
pub(super) struct Problem {
    kind: String,
    detail: String,
    /// The page that an operator has to visit, for `userActionRequired` (RFC 8555, 7.3.3).
    instance: Option<String>,
    subproblems: Vec<Problem>,
    /// Of a subproblem: the name that it is about.
    name: Option<String>,
}

/// A call that the server refused: as a failure, and what it rests on.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub problem: Problem,
    pub failure: Failure,
}

/// Whether an operator has to act before the same request can succeed (CA rules reference 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// An operator: the name, its DNS, the web server or the request has to be corrected.
    Input,
    /// No action is needed: it passes by itself.
    Passing,
}

impl Problem {
    /// The problem in `answer`; an empty one where there is none.
    pub fn of(answer: &Response) -> Self {
        let value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Self::read(&value).unwrap_or_default()
    }

    /// The problem in a member of an object; a sentence alone is one as well.
    pub fn read(value: &Value) -> Option<Self> {
        if let Some(detail) = object::text(Some(value)) {
            return Some(Self {
                detail: detail.to_owned(),
                ..Self::default()
            });
        }
        value.as_object()?;
        let text = |name: &str| object::text(value.get(name)).map(str::to_owned);
        let subproblems = value.get("subproblems").and_then(Value::as_array);
        let parts = subproblems.into_iter().flatten().take(MOST_PARTS);
        let identifier = value.get("identifier");
        Some(Self {
            kind: text("type").unwrap_or_default(),
            detail: text("detail").unwrap_or_default(),
            instance: text("instance"),
            subproblems: parts.filter_map(Self::part).collect(),
            name: object::text(identifier.and_then(|name| name.get("value"))).map(str::to_owned),
        })
    }

    /// A subproblem has none of its own (RFC 8555, 6.7.1).
    fn part(value: &Value) -> Option<Self> {
        let mut value = value.clone();
        if let Some(members) = value.as_object_mut() {
            members.remove("subproblems");
        }
        Self::read(&value)
    }

    /// Its type without the prefix that all of ACME's have; empty: it has none.
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(PREFIX).unwrap_or(&self.kind)
    }

    /// Whether an operator has to act. One subproblem that an operator has to correct is enough.
    pub fn class(&self) -> Class {
        let is_input = INPUT.contains(&self.name())
            || self
                .subproblems
                .iter()
                .any(|sub| sub.class() == Class::Input);
        if is_input {
            Class::Input
        } else {
            Class::Passing
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}: ")?;
        }
        match (self.detail.trim(), self.name()) {
            ("", "") => f.write_str("no reason was given")?,
            ("", name) => f.write_str(name)?,
            (detail, "") => f.write_str(detail)?,
            (detail, name) => write!(f, "{detail} ({name})")?,
        }
        for sub in &self.subproblems {
            write!(f, "; {sub}")?;
        }
        if let Some(instance) = &self.instance {
            write!(f, "; see {instance}")?;
        }
        Ok(())
    }
}

impl Refusal {
    /// What an answer of 400 or more means; `lasting` as in [`Response::refusal_by_status`].
    pub fn of(answer: &Response, lasting: bool, now: Timestamp) -> Option<Self> {
        let mut failure = answer.refusal_by_status(lasting, now)?;
        let problem = Problem::of(answer);
        if !problem.name().is_empty() {
            failure.detail = answer.redacted(&problem.to_string());
            judge(&mut failure, &problem);
        }
        Some(Self {
            status: answer.status,
            problem,
            failure,
        })
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.failure
    }
}

/// Lets the problem's type decide where it says more than the status.
fn judge(failure: &mut Failure, problem: &Problem) {
    let (kind, advice) = match problem.name() {
        "rateLimited" => (FailureKind::Busy, ""),
        "accountDoesNotExist" => (
            FailureKind::Unauthorized,
            "; the CA does not know this account any more: remove the file that `account` names, and a new one is made",
        ),
        "externalAccountRequired" => (
            FailureKind::Refused,
            "; set `external_account` of this CA to the key that it gives its customers",
        ),
        "userActionRequired" => (
            FailureKind::Refused,
            "; an operator has to act at the CA, such as agree to new terms",
        ),
        // A CA that is out of order is not a matter of our request, whatever it calls it.
        _ if matches!(
            failure.kind,
            FailureKind::Busy | FailureKind::OutcomeUnknown
        ) =>
        {
            return;
        }
        "unauthorized" => (
            FailureKind::Unauthorized,
            "; check with `renewd check --online` whether the account is still valid",
        ),
        "serverInternal" => (FailureKind::Busy, ""),
        _ => (FailureKind::Refused, ""),
    };
    failure.kind = kind;
    failure.detail.push_str(advice);
    if problem.class() == Class::Input && failure.retry_after.is_none() {
        failure.retry_after = Some(INPUT_PAUSE);
    }
}

/// The wait for an operator to correct something. The CA counts failed attempts, and pauses a name that fails hourly
/// (CA rules reference 4).
pub(super) const INPUT_PAUSE: SignedDuration = SignedDuration::from_hours(24);

/// Subproblems that are read: an order has hardly more names.
const MOST_PARTS: usize = 100;

const PREFIX: &str = "urn:ietf:params:acme:error:";

/// RFC 8555, 6.7, and the `invalidProfile` of the profiles draft.
const INPUT: [&str; 18] = [
    "badCSR",
    "badPublicKey",
    "badSignatureAlgorithm",
    "caa",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "invalidProfile",
    "malformed",
    "rejectedIdentifier",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
    "alreadyReplaced",
];
