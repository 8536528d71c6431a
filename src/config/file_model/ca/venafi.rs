//! `driver.venafi`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Key, OrderBudget, Placed, SECRET_HINT, Secret, Trust, default};

/// TLS Protect Cloud, also called Venafi as a Service or CyberArk Certificate Manager, SaaS.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VenafiCa {
    /// Where its API is; each region has its own, and a key belongs to one of them.
    #[schemars(extend("default" = default::VENAFI_URL))]
    pub url: Key<String>,
    /// The API key of a user; either this or `service_account`.
    #[schemars(extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub api_key: Key<Secret>,
    /// A service account, instead of `api_key`.
    #[schemars(extend("x-hint" = "for example: service_account = { id = \"7a5f2c1e-…\", jwt = { file = \"/run/renewd/jwt\" } }"))]
    pub service_account: Key<ServiceAccount>,
    /// The application that the certificates belong to: its name, or { id = "…" }.
    #[schemars(required, extend("x-hint" = TARGET_HINT))]
    pub application: Key<Named>,
    /// The issuing template: the alias that the application gives it, or { id = "…" }.
    #[schemars(required, extend("x-hint" = TARGET_HINT))]
    pub template: Key<Named>,
    /// The validity to ask for, in whole days. Left out: the template's.
    #[schemars(range(min = 1, max = 825), extend("x-hint" = "for example: validity_days = 47; left out: the template's"))]
    pub validity_days: Key<u16>,
    /// Tags of the certificates; an empty list takes them away. Left out: a renewed certificate keeps its tags.
    pub tags: Key<Vec<Placed<String>>>,
    /// Whether the root is put on the firewall with the chain: for a private CA that the firewall does not know.
    #[schemars(extend("default" = false))]
    pub include_root: Key<bool>,
    /// Whether a certificate is taken out of the inventory, once another took its place and was proven. It is not revoked.
    #[schemars(extend("default" = false))]
    pub decommission_superseded: Key<bool>,
    /// How the server's certificate is verified. Left out: the system's root certificates and the host name.
    pub trust: Key<Trust>,
    /// How many orders may be placed, those that cost nothing included. Then nothing more is ordered until time has
    /// passed. Left out: 50 orders and 10 more for each certificate of this CA, in 24h.
    pub order_budget: Key<OrderBudget>,
    /// Limit of one exchange, from "1s" to "10m".
    #[schemars(extend("default" = default::CA_TIMEOUT))]
    pub timeout: Key<String>,
}

/// A service account: it trades a JWT of your identity provider for an access token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceAccount {
    /// The id in the path of its token URL.
    #[schemars(required, extend("x-hint" = "for example: id = \"7a5f2c1e-90b7-11f0-8de9-0242ac120002\""))]
    pub id: Key<String>,
    /// The JWT, made by your identity provider; it is read anew for each token.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub jwt: Key<Secret>,
}

/// A name or an id.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Named {
    /// As people call it.
    Name(String),
    /// As the service calls it.
    Id(Identifier),
}

/// A table, because a text is a name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identifier {
    /// The id: with ids for both, the account needs no right to read applications and templates.
    Id(String),
}

const TARGET_HINT: &str = "a name such as \"Firewalls\", or { id = \"45d06980-…\" }";
