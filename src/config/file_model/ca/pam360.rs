//! `driver.pam360`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{Key, OrderBudget, SECRET_HINT, Secret, TRUST_HINT, Trust, default};

/// ManageEngine PAM360, or Key Manager Plus, which has the same interface.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pam360 {
    /// Which of the two it is.
    #[schemars(extend("default" = "pam360"))]
    pub product: Key<Product>,
    /// The server: `https://HOST:PORT`; `/api/pki/restapi` follows by itself. PAM360 listens on 8282, Key Manager Plus
    /// on 6565, unless the site chose otherwise.
    #[schemars(required, extend("x-hint" = "for example: url = \"https://pam360.example.com:8282\""))]
    pub url: Key<String>,
    /// The API user's token, which has to be generated once before its first use. It is sent in a header only.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub token: Key<Secret>,
    /// Display name of the organization, where the server keeps several. Left out: the API user's own.
    pub organization: Key<String>,
    /// How the server's certificate is verified. Left out: the system's root certificates.
    #[schemars(extend("x-hint" = TRUST_HINT))]
    pub trust: Key<Trust>,
    /// How many orders may be placed, those that cost nothing included. Then nothing more is ordered until time has
    /// passed. Left out: 50 orders and 10 more for each certificate of this CA, in 24h.
    pub order_budget: Key<OrderBudget>,
    /// Limit of one call, from "1s" to "10m".
    #[schemars(extend("default" = default::CA_TIMEOUT))]
    pub timeout: Key<String>,
    /// Who signs.
    #[schemars(required, extend("x-hint" = SIGNER_HINT))]
    pub sign_with: Key<SignWith>,
    /// The validity to ask for, in days; a template of a Microsoft CA may know better.
    #[schemars(range(min = 1, max = 825), extend("default" = default::LIFETIME_DAYS))]
    pub validity_days: Key<u16>,
    /// Whether to ask for a CA certificate, as the vendor's samples do. renewd refuses one when it comes.
    #[schemars(extend("default" = false))]
    pub is_intermediate: Key<bool>,
    /// Who gets the product's own mails about expiry.
    #[schemars(extend("x-hint" = "for example: expiry_email = \"admin@example.com\""))]
    pub expiry_email: Key<String>,
    /// The operation that lists the stored CSRs. The vendor does not publish its name; `renewd ca probe NAME` tries the
    /// likely ones. Left out: the answer to importCSR must tell the id.
    #[schemars(extend("x-hint" = "for example: csr_list_operation = \"getCSRList\""))]
    pub csr_list_operation: Key<String>,
    /// CA certificates above those that are signed, PEM, where the server does not give them.
    #[schemars(extend("x-hint" = "for example: chain = \"/etc/renewd/issuing-ca.pem\""))]
    pub chain: Key<String>,
    /// Where the input of a POST goes: into its body, or into the URL, where servers log it.
    #[schemars(extend("default" = "form"))]
    pub input_data: Key<InputData>,
    /// How CSR_ID is written: in quotes, or as a number.
    #[schemars(extend("default" = "text"))]
    pub csr_id_as: Key<Encoding>,
    /// How Validity is written: in quotes, or as a number.
    #[schemars(extend("default" = "plain"))]
    pub validity_as: Key<Encoding>,
    /// How isIntermediate is written: in quotes, or as a boolean.
    #[schemars(extend("default" = "text"))]
    pub is_intermediate_as: Key<Encoding>,
    /// The `fileType` that getCertificate is asked for; empty: none.
    #[schemars(extend("default" = "CER"))]
    pub certificate_file_type: Key<String>,
}

const SIGNER_HINT: &str = "for example: sign_with = { root = { common_name = \"Office Root\", serial_number = \"1879376424c\" } }";

/// The two products with this interface.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Product {
    /// PAM360.
    Pam360,
    /// Key Manager Plus.
    KeyManagerPlus,
}

/// Who signs.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignWith {
    /// A CA certificate whose key the product itself holds (signWithRoot).
    Root(Root),
    /// A Microsoft CA that the server reaches itself (MSCA).
    Msca(Msca),
    /// A Microsoft CA behind the product's agent (MSCAusingAgent).
    MscaUsingAgent(MscaUsingAgent),
}

/// A CA certificate of the product.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Its common name, as the product shows it.
    #[schemars(required, extend("x-hint" = SIGNER_HINT))]
    pub common_name: Key<String>,
    /// Its serial number, as the product shows it.
    #[schemars(required, extend("x-hint" = SIGNER_HINT))]
    pub serial_number: Key<String>,
}

/// A Microsoft CA.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Msca {
    /// The host that it runs on.
    #[schemars(required, extend("x-hint" = MSCA_HINT))]
    pub server: Key<String>,
    /// Its name.
    #[schemars(required, extend("x-hint" = MSCA_HINT))]
    pub ca: Key<String>,
    /// The certificate template; one that takes the names from the request.
    #[schemars(required, extend("x-hint" = MSCA_HINT))]
    pub template: Key<String>,
}

/// A Microsoft CA behind an agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MscaUsingAgent {
    /// The host that it runs on.
    #[schemars(required, extend("x-hint" = AGENT_HINT))]
    pub server: Key<String>,
    /// Its name.
    #[schemars(required, extend("x-hint" = AGENT_HINT))]
    pub ca: Key<String>,
    /// The certificate template; one that takes the names from the request.
    #[schemars(required, extend("x-hint" = AGENT_HINT))]
    pub template: Key<String>,
    /// The agent's name.
    #[schemars(required, extend("x-hint" = AGENT_HINT))]
    pub agent: Key<String>,
    /// How long the server waits for the agent, from "1s" to "10m".
    #[schemars(extend("default" = default::AGENT_TIMEOUT))]
    pub response_timeout: Key<String>,
}

const MSCA_HINT: &str = "for example: sign_with = { msca = { server = \"ca1.corp.example\", ca = \"corp-issuing-ca\", template = \"WebServer\" } }";
const AGENT_HINT: &str = "for example: sign_with = { msca_using_agent = { server = \"ca1.corp.example\", ca = \"corp-issuing-ca\", template = \"WebServer\", agent = \"agent1\" } }";

/// Where the input of a POST goes.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InputData {
    /// Into the body.
    Form,
    /// Into the URL.
    Query,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// In quotes.
    Text,
    /// As the number or the boolean that it is.
    Plain,
}
