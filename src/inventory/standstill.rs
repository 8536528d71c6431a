//! Why an open renewal does not go on: the words in its row, read. Each has its remedy in `renewal/remedy.rs`.

use std::fmt;

use super::Renewal;
use crate::failure::FailureKind;

/// Why a renewal does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standstill {
    /// The last step failed.
    Failed(FailureKind),
    /// Nothing failed; it waits.
    Waits(WaitReason),
    /// Only an operator may decide whether it goes on.
    Decision(DecisionKind),
}

impl Standstill {
    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let failed = FailureKind::from_name(name).map(Self::Failed);
        failed
            .or_else(|| WaitReason::from_name(name).map(Self::Waits))
            .or_else(|| DecisionKind::from_name(name).map(Self::Decision))
    }
}

/// For what a renewal waits although nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitReason {
    /// The firewall has not listed the key pair yet.
    KeyGeneration,
    /// An order whose answer was lost may still become visible at the CA.
    OrderLookup,
    /// Its turn within the limits of the CA.
    OrderLimit,
    /// The order budget of the CA.
    OrderBudget,
    /// The CA gave an order that another renewal drives on.
    OrderShared,
    /// The CA has not issued the certificate yet.
    Issuance,
    /// The same, for longer than a day.
    IssuanceOverdue,
    /// An approval at the CA.
    Approval,
    /// The maintenance window of the firewall.
    MaintenanceWindow,
    /// An address that served a certificate at the last probe does not answer just before the bind: it is probed again.
    EndpointCheck,
    /// Whether the commit of the bind was carried out.
    ConfirmingBind,
    /// The addresses do not serve the new certificate yet.
    Verification,
    /// The addresses do not serve the previous certificate again yet.
    RollbackVerification,
    /// The certificate left the configuration; what was ordered is kept.
    LeftConfiguration,
    /// The configuration asks for something else; what was ordered is kept.
    ChangedConfiguration,
}

impl WaitReason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::KeyGeneration,
        Self::OrderLookup,
        Self::OrderLimit,
        Self::OrderBudget,
        Self::OrderShared,
        Self::Issuance,
        Self::IssuanceOverdue,
        Self::Approval,
        Self::MaintenanceWindow,
        Self::EndpointCheck,
        Self::ConfirmingBind,
        Self::Verification,
        Self::RollbackVerification,
        Self::LeftConfiguration,
        Self::ChangedConfiguration,
    ];

    /// The word in logs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeyGeneration => "key_generation",
            Self::OrderLookup => "order_lookup",
            Self::OrderLimit => "order_limit",
            Self::OrderBudget => "order_budget",
            Self::OrderShared => "order_shared",
            Self::Issuance => "issuance",
            Self::IssuanceOverdue => "issuance_overdue",
            Self::Approval => "approval",
            Self::MaintenanceWindow => "maintenance_window",
            Self::EndpointCheck => "endpoint_check",
            Self::ConfirmingBind => "confirming_bind",
            Self::Verification => "verification",
            Self::RollbackVerification => "rollback_verification",
            Self::LeftConfiguration => "left_configuration",
            Self::ChangedConfiguration => "changed_configuration",
        }
    }

    /// The reason of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Whether it does not end before an operator does something; an alert reports it.
    pub const fn needs_operator(self) -> bool {
        match self {
            Self::OrderBudget
            | Self::IssuanceOverdue
            | Self::Approval
            | Self::ChangedConfiguration => true,
            Self::KeyGeneration
            | Self::OrderLookup
            | Self::OrderLimit
            | Self::OrderShared
            | Self::Issuance
            | Self::MaintenanceWindow
            | Self::EndpointCheck
            | Self::ConfirmingBind
            | Self::Verification
            | Self::RollbackVerification
            | Self::LeftConfiguration => false,
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an operator has to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecisionKind {
    /// The issued certificate is due again as soon as it is there.
    AlreadyDue,
    /// The last orders of this certificate ended without one.
    OrdersEnded,
    /// An order may have been paid, and the CA cannot be asked for sure.
    OrderAgain,
    /// The CA does not show an order any more, or does not issue it.
    OrderGone,
    /// The installation of this certificate was rolled back each time.
    BindAgain,
}

impl DecisionKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::AlreadyDue,
        Self::OrdersEnded,
        Self::OrderAgain,
        Self::OrderGone,
        Self::BindAgain,
    ];

    /// The word in rows and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AlreadyDue => "already_due",
            Self::OrdersEnded => "orders_ended",
            Self::OrderAgain => "order_again",
            Self::OrderGone => "order_gone",
            Self::BindAgain => "bind_again",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How an operator lets it go on.
    pub fn remedy(self, certificate: &str) -> String {
        let what = match self {
            Self::AlreadyDue => "to install it anyway",
            Self::OrdersEnded => "to order another one",
            Self::OrderAgain => "if there was none, to order once more",
            Self::OrderGone => {
                "to look for it once more, and to give it up where it is not issued by then"
            }
            Self::BindAgain => "when it is fixed, to bind it once more",
        };
        format!("{what}: renewd renew {certificate}")
    }
}

impl Renewal {
    /// Why it does not go on; `None`: nothing keeps it, or an older renewd stored a reason that is not known any more.
    pub fn standstill(&self) -> Option<Standstill> {
        Standstill::from_name(self.last_error_kind.as_deref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_reasons_share_a_name() {
        let failures = FailureKind::ALL.map(|kind| (kind.name(), Standstill::Failed(kind)));
        let waits = WaitReason::ALL.map(|reason| (reason.name(), Standstill::Waits(reason)));
        let decisions = DecisionKind::ALL.map(|kind| (kind.name(), Standstill::Decision(kind)));
        for (name, standstill) in failures.into_iter().chain(waits).chain(decisions) {
            assert_eq!(Standstill::from_name(name), Some(standstill), "{name}");
        }
        assert_eq!(Standstill::from_name("none of these"), None);
    }
}
