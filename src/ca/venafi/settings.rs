//! The settings of a TLS Protect Cloud CA.

use std::time::Duration;

use url::Url;

use crate::secret::SecretSource;
use crate::tls::Trust;

/// One application and template of a TLS Protect Cloud.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the API is; the region is a part of it (TLS Protect Cloud reference 1).
    pub url: Url,
    /// The credentials.
    pub login: Login,
    /// The application that certificates belong to.
    pub application: Target,
    /// The issuing template; its name is the alias that the application gives it.
    pub template: Target,
    /// The validity to ask for, in days; `None`: the template's.
    pub validity_days: Option<u16>,
    /// Tags of the certificates; `None`: a renewed one keeps its tags (TLS Protect Cloud reference 6).
    pub tags: Option<Vec<String>>,
    /// Whether the root is handed on too, for a firewall that does not hold it.
    pub include_root: bool,
    /// Whether a superseded certificate is taken out of the inventory, once its successor was proven.
    pub decommission_superseded: bool,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// Limit of one exchange.
    pub timeout: Duration,
}

/// How to log in (TLS Protect Cloud reference 2).
#[derive(Debug, Clone)]
pub enum Login {
    /// A user's API key.
    ApiKey(SecretSource),
    /// A service account, for which a JWT of the customer's own identity provider is traded for an access token.
    ServiceAccount {
        /// The account's or the tenant's id, as the token endpoint wants it.
        id: String,
        /// The JWT.
        jwt: SecretSource,
    },
}

/// Something that has a name and an id. With ids alone the account needs no right to read applications and templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// As people call it.
    Name(String),
    /// As the service calls it.
    Id(String),
}
