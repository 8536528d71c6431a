//! The configuration as an operator writes it: the one source of its keys, their documentation and their bounds.
//!
//! `schema.rs` makes the JSON Schema from these types, `check.rs` checks every file against it, and only then are
//! these types filled. So every field is optional here, also a key that must be there: what is missing or wrong was
//! reported, and what is left is checked anyway. `x-hint` is the hint at such a mistake;
//! `writeOnly` marks what may hold a secret and is never shown.

mod ca;
mod transfers;
mod validation;

pub(super) use ca::{
    ALLOW_HINT, AcmeCa, AcmeLimit, AcmeLimits, Applicant, Approver, Ca, CaDriver, Download, ExecCa,
    ExternalAccount, Identifier, LIMIT_HINT, LocalCa, Named, OrderBudget, Pam360, Purpose,
    RenewalMode, ReselloCa, ServiceAccount, TERMS_HINT, ValidationLevel, VenafiCa, pam360,
};
pub(super) use transfers::{HOST_KEY_HINT, Ssh, TransferProtocol, Transfers};
pub(super) use validation::{
    Azure, AzureEnvironment, DnsProgram, DnsProvider, DnsValidation, Google, HttpValidation,
    Infoblox, Ovh, OvhEndpoint, Powerdns, Rfc2136, Route53, Token, Transport, TsigAlgorithm,
    Validation,
};

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

/// What stands in for a key that is left out.
pub(super) mod default {
    pub const STATE_DIRECTORY: &str = "/var/lib/renewd";
    pub const DATABASE: &str = "sqlite:///var/lib/renewd/renewd.db";
    pub const MAX_CONCURRENT_RENEWALS: u16 = 8;
    pub const SCAN: &str = "0 * * * * *";
    pub const PROBE_INTERVAL: &str = "1h";
    pub const LOG: &str = "info";
    pub const KEEP_HISTORY: &str = "5y";
    pub const VERIFY_TIMEOUT: &str = "2m";
    pub const LIFETIME_DAYS: u16 = 90;
    pub const CALL_TIMEOUT: &str = "20s";
    pub const TRANSFER_TIMEOUT: &str = "60s";
    pub const CA_TIMEOUT: &str = "30s";
    pub const PROGRAM_TIMEOUT: &str = "2m";
    pub const VENAFI_URL: &str = "https://api.venafi.cloud";
    pub const AGENT_TIMEOUT: &str = "90s";
    pub const ORDERS: u32 = 10;
    pub const ORDERS_WITHIN: &str = "30d";
    pub const PROOF_HOST: &str = "sectigo.com";
    pub const SSL_VPN_PORT: u16 = 4433;
    pub const SSH_PORT: u16 = 22;
    pub const TRANSFER_PORT: u16 = 0;
    pub const TIME_ZONE: &str = "UTC";
    pub const VALIDATION_LISTEN: &str = "[::]:80";
    pub const DNS_TTL: u32 = 60;
    pub const DNS_WAIT: &str = "60s";
    pub const DNS_TIMEOUT: &str = "30s";
    pub const POWERDNS_SERVER: &str = "localhost";
    pub const INFOBLOX_VIEW: &str = "default";
}

/// A value with its place in the file.
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub value: T,
    pub range: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::deserialize(deserializer)?;
        Ok(Self {
            range: spanned.span(),
            value: spanned.into_inner(),
        })
    }
}

impl<T: JsonSchema> JsonSchema for Placed<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

/// A key that may be left out, or is missing.
pub(super) type Key<T> = Option<Placed<T>>;

/// The configuration of renewd: what is to be kept renewed, and how.
///
/// `renewd.toml` may be accompanied by `conf.d/*.toml` beside it; those hold `[[ca]]`, `[[firewall]]` and
/// `[[certificate]]` only. Relative paths count from the folder of the file that they are written in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "renewd.toml")]
#[expect(
    dead_code,
    reason = "filled section by section; the whole describes the file"
)]
#[expect(
    clippy::struct_field_names,
    reason = "`file_transfer` is the key that an operator writes"
)]
pub(super) struct File {
    /// How the daemon itself behaves.
    daemon: Key<Daemon>,
    /// When certificates are renewed; a certificate's own `renewal` takes precedence key by key.
    renewal: Key<Renewal>,
    /// How firewalls that bring and fetch their files themselves (SonicOS 6.5) reach renewd; a firewall's own
    /// `file_transfer` takes precedence key by key.
    file_transfer: Key<Transfers>,
    /// Certificate authorities.
    ca: Option<Vec<Ca>>,
    /// Firewalls.
    firewall: Option<Vec<Firewall>>,
    /// Certificates that are to be kept renewed.
    certificate: Option<Vec<Certificate>>,
}

/// How the daemon itself behaves.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Daemon {
    /// Where the database is: `sqlite://` and an absolute path, or `postgres://USER@HOST/DATABASE` for a fleet that several
    /// daemons share. Left out: `renewd.db` in the state directory.
    // A password does not belong here, and is not shown where there is one anyway.
    #[schemars(extend("default" = default::DATABASE, "writeOnly" = true))]
    pub database: Key<String>,
    /// The password of that user on the PostgreSQL server. Left out: libpq's ways hold (`PGPASSFILE`, `~/.pgpass`), or none
    /// is needed.
    #[schemars(extend("x-hint" = "say where it is: { credential = \"NAME\" } (systemd's LoadCredential=), { file = \"/path\" } or { env = \"NAME\" }", "writeOnly" = true))]
    pub database_password: Key<SecretReference>,
    /// Folder for what renewd itself keeps: the database, and what its local CAs issued.
    #[schemars(extend("default" = default::STATE_DIRECTORY))]
    pub state_directory: Key<String>,
    /// The key that seals private keys in the database, for certificates with `key = { origin = "renewd" }`: 32 random
    /// bytes in base64. Left out: a file `seal.key` in the state directory, made on first use.
    #[schemars(extend("x-hint" = "say where it is: { credential = \"NAME\" } (systemd's LoadCredential=), { file = \"/path\" } or { env = \"NAME\" }", "writeOnly" = true))]
    pub sealing_key: Key<SecretReference>,
    /// How many renewals may be worked on at the same time; on one firewall it is always one.
    #[schemars(range(min = 1, max = 256), extend("default" = default::MAX_CONCURRENT_RENEWALS))]
    pub max_concurrent_renewals: Key<u16>,
    /// When to look for due work: a cron expression in UTC, optionally with seconds in front.
    #[schemars(extend("default" = default::SCAN))]
    pub scan: Key<String>,
    /// How often each served certificate is looked at between renewals, from "1m" to "7d".
    #[schemars(extend("default" = default::PROBE_INTERVAL))]
    pub probe_interval: Key<String>,
    /// How long the history and ended renewals are kept, from "1y" to "100y", a year being 366 days; "forever": nothing is
    /// removed.
    #[schemars(extend("default" = default::KEEP_HISTORY))]
    pub keep_history: Key<String>,
    /// What is logged: a level (error, warn, info, debug, trace) or filters such as "info,renewd::firewall=debug".
    #[schemars(extend("default" = default::LOG))]
    pub log: Key<String>,
}

/// When a certificate is renewed and how long its proof may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Renewal {
    /// The share of its real lifetime after which a certificate is renewed. Left out: two thirds, or a half of a
    /// lifetime under ten days.
    #[schemars(range(min = 0.1, max = 0.95), extend("x-hint" = "for example: renew_after = 0.6; left out: two thirds"))]
    pub renew_after: Key<f64>,
    /// How long after the bind the services may still show another certificate before the renewal is rolled back,
    /// from "5s" to "1h".
    #[schemars(extend("default" = default::VERIFY_TIMEOUT))]
    pub verify_timeout: Key<String>,
    /// What is done when the CA announces that a certificate has to be replaced at once, as before a revocation, and no
    /// maintenance window is open.
    #[schemars(extend("default" = "ask"))]
    pub urgent: Key<Urgent>,
}

/// What is done with an urgent renewal outside of the maintenance window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Urgent {
    /// An alert at once; `renewd renew CERT --now` binds outside the window.
    Ask,
    /// The new certificate is bound outside the window, with a warning.
    Bind,
    /// It waits for the window.
    Wait,
}

/// A firewall.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Firewall {
    /// Its name, for `firewall` of a certificate and for logs: up to 63 of `a-z A-Z 0-9 . _ -`.
    #[schemars(required, extend("x-hint" = "for example: name = \"hq\""))]
    pub name: Key<String>,
    /// Which kind of firewall it is, and how to reach it.
    #[schemars(required, extend("x-hint" = "for example: driver.sonicos = { url = \"https://192.0.2.1\", user = \"renewd\", password = { credential = \"hq\" }, trust = { sha256 = \"…\" } }"))]
    pub driver: Key<FirewallDriver>,
    /// When a certificate may be bound. Left out: at any time. Certificates are obtained at any time; if no window
    /// opens before the old certificate expires, the new one is bound outside it, with a warning.
    pub maintenance_window: Key<MaintenanceWindow>,
}

/// The kinds of firewall.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum FirewallDriver {
    /// SonicWall with SonicOS 6.5, 7 or 8.
    Sonicos(Box<Sonicos>),
}

/// How to reach and log in to one SonicOS device.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sonicos {
    /// Its management address: `https://HOST` or `https://HOST:PORT`.
    #[schemars(required, extend("x-hint" = "for example: url = \"https://192.0.2.1\""))]
    pub url: Key<String>,
    /// An administrator with full rights; make one for renewd alone.
    #[schemars(required, extend("x-hint" = "for example: user = \"renewd\""))]
    pub user: Key<String>,
    /// That administrator's password.
    #[schemars(required, extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub password: Key<Secret>,
    /// The account's TOTP key in base32, when it has two-factor login.
    #[schemars(extend("x-hint" = SECRET_HINT, "writeOnly" = true))]
    pub totp: Key<Secret>,
    /// Which login to use.
    #[schemars(extend("default" = "automatic"))]
    pub login: Key<Login>,
    /// The least login that is accepted, from `basic` over `public-key`, `chap` and `digest-md5` to `digest-sha256`. Left
    /// out: the one that the firewall had before, so that no attacker on the path can request a weaker login.
    pub minimum_login: Key<LoginLevel>,
    /// How the device's certificate is verified. That always happens before anything is sent.
    #[schemars(required, extend("x-hint" = TRUST_HINT))]
    pub trust: Key<Trust>,
    /// Limit of an ordinary call, from "1s" to "10m".
    #[schemars(extend("default" = default::CALL_TIMEOUT))]
    pub call_timeout: Key<String>,
    /// Limit of a transfer or of the generation of a key, from "1s" to "30m".
    #[schemars(extend("default" = default::TRANSFER_TIMEOUT))]
    pub transfer_timeout: Key<String>,
    /// Whether configuration mode may be taken from an administrator who has it but has no uncommitted change.
    #[schemars(extend("default" = true))]
    pub preempt_idle_administrator: Key<bool>,
    /// How this device reaches renewd, where it brings and fetches its files itself; what is left out here is as in
    /// `[file_transfer]`.
    pub file_transfer: Key<Transfers>,
    /// Its command line over SSH. Left out: it is not used.
    #[schemars(extend("x-hint" = HOST_KEY_HINT))]
    pub ssh: Key<Ssh>,
    /// Port of the SSL VPN portal, for proving its certificate.
    #[schemars(range(min = 1, max = 65535), extend("default" = default::SSL_VPN_PORT))]
    pub ssl_vpn_port: Key<u16>,
}

pub(super) const SECRET_HINT: &str = "say where it is: { file = \"/path\" }, { env = \"NAME\" } or { credential = \"NAME\" } (systemd's LoadCredential=)";

/// Also the hint where `trust` is empty.
pub(super) const TRUST_HINT: &str = "trust = { sha256 = \"…\" } pins the device's certificate; `renewd probe HOST:PORT` prints its fingerprint";

/// Where a secret is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Secret {
    /// The secret itself: only in a file that its owner alone can read.
    Inline(String),
    /// Where to read it.
    Reference(SecretReference),
}

/// Where to read a secret; it is read anew at each use.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecretReference {
    /// A file; its first line is the secret.
    File(String),
    /// An environment variable of the daemon.
    Env(String),
    /// A credential that systemd hands to the service (LoadCredential=).
    Credential(String),
}

/// The login schemes of SonicOS.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Login {
    /// The safest that the device offers.
    Automatic,
    /// HTTP digest.
    Digest,
    /// HTTP Basic, inside TLS.
    Basic,
    /// SonicOS CHAP.
    Chap,
    /// The password encrypted for the device's RSA key, with OAEP.
    #[serde(rename = "public-key")]
    PublicKey,
    /// The same with PKCS#1 v1.5, as the device's API settings say.
    #[serde(rename = "public-key-pkcs1")]
    PublicKeyPkcs1,
}

/// The login methods by how much of the password they show, the most first.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LoginLevel {
    /// HTTP Basic.
    Basic,
    /// The password encrypted for the device's RSA key.
    PublicKey,
    /// SonicOS CHAP.
    Chap,
    /// HTTP digest with MD5.
    DigestMd5,
    /// HTTP digest with SHA-256.
    DigestSha256,
}

/// How a device proves that it is the one: by pinned certificates, by a CA, or by the system's roots.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    /// SHA-256 of its certificate, with or without colons; several while one replaces the other.
    pub sha256: Key<OneOrMany>,
    /// A PEM file of CA certificates; the host name is checked too.
    pub ca: Key<String>,
    /// `true`: the system's root certificates; the host name is checked too.
    pub system: Key<bool>,
    /// The name that its certificate must carry when it is not the one in `url`.
    pub server_name: Key<String>,
}

/// A text or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// A recurring span of time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MaintenanceWindow {
    /// When it opens: a cron expression on the wall clock of the time zone.
    #[schemars(required, extend("x-hint" = "for example: start = \"0 2 * * SAT,SUN\" (minute, hour, day of month, month, day of week)"))]
    pub start: Key<String>,
    /// How long it stays open, from "5m" to "7d".
    #[schemars(required, extend("x-hint" = "for example: duration = \"3h\""))]
    pub duration: Key<String>,
    /// An IANA time zone such as "Europe/Amsterdam".
    #[schemars(extend("default" = default::TIME_ZONE))]
    pub time_zone: Key<String>,
}

/// A certificate that is to be kept renewed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// Its name, for commands and logs: up to 63 of `a-z A-Z 0-9 . _ -`.
    #[schemars(required, extend("x-hint" = "for example: name = \"hq-portal\""))]
    pub name: Key<String>,
    /// The name of the `[[firewall]]` that uses it.
    #[schemars(required, extend("x-hint" = "for example: firewall = \"hq\""))]
    pub firewall: Key<String>,
    /// The name of the `[[ca]]` that issues it.
    #[schemars(required, extend("x-hint" = "for example: ca = \"office\""))]
    pub ca: Key<String>,
    /// The subject of the certificate.
    #[schemars(required, extend("x-hint" = "for example: subject = { common_name = \"vpn.example.com\" }"))]
    pub subject: Key<Subject>,
    /// Host names among its subject alternative names. A request that is made on the device can carry one alternative
    /// name; several, or a wildcard, need `key = { origin = "renewd" }`.
    #[schemars(extend("x-hint" = "for example: dns_names = [\"vpn.example.com\"]"))]
    pub dns_names: Key<Vec<Placed<String>>>,
    /// IP addresses among its subject alternative names.
    #[schemars(extend("x-hint" = "for example: ip_addresses = [\"192.0.2.1\"]"))]
    pub ip_addresses: Key<Vec<Placed<String>>>,
    /// Mail addresses among its subject alternative names.
    #[schemars(extend("x-hint" = "for example: email_addresses = [\"admin@example.com\"]"))]
    pub email_addresses: Key<Vec<Placed<String>>>,
    /// The key pair.
    pub key: Key<KeyPair>,
    /// The digest that signs the request.
    #[schemars(extend("default" = "sha-256"))]
    pub digest: Key<Digest>,
    /// The services of the firewall that are to use it.
    #[schemars(extend("default" = ["web-management"]))]
    pub services: Key<Vec<Placed<Service>>>,
    /// Where a TLS handshake must show it, as "HOST:PORT". Left out: the firewall's management port for
    /// "web-management", its `ssl_vpn_port` for "ssl-vpn".
    #[schemars(extend("x-hint" = "for example: endpoints = [\"192.0.2.1:443\"]"))]
    pub endpoints: Key<Vec<Placed<String>>>,
    /// When this one is renewed, where it differs from `[renewal]`.
    pub renewal: Key<Renewal>,
}

/// A distinguished name (RFC 5280, 4.1.2.6). At least one key is needed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subject {
    /// C, as its code of ISO 3166-1, such as "NL", or as the name that the device lists, such as "Netherlands".
    pub country: Key<String>,
    /// ST.
    pub state: Key<String>,
    /// L.
    pub locality: Key<String>,
    /// O.
    pub organization: Key<String>,
    /// OU.
    pub department: Key<String>,
    /// A second OU.
    pub group: Key<String>,
    /// A third OU.
    pub team: Key<String>,
    /// CN.
    pub common_name: Key<String>,
    /// serialNumber.
    pub serial: Key<String>,
    /// emailAddress.
    pub email: Key<String>,
}

/// A key pair.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyPair {
    /// Who makes it. "firewall": the device itself, which never exports it. "renewd": this daemon, which keeps it sealed,
    /// puts it on the device with the certificate, and destroys it when the services show that; the key has then been
    /// outside the device, which is the price of several names or a wildcard.
    #[schemars(extend("default" = "firewall"))]
    pub origin: Key<KeyOrigin>,
    /// Its algorithm.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "rsa"))]
    pub kind: Key<KeyType>,
    /// Its size in bits: 2048 or 4096 for rsa (left out: 2048), 256, 384 or 521 for ecdsa (left out: 256).
    #[schemars(range(min = 1, max = 65535), extend("x-hint" = "for example: key = { type = \"rsa\", size = 2048 }"))]
    pub size: Key<u32>,
}

/// Who makes a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyOrigin {
    /// The firewall.
    Firewall,
    /// renewd.
    Renewd,
}

/// Algorithms of key pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyType {
    /// RSA.
    Rsa,
    /// ECDSA on a NIST curve.
    Ecdsa,
}

/// Digests.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) enum Digest {
    /// SHA-256.
    #[serde(rename = "sha-256")]
    Sha256,
    /// SHA-384.
    #[serde(rename = "sha-384")]
    Sha384,
    /// SHA-512.
    #[serde(rename = "sha-512")]
    Sha512,
}

/// Services of a firewall that use a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Service {
    /// HTTPS management.
    WebManagement,
    /// The SSL VPN portal.
    SslVpn,
}
