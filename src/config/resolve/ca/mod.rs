//! `[[ca]]`; one file for each kind of CA.

mod acme;
mod exec;
mod local;
mod pam360;
mod resello;
mod venafi;

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use super::Resolver;
use crate::ca;
use crate::config::file_model::{self, CaDriver, OneOrMany, OrderBudget, Placed, default};
use crate::config::resolve::fleet::DraftCa;
use crate::inventory::Budget;
use crate::tls::{Anchor, Trust};

impl Resolver<'_> {
    /// One `[[ca]]`.
    pub fn ca(&mut self, mut raw: file_model::Ca) -> DraftCa {
        let name = self.name(raw.name.as_ref());
        let budget = raw
            .driver
            .as_mut()
            .and_then(|driver| order_budget(&mut driver.value));
        let budget = budget.map(|budget| self.order_budget(Some(budget.value)));
        let value = raw.driver.and_then(|driver| match driver.value {
            CaDriver::Local(local) => self.local(*local, name.as_ref()).map(ca::Settings::Local),
            CaDriver::Exec(exec) => self
                .exec(*exec, name.as_ref())
                .map(|settings| ca::Settings::Exec(Box::new(settings))),
            CaDriver::Venafi(venafi) => self
                .venafi(*venafi, &driver.range)
                .map(|settings| ca::Settings::Venafi(Box::new(settings))),
            CaDriver::Pam360(pam360) => self
                .pam360(*pam360)
                .map(|settings| ca::Settings::Pam360(Box::new(settings))),
            CaDriver::Acme(acme) => self
                .acme(*acme, name.as_ref())
                .map(|settings| ca::Settings::Acme(Box::new(settings))),
            CaDriver::Resello(resello) => self
                .resello(*resello, &driver.range)
                .map(|settings| ca::Settings::Resello(Box::new(settings))),
        });
        let chain_roots = match raw.chain_roots {
            Some(files) => self.files(files),
            None => Vec::new(),
        };
        DraftCa {
            name,
            value,
            budget,
            chain_roots,
        }
    }

    /// One file or several; each must be named.
    fn files(&mut self, raw: Placed<OneOrMany>) -> Vec<PathBuf> {
        let texts = match raw.value {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(texts) => texts,
        };
        let place = |value| Placed {
            value,
            range: raw.range.clone(),
        };
        // No file would mean no check, which an operator who wrote the key does not want.
        let texts = if texts.is_empty() {
            vec![String::new()]
        } else {
            texts
        };
        texts
            .into_iter()
            .filter_map(|text| self.path(Some(&place(text))))
            .collect()
    }

    /// What is written for it, or what is left out of it.
    fn order_budget(&mut self, raw: Option<OrderBudget>) -> Budget {
        let (orders, within) = match raw {
            Some(raw) => (raw.orders, raw.within),
            None => (None, None),
        };
        let limits = (
            SignedDuration::from_hours(1),
            SignedDuration::from_hours(366 * 24),
        );
        Budget {
            orders: orders.map_or(default::ORDERS, |orders| orders.value),
            within: self.duration_or(within.as_ref(), default::ORDERS_WITHIN, limits),
        }
    }

    /// How the certificate of a CA's server is verified. A public service has a certificate of a public CA.
    fn ca_trust(&mut self, raw: Option<&Placed<file_model::Trust>>) -> Option<Trust> {
        match raw {
            Some(raw) => self.trust(raw),
            None => Some(Trust {
                anchor: Anchor::System,
                server_name: None,
            }),
        }
    }

    /// The limit of one exchange with a CA.
    fn ca_timeout(&mut self, key: Option<&Placed<String>>) -> Duration {
        self.timeout(key, default::CA_TIMEOUT, SignedDuration::from_mins(10))
    }
}

/// The budget of every kind of CA but the one that sells certificates: its driver has a default of its own.
fn order_budget(driver: &mut CaDriver) -> Option<Placed<OrderBudget>> {
    match driver {
        CaDriver::Local(raw) => raw.order_budget.take(),
        CaDriver::Exec(raw) => raw.order_budget.take(),
        CaDriver::Venafi(raw) => raw.order_budget.take(),
        CaDriver::Pam360(raw) => raw.order_budget.take(),
        CaDriver::Acme(raw) => raw.order_budget.take(),
        CaDriver::Resello(_) => None,
    }
}
