//! `driver.acme`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Key, OrderBudget, Placed, SECRET_HINT, Secret, Trust, Validation, default};

/// A CA that speaks ACME (RFC 8555), such as Let's Encrypt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeCa {
    /// The URL of its directory.
    #[schemars(required, extend("x-hint" = "for example: directory = \"https://acme-v02.api.letsencrypt.org/directory\""))]
    pub directory: Key<String>,
    /// Further servers to which the CA's own URLs may lead: host names, each with a port where only that one is meant. Left
    /// out: that of the directory alone, as nearly every CA has it.
    #[schemars(extend("default" = [], "x-hint" = ALLOW_HINT))]
    pub allow_hosts: Key<Vec<Placed<String>>>,
    /// `true`: you have read the CA's terms of service, and agree to them. Nothing is done without.
    #[schemars(required, extend("x-hint" = TERMS_HINT))]
    pub terms_of_service_agreed: Key<bool>,
    /// Mail addresses under which the CA reaches you.
    #[schemars(extend("default" = []))]
    pub contact: Key<Vec<Placed<String>>>,
    /// How control over a domain is proven.
    #[schemars(required, extend("x-hint" = "for example: validation.http = {}, which serves files at port 80 of this machine, or validation.dns = { provider.rfc2136 = { … } }"))]
    pub validation: Key<Validation>,
    /// Which of its profiles the CA is asked for. Left out: the CA chooses.
    #[schemars(extend("x-hint" = "for example: profile = \"classic\""))]
    pub profile: Key<String>,
    /// The account that the CA already knows you by, where it wants one.
    #[schemars(extend("x-hint" = EXTERNAL_HINT))]
    pub external_account: Key<ExternalAccount>,
    /// The file of the account's key; it is made where it is missing. Left out: `acme/NAME.account` in the state
    /// directory. Keep a copy of it: the CA knows you by it.
    pub account: Key<String>,
    /// A PEM file of CA certificates that the firewall is given besides those that come from the CA: ACME leaves the
    /// root out, and a firewall that does not know it takes no certificate below it.
    #[schemars(extend("x-hint" = "for example: roots = \"/etc/renewd/root.pem\""))]
    pub roots: Key<String>,
    /// How many orders the CA allows. Left out: what Let's Encrypt publishes, and for other CAs no limit.
    pub limits: Key<AcmeLimits>,
    /// How the server's certificate is verified. Left out: the system's root certificates and the host name.
    pub trust: Key<Trust>,
    /// How many orders may be placed, those that cost nothing included. Then nothing more is ordered until time has
    /// passed. Left out: 50 orders and 10 more for each certificate of this CA, in 24h.
    pub order_budget: Key<OrderBudget>,
    /// Limit of one exchange, from "1s" to "10m".
    #[schemars(extend("default" = default::CA_TIMEOUT))]
    pub timeout: Key<String>,
}

/// An account outside of ACME (RFC 8555, 7.3.4). It is needed once, when the ACME account is made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalAccount {
    /// The key's name, as the CA shows it ("kid").
    #[schemars(required, extend("x-hint" = EXTERNAL_HINT))]
    pub key_id: Key<String>,
    /// The key itself, as the CA shows it: base64url.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub hmac_key: Key<Secret>,
}

/// How many orders a CA allows.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeLimits {
    /// All orders together.
    #[schemars(extend("x-hint" = LIMIT_HINT))]
    pub account: Key<AcmeLimit>,
    /// Orders below one registered domain.
    #[schemars(extend("x-hint" = LIMIT_HINT))]
    pub domain: Key<AcmeLimit>,
    /// Orders of exactly the same names.
    #[schemars(extend("x-hint" = LIMIT_HINT))]
    pub names: Key<AcmeLimit>,
}

/// So many orders in such a time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcmeLimit {
    /// How many orders; 0: no limit.
    #[schemars(required, range(min = 0, max = 1_000_000), extend("x-hint" = LIMIT_HINT))]
    pub orders: Key<u32>,
    /// In how long, from "1m" to "90d". Not needed where there is no limit.
    #[schemars(extend("x-hint" = LIMIT_HINT))]
    pub within: Key<String>,
}

/// Also the hint where they are not agreed to.
pub const TERMS_HINT: &str = "read the CA's terms of service, which its directory names; if you agree: terms_of_service_agreed = true";

/// Also the hint where one is incomplete.
pub const LIMIT_HINT: &str =
    "for example: { orders = 50, within = \"7d\" }; no limit: { orders = 0 }";

/// Also the hint where one is no host.
pub const ALLOW_HINT: &str =
    "for example: allow_hosts = [\"files.example.com\", \"eu.example.com:8443\"]";

const EXTERNAL_HINT: &str = "for example: external_account = { key_id = \"kid-1\", hmac_key = { credential = \"acme\" } }; the CA's page shows both";
