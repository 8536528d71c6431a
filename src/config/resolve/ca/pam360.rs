//! `driver.pam360`.

use jiff::SignedDuration;

use crate::ca::pam360::{Dialect, Encoding, InputData, MicrosoftCa, Product, Settings, Signer};
use crate::config::file_model::pam360::{self as file_model, SignWith};
use crate::config::file_model::{Key, Pam360, Placed, default};
use crate::config::resolve::Resolver;
use crate::config::values::{self, Wrong};

impl Resolver<'_> {
    pub(super) fn pam360(&mut self, raw: Pam360) -> Option<Settings> {
        let dialect = dialect(&raw);
        let url = raw
            .url
            .and_then(|url| self.parse(&url, values::service_url));
        let token = raw.token.and_then(|token| self.secret(token));
        let trust = self.ca_trust(raw.trust.as_ref());
        let timeout = self.ca_timeout(raw.timeout.as_ref());
        if let Some(asked) = raw.is_intermediate.as_ref().filter(|asked| asked.value) {
            self.warn(
                &asked.range,
                "this asks for CA certificates, and renewd refuses to install one",
                "leave `is_intermediate` out",
            );
        }
        let signer = raw.sign_with.and_then(|signer| self.signer(signer.value));
        let expiry_email = raw
            .expiry_email
            .and_then(|address| self.parse(&address, values::email));
        let chain = self.path(raw.chain.as_ref());
        Some(Settings {
            product: raw
                .product
                .map_or(Product::Pam360, |product| product.value.into()),
            url: url?,
            token: token?,
            organization: self.words(raw.organization),
            trust: trust?,
            timeout,
            signer: signer?,
            validity_days: raw
                .validity_days
                .map_or(default::LIFETIME_DAYS, |days| days.value),
            is_intermediate: raw.is_intermediate.is_some_and(|asked| asked.value),
            expiry_email,
            csr_list_operation: raw
                .csr_list_operation
                .and_then(|operation| self.parse(&operation, operation_name)),
            chain,
            dialect,
        })
    }

    fn signer(&mut self, raw: SignWith) -> Option<Signer> {
        match raw {
            SignWith::Root(root) => {
                let (name, serial) = (self.words(root.common_name), self.words(root.serial_number));
                Some(Signer::Root {
                    common_name: name?,
                    serial_number: serial?,
                })
            }
            SignWith::Msca(ca) => Some(Signer::Msca(self.microsoft(
                ca.server,
                ca.ca,
                ca.template,
            )?)),
            SignWith::MscaUsingAgent(raw) => {
                let ca = self.microsoft(raw.server, raw.ca, raw.template);
                let agent = self.words(raw.agent);
                let response_timeout = self.timeout(
                    raw.response_timeout.as_ref(),
                    default::AGENT_TIMEOUT,
                    LONGEST_TIMEOUT,
                );
                Some(Signer::MscaUsingAgent {
                    ca: ca?,
                    agent: agent?,
                    response_timeout,
                })
            }
        }
    }

    fn microsoft(
        &mut self,
        server: Key<String>,
        name: Key<String>,
        template: Key<String>,
    ) -> Option<MicrosoftCa> {
        let (server, name, template) = (self.words(server), self.words(name), self.words(template));
        Some(MicrosoftCa {
            server: server?,
            name: name?,
            template: template?,
        })
    }

    /// A text that goes to the server as it is.
    fn words(&mut self, raw: Option<Placed<String>>) -> Option<String> {
        self.parse(&raw?, |text| {
            if text.trim().is_empty() || text.contains(char::is_control) {
                return Err(Wrong::new(
                    "this text is empty or has control characters",
                    "write it as the product shows it",
                ));
            }
            Ok(text.to_owned())
        })
    }
}

fn dialect(raw: &Pam360) -> Dialect {
    let standard = Dialect::default();
    let encoding = |key: &Key<file_model::Encoding>, standard| {
        key.as_ref().map_or(standard, |key| key.value.into())
    };
    Dialect {
        input_data: raw
            .input_data
            .as_ref()
            .map_or(standard.input_data, |key| key.value.into()),
        csr_id: encoding(&raw.csr_id_as, standard.csr_id),
        validity: encoding(&raw.validity_as, standard.validity),
        is_intermediate: encoding(&raw.is_intermediate_as, standard.is_intermediate),
        certificate_file_type: raw
            .certificate_file_type
            .as_ref()
            .map_or(standard.certificate_file_type, |key| key.value.clone()),
    }
}

/// It becomes a part of the URL.
fn operation_name(text: &str) -> Result<String, Wrong> {
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` cannot be the name of an operation"),
        "for example: \"getCSRList\"; `renewd ca probe NAME` tries the likely ones",
    ))
}

impl From<file_model::Product> for Product {
    fn from(raw: file_model::Product) -> Self {
        match raw {
            file_model::Product::Pam360 => Self::Pam360,
            file_model::Product::KeyManagerPlus => Self::KeyManagerPlus,
        }
    }
}

impl From<file_model::InputData> for InputData {
    fn from(raw: file_model::InputData) -> Self {
        match raw {
            file_model::InputData::Form => Self::Form,
            file_model::InputData::Query => Self::Query,
        }
    }
}

impl From<file_model::Encoding> for Encoding {
    fn from(raw: file_model::Encoding) -> Self {
        match raw {
            file_model::Encoding::Text => Self::Text,
            file_model::Encoding::Plain => Self::Plain,
        }
    }
}

const LONGEST_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
