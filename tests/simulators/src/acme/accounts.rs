//! Accounts (RFC 8555 7.3): made once per key, looked up, changed, deactivated.

use serde_json::{Value, json};

use super::call::AcmeCall;
use super::jws::{Jwk, Jws};
use super::wire::{Handled, Problem};
use super::{Acme, ProblemType};
use crate::ca::{Office, Reply};

/// An account.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) key: Jwk,
    pub(super) status: Status,
    pub(super) contact: Vec<String>,
    /// The account with the CA that it is bound to.
    pub(super) external: Option<String>,
}

/// 7.1.6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// May order.
    Valid,
    /// Permanently without rights.
    Deactivated,
    /// The server has lost it.
    Forgotten,
}

impl Acme {
    /// 7.3: `POST newAccount`; a key that has an account already gets that one.
    pub(super) fn new_account(&mut self, office: &mut Office, call: &AcmeCall) -> Handled {
        if call.account.is_some() {
            return Err(Problem::malformed("newAccount is signed with jwk"));
        }
        let body = call.json()?;
        if let Some(index) = self.account_of(&call.key) {
            self.signing_account(index)?;
            return Ok(self.account_reply(call, index, 200));
        }
        if body["onlyReturnExisting"] == json!(true) {
            let missing = "no account has this key";
            return Err(Problem::new(ProblemType::AccountDoesNotExist, missing));
        }
        if let Some(kind) = self.variants.new_account_refused {
            return Err(Problem::asked_for(kind, self.variants.refused_retry_after));
        }
        if self.variants.terms_required && body["termsOfServiceAgreed"] != json!(true) {
            // guess: 7.3 demands the refusal and names no type for it.
            let terms = format!("agree to {} first", self.settings.terms);
            return Err(Problem::new(ProblemType::UserActionRequired, terms));
        }
        let account = Account {
            id: office.rng.hex(1),
            key: call.key.clone(),
            status: Status::Valid,
            contact: contact(&body)?.unwrap_or_default(),
            external: self
                .external_account(call, &body)
                .inspect_err(|_| office.counters.credentials_refused += 1)?,
        };
        self.accounts.push(account);
        Ok(self.account_reply(call, self.accounts.len() - 1, 201))
    }

    /// 7.3.2, 7.3.6: `POST account/{id}`.
    pub(super) fn account(&mut self, call: &AcmeCall, id: &str) -> Handled {
        let index = self.own_account(call, id)?;
        if !call.is_get() {
            let body = call.json()?;
            let contact = contact(&body)?;
            if let Some(account) = self.accounts.get_mut(index) {
                account.contact = contact.unwrap_or_else(|| account.contact.clone());
                if body["status"] == "deactivated" {
                    account.status = Status::Deactivated;
                }
            }
        }
        Ok(self.account_reply(call, index, 200))
    }

    /// 7.1.2.1: `POST account/{id}/orders`.
    pub(super) fn orders_of_account(&self, call: &AcmeCall, id: &str) -> Handled {
        let index = self.own_account(call, id)?;
        call.must_be_get()?;
        let urls: Vec<String> = self
            .orders
            .iter()
            .filter(|order| order.account == index)
            .map(|order| format!("{}/order/{}", call.base, order.id))
            .collect();
        Ok(Reply::json(200, &json!({"orders": urls})))
    }

    pub(super) fn account_index(&self, id: &str) -> Option<usize> {
        self.accounts
            .iter()
            .position(|account| account.id == id && account.status != Status::Forgotten)
    }

    fn account_of(&self, key: &Jwk) -> Option<usize> {
        self.accounts
            .iter()
            .position(|account| account.key == *key && account.status != Status::Forgotten)
    }

    fn own_account(&self, call: &AcmeCall, id: &str) -> Result<usize, Problem> {
        let index = call.account()?;
        if self.account_index(id) == Some(index) {
            Ok(index)
        } else {
            Err(Problem::new(
                ProblemType::Unauthorized,
                "this is the account of somebody else",
            ))
        }
    }

    /// 7.3.4: signed with the MAC key of an account with the CA, over the key of the ACME account, for the same URL.
    fn external_account(&self, call: &AcmeCall, body: &Value) -> Result<Option<String>, Problem> {
        let Some(binding) = body.get("externalAccountBinding") else {
            return if self.variants.external_account_required {
                Err(Problem::new(
                    ProblemType::ExternalAccountRequired,
                    "an account with the CA must be bound",
                ))
            } else {
                Ok(None)
            };
        };
        let jws = Jws::read(binding)?;
        let known = self
            .settings
            .external_accounts
            .iter()
            .find(|known| Some(known.kid.as_str()) == jws.header("kid"))
            .ok_or_else(|| Problem::new(ProblemType::Unauthorized, "the kid is not known"))?;
        jws.verify_mac(&known.key)?;
        let bound = serde_json::from_slice(&jws.payload)
            .map_err(|error| Problem::malformed(format!("the bound key: {error}")))?;
        if Jwk::read(&bound)? != call.key {
            return Err(Problem::malformed("another key is bound"));
        }
        if jws.header("url") != Some(&call.url) || jws.header("nonce").is_some() {
            return Err(Problem::malformed(
                "a binding has the url of its request, and no nonce",
            ));
        }
        Ok(Some(known.kid.clone()))
    }

    /// 7.1.2.
    fn account_reply(&self, call: &AcmeCall, index: usize, status: u16) -> Reply {
        let Some(account) = self.accounts.get(index) else {
            return Problem::not_found("the account").into();
        };
        let url = format!("{}/account/{}", self.links(call), account.id);
        let word = match account.status {
            Status::Valid => "valid",
            Status::Deactivated | Status::Forgotten => "deactivated",
        };
        let body = self.decorated(json!({
            "status": word,
            "contact": account.contact,
            "termsOfServiceAgreed": true,
            "orders": format!("{url}/orders"),
        }));
        Reply::json(status, &body).header("Location", &url)
    }
}

/// 7.3: URLs; only mail addresses are supported here.
fn contact(body: &Value) -> Result<Option<Vec<String>>, Problem> {
    let Some(list) = body.get("contact").filter(|list| !list.is_null()) else {
        return Ok(None);
    };
    let urls: Option<Vec<String>> = list
        .as_array()
        .map(|list| {
            list.iter()
                .map(|url| url.as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default();
    let urls = urls.ok_or_else(|| Problem::malformed("contact is a list of URLs"))?;
    match urls.iter().find(|url| !url.starts_with("mailto:")) {
        Some(url) => Err(Problem::new(
            ProblemType::UnsupportedContact,
            format!("{url} is not a mail address"),
        )),
        None => Ok(Some(urls)),
    }
}
