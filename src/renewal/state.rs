//! The transition table: every legal move of a renewal, in one `match`.
//!
//! A state is a fact, a step is a verb. A step that was taken brings a new fact, and `next` alone says which state
//! that makes. Recovery after a crash is the ordinary path, because a stored state is true.

use crate::inventory::State;

/// What is done to leave a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Generate a key pair and its CSR on the firewall.
    GenerateCsr,
    /// Fetch the CSR from the firewall and check it.
    ExportCsr,
    /// Order at the CA.
    Submit,
    /// Ask the CA how the order stands, and check what it issued.
    PollIssuance,
    /// Put chain and certificate on the firewall.
    Import,
    /// Point the services at it and commit.
    Bind,
    /// Prove it by handshakes.
    Verify,
    /// Remove the old certificate.
    RetireOld,
    /// Bind the previous certificate again, and prove that.
    RollBack,
}

impl Step {
    /// The step that leaves `state`; `None` at an end.
    pub const fn leaving(state: State) -> Option<Self> {
        match state {
            State::Planned => Some(Self::GenerateCsr),
            State::CsrGenerated => Some(Self::ExportCsr),
            State::CsrExported => Some(Self::Submit),
            State::Submitted => Some(Self::PollIssuance),
            State::Issued => Some(Self::Import),
            State::Imported => Some(Self::Bind),
            State::Bound => Some(Self::Verify),
            State::Verified => Some(Self::RetireOld),
            State::VerificationFailed => Some(Self::RollBack),
            State::Completed
            | State::RolledBack
            | State::NotRolledBack
            | State::Failed
            | State::Cancelled
            | State::Superseded => None,
        }
    }

    /// Whether it logs in to the firewall.
    pub const fn logs_in(self) -> bool {
        !matches!(self, Self::Submit | Self::PollIssuance | Self::Verify)
    }

    /// Whether it has to do with the CA alone.
    pub const fn is_at_the_ca(self) -> bool {
        matches!(self, Self::Submit | Self::PollIssuance)
    }

    /// The word in logs and rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GenerateCsr => "generate_csr",
            Self::ExportCsr => "export_csr",
            Self::Submit => "submit",
            Self::PollIssuance => "poll_issuance",
            Self::Import => "import",
            Self::Bind => "bind",
            Self::Verify => "verify",
            Self::RetireOld => "retire_old",
            Self::RollBack => "roll_back",
        }
    }
}

/// What a step found out or brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Key pair and request are on the device.
    KeyPairExists,
    /// The CSR is here, and it is what was asked for.
    CsrChecked,
    /// The CA has the order.
    Ordered,
    /// The CA ended the order without a certificate.
    OrderVoid,
    /// The certificate is here, and it is what was asked for.
    CertificateChecked,
    /// The certificate is on the device.
    OnDevice,
    /// The services point at it, committed.
    Committed,
    /// Every address shows it.
    Proven,
    /// The grace period is over and some address does not show it.
    NotProven,
    /// The old certificate is gone, or was not ours to remove.
    OldRetired,
    /// Every address shows the previous certificate again.
    PreviousProven,
    /// The previous certificate is bound again, and some address does not show what it showed before.
    PreviousNotProven,
    /// What was bound before is not known: nothing was bound back.
    PreviousUnknown,
    /// What was bound before has ended: the new certificate stays bound.
    PreviousEnded,
    /// The firewall no longer has what was bound before, or refuses each time to bind it: the new certificate stays bound.
    PreviousNotBindable,
    /// Another administrator has bound the services meanwhile: nothing was bound back.
    BoundByOthers,
    /// It cannot succeed; an operator is needed.
    GivenUp,
    /// An operator decided against it.
    CancelledByOperator,
    /// Another administrator installed a certificate that is not due.
    ReplacedByHand,
    /// Its certificate or firewall is no longer configured.
    LeftConfiguration,
}

impl Fact {
    /// Every fact, in the order of a renewal.
    pub const ALL: [Self; 20] = [
        Self::KeyPairExists,
        Self::CsrChecked,
        Self::Ordered,
        Self::OrderVoid,
        Self::CertificateChecked,
        Self::OnDevice,
        Self::Committed,
        Self::Proven,
        Self::NotProven,
        Self::OldRetired,
        Self::PreviousProven,
        Self::PreviousNotProven,
        Self::PreviousUnknown,
        Self::PreviousEnded,
        Self::PreviousNotBindable,
        Self::BoundByOthers,
        Self::GivenUp,
        Self::CancelledByOperator,
        Self::ReplacedByHand,
        Self::LeftConfiguration,
    ];

    /// The words on the arrows of the diagram.
    pub const fn words(self) -> &'static str {
        match self {
            Self::KeyPairExists => "key pair exists",
            Self::CsrChecked => "CSR checked",
            Self::Ordered => "ordered",
            Self::OrderVoid => "order void",
            Self::CertificateChecked => "certificate checked",
            Self::OnDevice => "on the device",
            Self::Committed => "committed",
            Self::Proven => "proven",
            Self::NotProven => "not proven",
            Self::OldRetired => "old retired",
            Self::PreviousProven => "previous proven",
            Self::PreviousNotProven => "previous bound, not proven",
            Self::PreviousUnknown => "previous unknown",
            Self::PreviousEnded => "previous ended",
            Self::PreviousNotBindable => "previous not bindable",
            Self::BoundByOthers => "bound by others",
            Self::GivenUp => "given up",
            Self::CancelledByOperator => "cancelled by an operator",
            Self::ReplacedByHand => "replaced by hand",
            Self::LeftConfiguration => "left the configuration",
        }
    }
}

/// The state that `fact` leads to; `None`: `fact` is impossible in `state`, which is a defect of renewd.
pub const fn next(state: State, fact: Fact) -> Option<State> {
    use State::{
        Bound, Cancelled, Completed, CsrExported, CsrGenerated, Failed, Imported, Issued,
        NotRolledBack, Planned, RolledBack, Submitted, Superseded, VerificationFailed, Verified,
    };
    match (state, fact) {
        (Planned, Fact::KeyPairExists) => Some(CsrGenerated),
        // The request that was made serves for another order too.
        (CsrGenerated, Fact::CsrChecked) | (Submitted, Fact::OrderVoid) => Some(CsrExported),
        (CsrExported, Fact::Ordered) => Some(Submitted),
        (Submitted, Fact::CertificateChecked) => Some(Issued),
        (Issued, Fact::OnDevice) => Some(Imported),
        (Imported, Fact::Committed) => Some(Bound),
        // A service that answers late is as good as one that answers at once.
        (Bound | VerificationFailed, Fact::Proven) => Some(Verified),
        (Bound, Fact::NotProven) => Some(VerificationFailed),
        (Verified, Fact::OldRetired) => Some(Completed),
        (VerificationFailed, Fact::PreviousProven | Fact::PreviousNotProven) => Some(RolledBack),
        (
            VerificationFailed,
            Fact::PreviousUnknown
            | Fact::PreviousEnded
            | Fact::PreviousNotBindable
            | Fact::BoundByOthers,
        ) => Some(NotRolledBack),
        // Once the services point at it there is no giving up: forward to the proof, or back to the previous one.
        (Planned | CsrGenerated | CsrExported | Submitted | Issued | Imported, Fact::GivenUp) => {
            Some(Failed)
        }
        // From the order on there is something to lose; the renewal is brought to its end.
        (Planned | CsrGenerated | CsrExported, Fact::ReplacedByHand) => Some(Superseded),
        (
            Planned | CsrGenerated | CsrExported | Submitted | Issued | Imported,
            Fact::CancelledByOperator | Fact::LeftConfiguration,
        )
        | (Bound | Verified | VerificationFailed, Fact::LeftConfiguration) => Some(Cancelled),
        _ => None,
    }
}

/// The table as Markdown with a diagram, for `docs/states.md`.
pub fn document() -> String {
    let mut text = "# States of a renewal\n\nPrinted by `renewd states` from `src/renewal/state.rs`; a test fails when this \
                    page is stale.\n\n```mermaid\n"
        .to_owned();
    text += &diagram();
    text += "```\n\n| state | step that leaves it |\n| --- | --- |\n";
    for state in State::ALL {
        let step = Step::leaving(state).map_or("none: an end", Step::name);
        text.push_str(&["| `", state.name(), "` | ", step, " |\n"].concat());
    }
    text
}

fn diagram() -> String {
    let mut lines = vec![
        "stateDiagram-v2".to_owned(),
        "    [*] --> planned".to_owned(),
    ];
    for state in State::ALL {
        for fact in Fact::ALL {
            if let Some(reached) = next(state, fact) {
                lines.push(format!("    {state} --> {reached}: {}", fact.words()));
            }
        }
        if state.is_end() {
            lines.push(format!("    {state} --> [*]"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_but_the_ends_has_a_step_and_a_way_out() {
        for state in State::ALL {
            let ways_out = Fact::ALL
                .into_iter()
                .filter(|fact| next(state, *fact).is_some())
                .count();
            assert_eq!(state.is_end(), Step::leaving(state).is_none(), "{state}");
            assert_eq!(state.is_end(), ways_out == 0, "{state}");
        }
    }

    #[test]
    fn every_end_can_be_reached_from_the_start() {
        let mut reached = vec![State::Planned];
        let mut looked_at = 0;
        while let Some(state) = reached.get(looked_at).copied() {
            looked_at += 1;
            for state in Fact::ALL.into_iter().filter_map(|fact| next(state, fact)) {
                if !reached.contains(&state) {
                    reached.push(state);
                }
            }
        }
        assert_eq!(reached.len(), State::ALL.len());
    }

    #[test]
    fn nothing_is_given_up_or_superseded_once_the_services_point_at_it() {
        for state in [State::Bound, State::Verified, State::VerificationFailed] {
            assert_eq!(next(state, Fact::GivenUp), None);
            assert_eq!(next(state, Fact::CancelledByOperator), None);
            assert_eq!(next(state, Fact::ReplacedByHand), None);
        }
    }

    #[test]
    fn completion_is_reached_only_through_proof() {
        for state in State::ALL {
            for fact in Fact::ALL {
                if next(state, fact) == Some(State::Completed) {
                    assert_eq!(state, State::Verified);
                }
                if next(state, fact) == Some(State::Verified) {
                    assert_eq!(fact, Fact::Proven);
                }
            }
        }
    }
}
