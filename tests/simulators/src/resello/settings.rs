//! The settings with which a simulated purchase API starts: its credentials, plans and prices.

use std::fmt;
use std::net::SocketAddr;

use super::Variants;
use crate::ca::Common;

/// Everything needed to start a [`super::Simulator`].
#[derive(Clone)]
pub struct Settings {
    /// The settings of every CA: address, clock, lifetime, seed. A plan's term may be longer than the lifetime (4.3).
    pub common: Common,
    /// `api_username` (purchase API reference 2).
    pub user: String,
    /// `api_key` (2).
    pub key: String,
    /// The plans of the account (4.4).
    pub plans: Vec<Plan>,
    /// Prepaid money; an order that costs more than is left is refused. guess: prepaid.
    pub balance_cents: u64,
    /// How control over the names is looked at (5).
    pub dcv: Dcv,
    /// Every switch.
    pub variants: Variants,
}

impl Default for Settings {
    /// [`Common::default`], user `renewd`, key `purchase key`, one plan of each kind, 1,000.00.
    fn default() -> Self {
        Self {
            common: Common::default(),
            user: "renewd".to_owned(),
            key: "purchase key".to_owned(),
            plans: vec![
                Plan::domain_validated(),
                Plan::organization_validated(),
                Plan::extended_validated(),
            ],
            balance_cents: 100_000,
            dcv: Dcv::Fake,
            variants: Variants::default(),
        }
    }
}

/// The key stays out of it.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("common", &self.common)
            .field("user", &self.user)
            .field("plans", &self.plans)
            .field("balance_cents", &self.balance_cents)
            .field("dcv", &self.dcv)
            .finish_non_exhaustive()
    }
}

/// How control over a name is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dcv {
    /// In what the test published through [`super::Simulator::publish_dns`] and [`super::Simulator::publish_file`].
    Fake,
    /// Over the network, on loopback.
    Real {
        /// Web server in place of port 80 of every name; the name goes into the Host header.
        http: SocketAddr,
        /// DNS server that is queried for every CNAME, over UDP.
        dns: SocketAddr,
    },
    /// No validation: every name counts as validated at the first look, also names that are validated by mail.
    Granted,
}

/// A product of the shop (4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Its UUID.
    pub id: String,
    /// The name of the plan in the account.
    pub name: String,
    /// For instance Comodo.
    pub brand: String,
    /// What an order of this plan has to prove and to state.
    pub kind: PlanKind,
    /// Price of an order and of each renewal.
    pub price_cents: u64,
    /// Term in months, which this shop counts as 30 days each. guess.
    pub interval_months: u32,
    /// Days before the expiry from which renewal is possible.
    pub renew_days_before_expiration: u32,
    /// Days after the last payment in which a delete is refunded; the field's name on the wire is unknown.
    pub grace_days: u32,
}

impl Plan {
    /// Domain validation, 9.00. Its id is the one of the documentation's sample.
    pub fn domain_validated() -> Self {
        Self {
            id: "3f7830c3-3fa4-404d-908f-35daaa1cd17b".to_owned(),
            name: "PositiveSSL".to_owned(),
            brand: "Comodo".to_owned(),
            kind: PlanKind::DomainValidated,
            price_cents: 900,
            interval_months: 12,
            renew_days_before_expiration: 30,
            grace_days: 15,
        }
    }

    /// Organization validation, 79.00.
    pub fn organization_validated() -> Self {
        Self {
            id: "8a1f0f6e-52a4-4c6b-9d0f-0d4a3f1b7c02".to_owned(),
            name: "InstantSSL".to_owned(),
            kind: PlanKind::OrganizationValidated,
            price_cents: 7_900,
            ..Self::domain_validated()
        }
    }

    /// Extended validation, 199.00.
    pub fn extended_validated() -> Self {
        Self {
            id: "c52e9f57-6f0e-4b8e-8d2b-6a4be7d19a03".to_owned(),
            name: "EV SSL".to_owned(),
            kind: PlanKind::ExtendedValidated,
            price_cents: 19_900,
            ..Self::domain_validated()
        }
    }
}

/// The validation type of a plan's certificates (4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanKind {
    /// DV: control over the names.
    DomainValidated,
    /// OV: also the organization.
    OrganizationValidated,
    /// EV: also the organization, more thoroughly.
    ExtendedValidated,
}
