//! What is known of a configured certificate and firewall: seen, not asked for.

use std::sync::Arc;

use jiff::Timestamp;

use super::{RenewalId, Rest, Served};
use crate::pki::{Certificate, Fingerprint};

/// A certificate of the configuration with what was seen of it.
#[derive(Debug, Clone)]
pub struct TrackedCertificate {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Its firewall.
    pub firewall: Arc<str>,
    /// Its CA.
    pub ca: Arc<str>,
    /// Whether its stored configuration is the one of this process. Else another daemon works on it.
    pub is_configured_here: bool,
    /// What each of its addresses serves.
    pub served: Vec<Served>,
    /// The known one of these that decides when it is due ([`super::served::deciding`]).
    pub current: Option<ServedCertificate>,
    /// When the due rules are to be asked next; `None` while a renewal is open.
    pub due_check_at: Option<Timestamp>,
    /// What the due rules said last: a rule's name and its words.
    pub decision: Option<String>,
    /// When the served certificate is to be looked at next.
    pub probe_at: Option<Timestamp>,
    /// When an operator requested a renewal, until one is planned.
    pub requested_at: Option<Timestamp>,
    /// The alias that our last completed renewal bound.
    pub alias: Option<String>,
    /// What was wrong with it as a whole at the last probe, so that it is reported once.
    pub reported_condition: Option<ReportedCondition>,
    /// Why its last renewal failed, with what to do; `None` since one succeeded.
    pub last_failure: Option<String>,
    /// The renewal that is under way.
    pub open_renewal: Option<RenewalId>,
    /// When its CA wants it to be renewed.
    pub window: Option<RenewalWindow>,
    /// When its CA is to be asked for that again; `None`: not.
    pub window_poll_at: Option<Timestamp>,
    /// The certificate for which the CA was asked last.
    pub window_for: Option<Fingerprint>,
    /// The rest that our last renewal began.
    pub rest: Option<Rest>,
    /// What the management page of its firewall serves and no pin accepts, where no certificate has that address in
    /// `endpoints`; `None`: nothing that was seen.
    pub management_untrusted: Option<Fingerprint>,
}

impl TrackedCertificate {
    /// Whether an address showed no certificate at the last look.
    pub fn is_unseen(&self) -> bool {
        matches!(
            self.reported_condition,
            Some(ReportedCondition::UnreachableOnce | ReportedCondition::Unreachable)
        )
    }

    /// The addresses that present a certificate that renewd does not know.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, &super::Unknown)> {
        self.served
            .iter()
            .filter_map(|one| Some((&*one.address, one.unknown.as_ref()?)))
    }

    /// What is presented instead of a certificate that renewd knows, where none was ever served.
    pub fn unknown_words(&self) -> Option<String> {
        if self.current.is_some() {
            return None;
        }
        let words: Vec<String> = self
            .unknown()
            .map(|(address, unknown)| format!("{address} serves {}", unknown.words))
            .collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The window of what is shown, and not of what was shown before.
    pub fn window_of_current(&self) -> Option<&RenewalWindow> {
        let current = self.current.as_ref()?;
        self.window
            .as_ref()
            .filter(|_| self.window_for == Some(current.fingerprint))
    }
}

/// What can be wrong with a certificate as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportedCondition {
    /// The last probe found no certificate at an address. The next probe reports it, if it finds none either.
    UnreachableOnce,
    /// An address serves no certificate, and that was reported.
    Unreachable,
    /// It is not valid yet.
    NotYetValid,
    /// The last twentieth of its lifetime has begun.
    Expiring,
    /// It has expired.
    Expired,
}

impl ReportedCondition {
    /// Every condition.
    pub const ALL: [Self; 5] = [
        Self::UnreachableOnce,
        Self::Unreachable,
        Self::NotYetValid,
        Self::Expiring,
        Self::Expired,
    ];

    /// The word in rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnreachableOnce => "unreachable_once",
            Self::Unreachable => "unreachable",
            Self::NotYetValid => "not_yet_valid",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
        }
    }

    /// The condition of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|condition| condition.name() == name)
    }
}

/// The span in which a CA wants a certificate to be renewed, and the moment in it that was chosen (RFC 9773, 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalWindow {
    /// Not before.
    pub start: Timestamp,
    /// Not after.
    pub end: Timestamp,
    /// Chosen once, at random, and kept as long as the window holds it.
    pub chosen: Timestamp,
    /// Where the CA explains it: a URL.
    pub explanation: Option<String>,
}

impl RenewalWindow {
    /// Whether the CA wants the certificate to be replaced at once: the window had ended already when it was announced, or
    /// a page explains it, as before a revocation.
    pub fn is_urgent(&self) -> bool {
        self.explanation.is_some() || self.chosen >= self.end
    }
}

/// A certificate that a handshake showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedCertificate {
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// The certificate, PEM.
    pub pem: String,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// When it was seen.
    pub seen_at: Timestamp,
}

impl ServedCertificate {
    /// `certificate`, seen at `seen_at`.
    pub fn of(certificate: &Certificate, seen_at: Timestamp) -> Self {
        Self {
            fingerprint: certificate.fingerprint,
            pem: certificate.to_pem(),
            not_before: certificate.not_before,
            not_after: certificate.not_after,
            seen_at,
        }
    }

    /// It, read; `None` for what an older version could read and this one cannot.
    pub fn certificate(&self) -> Option<Certificate> {
        Certificate::from_pem(&self.pem).ok()
    }
}

/// What is known of a firewall.
#[derive(Debug, Clone, Default)]
pub struct TrackedFirewall {
    /// Its name in the configuration.
    pub name: String,
    /// What it said of itself last (`firewall::Identity`, as JSON).
    pub identity: Option<String>,
    /// When it said so.
    pub identified_at: Option<Timestamp>,
    /// Certificates that renewd itself bound to its management port and proved: trusted besides the configuration.
    pub pins: Vec<Fingerprint>,
    /// A text that changes when its trust in the configuration changes; what was learned belongs to it.
    pub pins_for: Option<String>,
    /// The code that authenticates both (`renewal::pins`).
    pub pins_code: Option<String>,
    /// The rows that did not verify and were reported, so that they are reported once.
    pub distrusted: Option<String>,
    /// Refused logins in a row; at two nothing more is tried until an operator requests it.
    pub refused_logins: u32,
}
