//! What an ACME server says when it does not do as asked (RFC 7807, RFC 8555 6.7), and what can be done about it.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::ca::http::{Answer, nullable};
use crate::failure::{Failure, FailureKind};

/// A problem document. Fields and types that are unknown are skipped.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(rename = "type", deserialize_with = "nullable")]
    kind: String,
    #[serde(deserialize_with = "nullable")]
    detail: String,
    /// Where a person has to go, for `userActionRequired` (RFC 8555, 7.3.3).
    instance: Option<String>,
    #[serde(deserialize_with = "nullable")]
    subproblems: Vec<Problem>,
    /// Of a subproblem: what it is about.
    identifier: Option<Value>,
}

/// A call that the server refused: as a failure, and what it rests on.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    pub problem: Problem,
    pub failure: Failure,
}

/// Who has to act before the same request can succeed (CA rules reference 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A person: the name, its DNS, the web server, the request.
    Input,
    /// Nobody: it passes.
    Passing,
}

impl Problem {
    /// The problem in `answer`; an empty one where there is none.
    pub fn of(answer: &Answer) -> Self {
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    /// Its type without the prefix that all of ACME's have; empty: it has none.
    pub fn name(&self) -> &str {
        self.kind.strip_prefix(PREFIX).unwrap_or(&self.kind)
    }

    /// Who has to act. One subproblem that a person has to mend is enough.
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
        let identifier = self.identifier.as_ref().and_then(|name| name.get("value"));
        if let Some(name) = identifier.and_then(Value::as_str) {
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
    /// What an answer of 400 or more means; `lasting` as in [`Answer::refusal_by_status`].
    pub fn of(answer: &Answer, lasting: bool, now: Timestamp) -> Option<Self> {
        let mut failure = answer.refusal_by_status(lasting, now)?;
        let problem = Problem::of(answer);
        if !problem.name().is_empty() {
            failure.detail = answer.told(&problem.to_string());
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
            "; the CA wants a person to act, such as to agree to new terms",
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
            "; is the account still valid? `renewd check --online` tells",
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

/// How long is waited for a person to mend something: failed tries are counted, and a name that fails hourly is paused
/// (CA rules reference 4).
pub(super) const INPUT_PAUSE: SignedDuration = SignedDuration::from_hours(24);

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
