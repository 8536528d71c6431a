//! Faults and holds that a test asks for at an exact request. A rule knows nothing of the device behind it.

use std::sync::Arc;
use std::time::Duration;

use crate::Gate;

/// "The next `times` requests that match, after the first `skip`, get this."
///
/// `path_prefix` is written without `/api/sonicos`, for instance `/config/pending`.
/// For a line of the console the method is `CONSOLE` and the path the line; there a rule can only cut.
/// The first matching rule with something left to do wins.
#[derive(Debug, Clone)]
pub struct Rule {
    /// HTTP method, upper case.
    pub method: String,
    /// Start of the path below `/api/sonicos`.
    pub path_prefix: String,
    /// Matching requests to let through first.
    pub skip: u32,
    /// Matching requests to act on after that.
    pub times: u32,
    /// What happens to them.
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

    /// The same rule for the `times` requests after the first `skip`.
    #[must_use]
    pub fn repeated(mut self, skip: u32, times: u32) -> Self {
        (self.skip, self.times) = (skip, times);
        self
    }
}

/// What a [`Rule`] does.
#[derive(Debug, Clone)]
pub enum Action {
    /// The connection is cut before the device acts.
    DropBefore,
    /// The device acts, then the connection is cut: the answer is lost.
    DropAfter,
    /// This status, body and these headers instead of acting.
    Status(u16, String, Vec<(String, String)>),
    /// Bytes that are neither JSON nor text, with status 200, instead of acting.
    Garbage,
    /// The web interface's page, with status 200, instead of acting.
    Html,
    /// `success: false` with this message and HTTP 200, instead of acting (1.5).
    SuccessFalseWith200(String),
    /// This status instead of acting, and a refusal that repeats, after so many letters, everything that came: path, headers
    /// and body. No device says so much; proxies and debug builds do.
    Echo(u16, usize),
    /// Waits in real time, then acts.
    DelayBefore(Duration),
    /// Waits for the gate, then acts, even if the client has gone by then.
    HoldBefore(Arc<Gate>),
    /// Acts, then keeps the answer back until the gate opens.
    HoldAfter(Arc<Gate>),
}

/// The rules of one device, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Rules(Vec<Rule>);

impl Rules {
    pub(super) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    /// What to do with this request; counts it off.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Action> {
        let matches = |rule: &Rule| rule.method == method && path.starts_with(&rule.path_prefix);
        let rule = self
            .0
            .iter_mut()
            .find(|rule| rule.times > 0 && matches(rule))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.action.clone())
    }
}

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
    }
}
