//! What every firewall can do for us, and the drivers behind it.
//!
//! A driver does not retry, does not wait and does not decide. It reads, acts once, and turns each failure into a
//! [`Failure`] by what the caller can do about it. It leaves no session, no configuration mode and no uncommitted
//! change behind.

pub mod dry_run;
pub mod sonicos;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::failure::Failure;
use crate::inventory::{Endpoint, Service};
use crate::pki::{Certificate, Fingerprint, KeyBundle, KeyRequest};
use crate::sanitize;
use crate::secret::SecretSource;
use crate::tls::Trust;
use crate::transfer::{self, Transfers};

/// A session with one firewall.
#[async_trait]
pub trait Firewall: Send {
    /// What answers there.
    async fn identify(&mut self) -> Result<Identity, Failure>;

    /// Every local certificate and pending request on the device. CA certificates are left out.
    async fn installed(&mut self) -> Result<Vec<InstalledObject>, Failure>;

    /// Whether the device itself says that it has nothing under `alias`: a listing that was cut off on its way lacks a name
    /// as well.
    async fn is_absent(&mut self, alias: &str) -> Result<bool, Failure>;

    /// Starts the generation of a key pair and its CSR under `alias`; a slow device may list it only later.
    async fn generate_csr(&mut self, alias: &str, request: &KeyRequest) -> Result<(), Failure>;

    /// The pending request of `alias`, DER, as the device gave it out: unchecked.
    async fn export_csr(&mut self, alias: &str) -> Result<Vec<u8>, Failure>;

    /// Puts CA certificates on the device, the one nearest to the root first; one that is there already is fine.
    async fn import_chain(&mut self, chain: &[Certificate]) -> Result<(), Failure>;

    /// Turns the pending request of `alias` into a certificate.
    async fn import_signed(&mut self, alias: &str, leaf: &Certificate) -> Result<(), Failure>;

    /// Puts a key pair that renewd made, with its certificate, on the device under `alias`.
    async fn import_key_pair(&mut self, alias: &str, bundle: &KeyBundle) -> Result<(), Failure>;

    /// The differences between `leaf` and what the device reports about the certificate of `alias` (serial number,
    /// public key), in words. Empty when there are none, or when the device reports nothing.
    async fn mismatches(&mut self, alias: &str, leaf: &Certificate)
    -> Result<Vec<String>, Failure>;

    /// From now on the device may show this certificate as well: it is about to be bound to the management port.
    fn also_accept(&mut self, fingerprint: Fingerprint);

    /// What each service uses now.
    async fn bindings(&mut self) -> Result<Vec<Binding>, Failure>;

    /// Points services at certificates and commits, in one commit for all; never with a foreign change in it.
    ///
    /// The answer to the commit may be lost (`OutcomeUnknown`): connect again, read `bindings`, and continue.
    async fn bind(&mut self, bindings: &[Binding]) -> Result<(), Failure>;

    /// Removes a certificate or a pending request; one that is not there is fine.
    async fn remove(&mut self, alias: &str) -> Result<(), Failure>;

    /// Uncommitted changes of another administrator; `None` when there are none.
    async fn pending_changes_of_others(
        &mut self,
    ) -> Result<Option<PendingChangesOfOthers>, Failure>;

    /// The device's own specification of its API, as it hands it out; `None` where it has none.
    async fn specification(&mut self) -> Result<Option<Vec<u8>>, Failure>;

    /// Gives back configuration mode and logs out. Call it on every path.
    async fn close(self: Box<Self>) -> Result<(), Failure>;
}

/// What a firewall reports about itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Identity {
    /// Model, such as "TZ 270".
    pub model: String,
    /// Firmware, as the device writes it.
    pub firmware: String,
    /// Serial number, without hyphens.
    pub serial: String,
    /// The device's clock as it writes it; the form is not documented.
    pub system_time: Option<String>,
    /// The rights of our login, as the device writes them.
    pub privilege: Option<String>,
    /// What the device turned out to need, `name=value`, for `check --online` and `show`.
    pub quirks: Vec<String>,
}

impl Identity {
    /// The same with texts of bounded length, as it is stored and shown.
    #[must_use]
    pub fn bounded(self) -> Self {
        let bounded = |text: String| sanitize::bounded(&text, LONGEST_FACT);
        let quirks = self.quirks.into_iter().take(MOST_QUIRKS);
        Self {
            model: bounded(self.model),
            firmware: bounded(self.firmware),
            serial: bounded(self.serial),
            system_time: self.system_time.map(bounded),
            privilege: self.privilege.map(bounded),
            quirks: quirks.map(bounded).collect(),
        }
    }

    /// The identity in a row of the store; what cannot be read is none.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// Characters of a text that a device reports about itself: no genuine device has more.
pub const LONGEST_FACT: usize = 256;
const MOST_QUIRKS: usize = 64;

/// What is known of a firewall before a session with it begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct KnownDevice<'a> {
    /// Certificates that renewd itself bound, accepted besides the configured trust.
    pub also_trusted: &'a [Fingerprint],
    /// Keys (SHA-256 of their SubjectPublicKeyInfo) that certificates were requested for and that this firewall has not
    /// confirmed: an attacker may have them, so that no CA vouches for them. A pin in the configuration does.
    pub refused_keys: &'a [Fingerprint],
    /// What the device turned out to need in earlier sessions ([`Identity::quirks`]): tried first, never relied on.
    pub quirks: &'a [String],
    /// The one-time codes that were used already. `None`: no record is kept, and no code was used.
    pub codes: Option<&'a dyn OneTimeCodes>,
    /// A session that renewd left there refused the last login, so that this one replaces it.
    pub left_session_blocks: bool,
}

/// The record of the one-time codes that were used to log in to one firewall.
#[async_trait]
pub trait OneTimeCodes: Debug + Send + Sync {
    /// Records that the code of the time step that begins at `step` is about to be sent; `false`: that code or a later one
    /// was sent before, and this one must not be.
    async fn take(&self, step: Timestamp) -> Result<bool, Failure>;
}

/// What a login waits for whose one-time code was used already ([`Failure::waiting_for`]).
pub const NEXT_CODE: &str = "the next one-time code";

/// A named object on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledObject {
    /// Its name.
    pub alias: String,
    /// A request without a certificate yet, or a certificate.
    pub kind: ObjectKind,
    /// What else the device says of it, name and text, as it writes them.
    pub detail: Vec<(String, String)>,
}

/// What a named object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A key pair that waits for its certificate.
    PendingRequest,
    /// A certificate with its key pair.
    Certificate,
}

/// Which certificate a service uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The service.
    pub service: Service,
    /// The certificate's name; `None`: the device's own self-signed one.
    pub alias: Option<String>,
}

/// Uncommitted changes of another administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingChangesOfOthers {
    /// Their author, where the device reports one; else "another administrator".
    pub by: String,
    /// What they are, shortened.
    pub summary: String,
}

/// How to reach one firewall; one variant per driver.
#[derive(Debug, Clone)]
pub enum Settings {
    /// `SonicWall` `SonicOS` 6.5, 7.0, 7.1, 7.2, 7.3 and 8.
    Sonicos(Box<sonicos::Settings>),
    /// Another firewall in a dry run; never configured.
    DryRun(Arc<dry_run::Settings>),
}

impl Settings {
    /// Every secret that will be needed, each with its key in the configuration.
    pub fn secrets(&self) -> Vec<(&'static str, SecretSource)> {
        match self {
            Self::Sonicos(settings) => {
                let totp = settings.totp.clone().map(|totp| ("totp", totp));
                let password = ("password", settings.password.clone());
                std::iter::once(password).chain(totp).collect()
            }
            Self::DryRun(settings) => settings.real.secrets(),
        }
    }

    /// How its certificate is verified before a login.
    pub fn trust(&self) -> &Trust {
        match self {
            Self::Sonicos(settings) => &settings.trust,
            Self::DryRun(settings) => settings.real.trust(),
        }
    }

    /// Where its management page is served.
    pub fn management(&self) -> Option<Endpoint> {
        match self {
            Self::Sonicos(settings) => Endpoint::of(&settings.url),
            Self::DryRun(settings) => settings.real.management(),
        }
    }

    /// How the device with this `identity` reaches us, when it transfers files over SCP or FTP.
    pub fn transfers_of(&self, identity: &Identity) -> Option<&transfer::Settings> {
        match self {
            Self::Sonicos(settings) => {
                sonicos::carries_files(&identity.firmware).then_some(&*settings.transfers)
            }
            Self::DryRun(settings) => settings.real.transfers_of(identity),
        }
    }

    /// Whether a login needs a one-time code.
    pub fn is_two_factor(&self) -> bool {
        match self {
            Self::Sonicos(settings) => settings.totp.is_some(),
            Self::DryRun(settings) => settings.real.is_two_factor(),
        }
    }

    /// The same firewall, on which a session of ours was left open.
    #[must_use]
    pub fn with_left_session(&self) -> Self {
        match self {
            Self::Sonicos(settings) => Self::Sonicos(Box::new(sonicos::Settings {
                replaces_left_session: true,
                ..settings.as_ref().clone()
            })),
            // It has none of its own.
            Self::DryRun(settings) => Self::DryRun(Arc::clone(settings)),
        }
    }
}

/// A text that changes when the configured trust of a firewall changes, and never else: pins in the database belong to it.
pub fn trust_text(settings: &Settings) -> String {
    match settings {
        Settings::Sonicos(settings) => format!("{} {}", settings.url, settings.trust.text()),
        Settings::DryRun(settings) => trust_text(&settings.real),
    }
}

/// Opens a session.
///
/// # Errors
/// As any call: nothing was sent when it is `Unreachable` or `Untrusted`.
pub async fn connect(
    settings: &Settings,
    known: &KnownDevice<'_>,
    env: &Env,
    transfers: &Transfers,
) -> Result<Box<dyn Firewall>, Failure> {
    match settings {
        Settings::Sonicos(settings) => Ok(Box::new(
            sonicos::Session::open(settings, known, env, transfers).await?,
        )),
        Settings::DryRun(settings) => Ok(Box::new(
            dry_run::DryRun::open(settings, known, env, transfers).await?,
        )),
    }
}
