//! `driver.venafi`.

use std::ops::Range;

use crate::ca::venafi::{Login, Settings, Target};
use crate::config::file_model::{Identifier, Named, Placed, ServiceAccount, VenafiCa, default};
use crate::config::resolve::Resolver;
use crate::config::values::{self, Wrong};

impl Resolver<'_> {
    pub(super) fn venafi(&mut self, raw: VenafiCa, range: &Range<usize>) -> Option<Settings> {
        let url = self.parse_or(raw.url.as_ref(), default::VENAFI_URL, values::service_url);
        let login = self.venafi_login(raw.api_key, raw.service_account, range);
        let application = self.target(raw.application.as_ref());
        let template = self.target(raw.template.as_ref());
        let tags = raw.tags.map(|tags| self.tags(&tags.value));
        let trust = self.ca_trust(raw.trust.as_ref());
        let timeout = self.ca_timeout(raw.timeout.as_ref());
        Some(Settings {
            url: url?,
            login: login?,
            application: application?,
            template: template?,
            validity_days: raw.validity_days.map(|days| days.value),
            tags,
            include_root: raw.include_root.is_some_and(|root| root.value),
            decommission_superseded: raw.decommission_superseded.is_some_and(|raw| raw.value),
            trust: trust?,
            timeout,
        })
    }

    fn venafi_login(
        &mut self,
        api_key: Option<Placed<crate::config::file_model::Secret>>,
        account: Option<Placed<ServiceAccount>>,
        range: &Range<usize>,
    ) -> Option<Login> {
        match (api_key, account) {
            (Some(key), None) => self.secret(key).map(Login::ApiKey),
            (None, Some(account)) => self.service_account(account.value),
            (Some(_), Some(account)) => {
                let message = "`api_key` and `service_account` exclude each other";
                self.wrong(&account.range, Wrong::new(message, LOGIN_HINT));
                None
            }
            (None, None) => {
                self.lacking(range, "no login is configured", LOGIN_HINT);
                None
            }
        }
    }

    fn service_account(&mut self, raw: ServiceAccount) -> Option<Login> {
        let id = raw.id.and_then(|id| self.parse(&id, identifier));
        let jwt = raw.jwt.and_then(|jwt| self.secret(jwt));
        Some(Login::ServiceAccount { id: id?, jwt: jwt? })
    }

    fn target(&mut self, raw: Option<&Placed<Named>>) -> Option<Target> {
        let Placed { value, range } = raw?;
        match value {
            Named::Id(Identifier::Id(id)) => match identifier(id) {
                Ok(id) => Some(Target::Id(id)),
                Err(wrong) => {
                    self.wrong(range, wrong);
                    None
                }
            },
            Named::Name(name) if name.trim().is_empty() => {
                let hint = "write its name, or { id = \"…\" }";
                self.wrong(range, Wrong::new("a name is missing", hint));
                None
            }
            Named::Name(name) => Some(Target::Name(name.clone())),
        }
    }

    fn tags(&mut self, raw: &[Placed<String>]) -> Vec<String> {
        let tag = |text: &str| {
            let hint = "for example: tags = [\"env:prod\"]";
            let is_empty = text.trim().is_empty();
            (!is_empty)
                .then(|| text.to_owned())
                .ok_or_else(|| Wrong::new("a tag is empty", hint))
        };
        let read = raw.iter().filter_map(|text| self.parse(text, tag));
        read.collect()
    }
}

/// An id stands in a path.
fn identifier(text: &str) -> Result<String, Wrong> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is not an id"),
        "an id looks like \"45d06980-ae82-11eb-9702-4fa2482840bf\"",
    ))
}

const LOGIN_HINT: &str = "write either api_key = { credential = \"venafi\" } or service_account = { id = \"…\", jwt = { file = \"…\" } }";
