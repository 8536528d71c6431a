//! What each address of a certificate serves. It is stored per address: services differ, and addresses fail one by one.

use jiff::Timestamp;

use super::ServedCertificate;
use crate::pki::Fingerprint;

/// What is stored of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// `HOST:PORT`; empty for what an earlier renewd stored for all addresses together.
    pub address: String,
    /// The last certificate there that renewd knows.
    pub known: Option<ServedCertificate>,
    /// Whether the names and the key of `known` were those of the configuration at the last probe.
    pub is_wanted: bool,
    /// What the address presents instead of a certificate that renewd knows.
    pub unknown: Option<Unknown>,
    /// Since when and why it serves nothing.
    pub unreachable: Option<Unreachable>,
    /// When the last outage was reported.
    pub unreachable_reported_at: Option<Timestamp>,
    /// The last condition of what is presented that was reported, and when.
    pub reported: Option<(Condition, Timestamp)>,
    /// The start of the newest probe that is stored here.
    pub probed_at: Timestamp,
}

/// A certificate that renewd does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// Since when the address presents it.
    pub since: Timestamp,
    /// What it is, and why it is not known.
    pub words: String,
}

/// An address that serves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    /// The start of the first probe of this outage.
    pub since: Timestamp,
    /// What the last probe met.
    pub words: String,
}

/// What can be wrong with the certificate that an address presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It is not known.
    Unknown(Fingerprint),
    /// It cannot be read.
    Unreadable(Fingerprint),
    /// It is one that renewd has replaced: an older binding was put back.
    PutBack(Fingerprint),
    /// It is known, and not the one that was served before.
    Replaced(Fingerprint),
    /// It is known, but the trust that is configured for the firewall does not accept it for a login.
    Untrusted(Fingerprint),
}

impl Condition {
    /// The certificate that it is about.
    pub const fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Unknown(print)
            | Self::Unreadable(print)
            | Self::PutBack(print)
            | Self::Replaced(print)
            | Self::Untrusted(print) => *print,
        }
    }

    /// The text in a row.
    pub fn text(&self) -> String {
        let (name, fingerprint) = match self {
            Self::Unknown(print) => ("unknown", print),
            Self::Unreadable(print) => ("unreadable", print),
            Self::PutBack(print) => ("put_back", print),
            Self::Replaced(print) => ("replaced", print),
            Self::Untrusted(print) => ("untrusted", print),
        };
        format!("{name} {fingerprint}")
    }

    /// The condition of this text.
    pub fn from_text(text: &str) -> Option<Self> {
        let (name, fingerprint) = text.split_once(' ')?;
        let fingerprint = fingerprint.parse().ok()?;
        Some(match name {
            "unknown" => Self::Unknown(fingerprint),
            "unreadable" => Self::Unreadable(fingerprint),
            "put_back" => Self::PutBack(fingerprint),
            "replaced" => Self::Replaced(fingerprint),
            "untrusted" => Self::Untrusted(fingerprint),
            _ => return None,
        })
    }
}

/// What is wrong with what an address serves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressProblem<'a> {
    /// It serves nothing.
    Unreachable(&'a Unreachable),
    /// It presents a certificate that renewd does not know.
    Unknown(&'a Unknown),
    /// It serves a certificate that renewd has replaced.
    PutBack(&'a ServedCertificate),
    /// It is the management page, and no pin accepts what it serves.
    Untrusted(&'a ServedCertificate),
}

/// The known certificate that decides when a renewal is due: one with other names than wanted, else the one that expires
/// first. An address that is not reached at the moment counts by what it served last, so one that comes and goes changes
/// nothing.
pub fn deciding(served: &[Served]) -> Option<&ServedCertificate> {
    served
        .iter()
        .filter_map(|one| Some((one.is_wanted, one.known.as_ref()?)))
        .min_by_key(|(is_wanted, known)| (*is_wanted, known.not_after))
        .map(|(_, known)| known)
}

/// What a probe or a verification found at one address, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What is true of the address from now on; `known` is `None` where the last one still counts.
    pub served: Served,
    /// It comes from a verification: no probe that began before it was stored replaces it.
    pub is_verified: bool,
}

impl Observation {
    /// A verification found `known` at `address`.
    pub fn verified(address: String, known: ServedCertificate) -> Self {
        Self {
            served: Served {
                probed_at: known.seen_at,
                ..Served::known(address, known)
            },
            is_verified: true,
        }
    }

    /// A probe found what `served` says.
    pub const fn probed(served: Served) -> Self {
        Self {
            served,
            is_verified: false,
        }
    }
}

impl Served {
    /// `address` serves `known`, as it should.
    pub fn known(address: String, known: ServedCertificate) -> Self {
        Self {
            address,
            probed_at: known.seen_at,
            known: Some(known),
            is_wanted: true,
            unknown: None,
            unreachable: None,
            unreachable_reported_at: None,
            reported: None,
        }
    }

    /// What is wrong with what it serves now.
    pub fn problem(&self) -> Option<AddressProblem<'_>> {
        if let Some(outage) = &self.unreachable {
            return Some(AddressProblem::Unreachable(outage));
        }
        if let Some(unknown) = &self.unknown {
            return Some(AddressProblem::Unknown(unknown));
        }
        let known = self.known.as_ref()?;
        let (condition, _) = self.reported.as_ref()?;
        if condition.fingerprint() != known.fingerprint {
            return None;
        }
        match condition {
            Condition::PutBack(_) => Some(AddressProblem::PutBack(known)),
            Condition::Untrusted(_) => Some(AddressProblem::Untrusted(known)),
            Condition::Unknown(_) | Condition::Unreadable(_) | Condition::Replaced(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_read_as_it_was_written() {
        let print = Fingerprint::of(b"x");
        for condition in [
            Condition::Unknown(print),
            Condition::Unreadable(print),
            Condition::PutBack(print),
            Condition::Replaced(print),
            Condition::Untrusted(print),
        ] {
            assert_eq!(Condition::from_text(&condition.text()), Some(condition));
        }
        for text in ["", "unknown", "unknown x", "other "] {
            assert_eq!(Condition::from_text(text), None, "{text:?}");
        }
    }
}
