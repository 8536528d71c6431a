//! `driver.local`.

use crate::ca::local::{Purpose, Settings};
use crate::config::resolve::{Name, Resolver};
use crate::config::values;
use crate::config::written::{self, LocalCa, default};

impl Resolver<'_> {
    pub(super) fn local(&mut self, written: LocalCa, name: Option<&Name>) -> Option<Settings> {
        let certificate = self.path(written.certificate.as_ref());
        let key = written
            .key
            .and_then(|key| self.path(key.value.file.as_ref()));
        let issued = self.path(written.issued.as_ref());
        let mut permitted_domains = Vec::new();
        for domain in written
            .permitted_domains
            .into_iter()
            .flat_map(|list| list.value)
        {
            permitted_domains.extend(self.parse(&domain, |text| {
                values::domain(text.trim_start_matches("*.").trim_start_matches('.'))
            }));
        }
        Some(Settings {
            certificate: certificate?,
            key: key?,
            issued: match issued {
                Some(folder) => folder,
                None => self.shared.state_directory.join("ca").join(&*name?.text),
            },
            lifetime_days: written
                .lifetime_days
                .map_or(default::LIFETIME_DAYS, |days| days.value),
            purposes: written.purposes.map_or_else(
                || vec![Purpose::ServerAuth],
                |purposes| {
                    purposes
                        .value
                        .iter()
                        .map(|purpose| purpose.value.into())
                        .collect()
                },
            ),
            permitted_domains,
        })
    }
}

impl From<written::Purpose> for Purpose {
    fn from(written: written::Purpose) -> Self {
        match written {
            written::Purpose::ServerAuth => Self::ServerAuth,
            written::Purpose::ClientAuth => Self::ClientAuth,
            written::Purpose::IpsecIke => Self::IpsecIke,
        }
    }
}
