//! The settings of an ACME CA.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use url::Url;

use super::hosts::AllowedHost;
use crate::dcv;
use crate::seal;
use crate::secret::SecretSource;
use crate::tls::Trust;

/// One ACME CA. Its terms of service were agreed to in writing, else there would be no settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory (RFC 8555, 7.1.1); `https` only.
    pub directory: Url,
    /// Servers besides that of the directory to which the URLs of the CA may lead.
    pub allow_hosts: Vec<AllowedHost>,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// Limit of each call.
    pub timeout: Duration,
    /// Mail addresses under which the CA reaches the operator.
    pub contact: Vec<String>,
    /// The file of the account's key; made where it is missing.
    pub account: PathBuf,
    /// Where the key lies that this is sealed with.
    pub sealing_key: seal::SealingKeyLocation,
    /// The account that the CA already knows us by, where it wants one (RFC 8555, 7.3.4).
    pub external_account: Option<ExternalAccount>,
    /// Which of its profiles the CA is asked for; `None`: it chooses.
    pub profile: Option<String>,
    /// A PEM file of CA certificates above those that the CA gives, for devices that do not know them: ACME leaves the
    /// root out.
    pub roots: Option<PathBuf>,
    /// How control over a domain is proven.
    pub validation: dcv::Settings,
    /// What the CA allows.
    pub limits: Limits,
}

/// An account outside of ACME.
#[derive(Debug, Clone)]
pub struct ExternalAccount {
    /// Its name.
    pub key_id: String,
    /// The CA's key that proves it, base64url.
    pub hmac_key: SecretSource,
}

/// Rate limits on orders; what is `None` is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// On all orders together.
    pub account: Option<Limit>,
    /// On those below one registered domain.
    pub domain: Option<Limit>,
    /// On those of exactly the same names.
    pub names: Option<Limit>,
}

/// So many orders in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// How many orders; at least one.
    pub orders: u32,
    /// In how long.
    pub within: SignedDuration,
}

impl Settings {
    /// Every secret that will be needed, each with its key in the configuration. The account's key is none of them: it
    /// is made where it is missing.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        let external = self.external_account.as_ref();
        let mut secrets: Vec<_> = external
            .map(|external| ("hmac_key", external.hmac_key.clone()))
            .into_iter()
            .collect();
        secrets.extend(self.validation.secrets());
        secrets
    }
}

impl Limits {
    /// The published limits of the CA behind `directory`, where they are known (CA rules reference 4).
    pub fn of(directory: &Url) -> Self {
        if directory.host_str() != Some(LETS_ENCRYPT) {
            return Self::default();
        }
        let limit = |orders, hours| {
            Some(Limit {
                orders,
                within: SignedDuration::from_hours(hours),
            })
        };
        Self {
            account: limit(300, 3),
            domain: limit(50, 7 * 24),
            names: limit(5, 7 * 24),
        }
    }
}

/// Not its staging environment, whose limits are out of reach.
const LETS_ENCRYPT: &str = "acme-v02.api.letsencrypt.org";
