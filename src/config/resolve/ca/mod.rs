//! `[[ca]]`; one file for each kind of CA.

mod local;

use super::{Name, Resolver};
use crate::ca;
use crate::config::written::{self, CaDriver};

impl Resolver<'_> {
    /// One `[[ca]]`.
    pub fn ca(&mut self, written: written::Ca) -> (Option<Name>, Option<ca::Settings>) {
        let name = self.name(written.name.as_ref());
        let value = written.driver.and_then(|driver| match driver.value {
            CaDriver::Local(local) => self.local(local, name.as_ref()).map(ca::Settings::Local),
        });
        (name, value)
    }
}
