//! `[[ca]]` as an operator writes it; one file for each kind of CA.

mod acme;
mod exec;
mod local;
pub mod pam360;
mod resello;
mod venafi;

pub use acme::{
    ALLOW_HINT, AcmeCa, AcmeLimit, AcmeLimits, ExternalAccount, LIMIT_HINT, TERMS_HINT,
};
pub use exec::ExecCa;
pub use local::{LocalCa, Purpose};
pub use pam360::Pam360;
pub use resello::{
    Applicant, Approver, Download, OrderBudget, RenewalMode, ReselloCa, ValidationLevel,
};
pub use venafi::{Identifier, Named, ServiceAccount, VenafiCa};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Key, OneOrMany};

/// A certificate authority.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ca {
    /// Its name, for `ca` of a certificate and for logs: up to 63 of `a-z A-Z 0-9 . _ -`.
    #[schemars(required, extend("x-hint" = "for example: name = \"office\""))]
    pub name: Key<String>,
    /// Which kind of CA it is, and its settings.
    #[schemars(required, extend("x-hint" = "for example: driver.local = { certificate = \"ca.pem\", key = { file = \"ca.key\" } }"))]
    pub driver: Key<CaDriver>,
    /// A file of CA certificates, or several. The chain of a certificate that this CA issues must lead to one of them; one
    /// that leads elsewhere is refused before it is installed. Left out: any chain that is valid is installed.
    #[schemars(extend("x-hint" = "for example: chain_roots = \"/etc/renewd/root.pem\""))]
    pub chain_roots: Key<OneOrMany>,
}

/// The kinds of CA.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaDriver {
    /// A private CA whose key is on this machine; `renewd ca init` makes one.
    Local(Box<LocalCa>),
    /// TLS Protect Cloud, also called Venafi as a Service or CyberArk Certificate Manager, SaaS.
    Venafi(Box<VenafiCa>),
    /// ManageEngine PAM360 or Key Manager Plus.
    Pam360(Box<Pam360>),
    /// A CA that speaks ACME (RFC 8555), such as Let's Encrypt.
    Acme(Box<AcmeCa>),
    /// The `/ssl-certificate` purchase API of Resello: every order costs money.
    Resello(Box<ReselloCa>),
    /// An outside program that speaks the contract of certmonger's enrollment helpers.
    Exec(Box<ExecCa>),
}
