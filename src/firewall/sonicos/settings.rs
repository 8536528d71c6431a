//! How to reach and log in to one SonicOS device.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::login_level::LoginLevel;
use crate::inventory::Endpoint;
use crate::secret::SecretSource;
use crate::tls::Trust;
use crate::transfer;

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
    /// The least login that is accepted, in the place of what was learned; `None`: what the firewall had before.
    pub minimum_login: Option<LoginLevel>,
    /// How the server's certificate is verified.
    pub trust: Trust,
    /// Limit of an ordinary call.
    pub call_timeout: Duration,
    /// Limit of a transfer or a key generation call (SonicOS reference 3.1: allow 60 s).
    pub transfer_timeout: Duration,
    /// How a device that transfers files over SCP or FTP reaches us (SonicOS reference 3.3).
    pub transfers: Arc<transfer::Settings>,
    /// The command line over SSH, the last resort of devices whose API lacks a call; `None`: it is not used.
    pub command_line: Option<CommandLine>,
    /// Whether configuration mode may be taken from an administrator who has it but has no uncommitted change.
    pub preempt_idle_administrator: bool,
    /// Whether a session that is open on the device is one that renewd left behind when it was killed, so that the
    /// login may replace it instead of waiting for its idle timeout (SonicOS reference 1.4). Never configured.
    pub replaces_left_session: bool,
}

/// The device's command line over SSH; user and password are those of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Where its SSH management listens.
    pub address: Endpoint,
    /// SHA-256 of its host key, as OpenSSH prints it: "SHA256:…". Nothing is sent to another.
    pub host_key: String,
}

/// The login schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Login {
    /// What the device offers, the safest first: digest SHA-256, digest MD5, CHAP; Basic only when none of these is
    /// offered. Never the encrypted password: which padding the device expects cannot be seen, and a wrong guess counts as
    /// a refused login.
    #[default]
    Automatic,
    /// HTTP digest (RFC 7616).
    Digest,
    /// HTTP Basic (RFC 7617), inside TLS.
    Basic,
    /// SonicOS CHAP (MD5).
    Chap,
    /// The password encrypted for the device's RSA key (`SNWL-PK-AUTH`), with OAEP and SHA-256.
    PublicKey,
    /// The same with PKCS#1 v1.5. Which of the two the device expects is a setting on it that cannot be seen.
    PublicKeyPkcs1,
}
