//! `driver.local`.

use crate::ca::local::{Purpose, Settings};
use crate::config::file_model::{self, LocalCa, default};
use crate::config::resolve::{Name, Resolver};
use crate::config::values;

impl Resolver<'_> {
    pub(super) fn local(&mut self, raw: LocalCa, name: Option<&Name>) -> Option<Settings> {
        let certificate = self.path(raw.certificate.as_ref());
        let key = raw.key.and_then(|key| self.path(key.value.file.as_ref()));
        let issued = self.path(raw.issued.as_ref());
        let mut permitted_domains = Vec::new();
        for domain in raw
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
            lifetime_days: raw
                .lifetime_days
                .map_or(default::LIFETIME_DAYS, |days| days.value),
            purposes: raw.purposes.map_or_else(
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

impl From<file_model::Purpose> for Purpose {
    fn from(raw: file_model::Purpose) -> Self {
        match raw {
            file_model::Purpose::ServerAuth => Self::ServerAuth,
            file_model::Purpose::ClientAuth => Self::ClientAuth,
            file_model::Purpose::IpsecIke => Self::IpsecIke,
        }
    }
}
