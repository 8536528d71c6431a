//! `driver.resello`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Key, SECRET_HINT, Secret, Trust, Validation, default};

/// The `/ssl-certificate` purchase API of Resello: every order costs money.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReselloCa {
    /// The base of the API; no public one is documented, the reseller gives it.
    #[schemars(required, extend("x-hint" = "for example: url = \"https://api.example.com/v1\""))]
    pub url: Key<String>,
    /// The name of the account (`api_username`).
    #[schemars(required, extend("x-hint" = "for example: user = \"example\""))]
    pub user: Key<String>,
    /// Its key.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub api_key: Key<Secret>,
    /// What is bought: the id of a plan (a UUID) or its exact name. `renewd check --online` lists those offered.
    #[schemars(required, extend("x-hint" = "for example: plan = \"PositiveSSL\""))]
    pub plan: Key<String>,
    /// What the plan's certificates say about their owner: "dv", "ov" or "ev".
    #[schemars(extend("default" = "dv"))]
    pub validation_level: Key<ValidationLevel>,
    /// How control over the domain is proven unattended. Left out: by a mail to `approver.email_address`, which
    /// an operator must answer at each renewal.
    #[schemars(extend("x-hint" = "for example: validation.http = {}"))]
    pub validation: Key<Validation>,
    /// What computed proofs end in, where the CA does not tell them: formerly "comodoca.com".
    #[schemars(extend("default" = default::PROOF_HOST))]
    pub proof_host: Key<String>,
    /// How a certificate that was ordered here gets its successor.
    #[schemars(extend("default" = "renew"))]
    pub renewal_mode: Key<RenewalMode>,
    /// How many orders may be placed, renewals and reissues included. Then nothing more is ordered until time has passed.
    pub order_budget: Key<OrderBudget>,
    /// The organization in the certificates.
    pub applicant: Key<Applicant>,
    /// Who answers for the orders.
    pub approver: Key<Approver>,
    /// In which form certificates are fetched.
    #[schemars(extend("default" = "crt"))]
    pub download: Key<Download>,
    /// Whether the CA takes requests for elliptic keys; it documents keys of at least 2048 bits only.
    #[schemars(extend("default" = false))]
    pub elliptic_keys: Key<bool>,
    /// How the server's certificate is verified. Left out: the system's root certificates and the host name.
    pub trust: Key<Trust>,
    /// Limit of one exchange, from "1s" to "10m".
    #[schemars(extend("default" = default::CA_TIMEOUT))]
    pub timeout: Key<String>,
}

/// What was looked at before a certificate is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValidationLevel {
    /// Control over the domain.
    Dv,
    /// Also the organization.
    Ov,
    /// Also the organization, more thoroughly.
    Ev,
}

/// How a certificate gets its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RenewalMode {
    /// The order is renewed, which is charged, as soon as its plan allows it.
    Renew,
    /// A new order, which is charged; the old one runs out.
    Buy,
    /// A new certificate in the same term, free of charge. It makes the current one invalid at once, before the new one
    /// is installed; at the end of the term the order is renewed.
    Reissue,
}

/// How many orders may be placed in how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderBudget {
    /// How many.
    #[schemars(range(min = 1, max = 100_000), extend("default" = default::ORDERS))]
    pub orders: Key<u32>,
    /// In how long, from "1h" to "366d".
    #[schemars(extend("default" = default::ORDERS_WITHIN))]
    pub within: Key<String>,
}

/// An organization.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Applicant {
    /// Left out: taken from `subject.organization` of the certificate.
    pub company_name: Key<String>,
    /// Needed for "ov" and "ev".
    pub department: Key<String>,
    /// Street and number.
    pub address: Key<String>,
    /// Postal code.
    pub zip_code: Key<String>,
    /// City.
    pub city: Key<String>,
    /// Its number in the register of companies; needed for "ov" and "ev".
    pub chamber_of_commerce: Key<String>,
}

/// A contact.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Needed for "ov" and "ev".
    pub first_name: Key<String>,
    /// Needed for "ov" and "ev".
    pub last_name: Key<String>,
    /// Where the mail goes that must be answered when there is no `validation`: admin, administrator, hostmaster,
    /// postmaster or webmaster of the domain.
    pub email_address: Key<String>,
    /// As "+31.612345678".
    pub phone_number: Key<String>,
}

/// The form in which certificates are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Download {
    /// The certificate and those above it, each as PEM.
    Crt,
    /// All in one PKCS#7.
    Pkcs7,
    /// All in one archive.
    Zip,
}
