//! One renewal: what was obtained so far, and when it goes on.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::failure::FailureKind;
use crate::pki::Fingerprint;

/// A renewal as it is stored: everything in it is true.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// Unique, sorts by day, at most 17 characters of `a-z 0-9 -`.
    pub id: RenewalId,
    /// The certificate that it renews.
    pub certificate: Arc<str>,
    /// The firewall of that certificate when the renewal was planned.
    pub firewall: Arc<str>,
    /// The CA of that certificate when the renewal was planned.
    pub ca: Arc<str>,
    /// Name of the key pair, and later of the certificate, on the device.
    pub alias: String,
    /// Which due rule planned it (`inventory::due::Reason`, by name).
    pub reason: String,
    /// What is true.
    pub state: State,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// It was planned under a clock that was ahead: `planned_at` is when that turned out.
    pub planned_ahead: bool,
    /// Since when `state` is true.
    pub state_since: Timestamp,
    /// Failures in a row in this state.
    pub attempts: u32,
    /// Waits in a row in this state.
    pub polls: u32,
    /// What the last failure in this state said, as [`cause`] compares it; a wait does not change it.
    pub cause: Option<String>,
    /// How often that was said in this state, whatever was waited for in between.
    pub same_cause: u32,
    /// The kind of hold from which an operator released it in this state.
    pub decided: Option<String>,
    /// Whether an operator asked to bind it outside the maintenance window.
    pub bind_now: bool,
    /// Refused logins in a row; survives a change of state.
    pub refused_logins: u32,
    /// When the next step may be taken; `None`: held until an operator requests it (`renewd renew`).
    pub next_attempt_at: Option<Timestamp>,
    /// Why the last attempt failed or waits: `failure::FailureKind` or a waiting reason, by name.
    pub last_error_kind: Option<String>,
    /// The same, in words.
    pub last_error: Option<String>,
    /// What was obtained on the way.
    pub obtained: Obtained,
}

impl Renewal {
    /// Whether the last step failed, and was not merely waiting.
    pub fn is_failing(&self) -> bool {
        self.last_error_kind
            .as_deref()
            .is_some_and(|kind| FailureKind::from_name(kind).is_some())
    }

    /// Whether it is held for a decision that only an operator can make; what there is to decide stands in `last_error`.
    pub fn awaits_decision(&self) -> bool {
        self.next_attempt_at.is_none() && self.last_error_kind.is_some() && !self.is_failing()
    }

    /// Whether the last step was understood and refused.
    pub fn was_refused(&self) -> bool {
        self.last_error_kind.as_deref() == Some(FailureKind::Refused.name())
    }

    /// Whether the firewall said that the certificate belongs to another key than its own.
    pub fn has_key_mismatch(&self) -> bool {
        self.last_error_kind.as_deref() == Some(FailureKind::KeyMismatch.name())
    }

    /// Whether the last attempt reached no peer: the next one may take as long again, for nothing.
    pub fn is_unreached(&self) -> bool {
        let kind = self.last_error_kind.as_deref();
        matches!(
            kind.and_then(FailureKind::from_name),
            Some(FailureKind::Unreachable | FailureKind::OutcomeUnknown)
        )
    }
}

/// What a failure said, without the numbers that differ from one answer to the next: to see that it was said before.
pub fn cause(kind: FailureKind, words: &str) -> String {
    let words = words.chars().filter(|c| !c.is_ascii_digit());
    let words: String = words.take(LONGEST_CAUSE).collect();
    format!("{kind}: {words}")
}

/// Characters: enough to tell two sentences from each other.
const LONGEST_CAUSE: usize = 300;

/// What a renewal has gathered; each field but the key stays once it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obtained {
    /// The CSR as it was exported and checked, PEM.
    pub csr_pem: Option<String>,
    /// The CA's own reference of the order.
    pub ca_reference: Option<String>,
    /// The issued leaf, PEM.
    pub leaf_pem: Option<String>,
    /// The CA certificates above the leaf, nearest first, PEM.
    pub chain_pem: Option<String>,
    /// SHA-256 of the issued leaf.
    pub fingerprint: Option<Fingerprint>,
    /// What was bound before, as JSON (`service` to `alias`, null for the device's own), so that it can be bound again.
    pub previous_bindings: Option<String>,
    /// SHA-256 of what the services showed before the bind.
    pub previous_fingerprint: Option<Fingerprint>,
    /// What each address served before the bind, as JSON (`renewal::known::PreviousServed`).
    pub previous_served: Option<String>,
    /// Why the verification failed, an address at a time.
    pub verification_failure: Option<String>,
    /// When the previous certificate was bound again.
    pub previous_bound_at: Option<Timestamp>,
    /// The private key, where renewd made it; destroyed with the proof, or at the end.
    pub sealed_key: Option<SealedKey>,
}

/// A private key, sealed under a key that does not lie beside it: of no use alone, and not shown anyway.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey(String);

impl SealedKey {
    /// Takes what was sealed, as text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text: for the store and for opening only.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed key]")
    }
}

/// Identifies a renewal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RenewalId(pub String);

impl std::fmt::Display for RenewalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is true of a renewal. The moves between states stand in `renewal/state.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// It was decided, and the alias chosen.
    Planned,
    /// Key pair and request exist on the device.
    CsrGenerated,
    /// The CSR is stored; its signature, names and key were checked.
    CsrExported,
    /// The CA's reference is stored.
    Submitted,
    /// The chain is stored; key, names, purpose, dates and CA=false were checked.
    Issued,
    /// The signed certificate is on the device, unused.
    Imported,
    /// The services point at it, committed.
    Bound,
    /// Handshakes showed it on every address.
    Verified,
    /// A service shows something else, or nothing, after the grace period.
    VerificationFailed,
    /// The end: proven, and the old one retired.
    Completed,
    /// The end: the previous certificate is bound again.
    RolledBack,
    /// The end: not proven, and nothing was bound back: what was bound before is not known, has ended or cannot be bound any
    /// more, or another administrator has bound the services; an operator is needed.
    NotRolledBack,
    /// The end: it could not succeed and was given up before the bind; an operator is needed.
    Failed,
    /// The end: its certificate or firewall left the configuration, or an operator decided against it.
    Cancelled,
    /// The end: another administrator replaced the certificate by hand.
    Superseded,
}

impl State {
    /// Every state, in the order of a renewal.
    pub const ALL: [Self; 15] = [
        Self::Planned,
        Self::CsrGenerated,
        Self::CsrExported,
        Self::Submitted,
        Self::Issued,
        Self::Imported,
        Self::Bound,
        Self::Verified,
        Self::VerificationFailed,
        Self::Completed,
        Self::RolledBack,
        Self::NotRolledBack,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The word in rows, logs and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::CsrGenerated => "csr_generated",
            Self::CsrExported => "csr_exported",
            Self::Submitted => "submitted",
            Self::Issued => "issued",
            Self::Imported => "imported",
            Self::Bound => "bound",
            Self::Verified => "verified",
            Self::VerificationFailed => "verification_failed",
            Self::Completed => "completed",
            Self::RolledBack => "rolled_back",
            Self::NotRolledBack => "not_rolled_back",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether a private key that renewd made is still needed: until the verification shows that the firewall has it.
    /// After an end it is installed again only from the firewall itself.
    pub const fn needs_key(self) -> bool {
        !matches!(self, Self::Verified) && !self.is_end()
    }

    /// Whether nothing follows.
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::Completed
                | Self::RolledBack
                | Self::NotRolledBack
                | Self::Failed
                | Self::Cancelled
                | Self::Superseded
        )
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Something that must not be done twice, written down before it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The step that is about to act (`renewal::Step`, by name).
    pub step: String,
    /// What it acts on: the alias, or the reference that the CA is given.
    pub reference: String,
    /// When it was first written.
    pub opened_at: Timestamp,
    /// When it was tried last.
    pub tried_at: Timestamp,
    /// How often it was tried since.
    pub tries: u32,
    /// How often its effect was looked for since the last try, and not found.
    pub misses: u32,
    /// Of an order: on what it was placed. `None` also where an older renewd placed it.
    pub basis: Option<OrderBasis>,
}

/// On what an order was placed. What is served, and what is configured, may change before it is known whether it was taken:
/// that is judged by this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBasis {
    /// The certificate whose place the new one takes, PEM; `None`: none was seen.
    pub previous_pem: Option<String>,
    /// The CA's reference of the order that it came from.
    pub previous_order: Option<String>,
    /// Where the order was placed, as the driver of its CA names it.
    pub account: String,
    /// For how long after it the CA may not show it, in seconds.
    pub settling_seconds: i64,
    /// Whether the CA shows it for sure once that time is over.
    pub is_shown: bool,
}

impl OrderBasis {
    /// For how long after it the CA may not show it.
    pub const fn visibility_delay(&self) -> SignedDuration {
        SignedDuration::from_secs(self.settling_seconds)
    }

    /// That of one more try, after one on `earlier` whose outcome is not known: what held for that one holds for both.
    #[must_use]
    pub fn after(self, earlier: Option<&Self>) -> Self {
        let Some(earlier) = earlier else {
            return self;
        };
        Self {
            settling_seconds: self.settling_seconds.max(earlier.settling_seconds),
            // At another account nothing of it can be seen.
            is_shown: self.is_shown && earlier.is_shown && self.account == earlier.account,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(account: &str, settling_seconds: i64, is_shown: bool) -> OrderBasis {
        OrderBasis {
            previous_pem: None,
            previous_order: None,
            account: account.to_owned(),
            settling_seconds,
            is_shown,
        }
    }

    #[test]
    fn what_held_for_an_order_that_was_lost_holds_for_the_next_try() {
        let lost = basis("a", 600, false);
        for (now, both) in [
            (basis("a", 60, true), basis("a", 600, false)),
            (basis("a", 900, true), basis("a", 900, false)),
            (basis("b", 60, true), basis("b", 600, false)),
        ] {
            assert_eq!(now.after(Some(&lost)), both);
        }
        let current = basis("a", 60, true);
        assert_eq!(current.clone().after(Some(&current)), current);
        assert!(!basis("b", 60, true).after(Some(&current)).is_shown);
        assert_eq!(current.clone().after(None), current);
    }
}
