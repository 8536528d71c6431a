//! The driver pairs: each face of a firewall with each kind of CA.

use std::fmt;
use std::str::FromStr;

use renewd::inventory::State;
use simulators::sonicos::{Profile, Variants};

/// A firewall as it may stand in an office.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Face {
    /// SonicOS 6.5 that carries its files over SCP.
    V65Scp,
    /// SonicOS 6.5 that carries its files over FTP.
    V65Ftp,
    V70,
    V7x,
    V8,
    /// SonicOS 8, with a key that renewd makes.
    V8OwnKey,
    /// SonicOS 7.x, where requests, imports and deletes wait for a commit too.
    V7xPending,
    /// SonicOS 8 whose certificate was made by renewd before, and is removed after the proof.
    V8Second,
    /// SonicOS 6.5 of which the same is true.
    V65Second,
    /// SonicOS 8 that continues to serve the old certificate: the bind is rolled back.
    V8Stale,
    /// SonicOS 8 that cuts the connection and ends the session when its management certificate changes, and is slow to
    /// list a new request.
    V8Cut,
}

/// A kind of CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Local,
    Acme,
    Venafi,
    Pam360,
    Resello,
    Exec,
}

/// One firewall with one CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DriverPair {
    pub face: Face,
    pub kind: Kind,
}

impl DriverPair {
    /// Every generation with every CA.
    pub fn all() -> Vec<Self> {
        Self::of(&Face::GENERATIONS)
    }

    /// What is different about a face is nothing to the CA, but that it is asked a second time: these with the CA that
    /// answers at once and the one that takes its time, and a second renewal with every CA.
    pub fn notable() -> Vec<Self> {
        let mut pairs = Self::of(&Face::NOTABLE);
        pairs.retain(|pair| match pair.face {
            Face::V8Second => true,
            Face::V65Second => pair.kind == Kind::Local,
            _ => matches!(pair.kind, Kind::Local | Kind::Resello),
        });
        pairs
    }

    fn of(variants: &[Face]) -> Vec<Self> {
        let with_each = |face: &Face| Kind::ALL.map(|kind| Self { face: *face, kind });
        variants.iter().flat_map(with_each).collect()
    }
}

impl Face {
    pub const GENERATIONS: [Self; 5] = [Self::V65Scp, Self::V65Ftp, Self::V70, Self::V7x, Self::V8];
    pub const NOTABLE: [Self; 6] = [
        Self::V8OwnKey,
        Self::V7xPending,
        Self::V8Cut,
        Self::V8Second,
        Self::V65Second,
        Self::V8Stale,
    ];

    pub fn profile(self) -> Profile {
        match self {
            Self::V65Scp | Self::V65Ftp | Self::V65Second => Profile::V6_5,
            Self::V70 => Profile::V7_0,
            Self::V7x | Self::V7xPending => Profile::V7_X,
            Self::V8 | Self::V8OwnKey | Self::V8Cut | Self::V8Second | Self::V8Stale => Profile::V8,
        }
    }

    /// The switches of the device; kind but for what the face is about, so that each run makes the same calls.
    pub fn variants(self) -> Variants {
        let mut variants = Variants::kind();
        match self {
            Self::V7xPending => {
                variants.generation_is_pending = true;
                variants.imports_are_pending = true;
                variants.deletes_are_pending = true;
            }
            Self::V8Stale => variants.keep_serving_old_after_bind = true,
            Self::V8Cut => {
                variants.drop_on_management_commit = true;
                variants.session_lost_on_management_commit = true;
                variants.key_ready_after_listings = 1;
            }
            _ => {}
        }
        variants
    }

    /// Further keys of `driver.sonicos`.
    pub fn keys(self) -> &'static str {
        match self {
            Self::V65Scp | Self::V65Second => r#"file_transfer = { protocol = "scp" }"#,
            Self::V65Ftp => r#"file_transfer = { protocol = "ftp" }"#,
            _ => "",
        }
    }

    /// Whether renewd has renewed its certificate once before.
    pub fn has_former(self) -> bool {
        matches!(self, Self::V8Second | Self::V65Second)
    }

    /// How a renewal ends there.
    pub fn end(self) -> State {
        match self {
            Self::V8Stale => State::RolledBack,
            _ => State::Completed,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::V65Scp => "6.5-scp",
            Self::V65Ftp => "6.5-ftp",
            Self::V70 => "7.0",
            Self::V7x => "7.x",
            Self::V8 => "8",
            Self::V8OwnKey => "8+key",
            Self::V7xPending => "7.x+pending",
            Self::V8Cut => "8+cut",
            Self::V8Second => "8+second",
            Self::V65Second => "6.5+second",
            Self::V8Stale => "8+stale",
        }
    }
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Local,
        Self::Acme,
        Self::Venafi,
        Self::Pam360,
        Self::Resello,
        Self::Exec,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Acme => "acme",
            Self::Venafi => "venafi",
            Self::Pam360 => "pam360",
            Self::Resello => "resello",
            Self::Exec => "exec",
        }
    }
}

impl fmt::Display for DriverPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.face.name(), self.kind.name())
    }
}

impl FromStr for DriverPair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let variants = [&Face::GENERATIONS[..], &Face::NOTABLE[..]].concat();
        let pairs = Self::of(&variants);
        let names: Vec<String> = pairs.iter().map(Self::to_string).collect();
        let found = pairs.into_iter().find(|pair| pair.to_string() == text);
        found.ok_or_else(|| format!("no pair {text:?}; there are {}", names.join(", ")))
    }
}

#[test]
fn a_pair_is_found_by_its_name() {
    assert_eq!(DriverPair::all().len(), 30);
    for pair in DriverPair::all().into_iter().chain(DriverPair::notable()) {
        assert_eq!(pair.to_string().parse(), Ok(pair));
    }
    assert!("9/local".parse::<DriverPair>().is_err());
}
