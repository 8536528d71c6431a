//! Faults and holds that a test sets at an exact request. Rules are independent of the device.

use std::sync::Arc;
use std::time::Duration;

use crate::Barrier;
use crate::response_delivery::Handling;

/// "The next `times` requests that match, after the first `skip`, get this."
///
/// `path_prefix` is written without `/api/sonicos`, for instance `/config/pending`.
/// For a line of the console the method is `CONSOLE` and the path the line; there a rule can only cut.
/// Each rule counts for itself; where several would act on one request, the first does.
#[derive(Debug, Clone)]
pub struct Rule {
    /// HTTP method, upper case; empty: any but `CONSOLE`.
    pub method: String,
    /// Start of the path below `/api/sonicos`.
    pub path_prefix: String,
    /// Matching requests to let through first.
    pub skip: u32,
    /// Matching requests to act on after that.
    pub times: u32,
    /// The action for them.
    pub action: Action,
}

impl Rule {
    /// A rule for the very next matching request.
    pub fn once(method: &str, path_prefix: &str, action: Action) -> Self {
        Self {
            method: method.to_owned(),
            path_prefix: path_prefix.to_owned(),
            skip: 0,
            times: 1,
            action,
        }
    }

    /// A rule for the `nth` request from now, whatever it is.
    pub fn any(nth: u32, action: Action) -> Self {
        Self::once("", "", action).repeated(nth.saturating_sub(1), 1)
    }

    /// The same rule for the `times` requests after the first `skip`.
    #[must_use]
    pub fn repeated(mut self, skip: u32, times: u32) -> Self {
        (self.skip, self.times) = (skip, times);
        self
    }
}

/// The action of a [`Rule`].
#[derive(Debug, Clone)]
pub enum Action {
    /// The connection is cut before the device acts.
    DropBefore,
    /// The device acts, then the connection is cut: the answer is lost.
    DropAfter,
    /// The connection is reset (TCP RST) before the device acts.
    ResetBefore,
    /// The device acts, then the connection is reset.
    ResetAfter,
    /// No answer, as long as the client waits; the device does not act.
    SilentBefore,
    /// The device acts; no answer, as long as the client waits.
    SilentAfter,
    /// This status, body and these headers instead of acting.
    Status(u16, String, Vec<(String, String)>),
    /// The device acts, then answers 500.
    ServerErrorAfter,
    /// The device acts, but only the first half of its answer's body arrives, as if it were the whole.
    Truncated,
    /// The device acts, but the connection ends after half of the body that its answer announced.
    CutShort,
    /// The device acts, but its answer is sent one byte at a time, with this pause between two.
    Drip(Duration),
    /// Bytes that are neither JSON nor text, with status 200, instead of acting.
    Garbage,
    /// The web interface's page, with status 200, instead of acting.
    Html,
    /// `success: false` with this message and HTTP 200, instead of acting (1.5).
    SuccessFalseWith200(String),
    /// This status instead of acting, and a refusal that repeats the whole request after so many letters: path, headers and
    /// body; in its headers as well. No device does that; proxies and debug builds do.
    Echo(u16, usize),
    /// Waits in real time, then acts.
    DelayBefore(Duration),
    /// Waits for the gate, then acts, even if the client has gone by then.
    HoldBefore(Arc<Barrier>),
    /// Acts, then keeps the answer back until the gate opens.
    HoldAfter(Arc<Barrier>),
}

impl Action {
    /// Whether it happens to the answer of a device that has acted, and how that reaches the client.
    pub(super) fn after(&self) -> Option<Handling> {
        match self {
            Self::DropAfter
            | Self::ResetAfter
            | Self::ServerErrorAfter
            | Self::Truncated
            | Self::HoldAfter(_) => Some(Handling::Whole),
            Self::SilentAfter => Some(Handling::Never),
            Self::CutShort => Some(Handling::CutShort),
            Self::Drip(pause) => Some(Handling::Dripping(*pause)),
            _ => None,
        }
    }
}

/// The rules of one device, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    used: u64,
}

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// How often a rule has acted.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// The action for this request. Counts the request.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Action> {
        let matches = |rule: &Rule| {
            let is_any = rule.method.is_empty() && method != CONSOLE;
            (is_any || rule.method == method) && path.starts_with(&rule.path_prefix)
        };
        let mut taken = None;
        for rule in self.rules.iter_mut().filter(|rule| matches(rule)) {
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 && taken.is_none() {
                rule.times -= 1;
                taken = Some(rule.action.clone());
            }
        }
        self.used += u64::from(taken.is_some());
        self.rules.retain(|rule| rule.times > 0);
        taken
    }
}

/// The method of a line of the console.
pub(super) const CONSOLE: &str = "CONSOLE";

#[cfg(test)]
mod tests {
    use super::{Action, Rule, Rules};

    #[test]
    fn a_rule_skips_then_acts_then_is_spent() {
        let mut rules = Rules::default();
        rules.add(Rule::once("POST", "/config", Action::DropAfter).repeated(1, 2));
        let taken: Vec<bool> = (0..5)
            .map(|_| rules.take("POST", "/config/pending").is_some())
            .collect();
        assert_eq!(taken, [false, true, true, false, false]);
        assert!(rules.take("GET", "/config/pending").is_none());
        assert_eq!(rules.used(), 2);
    }

    #[test]
    fn rules_for_any_request_are_counted_apart_and_leave_the_console_alone() {
        let mut rules = Rules::default();
        rules.add(Rule::any(3, Action::Garbage));
        rules.add(Rule::any(1, Action::Html));
        assert!(rules.take("CONSOLE", "show version").is_none());
        assert!(matches!(rules.take("GET", "/version"), Some(Action::Html)));
        assert!(rules.take("POST", "/auth").is_none());
        assert!(matches!(rules.take("PUT", "/x"), Some(Action::Garbage)));
    }
}
