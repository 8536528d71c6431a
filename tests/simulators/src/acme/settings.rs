//! The settings with which a simulated ACME server starts.

use std::fmt;

use time::Duration;

use super::Variants;
use crate::ca::Common;

/// Everything needed to start a [`super::Simulator`].
#[derive(Clone)]
pub struct Settings {
    /// The settings of every CA. `lifetime_days` applies to profiles without a lifetime of their own.
    pub common: Common,
    /// The profiles; the first one is for orders that name none.
    pub profiles: Vec<Profile>,
    /// Accounts with the CA that a new ACME account can be bound to (7.3.4).
    pub external_accounts: Vec<ExternalAccount>,
    /// The terms of service (7.1.1).
    pub terms: String,
    /// Every switch.
    pub variants: Variants,
}

/// A kind of certificate (draft-ietf-acme-profiles; CA rules reference 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// The description for operators.
    pub description: String,
    /// Lifetime of its certificates; none: the lifetime of the settings.
    pub lifetime: Option<Duration>,
    /// Whether its certificates have a CN.
    pub with_common_name: bool,
}

/// An account with the CA.
#[derive(Clone)]
pub struct ExternalAccount {
    /// Its key identifier.
    pub kid: String,
    /// Its HMAC key.
    pub key: Vec<u8>,
}

impl Default for Settings {
    /// The profiles of Let's Encrypt (CA rules reference 2), and one external account, `kid-1`.
    fn default() -> Self {
        Self {
            common: Common::default(),
            profiles: vec![
                Profile::new("classic", None, true),
                Profile::new("tlsserver", Some(Duration::days(45)), false),
                Profile::new("shortlived", Some(Duration::hours(160)), false),
            ],
            external_accounts: vec![ExternalAccount {
                kid: "kid-1".to_owned(),
                key: b"an HMAC key that only tests know".to_vec(),
            }],
            terms: "https://ca.example/terms/v1".to_owned(),
            variants: Variants::default(),
        }
    }
}

impl Profile {
    fn new(name: &str, lifetime: Option<Duration>, with_common_name: bool) -> Self {
        Self {
            name: name.to_owned(),
            description: format!("https://ca.example/profiles#{name}"),
            lifetime,
            with_common_name,
        }
    }
}

/// The HMAC keys stay out of it.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("common", &self.common)
            .field("profiles", &self.profiles)
            .field("external_accounts", &self.external_accounts)
            .field("terms", &self.terms)
            .field("variants", &self.variants)
            .finish()
    }
}

impl fmt::Debug for ExternalAccount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ExternalAccount")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
