//! `driver.local`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Key, OrderBudget, Placed, default};

/// A private CA whose key is on this machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocalCa {
    /// The CA's certificate, PEM; further certificates in the file are its own issuers, nearest first.
    #[schemars(required, extend("x-hint" = "for example: certificate = \"/etc/renewd/ca.pem\""))]
    pub certificate: Key<String>,
    /// The CA's private key, PEM without a password (PKCS#8, PKCS#1 or SEC 1), readable by renewd alone: RSA, ECDSA or
    /// Ed25519.
    #[schemars(required, extend("x-hint" = "the CA's key is read from a file: key = { file = \"/etc/renewd/ca.key\" }", "writeOnly" = true))]
    pub key: Key<KeyFile>,
    /// Lifetime of what is signed, in days; it never reaches past the CA certificate's own end.
    #[schemars(range(min = 1, max = 825), extend("default" = default::LIFETIME_DAYS))]
    pub lifetime_days: Key<u16>,
    /// What the certificates may be used for.
    #[schemars(extend("default" = ["server-auth"]))]
    pub purposes: Key<Vec<Placed<Purpose>>>,
    /// Domains that may be signed, each with everything below it, and no address; empty: any. `renewd ca init` writes them
    /// into the CA's certificate as name constraints.
    #[schemars(extend("default" = []))]
    pub permitted_domains: Key<Vec<Placed<String>>>,
    /// How many orders may be placed, those that cost nothing included. Then nothing more is ordered until time has
    /// passed. Left out: 50 orders and 10 more for each certificate of this CA, in 24h.
    pub order_budget: Key<OrderBudget>,
    /// Folder of what was issued. Left out: `ca/NAME` in the state directory.
    pub issued: Key<String>,
}

/// The file of a private key.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// The file.
    #[schemars(required, extend("x-hint" = "for example: file = \"/etc/renewd/ca.key\""))]
    pub file: Key<String>,
}

/// Extended key usages (RFC 5280, 4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// TLS servers.
    ServerAuth,
    /// TLS clients.
    ClientAuth,
    /// IPsec (RFC 4945).
    IpsecIke,
}
