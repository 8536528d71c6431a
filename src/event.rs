//! Every event: its name, level and fields. Nothing else is reported.
//!
//! An event is stored in the history in the same transaction as what it reports, and logged by the store after the commit.
//! `docs/events.md` is printed from this file.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::failure::readable;
use crate::inventory::{Renewal, RenewalId, State};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What happened.
    #[serde(skip)]
    pub kind: EventKind,
    /// The certificate's name.
    #[serde(skip)]
    pub certificate: Option<Arc<str>>,
    /// The renewal.
    #[serde(skip)]
    pub renewal: Option<RenewalId>,
    /// The firewall's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Arc<str>>,
    /// The CA's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<Arc<str>>,
    /// The state in which it happened, or that was left.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "by_name")]
    pub state: Option<State>,
    /// The state that was reached.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "by_name")]
    pub next_state: Option<State>,
    /// Which attempt it was, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Why, by the name of a rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// `failure::FailureKind`, by name.
    #[serde(rename = "error.kind", skip_serializing_if = "Option::is_none")]
    pub error_kind: Option<String>,
    /// In words: what happened, what it waits for, what to do. It may contain text of peers.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "as_readable"
    )]
    pub detail: Option<String>,
    /// When it continues.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<Timestamp>,
    /// How long the step took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// Where it ended the history, once it was stored: `ID:HASH`.
    #[serde(skip)]
    pub place: HistoryPosition,
}

/// Where in the history an event was stored last. Two events with the same contents are equal wherever they are.
#[derive(Debug, Default)]
pub struct HistoryPosition(Mutex<Option<String>>);

impl HistoryPosition {
    /// It was stored there, if its transaction is committed.
    pub fn set(&self, head: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
    }

    fn head(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Clone for HistoryPosition {
    fn clone(&self) -> Self {
        Self(Mutex::new(self.head()))
    }
}

impl PartialEq for HistoryPosition {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for HistoryPosition {}

#[allow(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's signature"
)]
fn by_name<S: serde::Serializer>(state: &Option<State>, serializer: S) -> Result<S::Ok, S::Error> {
    state.map(State::name).serialize(serializer)
}

#[allow(clippy::ref_option, reason = "serde's signature")]
fn as_readable<S: serde::Serializer>(
    words: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    words.as_deref().map(readable).serialize(serializer)
}

/// A tracing level must be known at compile time; hence a macro.
macro_rules! log_at {
    ($event:expr, $level:expr) => {{
        let event = $event;
        tracing::event!(
            target: "renewd",
            $level,
            event = event.kind.name(),
            alert = (event.kind.level() == Level::Alert).then_some(true),
            certificate = event.certificate.as_deref(),
            renewal = event.renewal.as_ref().map(|id| id.0.as_str()),
            firewall = event.firewall.as_deref(),
            ca = event.ca.as_deref(),
            state = event.state.map(State::name),
            next_state = event.next_state.map(State::name),
            attempt = event.attempt,
            reason = event.reason.as_deref(),
            error.kind = event.error_kind.as_deref(),
            next_attempt_at = event.next_attempt_at.map(|at| format!("{at:.0}")),
            elapsed_ms = event.elapsed_ms,
            history_head = event.head(),
            "{}",
            event.message(),
        );
    }};
}

/// How urgent an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Ordinary progress.
    Info,
    /// Worth a check; renewd continues by itself.
    Warning,
    /// An operator is needed.
    Alert,
}

impl Level {
    /// The word in rows and in `docs/events.md`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

macro_rules! events {
    ($($(#[doc = $meaning:literal])+ $variant:ident => $name:literal, $level:ident;)+) => {
        /// What can happen.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum EventKind { $($(#[doc = $meaning])+ $variant,)+ }

        impl EventKind {
            /// Every kind, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in logs and in the history.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// How urgent it is.
            pub const fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)+ }
            }

            /// What it means, for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($meaning),+),)+ }
            }
        }
    };
}

events! {
    /// The daemon is ready: database open, first scan done.
    DaemonReady => "daemon_ready", Info;
    /// The daemon stops; running steps are finished or parked.
    DaemonStopping => "daemon_stopping", Info;
    /// A changed configuration is in force.
    ConfigurationReloaded => "configuration_reloaded", Info;
    /// A changed configuration is broken; the old one stays in force.
    ConfigurationRefused => "configuration_refused", Alert;
    /// Another daemon on the database has stored another configuration of a certificate, so that this one leaves it alone, and
    /// what is due is not done. Reported once.
    ConfigurationDiffers => "configuration_differs", Alert;
    /// Where the history ends: id and hash of its last event, for `renewd history verify --head`. Logged once a day and
    /// at the end of a run, and not stored.
    HistoryHead => "history_head", Info;
    /// Events and ended renewals older than `keep_history` were removed.
    HistoryRemoved => "history_removed", Info;
    /// The history is not what renewd stored, or the sealing key cannot be used: of what is older than `keep_history` no
    /// event is removed. Reported once a day.
    HistoryNotRemoved => "history_not_removed", Alert;
    /// The database failed: nothing is begun until it works again.
    DatabaseFailed => "database_failed", Alert;
    /// The database works again, or the clock agrees with it; due work is done now.
    DatabaseRecovered => "database_recovered", Info;
    /// The clock of this machine moved backwards: everything is checked again.
    ClockMovedBackwards => "clock_moved_backwards", Alert;
    /// The clock of this machine differs from that of the database, which other daemons share: nothing is begun until it is
    /// set right.
    ClockDiffers => "clock_differs", Alert;
    /// A certificate was added to the configuration.
    CertificateAdded => "certificate_added", Info;
    /// A certificate was removed from the configuration; nothing is changed on its firewall.
    CertificateRemoved => "certificate_removed", Info;
    /// A due rule says that the certificate must be renewed; a renewal begins.
    RenewalPlanned => "renewal_planned", Info;
    /// A step was done and the next state is stored.
    StateReached => "state_reached", Info;
    /// Nothing failed, but the renewal cannot continue yet. `reason` names what it waits for.
    RenewalWaiting => "renewal_waiting", Info;
    /// The CA waits for an operator: an approval, or a mail that must be answered.
    ApprovalNeeded => "approval_needed", Alert;
    /// The order budget of a CA is exhausted; nothing is ordered there before `next_attempt_at`.
    OrderBudgetExhausted => "order_budget_exhausted", Alert;
    /// The CA ended an order without a certificate; another one is placed at the time that is given.
    OrderVoid => "order_void", Alert;
    /// A step failed and will be tried again.
    StepFailed => "step_failed", Warning;
    /// A step failed in a way that an operator should check; it is retried anyway.
    AttentionNeeded => "attention_needed", Alert;
    /// The renewal waits for an operator and does not continue by itself.
    RenewalHeld => "renewal_held", Alert;
    /// The firewall refused the issued certificate, because it belongs to another key: the request may have been replaced on
    /// its way. The renewal is held, and nothing more is tried.
    KeyMismatch => "key_mismatch", Alert;
    /// The certificate is bound outside its maintenance window: none fits before it expires, an operator asked for it, or the
    /// CA wants it to be replaced at once and the configuration allows that.
    MaintenanceWindowOverridden => "maintenance_window_overridden", Warning;
    /// Before the order: an address serves nothing, or a certificate that renewd does not know.
    EndpointNotReady => "endpoint_not_ready", Warning;
    /// The new certificate was verified, but an address that served nothing before the bind does not serve it either.
    EndpointNotUpdated => "endpoint_not_updated", Warning;
    /// An address does not serve the new certificate in time; the roll-back begins.
    VerificationFailed => "verification_failed", Alert;
    /// The previous certificate stays on the firewall, because renewd did not make it.
    PreviousCertificateKept => "previous_certificate_kept", Info;
    /// The renewal is verified and complete. Objects of earlier renewals were removed from the firewall.
    RenewalCompleted => "renewal_completed", Info;
    /// The new certificate was not served; the previous one is bound again. It says what an address serves that is not as
    /// before.
    RenewalRolledBack => "renewal_rolled_back", Alert;
    /// The new certificate was not served everywhere, and nothing was bound back: what was bound before is not known, has
    /// ended or is not bound by the firewall any more, or another administrator has bound the services meanwhile.
    RenewalNotRolledBack => "renewal_not_rolled_back", Alert;
    /// The renewal could not succeed and was given up before the bind; the served certificate was not touched.
    RenewalFailed => "renewal_failed", Alert;
    /// The renewal was cancelled: its certificate or firewall left the configuration, or an operator decided against it.
    RenewalCancelled => "renewal_cancelled", Warning;
    /// The CA did not send the certificate of the issuer: the signature of the issued certificate was not verified.
    IssuerUnverified => "issuer_unverified", Warning;
    /// The issued certificate carries a name that was not requested and that this CA is known to add.
    NameTolerated => "name_tolerated", Warning;
    /// A CA certificate was installed on a firewall that renewd had not installed there before: the firewall may trust it.
    /// Reported once for each firewall and CA certificate.
    CaCertificateInstalled => "ca_certificate_installed", Warning;
    /// Another administrator replaced the certificate by hand; the renewal ended.
    RenewalSuperseded => "renewal_superseded", Info;
    /// An address serves another certificate of a trusted CA than at the last probe; that one is monitored from now on.
    CertificateReplacedExternally => "certificate_replaced_externally", Warning;
    /// An address served no certificate at two probes in a row. Reported once for an outage.
    EndpointUnreachable => "endpoint_unreachable", Alert;
    /// An address serves another certificate of a trusted CA than before, and its names or its key are not those of the
    /// configuration; or it serves another one than was installed, which is as good as a new one and is bound again.
    CertificateMismatch => "certificate_mismatch", Alert;
    /// An address serves a certificate that is not valid yet: the clock of this machine or that of the CA is wrong.
    CertificateNotYetValid => "certificate_not_yet_valid", Alert;
    /// The services use a certificate again that renewd has replaced: an administrator or a central management put an older
    /// binding back. Nothing is ordered for it; the renewed certificate is bound again, at most once a day.
    BindingPutBack => "binding_put_back", Alert;
    /// An address serves a certificate that renewd does not know: it changes nothing before an operator has checked it.
    CertificateUnknown => "certificate_unknown", Alert;
    /// An address serves a certificate that cannot be read.
    CertificateUnreadable => "certificate_unreadable", Alert;
    /// An operator accepted a certificate that renewd did not know (`renewd adopt`).
    CertificateAccepted => "certificate_accepted", Info;
    /// The management page of a firewall serves a certificate that the configured trust does not accept: no login is
    /// possible there.
    ManagementCertificateUntrusted => "management_certificate_untrusted", Alert;
    /// The last twentieth of the lifetime of the served certificate has begun, and no other certificate has replaced it.
    CertificateExpiring => "certificate_expiring", Alert;
    /// The served certificate has expired, and no other certificate has replaced it.
    CertificateExpired => "certificate_expired", Alert;
    /// The CA announced or changed the renewal window of the certificate (ARI, RFC 9773).
    RenewalInfoUpdated => "renewal_info_updated", Info;
    /// The CA wants the certificate to be replaced at once, as before a revocation, and its firewall's maintenance window is
    /// closed: an operator decides whether it is bound outside the window.
    RenewalUrgent => "renewal_urgent", Alert;
    /// An operator requested a renewal.
    RenewalRequested => "renewal_requested", Info;
    /// A certificate that the database names as trusted for a firewall was not stored there by renewd, or under another
    /// sealing key. It is not trusted; reported once.
    PinNotAuthentic => "pin_not_authentic", Alert;
    /// A certificate that the database names as known, as if a chain or an operator vouched for it, was not stored there by
    /// renewd, or under another sealing key. It is not known; reported once.
    KnownCertificateNotAuthentic => "known_certificate_not_authentic", Alert;
    /// A certificate that an older renewd had learned to trust was taken over at the upgrade, and is authenticated from now
    /// on. Compare it with the device if another program could write the database.
    PinAuthenticated => "pin_authenticated", Warning;
    /// The new management certificate of a firewall is a pin from now on: it was verified, or it stays bound because the
    /// previous one has ended.
    PinUpdated => "pin_updated", Info;
}

/// All events as Markdown, for `docs/events.md`.
pub fn document() -> String {
    let mut text = DOCUMENT_HEAD.to_owned();
    for kind in EventKind::ALL {
        let (name, level, meaning) = (kind.name(), kind.level().name(), kind.meaning().trim());
        text.push_str(&["| `", name, "` | ", level, " | ", meaning, " |\n"].concat());
    }
    text
}

const DOCUMENT_HEAD: &str = "# Events

Printed by `renewd events` from `src/event.rs`; a test fails when this page is stale.

Every event is a log line with the field `event` and, where they are known, the fields `certificate`, `renewal`,
`firewall`, `ca`, `state`, `next_state`, `attempt`, `reason`, `error.kind`, `next_attempt_at` and `elapsed_ms`; the
message says the rest in words. An alert and `renewal_completed` carry `history_head`, where the history ended with them
(`renewd history verify --head`). Events of a certificate are also stored in its history (`renewd show CERT`). An event of
the level `alert` needs an operator; it is logged as an error with the field `alert=true`.

| event | level | meaning |
| --- | --- | --- |
";

impl Event {
    /// An event with nothing but its kind; the fields are set by the caller.
    pub fn new(kind: EventKind) -> Self {
        Self {
            kind,
            certificate: None,
            renewal: None,
            firewall: None,
            ca: None,
            state: None,
            next_state: None,
            attempt: None,
            reason: None,
            error_kind: None,
            detail: None,
            next_attempt_at: None,
            elapsed_ms: None,
            place: HistoryPosition::default(),
        }
    }

    /// An event of `renewal` in its present state.
    pub fn of_renewal(kind: EventKind, renewal: &Renewal) -> Self {
        Self {
            certificate: Some(Arc::clone(&renewal.certificate)),
            renewal: Some(renewal.id.clone()),
            firewall: Some(Arc::clone(&renewal.firewall)),
            ca: Some(Arc::clone(&renewal.ca)),
            state: Some(renewal.state),
            ..Self::new(kind)
        }
    }

    /// An event of a certificate.
    pub fn of_certificate(kind: EventKind, certificate: &Arc<str>) -> Self {
        Self {
            certificate: Some(Arc::clone(certificate)),
            ..Self::new(kind)
        }
    }

    /// Where the history ends, for alerts and for the end of a renewal. With a log that holds it, an operator can detect
    /// that the history was cut off after it or rewritten.
    fn head(&self) -> Option<String> {
        let is_reported =
            self.kind.level() == Level::Alert || self.kind == EventKind::RenewalCompleted;
        is_reported.then(|| self.place.head()).flatten()
    }

    /// The line for the operator.
    fn message(&self) -> String {
        let moved = match (self.state, self.next_state) {
            (Some(from), Some(to)) => Some(format!("{from} -> {to}")),
            _ => None,
        };
        match (moved, self.detail.as_deref().map(readable)) {
            (Some(moved), Some(detail)) => format!("{moved}: {detail}"),
            (Some(moved), None) => moved,
            (None, Some(detail)) => detail,
            (None, None) => self.kind.meaning().trim().to_owned(),
        }
    }

    /// Writes it to the log. The store does that with what it has stored; other code only with what is not stored.
    pub fn log(&self) {
        match self.kind.level() {
            Level::Info => log_at!(self, tracing::Level::INFO),
            Level::Warning => log_at!(self, tracing::Level::WARN),
            Level::Alert => log_at!(self, tracing::Level::ERROR),
        }
    }
}
