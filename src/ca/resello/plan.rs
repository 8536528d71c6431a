//! The plans that the account may buy (purchase API reference 4.4).

use std::fmt;

use jiff::SignedDuration;
use serde_json::Value;

use super::settings::PlanChoice;
use crate::failure::{Failure, FailureKind};

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub id: String,
    pub name: String,
    brand: Option<String>,
    /// The term.
    months: Option<u64>,
    renew_days: Option<u32>,
}

impl Plan {
    /// Reads one object; `None` when it has no id, or none that a plan could have.
    pub fn read(object: &Value) -> Option<Self> {
        let text = |key: &str| {
            let text = object.get(key)?.as_str()?.chars();
            Some(text.take(LONGEST).collect::<String>())
        };
        // A number may be a text, as `success` may.
        let number = |key: &str| match object.get(key)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        Some(Self {
            id: text("id").filter(|id| id.chars().count() < LONGEST)?,
            name: text("name").unwrap_or_default(),
            brand: text("brand"),
            months: number("interval"),
            renew_days: number("renew_days_before_expiration")
                .and_then(|days| u32::try_from(days).ok()),
        })
    }

    /// How long before the end of a certificate its order may be renewed; `None`: the plan does not say.
    pub fn renewal_allowed(&self) -> Option<SignedDuration> {
        let hours = i64::from(self.renew_days?).saturating_mul(24);
        Some(SignedDuration::from_hours(hours))
    }

    /// The same in words.
    pub fn renewal_in_words(&self) -> String {
        match self.renew_days {
            Some(days) => format!("from {days} days before the end"),
            None => "the plan does not say from when".to_owned(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.name, self.id)?;
        if let Some(brand) = &self.brand {
            write!(f, ", {brand}")?;
        }
        if let Some(months) = self.months {
            write!(f, ", {months} months")?;
        }
        f.write_str(")")
    }
}

/// The chosen one of `plans`.
pub(super) fn choose(plans: Vec<Plan>, choice: &PlanChoice) -> Result<Plan, Failure> {
    let refused = |detail: String| Failure::new(FailureKind::Refused, "choose the plan", detail);
    let offered = in_words(&plans);
    let mut fitting: Vec<Plan> = plans
        .into_iter()
        .filter(|plan| match choice {
            PlanChoice::Id(id) => plan.id.eq_ignore_ascii_case(id),
            PlanChoice::Name(name) => plan.name == *name,
        })
        .collect();
    match (fitting.pop(), fitting.len(), choice) {
        (Some(plan), 0, _) => Ok(plan),
        (Some(_), ..) => Err(refused(format!(
            "several plans have the name that `plan` says: write the id of one of them: {offered}"
        ))),
        (None, _, PlanChoice::Id(text) | PlanChoice::Name(text)) => Err(refused(format!(
            "this account may not buy the `plan` {text:?}; it may buy: {offered}"
        ))),
    }
}

/// A list for a message.
pub(super) fn in_words(plans: &[Plan]) -> String {
    let mut words: Vec<String> = plans
        .iter()
        .take(MOST_SHOWN)
        .map(ToString::to_string)
        .collect();
    match plans.len().checked_sub(MOST_SHOWN) {
        _ if plans.is_empty() => "nothing".to_owned(),
        Some(more @ 1..) => {
            words.push(format!("and {more} more"));
            words.join(", ")
        }
        _ => words.join(", "),
    }
}

const MOST_SHOWN: usize = 20;

/// Characters of a text.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use serde_json::json;

    use super::*;

    fn plan(id: &str, name: &str) -> Plan {
        Plan::read(
            &json!({"id": id, "name": name, "brand": "Comodo", "interval": 12,
            "renew_days_before_expiration": "30", "actions": [], "product": {}}),
        )
        .unwrap()
    }

    #[test]
    fn a_plan_is_found_by_its_id_in_any_case_and_by_its_whole_name_only() {
        let plans = || {
            vec![
                plan("ab", "PositiveSSL"),
                plan("cd", "PositiveSSL Wildcard"),
            ]
        };
        let id = PlanChoice::Id("AB".to_owned());
        assert_eq!(choose(plans(), &id).unwrap().name, "PositiveSSL");
        let name = PlanChoice::Name("PositiveSSL".to_owned());
        assert_eq!(choose(plans(), &name).unwrap().id, "ab");
        let failure = choose(plans(), &PlanChoice::Name("Positive".to_owned())).unwrap_err();
        assert!(
            failure
                .detail
                .contains("it may buy: PositiveSSL (ab, Comodo, 12 months), "),
            "{failure}"
        );
    }

    #[test]
    fn of_two_plans_with_one_name_none_is_bought() {
        let plans = vec![plan("ab", "SSL"), plan("cd", "SSL")];
        let failure = choose(plans, &PlanChoice::Name("SSL".to_owned())).unwrap_err();
        assert!(failure.detail.contains("write the id"), "{failure}");
    }

    #[test]
    fn the_days_of_renewal_are_read_from_a_number_or_a_text() {
        let allowed = plan("ab", "SSL").renewal_allowed().unwrap();
        assert_eq!(allowed, SignedDuration::from_hours(30 * 24));
        assert_eq!(
            Plan::read(&json!({"id": "x"})).unwrap().renewal_allowed(),
            None
        );
    }
}
