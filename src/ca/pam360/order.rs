//! A signed CSR, as it is remembered until its certificate is fetched.

use serde::{Deserialize, Serialize};

use super::envelope::{Envelope, Verdict, field, text};
use super::stored::Address;
use crate::ca::http::Response;
use crate::ca::{Issuance, Reference};
use crate::failure::{Failure, FailureKind};
use crate::pki::{Certificate, Csr};
use crate::sanitize::bounded;

/// The reference of an order. JSON, so that an operator can read it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    common_name: String,
    /// `None`: the server did not tell; then it is found by its public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    csr_id: Option<String>,
    /// What the server said instead of a serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    said: Option<String>,
}

/// The order that signCSR placed. An answer without a serial number is an order too: a second signCSR would duplicate
/// it.
pub(super) fn signed(
    csr_id: &str,
    csr: &Csr,
    answer: &Response,
    envelope: &Envelope,
) -> Result<Order, Failure> {
    let words = envelope.words(answer);
    if envelope.verdict != Verdict::Done && !is_order_anyway(&words) {
        envelope.done(answer, "sign the CSR")?;
    }
    let row = envelope.details.as_ref().and_then(|rows| rows.first());
    let value = |name| row.and_then(|row| field(row, name)).and_then(text);
    let serial_number = value("serialNumber");
    let common_name = value("commonName").or_else(|| csr.common_name().map(str::to_owned));
    Ok(Order {
        common_name: common_name.unwrap_or_default(),
        said: serial_number
            .is_none()
            .then(|| bounded(&words, LONGEST_WORDS)),
        serial_number,
        csr_id: Some(csr_id.to_owned()),
    })
}

impl Order {
    /// An order that was found again.
    pub fn of(address: Address) -> Self {
        Self {
            common_name: address.common_name,
            serial_number: Some(address.serial_number),
            csr_id: None,
            said: None,
        }
    }

    /// Reads what [`Order::to_reference`] wrote.
    pub fn parse(reference: &Reference) -> Result<Self, Failure> {
        serde_json::from_str(&reference.0).map_err(|error| {
            let words = format!(
                "{:?} is no reference of this kind of CA: {error}",
                reference.0
            );
            Failure::new(FailureKind::Local, "read the reference", words)
        })
    }

    /// What is stored.
    pub fn to_reference(&self) -> Reference {
        Reference(serde_json::to_string(self).unwrap_or_default())
    }

    /// The location of its certificate, if the server reported it.
    pub fn address(&self) -> Option<Address> {
        Some(Address {
            common_name: self.common_name.clone(),
            serial_number: self.serial_number.clone()?,
        })
    }

    /// What the server said instead of telling.
    pub fn words(&self) -> &str {
        self.said.as_deref().unwrap_or_default()
    }

    /// Whether `certificate` has the serial number that the server reported. Leading zeros are ignored.
    pub fn has_serial_number(&self, certificate: &Certificate) -> bool {
        let plain = |text: &str| text.trim_start_matches('0').to_ascii_lowercase();
        self.serial_number
            .as_deref()
            .is_some_and(|serial| plain(serial) == plain(&certificate.serial))
    }

    /// Not issued yet: it will be stored in a moment, or after an approval at the Microsoft CA.
    pub fn pending(&self, words: &str) -> Issuance {
        let needs_person = self.serial_number.is_none();
        let what = if needs_person {
            "a certificate with our key to be stored, perhaps after an approval"
        } else {
            "the signed certificate to be stored"
        };
        let waiting_for = match words {
            "" => what.to_owned(),
            words => format!("{what} ({words})"),
        };
        Issuance::Pending {
            retry_after: None,
            waiting_for,
            needs_person,
        }
    }
}

/// Where its certificate is, for people; `None`: it is no reference of this kind of CA.
pub fn display(reference: &Reference) -> Option<String> {
    let order = Order::parse(reference).ok()?;
    let name = &order.common_name;
    Some(match (&order.serial_number, &order.csr_id) {
        (Some(serial), _) => format!("{name}, serial number {serial}"),
        (None, Some(csr)) => format!("{name}, CSR {csr}"),
        (None, None) => name.clone(),
    })
}

/// Whether the words of a failure mean that there is an order. Templates of a Microsoft CA can require a manager's
/// approval, and a CSR can be signed only once. The product's messages for both are not documented (PAM360 reference
/// 4).
fn is_order_anyway(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["pending", "approv", "already signed"]
        .iter()
        .any(|word| words.contains(word))
}

/// Characters of what is remembered of an answer.
const LONGEST_WORDS: usize = 300;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use rcgen::KeyPair;
    use serde_json::{Value, json};

    use super::*;
    use crate::pki::testing::{Authority, csr, csr_params};

    fn order(whole: Value) -> Result<Order, Failure> {
        let csr = csr(&csr_params(), &KeyPair::generate().unwrap());
        let answer = Response::example("POST /signCSR", 200, whole.to_string().as_bytes());
        signed("303", &csr, &answer, &Envelope::read(whole))
    }

    #[test]
    fn a_signed_csr_is_remembered_as_the_server_addresses_it() {
        let row = json!({"commonName": "csrtest", "Certificate_ID": 309, "serialNumber": "00b7"});
        let order = order(json!({"result": {"status": "Success"}, "details": [row]})).unwrap();
        let reference = order.to_reference();
        assert_eq!(
            reference.0,
            r#"{"common_name":"csrtest","serial_number":"00b7","csr_id":"303"}"#
        );
        assert_eq!(Order::parse(&reference).unwrap(), order);
    }

    #[test]
    fn a_success_without_a_serial_number_and_a_pending_approval_are_orders_too() {
        for (status, message) in [
            ("Success", "Signed."),
            ("Failed", "The request is pending approval."),
        ] {
            let order = order(json!({"result": {"status": status, "message": message}})).unwrap();
            assert_eq!(order.address(), None);
            let Issuance::Pending {
                waiting_for,
                needs_person,
                ..
            } = order.pending(order.words())
            else {
                panic!("{order:?}")
            };
            assert!(
                needs_person && waiting_for.contains(message),
                "{waiting_for}"
            );
        }
    }

    #[test]
    fn a_no_is_refused_with_the_servers_words() {
        let failure =
            order(json!({"result": {"status": "Failed", "message": "No such root"}})).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.detail.contains("No such root"), "{failure}");
    }

    #[test]
    fn serial_numbers_are_the_same_whatever_their_case_and_leading_zeros() {
        let certificate = Authority::root("r").certificate;
        let address = Address {
            common_name: "r".to_owned(),
            serial_number: format!("00{}", certificate.serial.to_uppercase()),
        };
        assert!(Order::of(address).has_serial_number(&certificate));
    }

    #[test]
    fn a_reference_of_another_ca_is_refused() {
        let failure = Order::parse(&Reference("https://acme/order/1".to_owned())).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Local);
    }
}
