//! Facts for the operator: the account, its expiry, and what the template allows.

use jiff::{SignedDuration, Timestamp};

use super::VenafiCa;
use super::api::{Session, host};
use super::rules;
use super::settings::{Login, Settings};
use super::wire::{self, Template, UserAccount};
use crate::failure::{Failure, FailureKind};

type Facts = Vec<(String, String)>;

impl Session<'_> {
    /// Checks account, application and template.
    pub async fn facts(&self, ca: &VenafiCa) -> Result<Facts, Failure> {
        let mut facts = vec![fact("service", host(&ca.settings.url))];
        facts.extend(self.account(ca).await?);
        let ids = self.ids(&ca.settings).await?;
        facts.push(fact("application id", ids.application));
        facts.push(fact("template id", ids.template));
        match self.rules(&ca.settings).await? {
            Some(template) => facts.extend(of_template(&template)),
            None => facts.push(fact(
                "template rules",
                "not readable with this account: a request is first checked when it is placed",
            )),
        }
        facts.push(fact("validity asked for", asked(&ca.settings)));
        Ok(facts)
    }

    async fn account(&self, ca: &VenafiCa) -> Result<Facts, Failure> {
        let account = match self.get::<UserAccount>(&["v1", "useraccounts"]).await {
            Ok(account) => account,
            // Whether a service account has such a page is not documented; its token was accepted to come here.
            Err(failure) => {
                return match &ca.settings.login {
                    Login::ServiceAccount { id, .. } if failure.kind == FailureKind::Refused => {
                        Ok(vec![fact("service account", id)])
                    }
                    _ => Err(failure),
                };
            }
        };
        Ok(of_account(&account, ca.now()))
    }
}

fn of_account(account: &UserAccount, now: Timestamp) -> Facts {
    let user = account
        .user
        .as_ref()
        .and_then(|user| user.username.as_ref().or(user.email_address.as_ref()));
    let key = account.api_key.as_ref();
    let owner = user.or_else(|| key?.username.as_ref());
    let company = account.company.as_ref().and_then(|c| c.name.as_ref());
    let ends = key.and_then(|key| key.validity_end_date.as_deref());
    let mut facts = Vec::new();
    facts.extend(owner.map(|owner| fact("user", owner)));
    facts.extend(company.map(|company| fact("company", company)));
    facts.extend(ends.map(|ends| fact("API key ends", key_end(ends, now))));
    facts
}

/// The key's last day, with a warning where it is near.
fn key_end(text: &str, now: Timestamp) -> String {
    let Some(end) = wire::moment(text) else {
        return text.to_owned();
    };
    let left = now.duration_until(end);
    let days = left.as_hours() / 24;
    if left <= SignedDuration::ZERO {
        format!("{end:.0}: it has ended; make a new key")
    } else if left < NEAR {
        format!(
            "{end:.0}, in {days} days: make a new key soon, both are good until the old one ends"
        )
    } else {
        format!("{end:.0}, in {days} days")
    }
}

fn of_template(template: &Template) -> Facts {
    let mut facts = vec![fact("template", &template.name)];
    let reason = template.reason.as_ref().filter(|reason| !reason.is_empty());
    let status = match reason {
        Some(reason) => format!("{}: {reason}", template.status),
        None => template.status.clone(),
    };
    facts.push(fact("template status", status));
    let authority = template.certificate_authority.as_ref();
    facts.extend(authority.map(|authority| fact("CA behind it", authority)));
    let validity = template
        .product
        .as_ref()
        .and_then(|product| product.validity_period.as_ref());
    let validity = validity.or(template.validity_period.as_ref());
    facts.extend(validity.map(|validity| fact("template validity", validity)));
    facts.extend(
        template
            .csr_upload_allowed
            .map(|allowed| fact("CSR upload", yes(allowed))),
    );
    facts.extend(
        template
            .key_reuse
            .map(|allowed| fact("key reuse", yes(allowed))),
    );
    facts.extend(rules::keys_in_words(template).map(|kinds| fact("keys", kinds)));
    for (name, list) in [
        ("common names", &template.subject_cn_regexes),
        ("alternate domains", &template.san_regexes),
        ("alternate addresses", &template.san_ip_address_regexes),
        (
            "alternate mail addresses",
            &template.san_rfc822_name_regexes,
        ),
        ("organizations", &template.subject_o_regexes),
        ("departments", &template.subject_ou_regexes),
    ] {
        facts.extend(list.as_ref().map(|list| fact(name, allowed(list))));
    }
    for text in rules::unreadable(template) {
        facts.push(fact("not understood, left to the service", text));
    }
    facts
}

fn asked(settings: &Settings) -> String {
    match settings.validity_days {
        Some(days) => format!("{days} days"),
        None => "that of the template".to_owned(),
    }
}

fn allowed(list: &[String]) -> String {
    match list {
        [] => "none".to_owned(),
        list => list.join("  or  "),
    }
}

fn yes(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "not allowed" }
}

fn fact(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// Long enough for an operator to be back from holiday.
const NEAR: SignedDuration = SignedDuration::from_hours(30 * 24);
