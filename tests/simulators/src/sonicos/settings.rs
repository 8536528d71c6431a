//! The settings with which a simulated SonicWall starts.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use time::{Duration, OffsetDateTime};

use super::Variants;

/// The device clock. It is the only clock of the device.
pub type DeviceClock = Arc<dyn Fn() -> OffsetDateTime + Send + Sync>;

/// Everything needed to start a [`super::Simulator`].
#[derive(Clone)]
pub struct Settings {
    /// Which firmware generation to imitate.
    pub profile: Profile,
    /// The one administrator that may log in.
    pub user: String,
    /// That administrator's password.
    pub password: String,
    /// Where the web management (and with it the API) listens; port 0 takes a free one.
    pub management: SocketAddr,
    /// Where the SSL VPN portal listens; port 0 takes a free one.
    pub ssl_vpn: SocketAddr,
    /// Where the command line is to be had without a login (an SSH server stands before it); `None`: nowhere.
    pub console: Option<SocketAddr>,
    /// The certificate of both services at the start.
    pub initial: InitialCertificate,
    /// Every switch.
    pub variants: Variants,
    /// The device clock.
    pub now: DeviceClock,
    /// Seed of nonces, tokens and of all mischief; key pairs do not depend on it.
    pub seed: u64,
}

impl Settings {
    /// Sensible defaults: loopback, free ports, the system's clock, user `renewd`, password `correct horse`.
    pub fn new(profile: Profile) -> Self {
        let now = OffsetDateTime::now_utc();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            profile,
            user: "renewd".to_owned(),
            password: "correct horse".to_owned(),
            management: anywhere,
            ssl_vpn: anywhere,
            console: None,
            initial: InitialCertificate {
                common_name: "fw.example.com".to_owned(),
                not_before: now - Duration::days(80),
                not_after: now + Duration::days(10),
            },
            variants: Variants::default(),
            now: Arc::new(OffsetDateTime::now_utc),
            seed: 1,
        }
    }
}

/// The password stays out of it.
impl fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("profile", &self.profile)
            .field("user", &self.user)
            .field("management", &self.management)
            .field("ssl_vpn", &self.ssl_vpn)
            .field("initial", &self.initial)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// A firmware generation (SonicOS reference 1.2, 1.3, 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    non_camel_case_types,
    reason = "V7X would read as a version of its own"
)]
pub enum Profile {
    /// 6.5: HTTP/1.0, and files only by FTP or SCP.
    V6_5,
    /// 7.0: the session is bound to the client's address.
    V7_0,
    /// 7.1 to 7.3: session security, so every request carries a digest or a token.
    V7_X,
    /// 8: as 7.x, no Basic, no CHAP, digest with SHA-256 only.
    V8,
}

impl Profile {
    /// `firmware_version` of `/version`; the last word's first digit is the generation (5).
    pub fn firmware(self) -> &'static str {
        match self {
            Self::V6_5 => "SonicOS Enhanced 6.5.4.4-44n",
            Self::V7_0 => "SonicOS 7.0.1-5165-R6164",
            Self::V7_X => "SonicOS 7.3.0-7012",
            Self::V8 => "SonicOSX 8.2.1-8010",
        }
    }

    /// `model` of `/version` and of the login reply.
    pub fn model(self) -> &'static str {
        match self {
            Self::V6_5 => "TZ 400",
            Self::V7_0 => "TZ 270",
            Self::V7_X => "TZ 370",
            Self::V8 => "NSv 270",
        }
    }
}

/// The certificate that both services serve at the start: a local certificate named `fw-initial`, imported with its key
/// long ago and issued by a CA that the device also knows.
#[derive(Debug, Clone)]
pub struct InitialCertificate {
    /// Subject common name and only DNS name.
    pub common_name: String,
    /// Start of its validity.
    pub not_before: OffsetDateTime,
    /// End of its validity.
    pub not_after: OffsetDateTime,
}
