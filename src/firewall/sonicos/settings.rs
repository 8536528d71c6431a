//! How to reach and log in to one SonicOS device.

use std::time::Duration;

use url::Url;

use crate::secret::SecretSource;
use crate::tls::Trust;

/// One SonicOS firewall.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://HOST[:PORT]`, without a path.
    pub url: Url,
    /// An administrator with full rights; only such may use the API (SonicOS reference 1.2).
    pub user: String,
    /// That administrator's password.
    pub password: SecretSource,
    /// The base32 TOTP key, when the account has two-factor login (SonicOS reference 1.2, `/tfa`).
    pub totp: Option<SecretSource>,
    /// Which login to use.
    pub login: Login,
    /// Whom to believe.
    pub trust: Trust,
    /// Limit of an ordinary call.
    pub call_timeout: Duration,
    /// Limit of a transfer or a key generation call (SonicOS reference 3.1: allow 60 s).
    pub transfer_timeout: Duration,
    /// Whether configuration mode may be taken from an administrator who has it but has no uncommitted change.
    pub preempt_idle_administrator: bool,
    /// Whether a session that is open on the device is one that renewd left behind when it was killed, so that the
    /// login may replace it instead of waiting for its idle timeout (SonicOS reference 1.4). Never configured.
    pub replaces_left_session: bool,
}

/// The login schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Login {
    /// What the device offers, the safest first: digest SHA-256, digest MD5, CHAP; Basic only when nothing else is offered.
    #[default]
    Automatic,
    /// HTTP digest (RFC 7616).
    Digest,
    /// HTTP Basic (RFC 7617), inside TLS.
    Basic,
    /// SonicOS CHAP (MD5).
    Chap,
}
