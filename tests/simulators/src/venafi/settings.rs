//! The settings with which a simulated TLS Protect Cloud starts: its credentials, applications and templates.

use std::fmt;

use super::Variants;
use crate::ca::Common;

/// Everything needed to start a [`super::Simulator`].
#[derive(Clone)]
pub struct Settings {
    /// The settings of every CA. `lifetime_days` applies to templates without a validity of their own.
    pub common: Common,
    /// The one API key (2).
    pub api_key: String,
    /// Identifier of the service account, a part of the path of its token endpoint (2).
    pub service_account: String,
    /// The JWT of this account's identity provider.
    pub assertion: String,
    /// Every application.
    pub applications: Vec<Application>,
    /// Every issuing template.
    pub templates: Vec<Template>,
    /// Every switch.
    pub variants: Variants,
}

impl Default for Settings {
    /// One application `Firewalls` with one template under the alias `Default`.
    fn default() -> Self {
        let template = Template::default();
        Self {
            common: Common::default(),
            api_key: "1b8d6f7e-3f0a-4c52-9d51-7f4f3e0a2c11".to_owned(),
            service_account: "7a5f2c1e-90b7-11f0-8de9-0242ac120002".to_owned(),
            assertion: "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJyZW5ld2QifQ.c2ltdWxhdGVk".to_owned(),
            applications: vec![Application {
                id: "45d06980-ae82-11eb-9702-4fa2482840bf".to_owned(),
                name: "Firewalls".to_owned(),
                templates: vec![("Default".to_owned(), template.id.clone())],
            }],
            templates: vec![template],
            variants: Variants::default(),
        }
    }
}

/// The credentials stay out of it.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("common", &self.common)
            .field("applications", &self.applications)
            .field("templates", &self.templates)
            .field("variants", &self.variants)
            .finish_non_exhaustive()
    }
}

/// An application (4.1).
#[derive(Debug, Clone)]
pub struct Application {
    /// UUID.
    pub id: String,
    /// May contain spaces and slashes.
    pub name: String,
    /// Alias and id of each template that may be used.
    pub templates: Vec<(String, String)>,
}

/// A certificate issuing template (4.2). A list of regular expressions allows what one of them matches as a whole; an
/// empty one allows nothing.
#[derive(Debug, Clone)]
pub struct Template {
    /// UUID.
    pub id: String,
    /// Its own name. An application uses an alias for it.
    pub name: String,
    /// AVAILABLE, or otherwise unusable.
    pub available: bool,
    /// Whether requests with a CSR are taken.
    pub csr_upload_allowed: bool,
    /// Whether a key may be certified twice.
    pub key_reuse: bool,
    /// `validityPeriod` in days: the default and the maximum.
    pub validity_days: u32,
    /// Allowed common names.
    pub subject_cn: Vec<String>,
    /// Allowed organisations.
    pub subject_o: Vec<String>,
    /// Allowed organisational units.
    pub subject_ou: Vec<String>,
    /// Allowed domains among the alternate names.
    pub san_dns: Vec<String>,
    /// Allowed addresses among the alternate names.
    pub san_ip: Vec<String>,
    /// Allowed e-mail addresses among the alternate names.
    pub san_email: Vec<String>,
    /// Allowed countries, as plain values; empty: any.
    pub subject_c: Vec<String>,
    /// Allowed lengths of RSA keys.
    pub rsa_lengths: Vec<u32>,
    /// Allowed curves: 256, 384, 521.
    pub curves: Vec<u32>,
}

impl Default for Template {
    /// Names below example.com; RSA with 2048 bits and more, P-256 and P-384; 90 days.
    fn default() -> Self {
        let below_example = vec![r"^([a-z0-9-]+\.)*example\.com$".to_owned()];
        let anything = vec![".*".to_owned()];
        Self {
            id: "51cb8340-a993-11ea-8a4f-3f9fa45442b2".to_owned(),
            name: "Firewall certificates".to_owned(),
            available: true,
            csr_upload_allowed: true,
            key_reuse: true,
            validity_days: 90,
            subject_cn: below_example.clone(),
            subject_o: anything.clone(),
            subject_ou: anything.clone(),
            san_dns: below_example,
            san_ip: anything.clone(),
            san_email: anything,
            subject_c: Vec::new(),
            rsa_lengths: vec![2048, 3072, 4096],
            curves: vec![256, 384],
        }
    }
}
