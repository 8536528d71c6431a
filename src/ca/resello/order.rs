//! An order as the API shows it, and as it is placed (purchase API reference 4.1, 4.2).

use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::super::SigningRequest;
use super::settings::{RenewalMode, Settings};

/// An order with the members that the API shows: only its id is certain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub id: String,
    pub status: Status,
    /// Ours, if it shows it.
    pub client_reference: Option<String>,
}

/// The state of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    /// There is a certificate. Only the certificate itself shows which key it has.
    Active,
    /// It is being worked on.
    Pending,
    /// It ended without a certificate, or its certificate did: the word.
    Ended(String),
    /// A word that is in no documentation.
    Unknown(String),
}

/// What leads to a new certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OrderKind {
    /// A new order.
    Buy,
    /// The renewal of this order.
    Renew(String),
    /// A new certificate for this order, which makes its current one invalid.
    Reissue(String),
}

impl Order {
    /// Reads one object; `None` when it has no id, or none that an order could have.
    pub fn read(object: &Value) -> Option<Self> {
        let text = |key: &str| match object.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.chars().take(LONGEST).collect()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let status: Option<String> = text("status");
        Some(Self {
            id: text("id").filter(|id| id.chars().count() < LONGEST)?,
            status: Status::read(status.as_deref().unwrap_or("(none)")),
            client_reference: text("client_reference"),
        })
    }
}

impl Status {
    fn read(word: &str) -> Self {
        let lower = word.trim().to_ascii_lowercase();
        match lower.as_str() {
            "active" => Self::Active,
            "pending" => Self::Pending,
            word if ENDED.contains(&word) => Self::Ended(lower),
            _ => Self::Unknown(
                lower
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(100)
                    .collect(),
            ),
        }
    }
}

impl OrderKind {
    /// What is sent, `plan` being the UUID of the plan.
    pub fn body(
        &self,
        settings: &Settings,
        dcv_type: &str,
        plan: &str,
        request: &SigningRequest,
    ) -> Value {
        let mut body = Map::new();
        let mut set = |name: &str, value: &str| body.insert(name.to_owned(), value.into());
        set("csr", &request.csr.to_pem());
        set("dcv_type", dcv_type);
        set("client_reference", &request.client_reference);
        // A reissue stays within what was bought.
        if !matches!(self, Self::Reissue(_)) {
            set("plan", plan);
        }
        for (name, value) in settings.applicant.fields() {
            set(name, value);
        }
        Value::Object(body)
    }
}

/// How the order of a certificate that ends in `left` is followed, its plan allowing a renewal in the last `allowed`;
/// an error is the time until something may be done.
pub(super) fn order_kind(
    renewal_mode: RenewalMode,
    order: &str,
    left: SignedDuration,
    allowed: Option<SignedDuration>,
) -> Result<OrderKind, SignedDuration> {
    // Where the plan does not say, the CA will.
    let early = allowed.filter(|allowed| left > *allowed);
    match (renewal_mode, early) {
        (RenewalMode::Buy, _) => Ok(OrderKind::Buy),
        (RenewalMode::Reissue, Some(_)) => Ok(OrderKind::Reissue(order.to_owned())),
        // A reissue does not reach beyond the term, so at its end the order is renewed.
        (RenewalMode::Renew | RenewalMode::Reissue, None) => Ok(OrderKind::Renew(order.to_owned())),
        (RenewalMode::Renew, Some(allowed)) => Err(left - allowed),
    }
}

/// Characters of a text: references of ours are much shorter, and a list of orders may be long.
const LONGEST: usize = 256;

/// None of them is documented; nothing else can be meant by them.
const ENDED: [&str; 10] = [
    "failed",
    "cancelled",
    "canceled",
    "expired",
    "deleted",
    "rejected",
    "refused",
    "refunded",
    "revoked",
    "disabled",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use serde_json::json;

    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn an_order_that_shows_no_more_than_its_id_is_read() {
        let order = Order::read(&json!({"id": 7})).unwrap();
        assert_eq!((&*order.id, order.client_reference), ("7", None));
        assert_eq!(order.status, Status::Unknown("(none)".to_owned()));
        assert_eq!(Order::read(&json!({"status": "active"})), None);
    }

    #[test]
    fn no_text_of_an_order_is_kept_without_end() {
        let long = "x".repeat(1000);
        let order = Order::read(&json!({"id": 7, "client_reference": long})).unwrap();
        assert!(order.client_reference.unwrap().len() <= LONGEST);
        assert_eq!(Order::read(&json!({"id": long})), None);
    }

    #[test]
    fn undocumented_words_are_never_taken_for_an_end() {
        assert_eq!(Status::read("Active"), Status::Active);
        assert_eq!(Status::read("pending"), Status::Pending);
        assert_eq!(
            Status::read("Cancelled"),
            Status::Ended("cancelled".to_owned())
        );
        assert_eq!(
            Status::read("on hold"),
            Status::Unknown("on hold".to_owned())
        );
    }

    #[test]
    fn an_order_is_renewed_no_sooner_than_its_plan_allows() {
        let kind = |renewals, days: i32| order_kind(renewals, "7", DAY * days, Some(DAY * 30));
        let renewed = Ok(OrderKind::Renew("7".to_owned()));
        assert_eq!(kind(RenewalMode::Renew, 30), renewed);
        assert_eq!(kind(RenewalMode::Renew, -3), renewed);
        assert_eq!(kind(RenewalMode::Renew, 31), Err(DAY));
        assert_eq!(kind(RenewalMode::Buy, 90), Ok(OrderKind::Buy));
        assert_eq!(order_kind(RenewalMode::Renew, "7", DAY * 90, None), renewed);
    }

    #[test]
    fn a_reissue_is_used_inside_of_the_term_only() {
        let kind = |days: i32| order_kind(RenewalMode::Reissue, "7", DAY * days, Some(DAY * 30));
        assert_eq!(kind(60), Ok(OrderKind::Reissue("7".to_owned())));
        assert_eq!(kind(30), Ok(OrderKind::Renew("7".to_owned())));
    }
}
