//! The interface of a certificate authority, and its drivers.
//!
//! A driver does not retry and does not wait. Placing an order may cost money: the engine stores an intent between
//! `prepare` and `place`, and asks `find` before it places again.

pub mod acme;
pub mod dry_run;
pub mod exec;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http;
pub mod local;
pub mod pam360;
pub mod resello;
pub mod venafi;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};

pub use file::read_certificates;

use crate::env::Env;
use crate::failure::{Failure, FailureKind, readable};
use crate::inventory::{Budget, RateLimit};
use crate::pki::{AlternateName, Certificate, Csr, KeyRequest};
use crate::secret::SecretSource;
use crate::tls::Trust;

/// A certificate authority.
#[async_trait]
pub trait Issuer: Send + Sync {
    /// Why the CA would refuse such a request, as far as it lets us know its rules; empty: nothing speaks against it.
    /// Asked before a key is generated on the firewall.
    async fn preflight(&self, _wanted: &KeyRequest) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }

    /// Finds out everything that is needed for an order, and everything that would be refused, without side effects:
    /// no limit, no budget and no intent is touched before it succeeds.
    async fn prepare<'a>(
        &'a self,
        request: &'a SigningRequest,
    ) -> Result<PreparedOrder<'a>, Failure>;

    /// Prepares and places in one go, for callers that keep no intents.
    async fn submit(&self, request: &SigningRequest) -> Result<Reference, Failure> {
        self.prepare(request).await?.place().await
    }

    /// Whether the CA already has an order under our reference or a certificate with our public key.
    /// `None` is a positive "no"; a doubt is a `Failure`.
    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure>;

    /// Whether the "no" of `find` is certain for such an order, once it has settled. Where it is not, an operator decides
    /// before a lost order is placed again.
    fn shows_every_order(&self, _request: &SigningRequest) -> bool {
        true
    }

    /// How long after `place` has ended the order for `request` may still be invisible to `find`. The engine also lets
    /// no order be under way for longer than this, so it is never shorter than what one exchange may take.
    fn visibility_delay(&self, _request: &SigningRequest) -> SignedDuration {
        SignedDuration::ZERO
    }

    /// Where orders are placed and looked for: another text where `find` cannot see what was placed before. Holds no secret.
    fn account(&self) -> String {
        String::new()
    }

    /// Why `reference`, which the CA gave, cannot be stored; `None`: it can. An endless one is a defect or an attack.
    fn reference_objection(&self, reference: &Reference) -> Option<String> {
        reference.objection()
    }

    /// The state of the order. Also performs the next action of the order, such as the proof of control of a domain, in
    /// small steps, each of which is harmless when it is repeated.
    async fn poll(&self, order: &Reference, request: &SigningRequest) -> Result<Issuance, Failure>;

    /// As `poll`, for a driver that must remember something of the order until the next look: with the reference that is
    /// stored from then on, where it changed.
    async fn follow(
        &self,
        order: &Reference,
        request: &SigningRequest,
    ) -> Result<(Issuance, Option<Reference>), Failure> {
        Ok((self.poll(order, request).await?, None))
    }

    /// Names that this CA adds to a certificate for `wanted` without a request. They are reported, not refused.
    fn tolerated_names(&self, _wanted: &KeyRequest) -> Vec<AlternateName> {
        Vec::new()
    }

    /// The CA's own limits that `request` would use up at `now`.
    fn rate_limits(&self, _request: &SigningRequest, _now: Timestamp) -> Vec<RateLimit> {
        Vec::new()
    }

    /// How many orders may be placed where each of them costs money; `None`: they cost nothing.
    fn budget(&self) -> Option<Budget> {
        None
    }

    /// Whether an order that ended without a certificate that could be used may have cost money anyway. A CA that is
    /// reached over another account does not say what it charges, so this is `false` only if it is certain.
    fn may_have_cost(&self, _order: &Reference) -> bool {
        true
    }

    /// Whether the CA offers renewal windows.
    fn offers_windows(&self) -> bool {
        false
    }

    /// When the CA would like this certificate to be renewed (ARI, RFC 9773).
    async fn renewal_window(&self, _certificate: &Certificate) -> Result<RenewalInfo, Failure> {
        Ok(RenewalInfo::default())
    }

    /// Reports to the CA that a certificate is no longer used: its successor was installed and verified.
    async fn decommission(&self, _superseded: &Previous) -> Result<(), Failure> {
        Ok(())
    }

    /// Cancels an order, if the CA supports it. Returns the outcome in words.
    async fn cancel(&self, _order: &Reference) -> Result<String, Failure> {
        Err(unsupported("cancel an order"))
    }

    /// Checks whether the CA can be used, without changing anything. Returns facts for display as name and value.
    async fn check(&self) -> Result<Vec<(String, String)>, Failure>;

    /// Performs the calls whose answers differ from site to site, without changing anything. Returns the answers as
    /// received, without secrets.
    async fn probe(&self) -> Result<Vec<Exchange>, Failure> {
        Err(unsupported("probe"))
    }
}

/// An order that was prepared. Nothing was sent for it yet, and nothing is when it is dropped.
pub struct PreparedOrder<'a>(BoxFuture<'a, Result<Reference, Failure>>);

impl<'a> PreparedOrder<'a> {
    /// An order that `call` places. A future does nothing before it is polled.
    pub fn new(call: impl Future<Output = Result<Reference, Failure>> + Send + 'a) -> Self {
        Self(Box::pin(call))
    }

    /// Places it: the only call that can cost money. The reference is enough to find the order again.
    ///
    /// # Errors
    /// [`Failure::is_surely_not_done`] says whether the order may have been placed anyway.
    pub async fn place(self) -> Result<Reference, Failure> {
        self.0.await
    }
}

impl std::fmt::Debug for PreparedOrder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PreparedOrder")
    }
}

/// What the CA is asked for.
#[derive(Debug, Clone)]
pub struct SigningRequest {
    /// Our reference of the order: the renewal's id; unique and safe in URLs.
    pub client_reference: String,
    /// The checked CSR.
    pub csr: Csr,
    /// When the renewal was planned: no order of it is older. 1970 where it was planned under a wrong clock.
    pub planned_at: Timestamp,
    /// The certificate whose place the new one takes, if one was seen.
    pub previous: Option<Previous>,
    /// The window in which the CA wants `previous` to be renewed (RFC 9773).
    pub window: Option<Window>,
}

/// A certificate that is replaced by another one.
#[derive(Debug, Clone)]
pub struct Previous {
    /// The certificate. Any CA may have issued it.
    pub certificate: Certificate,
    /// The CA's reference of the order that it came from, if it was ours and at this CA.
    pub order: Option<Reference>,
}

/// The CA's own reference of an order. It is stored, so it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(pub String);

impl Reference {
    /// The order as the CA itself names it, for people: a URL, a number, a serial number. A reference is shown also when
    /// its CA is no longer configured, so each driver that stores more than a name says how its own are read.
    pub fn display(&self) -> String {
        let display = acme::display(self)
            .or_else(|| pam360::display(self))
            .or_else(|| exec::display(self));
        let first = || self.0.lines().next().unwrap_or_default().to_owned();
        readable(&display.unwrap_or_else(first))
    }

    /// Whether both are one order at the CA, which it gave to two requests.
    pub fn is_same_order(&self, other: &Self) -> bool {
        acme::is_same_order(self, other)
    }

    /// Why it cannot be the reference of an order, in words that follow it; `None`: it can.
    pub fn objection(&self) -> Option<String> {
        let length = self.0.len();
        if length > LONGEST_REFERENCE_BYTES {
            return Some(format!(
                "has {length} bytes, and no more than {LONGEST_REFERENCE_BYTES} are stored"
            ));
        }
        if self.0.trim().is_empty() {
            return Some("is empty".to_owned());
        }
        self.0
            .contains(char::is_control)
            .then(|| "holds control characters".to_owned())
    }
}

/// The state of an order.
#[derive(Debug, Clone)]
pub enum Issuance {
    /// Not yet.
    Pending {
        /// When the CA wants to be asked again; `None`: it did not say.
        retry_after: Option<SignedDuration>,
        /// The cause of the wait, such as "approval".
        waiting_for: String,
        /// Whether the order waits for an operator. If so, one alert is raised.
        needs_person: bool,
    },
    /// Done.
    Issued {
        /// The certificate.
        leaf: Box<Certificate>,
        /// CA certificates above it as far as the CA gave them, nearest first.
        chain: Vec<Certificate>,
    },
    /// The CA does not show the order. It may come back: orders are made asynchronously.
    Gone {
        /// The CA's own words.
        reason: String,
    },
    /// Finally no.
    Refused {
        /// The CA's own words.
        reason: String,
    },
    /// The order ended without a certificate: it may be placed again. `may_have_cost` says whether it may be charged.
    Void {
        /// The CA's own words.
        reason: String,
        /// How long to wait; `None`: as after a failure.
        retry_after: Option<SignedDuration>,
    },
}

/// A span in which a CA wants a certificate to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub start: Timestamp,
    /// Not after.
    pub end: Timestamp,
}

/// What a CA says about the renewal of a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenewalInfo {
    /// When; `None`: it does not say.
    pub window: Option<Window>,
    /// Where it explains why: a URL.
    pub explanation: Option<String>,
    /// When to ask again; `None`: never about this certificate.
    pub ask_again: Option<SignedDuration>,
}

/// A call and its answer, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What was asked, such as `GET /v1/useraccounts`.
    pub call: String,
    /// What came back, without secrets.
    pub answer: String,
}

/// How to use one CA; one variant per driver.
#[derive(Debug, Clone)]
pub enum Settings {
    /// A private CA whose key is on this machine.
    Local(local::Settings),
    /// TLS Protect Cloud.
    Venafi(Box<venafi::Settings>),
    /// ManageEngine PAM360 or Key Manager Plus.
    Pam360(Box<pam360::Settings>),
    /// A CA that speaks ACME.
    Acme(Box<acme::Settings>),
    /// The `/ssl-certificate` purchase API.
    Resello(Box<resello::Settings>),
    /// An outside program.
    Exec(Box<exec::Settings>),
    /// Another one that is only asked; never configured.
    DryRun(Box<dry_run::Settings>),
}

impl Settings {
    /// The CA itself, also behind a dry run.
    pub fn real(&self) -> &Self {
        match self {
            Self::DryRun(settings) => settings.real.real(),
            other => other,
        }
    }

    /// The file of the CA certificates below which it issues, and below no others; `None`: they are not known.
    pub fn own_roots(&self) -> Option<&Path> {
        match self.real() {
            Self::Local(settings) => Some(&settings.certificate),
            Self::Acme(settings) => settings.roots.as_deref(),
            Self::Venafi(_)
            | Self::Pam360(_)
            | Self::Resello(_)
            | Self::Exec(_)
            | Self::DryRun(_) => None,
        }
    }

    /// Every secret that will be needed, each with its key in the configuration.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        match self {
            Self::Local(settings) => vec![("key", SecretSource::File(settings.key.clone()))],
            // It has its own, of which we know nothing.
            Self::Exec(_) => Vec::new(),
            Self::Venafi(settings) => match &settings.login {
                venafi::Login::ApiKey(key) => vec![("api_key", key.clone())],
                venafi::Login::ServiceAccount { jwt, .. } => {
                    vec![("service_account.jwt", jwt.clone())]
                }
            },
            Self::Pam360(settings) => vec![("token", settings.token.clone())],
            Self::Acme(settings) => settings.secrets(),
            Self::Resello(settings) => settings.secrets(),
            Self::DryRun(settings) => settings.real.secrets(),
        }
    }

    /// The other files that decide what is done, each with its key in the configuration: programs, and certificates that
    /// peers are verified with or that go to a firewall.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let (trust, others): (_, Vec<(&'static str, Option<&Path>)>) = match self {
            Self::Local(settings) => (None, vec![("certificate", Some(&settings.certificate))]),
            Self::Exec(settings) => (None, vec![("program", Some(&settings.program))]),
            Self::Venafi(settings) => (Some(&settings.trust), Vec::new()),
            Self::Pam360(settings) => (
                Some(&settings.trust),
                vec![("chain", settings.chain.as_deref())],
            ),
            Self::Acme(settings) => (
                Some(&settings.trust),
                vec![
                    ("roots", settings.roots.as_deref()),
                    ("validation", settings.validation.program()),
                ],
            ),
            Self::Resello(settings) => (
                Some(&settings.trust),
                vec![("validation", settings.program())],
            ),
            Self::DryRun(settings) => return settings.real.files(),
        };
        let trust = ("trust", trust.and_then(Trust::file));
        let all = others.into_iter().chain([trust]);
        all.filter_map(|(key, path)| Some((key, path?))).collect()
    }
}

/// Builds the driver. Nothing is read or sent yet.
pub fn issuer(settings: &Settings, env: &Env) -> Arc<dyn Issuer> {
    match settings {
        Settings::Local(settings) => Arc::new(local::LocalCa::new(settings.clone(), env.clone())),
        Settings::Exec(settings) => {
            Arc::new(exec::ExecCa::new(settings.as_ref().clone(), env.clone()))
        }
        Settings::Venafi(settings) => Arc::new(venafi::VenafiCa::new(
            settings.as_ref().clone(),
            env.clone(),
        )),
        Settings::Pam360(settings) => {
            Arc::new(pam360::Pam360::new(settings.as_ref().clone(), env.clone()))
        }
        Settings::Acme(settings) => {
            Arc::new(acme::Acme::new(settings.as_ref().clone(), env.clone()))
        }
        Settings::Resello(settings) => Arc::new(resello::Resello::new(
            settings.as_ref().clone(),
            env.clone(),
        )),
        Settings::DryRun(settings) => Arc::new(dry_run::DryRun::new(
            settings.as_ref().clone(),
            issuer(&settings.real, env),
            env.clone(),
        )),
    }
}

/// As long as one exchange may take, and some more.
fn beyond(longest_exchange: Duration, more: SignedDuration) -> SignedDuration {
    SignedDuration::try_from(longest_exchange)
        .map_or(SignedDuration::MAX, |longest| longest.saturating_add(more))
}

/// Generous: two URLs and some words.
const LONGEST_REFERENCE_BYTES: usize = 4 << 10;

fn unsupported(call: &str) -> Failure {
    Failure::new(
        FailureKind::Refused,
        call,
        "this kind of CA does not support it",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_bounded_and_holds_no_control_characters() {
        let objection = |text: &str| Reference(text.to_owned()).objection();
        let long = "x".repeat(LONGEST_REFERENCE_BYTES);
        for good in [
            "7",
            "https://acme.example/order/1",
            "{\"csr_id\":\"303\"}",
            &long,
        ] {
            assert_eq!(objection(good), None, "{good}");
        }
        let longer = format!("{long}x");
        for bad in ["", " ", "a\nb", "a\u{1b}[2J", "\0", &longer] {
            assert!(objection(bad).is_some(), "{bad:?}");
        }
    }
}
