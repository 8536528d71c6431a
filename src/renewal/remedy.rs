//! What an operator does next, for everything that can keep a renewal from its end. Each `match` is exhaustive: a new
//! failure, wait, decision or end does not compile without its remedy.

use super::retry::REFUSED_LOGIN_LIMIT;
use super::state::Step;
use crate::failure::FailureKind;
use crate::inventory::{DecisionKind, Renewal, Standstill, State, WaitReason};

/// What to do about an open renewal whose firewall refused so many logins in a row.
pub fn of_open(renewal: &Renewal, refused_logins: u32) -> String {
    if refused_logins >= REFUSED_LOGIN_LIMIT {
        return of_failure(FailureKind::Unauthorized, renewal);
    }
    match renewal.standstill() {
        Some(Standstill::Failed(kind)) => of_failure(kind, renewal),
        Some(Standstill::Waits(reason)) => of_wait(reason, renewal),
        Some(Standstill::Decision(kind)) => of_decision(kind, renewal),
        None if renewal.last_error_kind.is_some() => format!(
            "read what led to it: renewd show {name}; then: renewd renew {name}",
            name = renewal.certificate
        ),
        None => "nothing: it goes on with the daemon, or with the next run".to_owned(),
    }
}

/// What to do after a renewal that ended in `state`; `None`: nothing, or it has not ended.
pub fn of_end(state: State, certificate: &str) -> Option<String> {
    match state {
        State::RolledBack => Some(format!(
            "check these addresses and the service, then: renewd renew {certificate}"
        )),
        State::NotRolledBack => Some(format!(
            "check the addresses and what the services use, then: renewd renew {certificate}"
        )),
        State::Failed => Some(format!(
            "fix what this message names, in the configuration, at the firewall or at the CA, then: renewd renew \
             {certificate}; what led to it: renewd show {certificate}"
        )),
        State::Planned
        | State::CsrGenerated
        | State::CsrExported
        | State::Submitted
        | State::Issued
        | State::Imported
        | State::Bound
        | State::Verified
        | State::VerificationFailed
        | State::Completed
        | State::Cancelled
        | State::Superseded => None,
    }
}

/// Words without the remedy at their end, for a remedy that is shown separately.
pub fn apart<'a>(words: &'a str, remedy: &str) -> &'a str {
    let without = words
        .strip_suffix(remedy)
        .and_then(|words| words.strip_suffix("; "));
    without.unwrap_or(words)
}

fn of_failure(kind: FailureKind, renewal: &Renewal) -> String {
    let (name, firewall) = (&renewal.certificate, &renewal.firewall);
    let peer = peer(renewal);
    let what = match kind {
        FailureKind::Unreachable => format!(
            "check that {peer} is switched on and can be reached from here (renewd check --online)"
        ),
        FailureKind::Busy if is_at_the_ca(renewal) => format!(
            "look into the account at {peer} for the status of the order; a limit of {peer} ends by \
             itself"
        ),
        FailureKind::Busy => format!(
            "let the administrator who works on {peer} finish, and commit or discard uncommitted \
             changes there; a limit of {peer} ends by itself"
        ),
        FailureKind::Unauthorized => format!(
            "check the user, the password or key and, where one is asked for, `totp` of {peer}: renewd check --online \
             shows whether they are accepted"
        ),
        FailureKind::Untrusted if peer != **firewall => format!(
            "compare what {peer} shows (renewd probe) with its console or web page; when it is the right one, put that \
             fingerprint into its `trust`; a further server of the CA that the failure names goes into `allow_hosts`"
        ),
        FailureKind::Untrusted => format!(
            "compare what {peer} shows (renewd probe) with its console or web page; when it is the right one, put that \
             fingerprint into its `trust`"
        ),
        FailureKind::LoginDowngrade => format!(
            "look at the API settings of {firewall} on its console or web page, and at the path to it; when the weaker \
             login is wanted, name it in `minimum_login`"
        ),
        FailureKind::Refused => {
            format!("change what {peer} refuses, in the configuration or there")
        }
        FailureKind::KeyMismatch => {
            "find out whether the request was replaced on its way, as the failure says; revoke \
             the certificate at the CA; the next renewal begins with a new key pair"
                .to_owned()
        }
        FailureKind::OutcomeUnknown => format!(
            "check the connection to {peer}; renewd checks the result of the request before it repeats it"
        ),
        FailureKind::Unexpected => format!(
            "read what led to it (renewd show {name}) and look at {peer}: its answer is in no documentation"
        ),
        FailureKind::Local => {
            "correct the file or the setting on this machine that the failure names".to_owned()
        }
    };
    format!("{what}; then, or to try at once: renewd renew {name}")
}

/// What to do about a renewal that waits for `reason`.
pub(super) fn of_wait(reason: WaitReason, renewal: &Renewal) -> String {
    let Renewal {
        certificate: name,
        firewall,
        ca,
        ..
    } = renewal;
    match reason {
        WaitReason::KeyGeneration => {
            format!("nothing: {firewall} is checked again until it lists the key pair")
        }
        WaitReason::OrderLookup => format!(
            "nothing: {ca} is asked again by itself; whether the order was taken is also seen in the account there"
        ),
        WaitReason::OrderLimit => format!("nothing: its turn at {ca} comes by itself"),
        WaitReason::OrderBudget => {
            format!(
                "find out why so many orders were placed at {ca}; to order sooner, raise its `order_budget`"
            )
        }
        WaitReason::OrderShared => {
            format!(
                "nothing: it orders for itself when the other renewal at {ca} is done with its order"
            )
        }
        WaitReason::Issuance => format!("nothing: {ca} is asked again by itself"),
        WaitReason::IssuanceOverdue => {
            format!("look into the account at {ca} for the reason why it does not issue")
        }
        WaitReason::Approval => {
            format!("approve the order at {ca}, or do there what it waits for")
        }
        WaitReason::MaintenanceWindow => format!(
            "nothing: it is bound when the window of {firewall} opens; to bind now: renewd renew {name} --now"
        ),
        WaitReason::ConfirmingBind => format!("nothing: {firewall} is asked whether it was done"),
        WaitReason::EndpointCheck | WaitReason::Verification | WaitReason::RollbackVerification => {
            "nothing: the addresses are probed again in a moment".to_owned()
        }
        WaitReason::LeftConfiguration => {
            format!(
                "put {name} back into the configuration to have it installed, or do nothing: it ends by itself"
            )
        }
        WaitReason::ChangedConfiguration => format!(
            "put back what the configuration said of {name} to have it installed; to give it up and begin anew: renewd renew \
             {name}"
        ),
    }
}

fn of_decision(kind: DecisionKind, renewal: &Renewal) -> String {
    kind.remedy(&renewal.certificate)
}

fn is_at_the_ca(renewal: &Renewal) -> bool {
    Step::leaving(renewal.state).is_some_and(Step::is_at_the_ca)
}

/// The peer of the step that failed.
fn peer(renewal: &Renewal) -> String {
    let (firewall, ca) = (&renewal.firewall, &renewal.ca);
    match Step::leaving(renewal.state) {
        Some(Step::Submit | Step::PollIssuance) => ca.to_string(),
        // The CA is asked before a key pair is made, and notified after the old certificate was retired.
        Some(Step::GenerateCsr | Step::RetireOld) => {
            format!("{firewall} or {ca}")
        }
        Some(Step::ExportCsr | Step::Import | Step::Bind | Step::Verify | Step::RollBack)
        | None => firewall.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use std::sync::Arc;

    use jiff::Timestamp;

    use super::*;
    use crate::inventory::{Obtained, RenewalId};

    fn renewal(state: State, kind: Option<&str>) -> Renewal {
        Renewal {
            id: RenewalId("261122-aaaaaa".to_owned()),
            certificate: Arc::from("hq-portal"),
            firewall: Arc::from("hq"),
            ca: Arc::from("office"),
            alias: "renewd-261122-aaaaaa".to_owned(),
            reason: "requested".to_owned(),
            state,
            planned_at: Timestamp::UNIX_EPOCH,
            state_since: Timestamp::UNIX_EPOCH,
            attempts: 1,
            polls: 0,
            cause: None,
            same_cause: 0,
            decided: None,
            planned_ahead: false,
            bind_now: false,
            refused_logins: 0,
            next_attempt_at: None,
            last_error_kind: kind.map(str::to_owned),
            last_error: None,
            obtained: Obtained::default(),
        }
    }

    #[test]
    fn each_failure_names_the_peer_or_place_and_how_to_go_on_in_each_state() {
        for kind in FailureKind::ALL {
            for state in State::ALL.into_iter().filter(|state| !state.is_end()) {
                let remedy = of_open(&renewal(state, Some(kind.name())), 0);
                assert!(remedy.ends_with("renewd renew hq-portal"), "{remedy}");
                let is_placed = ["hq", "office", "this machine", "at the CA"]
                    .iter()
                    .any(|place| remedy.contains(place));
                assert!(is_placed, "{kind} in {state}: {remedy}");
            }
        }
    }

    #[test]
    fn a_wait_that_needs_an_operator_says_what_and_any_other_that_nothing_is_needed() {
        for reason in WaitReason::ALL {
            let remedy = of_open(&renewal(State::Submitted, Some(reason.name())), 0);
            let is_idle = remedy.starts_with("nothing");
            let may_be_idle = !reason.needs_operator() && reason != WaitReason::LeftConfiguration;
            assert_eq!(is_idle, may_be_idle, "{reason}: {remedy}");
        }
    }

    #[test]
    fn a_failed_end_has_a_remedy_that_is_shown_once() {
        for state in [State::RolledBack, State::NotRolledBack, State::Failed] {
            let remedy = of_end(state, "hq-portal").unwrap();
            assert!(remedy.contains("renewd renew hq-portal"), "{remedy}");
            let words = format!("192.0.2.1:443 serves nothing; {remedy}");
            assert_eq!(apart(&words, &remedy), "192.0.2.1:443 serves nothing");
        }
        assert_eq!(apart("no remedy in it", "renew"), "no remedy in it");
    }

    #[test]
    fn too_many_refused_logins_come_before_everything_else() {
        let remedy = of_open(&renewal(State::Issued, Some("maintenance_window")), 2);
        assert!(remedy.contains("check --online"), "{remedy}");
    }
}
