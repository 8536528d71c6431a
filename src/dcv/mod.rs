//! Proof of control over a domain (domain control validation): a file on a web server or a DNS record. It is published
//! where a CA looks for it, and withdrawn again.
//!
//! Nothing here depends on the CA. Every call is harmless when it is repeated: after a crash the same proof is
//! published again.

pub mod dns;
pub mod http;

use std::path::Path;

use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::secret::SecretSource;

/// How control over a domain is proven.
#[derive(Debug, Clone)]
pub enum Settings {
    /// By files, which renewd itself serves.
    Http(http::Settings),
    /// By records in the DNS.
    Dns(Box<dns::Settings>),
}

/// What a CA wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// `http://DOMAIN/PATH` gives `content` (RFC 8555, 8.3; purchase API reference 5).
    File {
        /// The host name, without a port.
        domain: String,
        /// Begins with `/.well-known/`.
        path: String,
        /// The body, exactly.
        content: String,
    },
    /// A TXT record (RFC 8555, 8.4).
    Txt {
        /// The full name, such as `_acme-challenge.example.com`, without the dot at the end.
        name: String,
        /// Its text.
        value: String,
    },
    /// A CNAME record (purchase API reference 5).
    Cname {
        /// The full name, without the dot at the end.
        name: String,
        /// Where it points, without the dot at the end.
        target: String,
    },
}

/// The way in which proofs can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Files, over plain HTTP on port 80 of the domain.
    Http,
    /// Records in the DNS.
    Dns,
}

/// Publishes proofs where a CA looks for them.
#[derive(Debug)]
pub struct Validator {
    settings: Settings,
    env: Env,
}

impl Settings {
    /// Every secret that will be needed, each with its key in the configuration.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        match self {
            Self::Http(_) => Vec::new(),
            Self::Dns(settings) => settings.provider.secrets(),
        }
    }

    /// The program that sets the records, where one does.
    pub fn program(&self) -> Option<&Path> {
        match self {
            Self::Http(_) => None,
            Self::Dns(settings) => match &settings.provider {
                dns::Provider::Exec(hook) => Some(&hook.program),
                _ => None,
            },
        }
    }
}

impl Validator {
    /// A validator for `settings`; nothing is opened, read or sent yet.
    pub fn new(settings: Settings, env: Env) -> Self {
        Self { settings, env }
    }

    /// Which proofs it can give.
    pub fn method(&self) -> Method {
        match self.settings {
            Settings::Http(_) => Method::Http,
            Settings::Dns(_) => Method::Dns,
        }
    }

    /// Whether it can publish a CNAME record at all.
    pub fn gives_cnames(&self) -> bool {
        match &self.settings {
            Settings::Http(_) => false,
            Settings::Dns(settings) => !matches!(settings.provider, dns::Provider::Exec(_)),
        }
    }

    /// Puts `proof` up; one that is there already is fine.
    ///
    /// # Errors
    /// `Refused`: a proof of the other method, or the DNS server or program says no.
    pub async fn present(&self, proof: &Proof) -> Result<(), Failure> {
        match &self.settings {
            Settings::Http(settings) => http::present(settings, http::Page::of(proof)?).await,
            Settings::Dns(settings) => {
                dns::present(settings, &*self.env.clock, &dns::Record::of(proof)?).await
            }
        }
    }

    /// The servers that do not show `proof` yet, in words; `None` if every server that the CA may ask shows it.
    ///
    /// # Errors
    /// If no server can be asked.
    pub async fn missing(&self, proof: &Proof) -> Result<Option<String>, Failure> {
        match &self.settings {
            Settings::Http(settings) => Ok(http::missing(settings, &http::Page::of(proof)?).await),
            Settings::Dns(settings) => {
                dns::missing(settings, &*self.env.clock, &dns::Record::of(proof)?).await
            }
        }
    }

    /// Takes `proof` away; one that is not there is fine.
    ///
    /// # Errors
    /// As `present`.
    pub async fn withdraw(&self, proof: &Proof) -> Result<(), Failure> {
        match &self.settings {
            Settings::Http(_) => {
                http::withdraw(&http::Page::of(proof)?).await;
                Ok(())
            }
            Settings::Dns(settings) => dns::withdraw(settings, &dns::Record::of(proof)?).await,
        }
    }

    /// Does what `present` does for `proof`, but publishes nothing. It fails for the same reasons.
    ///
    /// # Errors
    /// As `present`, as far as a harmless call shows.
    pub async fn rehearse(&self, proof: &Proof) -> Result<(), Failure> {
        match &self.settings {
            Settings::Http(settings) => {
                http::Page::of(proof)?;
                http::check(settings).await.map(drop)
            }
            Settings::Dns(settings) => dns::rehearse(settings, &dns::Record::of(proof)?).await,
        }
    }

    /// Checks whether proofs could be published, without changing anything. Returns facts for display.
    ///
    /// # Errors
    /// The first problem.
    pub async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        match &self.settings {
            Settings::Http(settings) => http::check(settings).await,
            Settings::Dns(settings) => dns::check(settings).await,
        }
    }
}

/// A proof of the method that was not configured.
fn other_method(proof: &Proof, configured: &str) -> Failure {
    let asked = match proof {
        Proof::File { .. } => "a file on a web server",
        Proof::Txt { .. } => "a TXT record",
        Proof::Cname { .. } => "a CNAME record",
    };
    let words = format!("the CA wants {asked}, and `{configured}` of this CA cannot give one");
    Failure::new(FailureKind::Refused, "prove control of a domain", words)
}
