//! Renewal information and replacement (RFC 9773; CA rules reference 5).

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::identifier::Identifier;
use super::orders::State;
use super::wire::{Handled, Problem, date};
use super::{Acme, Order, ProblemType};
use crate::ca::{Issued, Office, Reply};

/// When a certificate is to be renewed. One that ends before it starts is sent as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub start: OffsetDateTime,
    /// The moment after its last.
    pub end: OffsetDateTime,
}

/// RFC 9773 4.1: the key identifier of the authority and the serial number's bytes in DER, each in base64url.
pub(super) fn id(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut extensions = certificate.extensions().iter();
    let key_id = extensions.find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
        _ => None,
    })?;
    let serial = BASE64URL_NOPAD.encode(certificate.raw_serial());
    Some(format!("{}.{serial}", BASE64URL_NOPAD.encode(key_id.0)))
}

impl Window {
    /// CA rules 5: around two thirds of the life, one half below ten days; as wide as 2% of it.
    fn of(issued: &Issued) -> Self {
        let life = issued.not_after - issued.not_before;
        let age = if life < Duration::days(10) {
            life / 2
        } else {
            life * 2 / 3
        };
        let center = issued.not_before + age;
        Self {
            start: center - life / 100,
            end: center + life / 100,
        }
    }
}

impl Acme {
    /// RFC 9773 4.1, 4.2: `GET renewalInfo/{id}`, a request without a signature.
    pub(super) fn renewal_info(&self, office: &Office, id: &str) -> Handled {
        let order = self
            .order_of_certificate(id)
            .filter(|_| self.variants.ari_offered);
        let issued = order.and_then(|order| order.issued.as_ref());
        let issued = issued.ok_or_else(|| Problem::not_found("the certificate"))?;
        let window = self.window.unwrap_or_else(|| Window::of(issued));
        let mut body = json!({
            "suggestedWindow": {"start": date(window.start), "end": date(window.end)},
        });
        if let Some(page) = &self.variants.explanation {
            body["explanationURL"] = json!(page);
        }
        let reply = Reply::json(200, &self.decorated(body));
        Ok(self.wait(office, reply, self.variants.ari_retry_after))
    }

    /// RFC 9773 5: an order may replace a certificate of its own account, with a name in common, once.
    pub(super) fn replaced(
        &self,
        account: usize,
        identifiers: &[Identifier],
        body: &Value,
    ) -> Result<Option<String>, Problem> {
        let asked = body.get("replaces").and_then(Value::as_str);
        // Unknown members are ignored (RFC 8555 7.1), and without renewal information this is one.
        let Some(id) = asked.filter(|_| self.variants.ari_offered) else {
            return Ok(None);
        };
        if let Some(kind) = self.variants.replaces_refused {
            return Err(Problem::asked_for(kind, self.variants.refused_retry_after));
        }
        let old = self
            .order_of_certificate(id)
            .ok_or_else(|| Problem::not_found("the certificate that is to be replaced"))?;
        if old.account != account {
            // guess: types and texts of this refusal and the next one.
            return Err(Problem::new(
                ProblemType::Unauthorized,
                "the certificate that is to be replaced is somebody else's",
            ));
        }
        if !identifiers
            .iter()
            .any(|name| old.identifiers.contains(name))
        {
            return Err(Problem::malformed(
                "the certificate that is to be replaced has no name of this order",
            ));
        }
        // CA rules 5: an open order counts, until it is invalid.
        let replaces =
            |order: &Order| order.replaces.as_deref() == Some(id) && order.state != State::Invalid;
        if self.orders.iter().any(replaces) {
            Err(Problem::new(
                ProblemType::AlreadyReplaced,
                "another order replaces this certificate",
            ))
        } else {
            Ok(Some(id.to_owned()))
        }
    }

    fn order_of_certificate(&self, id: &str) -> Option<&Order> {
        self.orders
            .iter()
            .find(|order| order.renewal_id.as_deref() == Some(id))
    }
}
