//! The account's money and the other counters of a shop.

use time::{Duration, OffsetDateTime};

use super::settings::Plan;
use super::wire::Refusal;
use crate::ca::Office;

/// Totals since the start, in cents where money is meant, beside [`crate::ca::Counters`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The rest of the prepaid money.
    pub balance_cents: u64,
    /// Money taken, including later refunds.
    pub charged_cents: u64,
    /// Money given back.
    pub refunded_cents: u64,
    /// New orders.
    pub bought: u64,
    /// Renewals.
    pub renewed: u64,
    /// Reissues: free, and each killed a certificate.
    pub reissued: u64,
    /// Orders deleted.
    pub deleted: u64,
}

/// One payment for one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Payment {
    pub(super) cents: u64,
    at: OffsetDateTime,
}

impl Ledger {
    /// Takes the price of a plan. guess: an account without enough money is refused before anything happens.
    pub(super) fn charge(&mut self, office: &mut Office, plan: &Plan) -> Result<Payment, Refusal> {
        let cents = plan.price_cents;
        self.balance_cents = self.balance_cents.checked_sub(cents).ok_or_else(|| {
            Refusal::new(
                402,
                "insufficient_funds",
                "The balance of the account is too low.",
            )
        })?;
        self.charged_cents += cents;
        office.counters.spent_cents += cents;
        Ok(Payment {
            cents,
            at: office.now(),
        })
    }

    /// Gives a payment back inside of the plan's grace period (4); whether it did.
    pub(super) fn refund(&mut self, office: &mut Office, plan: &Plan, payment: Payment) -> bool {
        let until = payment.at + Duration::days(i64::from(plan.grace_days));
        if office.now() > until {
            return false;
        }
        self.balance_cents += payment.cents;
        self.refunded_cents += payment.cents;
        office.counters.spent_cents -= payment.cents.min(office.counters.spent_cents);
        true
    }
}
