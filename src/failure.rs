//! How a call to a firewall or a CA can fail, classified by what the caller can do about it.
//!
//! Drivers only name the kind and give the evidence; when to try again is decided in
//! `renewal/retry.rs` and nowhere else.

use std::fmt;

use jiff::SignedDuration;

pub use crate::sanitize::readable;
#[cfg(any(test, feature = "fuzzing"))]
use crate::sanitize::{self, LONGEST_WORDS};

/// A failed exchange with a firewall or a CA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {detail}")]
pub struct Failure {
    /// What can be done about it.
    pub kind: FailureKind,
    /// What was being done, such as `POST /config/pending`; never with a secret in it.
    pub call: String,
    /// The peer's own words or the transport's error; never with a secret in it.
    pub detail: String,
    /// How long the peer asked us to wait.
    pub retry_after: Option<SignedDuration>,
    /// Who or what has to act first, such as another administrator's name.
    pub waiting_for: Option<String>,
    /// The request that was to be made was certainly not carried out, whatever `kind` says: the call that failed came
    /// before it.
    pub before_request: bool,
    /// A session of ours may be open on the firewall: the answer to a login was lost, or the session could not be closed.
    pub may_leave_session: bool,
}

/// The kinds of failure, each with another next move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// No connection: surely nothing happened. Try again later.
    Unreachable,
    /// The peer cannot now: too many sessions, another administrator's changes. Try again later.
    Busy,
    /// The credentials were refused. Trying again locks the account.
    Unauthorized,
    /// The peer is not the one that was expected (pin, CA, host name); no credential was sent.
    Untrusted,
    /// The peer offers only weaker logins than it did before; no credential was sent. An operator has to find out why.
    LoginDowngrade,
    /// The peer understood and said no. Repeating the same request is of no use.
    Refused,
    /// The firewall says that the issued certificate belongs to another key than its own: the request may have been
    /// replaced on its way. Nothing more is tried before an operator has looked.
    KeyMismatch,
    /// The request was sent and its answer was lost: look before acting again.
    OutcomeUnknown,
    /// An answer that is in no documentation. The evidence is for an operator.
    Unexpected,
    /// Something on this machine: a file, a setting, a full disk.
    Local,
}

impl FailureKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Unreachable,
        Self::Busy,
        Self::Unauthorized,
        Self::Untrusted,
        Self::LoginDowngrade,
        Self::Refused,
        Self::KeyMismatch,
        Self::OutcomeUnknown,
        Self::Unexpected,
        Self::Local,
    ];

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word in logs, rows and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Busy => "busy",
            Self::Unauthorized => "unauthorized",
            Self::Untrusted => "untrusted",
            Self::LoginDowngrade => "login_downgrade",
            Self::Refused => "refused",
            Self::KeyMismatch => "key_mismatch",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Unexpected => "unexpected",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Failure {
    /// A failure of `kind` during `call`.
    pub fn new(kind: FailureKind, call: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            call: call.into(),
            // Here, so that no driver can forget it: what a peer wrote reaches terminals, the log and the database.
            detail: readable(&detail.to_string()),
            retry_after: None,
            waiting_for: None,
            before_request: false,
            may_leave_session: false,
        }
    }

    /// A failure of this machine during `call`.
    pub fn local(call: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new(FailureKind::Local, call, detail)
    }

    /// A refusal of what was asked for by `call`.
    pub fn refused(call: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self::new(FailureKind::Refused, call, detail)
    }

    /// Marks a failure of a call that came before the request itself: nothing was requested yet.
    #[must_use]
    pub fn before_request(mut self) -> Self {
        self.before_request = true;
        self
    }

    /// Marks a failure after which a session of ours may be open on the firewall.
    #[must_use]
    pub fn leaving_session(mut self) -> Self {
        self.may_leave_session = true;
        self
    }

    /// Whether the request was certainly not carried out: it was never sent, or it was understood and refused.
    pub const fn is_surely_not_done(&self) -> bool {
        self.before_request
            || match self.kind {
                FailureKind::Unreachable
                | FailureKind::Busy
                | FailureKind::Unauthorized
                | FailureKind::Untrusted
                | FailureKind::LoginDowngrade
                | FailureKind::Refused
                | FailureKind::Local => true,
                FailureKind::OutcomeUnknown
                | FailureKind::Unexpected
                | FailureKind::KeyMismatch => false,
            }
    }

    /// Adds how long the peer asked us to wait.
    #[must_use]
    pub fn retry_after(mut self, wait: SignedDuration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds who or what has to act first.
    #[must_use]
    pub fn waiting_for(mut self, holder: impl Into<String>) -> Self {
        self.waiting_for = Some(readable(&holder.into()));
        self
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl Failure {
    /// Asserts that this may be shown to an operator and stored: it is of bounded length, and contains none of
    /// `secrets`.
    ///
    /// # Panics
    /// When it may not.
    pub(crate) fn assert_tellable(&self, secrets: &[&str]) {
        assert!(
            self.detail.chars().count() <= 2 * LONGEST_WORDS,
            "{} characters",
            self.detail.len()
        );
        assert!(
            !self.detail.contains(sanitize::is_unsafe),
            "{:?}",
            self.detail
        );
        for secret in secrets {
            assert!(!self.to_string().contains(secret), "a secret: {self}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_or_unreadable_answer_to_the_request_itself_leaves_a_doubt() {
        for kind in FailureKind::ALL {
            let failure = Failure::new(kind, "POST /order", "as reported");
            let may_be_done = matches!(
                kind,
                FailureKind::OutcomeUnknown | FailureKind::Unexpected | FailureKind::KeyMismatch
            );
            assert_eq!(failure.is_surely_not_done(), !may_be_done, "{kind}");
            assert!(failure.before_request().is_surely_not_done(), "{kind}");
        }
    }

    #[test]
    fn a_failure_is_one_line_of_bearable_length_whoever_makes_it() {
        let words = format!("no\u{1b}[2J\n{}", "x".repeat(1 << 20));
        let failure = Failure::new(FailureKind::Refused, "GET /x", words);
        assert!(failure.detail.starts_with("no[2J xxx"));
        failure.assert_tellable(&[]);
    }
}
