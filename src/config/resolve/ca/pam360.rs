//! `driver.pam360`.

use jiff::SignedDuration;

use crate::ca::pam360::{Dialect, Encoding, InputData, MicrosoftCa, Product, Settings, Signer};
use crate::config::resolve::Resolver;
use crate::config::values::{self, Wrong};
use crate::config::written::pam360::{self as written, SignWith};
use crate::config::written::{Key, Pam360, Placed, default};

impl Resolver<'_> {
    pub(super) fn pam360(&mut self, written: Pam360) -> Option<Settings> {
        let dialect = dialect(&written);
        let url = written
            .url
            .and_then(|url| self.parse(&url, values::service_url));
        let token = written.token.and_then(|token| self.secret(token));
        let trust = self.ca_trust(written.trust.as_ref());
        let timeout = self.ca_timeout(written.timeout.as_ref());
        if let Some(asked) = written.is_intermediate.as_ref().filter(|asked| asked.value) {
            self.warn(
                &asked.range,
                "this asks for CA certificates, and renewd refuses to install one",
                "leave `is_intermediate` out",
            );
        }
        let signer = written
            .sign_with
            .and_then(|signer| self.signer(signer.value));
        let expiry_email = written
            .expiry_email
            .and_then(|address| self.parse(&address, values::email));
        let chain = self.path(written.chain.as_ref());
        Some(Settings {
            product: written
                .product
                .map_or(Product::Pam360, |product| product.value.into()),
            url: url?,
            token: token?,
            organization: self.words(written.organization),
            trust: trust?,
            timeout,
            signer: signer?,
            validity_days: written
                .validity_days
                .map_or(default::LIFETIME_DAYS, |days| days.value),
            is_intermediate: written.is_intermediate.is_some_and(|asked| asked.value),
            expiry_email,
            csr_list_operation: written
                .csr_list_operation
                .and_then(|operation| self.parse(&operation, operation_name)),
            chain,
            dialect,
        })
    }

    fn signer(&mut self, written: SignWith) -> Option<Signer> {
        match written {
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
            SignWith::MscaUsingAgent(written) => {
                let ca = self.microsoft(written.server, written.ca, written.template);
                let agent = self.words(written.agent);
                let response_timeout = self.timeout(
                    written.response_timeout.as_ref(),
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
    fn words(&mut self, written: Option<Placed<String>>) -> Option<String> {
        self.parse(&written?, |text| {
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

fn dialect(written: &Pam360) -> Dialect {
    let standard = Dialect::default();
    let encoding = |key: &Key<written::Encoding>, standard| {
        key.as_ref().map_or(standard, |key| key.value.into())
    };
    Dialect {
        input_data: written
            .input_data
            .as_ref()
            .map_or(standard.input_data, |key| key.value.into()),
        csr_id: encoding(&written.csr_id_as, standard.csr_id),
        validity: encoding(&written.validity_as, standard.validity),
        is_intermediate: encoding(&written.is_intermediate_as, standard.is_intermediate),
        certificate_file_type: written
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

impl From<written::Product> for Product {
    fn from(written: written::Product) -> Self {
        match written {
            written::Product::Pam360 => Self::Pam360,
            written::Product::KeyManagerPlus => Self::KeyManagerPlus,
        }
    }
}

impl From<written::InputData> for InputData {
    fn from(written: written::InputData) -> Self {
        match written {
            written::InputData::Form => Self::Form,
            written::InputData::Query => Self::Query,
        }
    }
}

impl From<written::Encoding> for Encoding {
    fn from(written: written::Encoding) -> Self {
        match written {
            written::Encoding::Text => Self::Text,
            written::Encoding::Plain => Self::Plain,
        }
    }
}

const LONGEST_TIMEOUT: SignedDuration = SignedDuration::from_mins(10);
