//! How much of the password a login shows to the peer, and the least that is accepted. A level that a firewall once had is
//! the least from then on: a peer that offers less is not answered (SonicOS reference 1.2).

use super::settings::{Login, Settings};

/// The login methods, by how much of the password they show to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoginLevel {
    /// HTTP Basic: the password itself.
    Basic,
    /// The password, encrypted for a key that the peer itself chooses.
    PublicKey,
    /// SonicOS CHAP: MD5 over a challenge that the peer chooses.
    Chap,
    /// HTTP digest with MD5. Always with `qop`: a digest without it is never answered.
    DigestMd5,
    /// HTTP digest with SHA-256 or SHA-512/256.
    DigestSha256,
}

impl LoginLevel {
    /// The word in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::PublicKey => "public-key",
            Self::Chap => "chap",
            Self::DigestMd5 => "digest-md5",
            Self::DigestSha256 => "digest-sha256",
        }
    }
}

/// The least that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) level: LoginLevel,
    /// Whether digests must protect the body as well (`auth-int`).
    pub(super) with_integrity: bool,
}

impl Floor {
    /// Anything goes, as at the first contact.
    pub(super) const NONE: Self = Self {
        level: LoginLevel::Basic,
        with_integrity: false,
    };

    /// The weakest login that is accepted from a firewall whose earlier sessions had the quirk `login`. A level in the
    /// configuration overrides the learned one, so that an operator can accept a weaker login.
    pub(super) fn of(settings: &Settings, learned: Option<&str>) -> Self {
        let named = settings.minimum_login.map(|level| Self {
            level,
            with_integrity: false,
        });
        let is_learned = matches!(settings.login, Login::Automatic | Login::Digest);
        named.unwrap_or_else(|| {
            let learned = learned.filter(|_| is_learned && settings.totp.is_none());
            learned.and_then(Self::read).unwrap_or(Self::NONE)
        })
    }

    /// The quirk of earlier sessions.
    fn read(learned: &str) -> Option<Self> {
        let level = match learned {
            "basic" => LoginLevel::Basic,
            "public key" => LoginLevel::PublicKey,
            "chap" => LoginLevel::Chap,
            digest if digest.starts_with("digest MD5") => LoginLevel::DigestMd5,
            digest if digest.starts_with("digest ") => LoginLevel::DigestSha256,
            _ => return None,
        };
        Some(Self {
            level,
            with_integrity: learned.ends_with(" auth-int"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_login_that_was_ever_stored_is_read() {
        let read = |text| Floor::read(text).map(|floor| (floor.level, floor.with_integrity));
        for (text, level, with_integrity) in [
            ("basic", LoginLevel::Basic, false),
            ("public key", LoginLevel::PublicKey, false),
            ("chap", LoginLevel::Chap, false),
            ("digest MD5", LoginLevel::DigestMd5, false),
            ("digest MD5-sess auth-int", LoginLevel::DigestMd5, true),
            ("digest SHA-256", LoginLevel::DigestSha256, false),
            ("digest SHA-512-256", LoginLevel::DigestSha256, false),
            (
                "digest SHA-256-sess auth-int",
                LoginLevel::DigestSha256,
                true,
            ),
        ] {
            assert_eq!(read(text), Some((level, with_integrity)), "{text}");
        }
        for text in ["source address", "bearer token", ""] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn levels_are_ordered_by_what_they_show() {
        let ordered = [
            LoginLevel::Basic,
            LoginLevel::PublicKey,
            LoginLevel::Chap,
            LoginLevel::DigestMd5,
            LoginLevel::DigestSha256,
        ];
        assert!(ordered.is_sorted());
    }
}
