//! The settings of one PAM360 or Key Manager Plus server.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::secret::SecretSource;
use crate::tls::Trust;

/// One server, and what it is asked for.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which of the two it is; they differ in their words only.
    pub product: Product,
    /// The server, `https://HOST:PORT`, with a path where a proxy adds one; `/api/pki/restapi` follows it.
    pub url: Url,
    /// The API user's token; it is sent in the header `AUTHTOKEN` and nowhere else.
    pub token: SecretSource,
    /// The display name of the organization, where the server keeps several (header `orgName`).
    pub organization: Option<String>,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// Limit of one call; signing through an agent takes its own limit besides.
    pub timeout: Duration,
    /// The signing CA.
    pub signer: Signer,
    /// The validity to ask for, in days; a template of a Microsoft CA may override it.
    pub validity_days: u16,
    /// Whether a CA certificate is asked for. No firewall gets one: it is refused when it comes.
    pub is_intermediate: bool,
    /// The recipient of the product's own mails about expiry.
    pub expiry_email: Option<String>,
    /// The operation that lists the stored CSRs; its name is in no public document (PAM360 reference 3).
    pub csr_list_operation: Option<String>,
    /// CA certificates, PEM, where the server does not give them.
    pub chain: Option<PathBuf>,
    /// How the server wants to be spoken to.
    pub dialect: Dialect,
}

impl Settings {
    /// What a call takes besides when it lets an agent sign.
    pub(super) fn agents_limit(&self) -> Duration {
        match &self.signer {
            Signer::MscaUsingAgent {
                response_timeout, ..
            } => *response_timeout,
            _ => Duration::ZERO,
        }
    }
}

/// The two products with this interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// ManageEngine PAM360.
    Pam360,
    /// ManageEngine Key Manager Plus.
    KeyManagerPlus,
}

/// The CA that signs a CSR (PAM360 reference 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// `signWithRoot`: a CA certificate whose key the product itself holds.
    Root {
        /// Its common name.
        common_name: String,
        /// Its serial number as the product shows it.
        serial_number: String,
    },
    /// `MSCA`: a Microsoft CA that the server reaches itself.
    Msca(MicrosoftCa),
    /// `MSCAusingAgent`: a Microsoft CA behind the product's agent.
    MscaUsingAgent {
        /// The CA.
        ca: MicrosoftCa,
        /// The agent's name.
        agent: String,
        /// How long the server waits for the agent.
        response_timeout: Duration,
    },
}

/// A Microsoft CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MicrosoftCa {
    /// The host that it runs on.
    pub server: String,
    /// Its name.
    pub name: String,
    /// The certificate template.
    pub template: String,
}

/// What documents and samples of the interface disagree about (PAM360 reference 1, 4, 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    /// Where `INPUT_DATA` of a POST goes.
    pub input_data: InputData,
    /// How `CSR_ID` is written.
    pub csr_id: Encoding,
    /// How `Validity` is written.
    pub validity: Encoding,
    /// How `isIntermediate` is written.
    pub is_intermediate: Encoding,
    /// `fileType` of getCertificate; empty: it is left out.
    pub certificate_file_type: String,
}

/// Where `INPUT_DATA` of a POST goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputData {
    /// Into the body.
    Form,
    /// Into the URL.
    Query,
}

/// How a JSON value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// In quotes: `"303"`, `"false"`.
    Text,
    /// As the number or the boolean that it is: `303`, `false`.
    Plain,
}

impl Product {
    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pam360 => "PAM360",
            Self::KeyManagerPlus => "Key Manager Plus",
        }
    }
}

impl Default for Dialect {
    /// As the samples of the vendor have it.
    fn default() -> Self {
        Self {
            input_data: InputData::Form,
            csr_id: Encoding::Text,
            validity: Encoding::Plain,
            is_intermediate: Encoding::Text,
            certificate_file_type: "CER".to_owned(),
        }
    }
}
