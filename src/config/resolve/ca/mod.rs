//! `[[ca]]`; one file for each kind of CA.

mod acme;
mod local;

use std::time::Duration;

use jiff::SignedDuration;

use super::{Name, Resolver};
use crate::ca;
use crate::config::written::{self, CaDriver, Placed, default};
use crate::tls::{Anchor, Trust};

impl Resolver<'_> {
    /// One `[[ca]]`.
    pub fn ca(&mut self, written: written::Ca) -> (Option<Name>, Option<ca::Settings>) {
        let name = self.name(written.name.as_ref());
        let value = written.driver.and_then(|driver| match driver.value {
            CaDriver::Local(local) => self.local(*local, name.as_ref()).map(ca::Settings::Local),
            CaDriver::Acme(acme) => self
                .acme(*acme, name.as_ref())
                .map(|settings| ca::Settings::Acme(Box::new(settings))),
        });
        (name, value)
    }

    /// Whom to believe who answers for a CA; a public service shows a certificate of a public CA.
    fn ca_trust(&mut self, written: Option<&Placed<written::Trust>>) -> Option<Trust> {
        match written {
            Some(written) => self.trust(written),
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
