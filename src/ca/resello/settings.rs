//! How to reach one account of the purchase API, and what is ordered there.

use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::dcv;
use crate::inventory::Budget;
use crate::secret::SecretSource;
use crate::tls::Trust;

/// One account of the purchase API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base of the API, `https://HOST/PATH` (purchase API reference 2).
    pub url: Url,
    /// The name of the account (`api_username`).
    pub user: String,
    /// Its key (`api_key`).
    pub api_key: SecretSource,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// Limit of each call.
    pub timeout: Duration,
    /// What is bought.
    pub plan: PlanChoice,
    /// What the plan's certificates say about their owner.
    pub level: Level,
    /// What is done when a certificate that was ordered here is renewed.
    pub renewal_mode: RenewalMode,
    /// How control over the domain is proven.
    pub control: Control,
    /// The end of computed proofs: `sectigo.com`, formerly `comodoca.com` (purchase API reference 5).
    pub proof_host: String,
    /// In which form certificates are fetched.
    pub download: Download,
    /// Whether a request for an elliptic key may be sent.
    pub elliptic_keys: bool,
    /// How many orders may be placed.
    pub budget: Budget,
    /// The organization in the certificates, and the contact of the order.
    pub applicant: Applicant,
}

/// A plan of the account (purchase API reference 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanChoice {
    /// By its UUID.
    Id(String),
    /// By its exact name.
    Name(String),
}

/// What was looked at before a certificate is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// DV: control over the domain.
    Domain,
    /// OV: also the organization.
    Organization,
    /// EV: also the organization, more thoroughly.
    Extended,
}

/// How a certificate that was ordered here gets its successor (purchase API reference 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenewalMode {
    /// The order is renewed, which is charged, as soon as its plan allows it.
    Renew,
    /// A new order, which is charged; the old one runs out.
    Buy,
    /// A new certificate in the same term, free of charge; it makes the current one invalid at once.
    Reissue,
}

/// How control over the domain is proven.
#[derive(Debug, Clone)]
pub enum Control {
    /// By a file or a DNS record, unattended.
    Published(dcv::Settings),
    /// By an operator who follows a link in the mail to `approver_email_address`.
    Mail,
}

/// The form in which certificates are fetched (purchase API reference 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Download {
    /// `download-crt` for the certificate, `download-ca` for what is above it.
    Crt,
    /// `download-pkcs7`.
    Pkcs7,
    /// `download-zip`.
    Zip,
}

/// Fields of an order (purchase API reference 4.1); those that are `None` are not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applicant {
    /// The organization; left out, the CA takes it from the CSR.
    pub company_name: Option<String>,
    /// Needed for OV and EV.
    pub department: Option<String>,
    /// Street and number.
    pub address: Option<String>,
    /// Postal code.
    pub zip_code: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Number in the register of companies; needed for OV and EV.
    pub chamber_of_commerce: Option<String>,
    /// Needed for OV and EV.
    pub approver_first_name: Option<String>,
    /// Needed for OV and EV.
    pub approver_last_name: Option<String>,
    /// Where the mail goes when control over the domain is proven by mail.
    pub approver_email_address: Option<String>,
    /// As `+CC.NUMBER`.
    pub approver_phone_number: Option<String>,
}

impl Settings {
    /// The program that proves control over a domain, where one does.
    pub fn program(&self) -> Option<&Path> {
        match &self.control {
            Control::Published(dcv) => dcv.program(),
            Control::Mail => None,
        }
    }

    /// Every secret that will be needed, each with its key in the configuration.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        let mut secrets = vec![("api_key", self.api_key.clone())];
        if let Control::Published(dcv) = &self.control {
            secrets.extend(dcv.secrets());
        }
        secrets
    }
}

impl Applicant {
    /// The fields that are to be sent, by their names in the API.
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        let fields = [
            ("company_name", &self.company_name),
            ("department", &self.department),
            ("address", &self.address),
            ("zip_code", &self.zip_code),
            ("city", &self.city),
            ("chamber_of_commerce", &self.chamber_of_commerce),
            ("approver_first_name", &self.approver_first_name),
            ("approver_last_name", &self.approver_last_name),
            ("approver_email_address", &self.approver_email_address),
            ("approver_phone_number", &self.approver_phone_number),
        ];
        fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_deref()?)))
            .collect()
    }
}

impl PlanChoice {
    /// A UUID is taken for an id, anything else for a name.
    pub fn read(text: &str) -> Self {
        let groups: Vec<&str> = text.split('-').collect();
        let is_hexadecimal = |group: &&str| group.chars().all(|c| c.is_ascii_hexdigit());
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        if lengths == UUID_GROUPS && groups.iter().all(is_hexadecimal) {
            Self::Id(text.to_ascii_lowercase())
        } else {
            Self::Name(text.to_owned())
        }
    }
}

/// RFC 9562, 4.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_chosen_by_its_uuid_or_by_its_name() {
        let id = "3F7830c3-3fa4-404d-908f-35daaa1cd17b";
        assert_eq!(
            PlanChoice::read(id),
            PlanChoice::Id(id.to_ascii_lowercase())
        );
        for name in [
            "PositiveSSL",
            "",
            "3f7830c3-3fa4-404d-908f",
            "EV SSL - 12 - months - and - more",
        ] {
            assert_eq!(PlanChoice::read(name), PlanChoice::Name(name.to_owned()));
        }
    }
}
