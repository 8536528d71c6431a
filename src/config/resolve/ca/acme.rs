//! `driver.acme`.

use std::ops::Range;

use jiff::SignedDuration;

use crate::ca::acme::{AllowedHost, ExternalAccount, Limit, Limits, Settings};
use crate::config::file_model::{
    self, ALLOW_HINT, AcmeCa, AcmeLimit, AcmeLimits, LIMIT_HINT, Placed, TERMS_HINT,
};
use crate::config::resolve::{Name, Resolver};
use crate::config::values::{self, Wrong};
use crate::seal;

impl Resolver<'_> {
    pub(super) fn acme(&mut self, raw: AcmeCa, name: Option<&Name>) -> Option<Settings> {
        let directory = raw
            .directory
            .and_then(|url| self.parse(&url, values::service_url));
        let allow_hosts = self.allow_hosts(raw.allow_hosts);
        let agreed = self.agreed(raw.terms_of_service_agreed.as_ref());
        let contact = self.contact(raw.contact);
        let validation = raw
            .validation
            .and_then(|validation| self.validation(validation));
        let profile = raw
            .profile
            .and_then(|profile| self.parse(&profile, word("profile = \"classic\"")));
        let external_account = raw
            .external_account
            .map(|account| self.external_account(account.value));
        let account = match &raw.account {
            Some(_) => self.path(raw.account.as_ref()),
            None => name.map(|name| {
                let file = format!("{}.account", name.text);
                self.shared.state_directory.join("acme").join(file)
            }),
        };
        let roots = self.path(raw.roots.as_ref());
        let trust = self.ca_trust(raw.trust.as_ref());
        let timeout = self.ca_timeout(raw.timeout.as_ref());
        let directory = directory?;
        let limits = self.limits(Limits::of(&directory), raw.limits.map(|one| one.value));
        agreed?;
        Some(Settings {
            directory,
            allow_hosts,
            trust: trust?,
            timeout,
            contact,
            account: account?,
            sealing_key: seal::SealingKeyLocation::new(
                self.shared.sealing_key.clone(),
                &self.shared.state_directory,
            ),
            external_account: match external_account {
                Some(account) => Some(account?),
                None => None,
            },
            profile,
            roots,
            validation: validation?,
            limits,
        })
    }

    /// Only the operator can agree, so only the operator's entry counts.
    fn agreed(&mut self, raw: Option<&Placed<bool>>) -> Option<()> {
        let Placed { value, range } = raw?;
        if !value {
            let message =
                "without agreeing to the CA's terms there is no account, and no certificate";
            self.wrong(range, Wrong::new(message, TERMS_HINT));
            return None;
        }
        Some(())
    }

    fn contact(&mut self, raw: Option<Placed<Vec<Placed<String>>>>) -> Vec<String> {
        let addresses = raw.into_iter().flat_map(|list| list.value);
        let mut contact = Vec::new();
        for address in addresses {
            contact.extend(self.parse(&address, |text| {
                values::email(text.strip_prefix("mailto:").unwrap_or(text))
            }));
        }
        contact
    }

    fn allow_hosts(&mut self, raw: Option<Placed<Vec<Placed<String>>>>) -> Vec<AllowedHost> {
        let hosts = raw.into_iter().flat_map(|list| list.value);
        let mut allowed = Vec::new();
        for host in hosts {
            allowed.extend(self.parse(&host, |text| {
                AllowedHost::parse(text).map_err(|words| Wrong::new(words, ALLOW_HINT))
            }));
        }
        allowed
    }

    fn external_account(&mut self, raw: file_model::ExternalAccount) -> Option<ExternalAccount> {
        let key_id = raw
            .key_id
            .and_then(|id| self.parse(&id, word("key_id = \"kid-1\"")));
        let hmac_key = raw.hmac_key.and_then(|key| self.secret(key));
        Some(ExternalAccount {
            key_id: key_id?,
            hmac_key: hmac_key?,
        })
    }

    fn limits(&mut self, published: Limits, raw: Option<AcmeLimits>) -> Limits {
        let Some(raw) = raw else {
            return published;
        };
        let mut limit = |raw: Option<Placed<AcmeLimit>>, published| match raw {
            Some(Placed { value, range }) => self.limit(&value, &range),
            None => published,
        };
        Limits {
            account: limit(raw.account, published.account),
            domain: limit(raw.domain, published.domain),
            names: limit(raw.names, published.names),
        }
    }

    fn limit(&mut self, raw: &AcmeLimit, range: &Range<usize>) -> Option<Limit> {
        let orders = raw.orders.as_ref()?.value;
        if orders == 0 {
            return None;
        }
        let Some(within) = &raw.within else {
            self.lacking(
                range,
                "a limit needs the time that it counts for",
                LIMIT_HINT,
            );
            return None;
        };
        let (shortest, longest) = (
            SignedDuration::from_mins(1),
            SignedDuration::from_hours(90 * 24),
        );
        let within = self.parse(within, |text| values::duration(text, shortest, longest))?;
        Some(Limit { orders, within })
    }
}

/// A word as a CA gives it: not empty, without spaces and control characters.
fn word(example: &'static str) -> impl Fn(&str) -> Result<String, Wrong> {
    move |text| {
        if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let hint = format!("write it as the CA shows it, for example: {example}");
            return Err(Wrong::new(format!("`{text}` cannot be that"), hint));
        }
        Ok(text.to_owned())
    }
}
