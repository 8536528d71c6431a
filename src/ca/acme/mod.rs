//! ACME (RFC 8555), as Let's Encrypt, step-ca, ZeroSSL and many others speak it, with renewal windows (RFC 9773).
//!
//! Only the URL of an order is stored. An order costs nothing until it is finalized, and a finalized one is found again
//! under its URL, so a lost answer never costs a second certificate.
//!
//! The protocol is implemented here and not by a client library, because such libraries hide what a daemon depends on.
//! The account's key must be on disk before it is registered, also with an external account binding. An accepted order
//! must not be lost because its answer lacks a member. An unknown status must be waited out. Retry-After and the page
//! that an operator must visit must reach the renewal engine.

mod account;
mod challenge;
mod directory;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hosts;
mod jws;
mod limits;
mod names;
mod object;
mod order;
mod problem;
mod record;
mod renewal_info;
mod session;
mod settings;

#[cfg(test)]
mod tests;

pub use hosts::AllowedHost;
pub(super) use record::{display, is_same_order};
pub use settings::{ExternalAccount, Limit, Limits, Settings};

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::http::{Http, Response};
use super::{Exchange, Issuance, Issuer, PreparedOrder, Reference, RenewalInfo, SigningRequest};
use crate::dcv::Validator;
use crate::env::Env;
use crate::failure::Failure;
use crate::inventory::RateLimit;
use crate::pki::{Certificate, CertificateFile, KeyRequest, certificates_of_file};
use account::Account;
use challenge::Proofs;
use directory::Directory;
use order::OrderCheck;
use problem::Refusal;
use record::Record;
use session::Session;

/// A CA that is reached by ACME.
#[derive(Debug)]
pub struct Acme {
    settings: Settings,
    env: Env,
    validator: Validator,
}

impl Acme {
    /// A driver for `settings`; nothing is read or sent yet.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self {
            validator: Validator::new(settings.validation.clone(), env.clone()),
            settings,
            env,
        }
    }

    /// The key of an outside account is never sent, but the CA has it and may name it; an account that is made already
    /// does without it.
    fn http(&self) -> Result<Http, Failure> {
        let http = Http::new(&self.settings.trust, self.settings.timeout)?;
        let external = self.settings.external_account.as_ref();
        let key = external.and_then(|account| account.hmac_key.read().ok());
        Ok(match key {
            Some(key) => http.hiding(key),
            None => http,
        })
    }

    async fn directory(&self, http: &Http) -> Result<Arc<Directory>, Failure> {
        let now = self.env.clock.now();
        Directory::fetch(http, &self.settings, now)
            .await
            .map(Arc::new)
    }

    /// A session under the account, which is made where there is none.
    async fn session(&self) -> Result<Session, Failure> {
        let http = self.http()?;
        let directory = self.directory(&http).await?;
        self.session_at(http, directory).await
    }

    async fn session_at(&self, http: Http, directory: Arc<Directory>) -> Result<Session, Failure> {
        let account = self.with_file(Account::read_or_make).await?;
        let url = account.url(&self.settings.directory).map(str::to_owned);
        let has_reported = account.has_reported(&self.settings);
        let now = self.env.clock.now();
        let mut session = Session::new(http, directory, account.key, now);
        match url {
            Some(url) if has_reported => session.account = Some(url),
            Some(url) => {
                session.account = Some(url.clone());
                account::update(&mut session, &self.settings).await?;
                self.remember(url).await?;
            }
            None => {
                let url = account::register(&mut session, &self.settings).await?;
                self.remember(url.clone()).await?;
                session.account = Some(url);
            }
        }
        Ok(session)
    }

    async fn remember(&self, url: String) -> Result<(), Failure> {
        self.with_file(move |settings, env| {
            let mut account = Account::read_or_make(settings, env)?;
            account.remember(settings, url, env)
        })
        .await
    }

    /// Runs `work`, which reads and writes files, on a thread where it may block.
    async fn with_file<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Settings, &Env) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let settings = self.settings.clone();
        let env = self.env.clone();
        tokio::task::spawn_blocking(move || work(&settings, &env))
            .await
            .unwrap_or_else(|error| Err(Failure::local("ACME account", error)))
    }

    /// Adds the roots of the settings to a chain.
    async fn with_roots(&self, issuance: Issuance) -> Result<Issuance, Failure> {
        match (issuance, self.settings.roots.clone()) {
            (Issuance::Issued { leaf, mut chain }, Some(path)) => {
                chain.extend(self.with_file(move |_, _| roots(&path)).await?);
                Ok(Issuance::Issued { leaf, chain })
            }
            (issuance, _) => Ok(issuance),
        }
    }

    /// The order, and what replaces what, as far as the CA wants to know it.
    fn payload(&self, request: &SigningRequest, directory: &Directory) -> Result<Value, Failure> {
        let mut payload = json!({ "identifiers": names::identifiers(&request.csr)? });
        if let Some(profile) = &self.settings.profile {
            payload["profile"] = json!(profile);
        }
        let replaced = request
            .previous
            .as_ref()
            .filter(|previous| previous.order.is_some() && directory.renewal_info.is_some())
            .and_then(|previous| renewal_info::identifier(&previous.certificate.der));
        if let Some(identifier) = replaced {
            payload[REPLACES] = json!(identifier);
        }
        Ok(payload)
    }

    /// Places an order, which is a URL and nothing more until it is driven on.
    async fn place(
        &self,
        http: Http,
        directory: Arc<Directory>,
        mut payload: Value,
    ) -> Result<Reference, Failure> {
        let session = self.session_at(http, directory).await;
        let mut session = session.map_err(Failure::before_request)?;
        let url = session.directory.new_order.clone();
        let answer = match session.post(&url, &payload).await {
            Err(refusal) if payload.get(REPLACES).is_some() && may_be_for_replacing(&refusal) => {
                tracing::info!(reason = %refusal.failure, "the CA takes no order that replaces this certificate; ordered without saying so");
                payload.as_object_mut().map(|order| order.remove(REPLACES));
                session.post(&url, &payload).await
            }
            other => other,
        };
        let order = session::location(&answer?, &url)?;
        session.directory.hosts.check("the order", &order)?;
        let directory = self.settings.directory.clone();
        Ok(Record::new(order, directory).to_reference())
    }
}

#[async_trait]
impl Issuer for Acme {
    /// Compares the request with the directory. If there is no problem, checks whether proofs could be published: a
    /// refused DNS login is reported before a key is generated, and not after an order.
    async fn preflight(&self, wanted: &KeyRequest) -> Result<Vec<String>, Failure> {
        let directory = self.directory(&self.http()?).await?;
        let method = self.validator.method();
        let mut problems = names::preflight(wanted, &self.settings, method, &directory);
        // Needed only when the certificate is there, which is too late to find out.
        if let Some(path) = self.settings.roots.clone()
            && let Err(failure) = self.with_file(move |_, _| roots(&path)).await
        {
            problems.push(failure.to_string());
        }
        if problems.is_empty() {
            for identifier in names::sorted(wanted.host_names().into_iter()) {
                challenge::rehearse(&self.validator, &identifier).await?;
            }
        }
        Ok(problems)
    }

    /// The order as it will be placed. An account is made only when one is placed.
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure> {
        let http = self.http()?;
        let directory = self.directory(&http).await?;
        let payload = self.payload(request, &directory)?;
        Ok(PreparedOrder::new(self.place(http, directory, payload)))
    }

    /// Always `None`: ACME cannot search for an order. One whose URL was lost is never finalized, costs nothing, and
    /// expires by itself.
    async fn find(&self, _request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        Ok(None)
    }

    /// An order that fails before it is finalized, as those do whose proof is not seen, had no certificate and costs nothing
    /// anywhere: it is common, and the limits of the CA bound it. One that is finalized has a certificate, which a commercial
    /// server may charge.
    fn may_have_cost(&self, order: &Reference) -> bool {
        Record::read(order).is_ok_and(|record| record.finalized)
    }

    async fn poll(&self, order: &Reference, request: &SigningRequest) -> Result<Issuance, Failure> {
        self.follow(order, request)
            .await
            .map(|(issuance, _)| issuance)
    }

    async fn follow(
        &self,
        order: &Reference,
        request: &SigningRequest,
    ) -> Result<(Issuance, Option<Reference>), Failure> {
        let mut record = Record::read(order)?;
        if !record.is_of(&self.settings.directory) {
            let reason = format!(
                "{} was ordered at another CA than `directory` names now",
                record.order
            );
            let retry_after = None;
            return Ok((
                Issuance::Void {
                    reason,
                    retry_after,
                },
                None,
            ));
        }
        let names = names::identifiers(&request.csr)?;
        let mut session = self.session().await?;
        let look = OrderCheck {
            session: &mut session,
            proofs: Proofs {
                validator: &self.validator,
            },
            request,
            names: &names,
            unknown_since: record.unknown_since.take(),
            record: &mut record,
        };
        let issuance = look.drive().await?;
        let reference = Some(record.to_reference()).filter(|reference| reference != order);
        Ok((self.with_roots(issuance).await?, reference))
    }

    fn rate_limits(&self, request: &SigningRequest, now: Timestamp) -> Vec<RateLimit> {
        // A request without names is refused by `submit`.
        let names = names::identifiers(&request.csr).unwrap_or_default();
        limits::of(&self.settings.limits, &names, request, now)
    }

    fn offers_windows(&self) -> bool {
        true
    }

    async fn renewal_window(&self, certificate: &Certificate) -> Result<RenewalInfo, Failure> {
        let http = self.http()?;
        let directory = self.directory(&http).await?;
        let Some(service) = &directory.renewal_info else {
            return Ok(RenewalInfo {
                ask_again: Some(UNTIL_OFFERED),
                ..RenewalInfo::default()
            });
        };
        let Some(identifier) = renewal_info::identifier(&certificate.der) else {
            return Ok(RenewalInfo::default());
        };
        let now = self.env.clock.now();
        renewal_info::ask(&http, service, &identifier, now).await
    }

    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        let http = self.http()?;
        let directory = self.directory(&http).await?;
        let mut facts = self.facts(&directory);
        facts.push((
            "account".to_owned(),
            self.account_fact(http, directory).await?,
        ));
        facts.extend(self.validator.check().await?);
        Ok(facts)
    }

    async fn probe(&self) -> Result<Vec<Exchange>, Failure> {
        let answer = directory::fetch(&self.http()?, &self.settings).await?;
        Ok(vec![exchange(&answer)])
    }
}

impl Acme {
    /// The directory's metadata for display.
    fn facts(&self, directory: &Directory) -> Vec<(String, String)> {
        let meta = &directory.meta;
        let profiles: Vec<&str> = meta.profiles.iter().map(String::as_str).collect();
        let external = match (
            meta.external_account_required,
            &self.settings.external_account,
        ) {
            (true, None) => "wanted by the CA, but not set",
            (true, Some(_)) => "wanted by the CA, and set",
            (false, None) => "not wanted",
            (false, Some(_)) => "set, though the CA does not ask for it",
        };
        let windows = match &directory.renewal_info {
            Some(_) => "offered (RFC 9773)",
            None => "not offered",
        };
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            fact("directory", self.settings.directory.as_str()),
            fact(
                "terms of service",
                meta.terms_of_service.as_deref().unwrap_or("none named"),
            ),
            fact(
                "profiles",
                &if profiles.is_empty() {
                    "none".to_owned()
                } else {
                    profiles.join(", ")
                },
            ),
            fact("renewal windows", windows),
            fact("external account", external),
        ]
    }

    /// The state of the account; none is created.
    async fn account_fact(&self, http: Http, directory: Arc<Directory>) -> Result<String, Failure> {
        let account = self.with_file(Account::read).await?;
        let Some((account, url)) = account.and_then(|account| {
            let url = account.url(&self.settings.directory)?.to_owned();
            Some((account, url))
        }) else {
            return Ok("none yet: it is made with the first order".to_owned());
        };
        let now = self.env.clock.now();
        let mut session = Session::new(http, directory, account.key, now);
        session.account = Some(url.clone());
        let status = account::status(&mut session).await?;
        Ok(format!("{url}: {status}"))
    }
}

/// The certificates of a file.
fn roots(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let problem =
        |problem: String| Failure::local("roots", format!("{}: {problem}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| problem(error.to_string()))?;
    certificates_of_file(&bytes)
        .and_then(CertificateFile::whole)
        .map_err(|error| problem(error.to_string()))
}

/// A CA that does not like what `replaces` says refuses the whole order (CA rules reference 5).
fn may_be_for_replacing(refusal: &Refusal) -> bool {
    let is_other = ["rateLimited", "accountDoesNotExist", "userActionRequired"];
    (400..500).contains(&refusal.status)
        && refusal.status != 429
        && !is_other.contains(&refusal.problem.name())
}

fn exchange(answer: &Response) -> Exchange {
    Exchange {
        call: answer.call.clone(),
        answer: format!("HTTP {}: {}", answer.status, answer.excerpt(LONGEST_SHOWN)),
    }
}

/// Characters of an answer that is printed as it is.
const LONGEST_SHOWN: usize = 4000;
/// The certificate whose place the ordered one takes (RFC 9773, 5).
const REPLACES: &str = "replaces";
/// A CA that names no windows today may do so some day.
const UNTIL_OFFERED: SignedDuration = SignedDuration::from_hours(24);
