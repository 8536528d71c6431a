//! The driver pairs: each face of a firewall with each kind of CA.

use std::fmt;
use std::str::FromStr;

use simulators::sonicos::{Faces, Profile};

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
pub struct Pair {
    pub face: Face,
    pub kind: Kind,
}

impl Pair {
    /// Every generation with every CA.
    pub fn all() -> Vec<Self> {
        Self::of(&Face::GENERATIONS)
    }

    /// What is different about a face is told to the CA by nothing: each of these with the CAs that answer at once and
    /// that take their time.
    pub fn notable() -> Vec<Self> {
        let mut pairs = Self::of(&Face::NOTABLE);
        pairs.retain(|pair| matches!(pair.kind, Kind::Local | Kind::Resello));
        pairs
    }

    fn of(faces: &[Face]) -> Vec<Self> {
        let with_each = |face: &Face| Kind::ALL.map(|kind| Self { face: *face, kind });
        faces.iter().flat_map(with_each).collect()
    }
}

impl Face {
    pub const GENERATIONS: [Self; 5] = [Self::V65Scp, Self::V65Ftp, Self::V70, Self::V7x, Self::V8];
    pub const NOTABLE: [Self; 3] = [Self::V8OwnKey, Self::V7xPending, Self::V8Cut];

    pub fn profile(self) -> Profile {
        match self {
            Self::V65Scp | Self::V65Ftp => Profile::V6_5,
            Self::V70 => Profile::V7_0,
            Self::V7x | Self::V7xPending => Profile::V7_X,
            Self::V8 | Self::V8OwnKey | Self::V8Cut => Profile::V8,
        }
    }

    /// The switches of the device; kind but for what the face is about, so that each run makes the same calls.
    pub fn faces(self) -> Faces {
        let mut faces = Faces::kind();
        match self {
            Self::V7xPending => {
                faces.generation_is_pending = true;
                faces.imports_are_pending = true;
                faces.deletes_are_pending = true;
            }
            Self::V8Cut => {
                faces.drop_on_management_commit = true;
                faces.session_lost_on_management_commit = true;
                faces.key_ready_after_listings = 1;
            }
            _ => {}
        }
        faces
    }

    /// Further keys of `driver.sonicos`.
    pub fn keys(self) -> &'static str {
        match self {
            Self::V65Scp => r#"transfers = { protocol = "scp" }"#,
            Self::V65Ftp => r#"transfers = { protocol = "ftp" }"#,
            _ => "",
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

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.face.name(), self.kind.name())
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let faces = [&Face::GENERATIONS[..], &Face::NOTABLE[..]].concat();
        let pairs = Self::of(&faces);
        let names: Vec<String> = pairs.iter().map(Self::to_string).collect();
        let found = pairs.into_iter().find(|pair| pair.to_string() == text);
        found.ok_or_else(|| format!("no pair {text:?}; there are {}", names.join(", ")))
    }
}

#[test]
fn a_pair_is_found_by_its_name() {
    assert_eq!(Pair::all().len(), 30);
    for pair in Pair::all().into_iter().chain(Pair::notable()) {
        assert_eq!(pair.to_string().parse(), Ok(pair));
    }
    assert!("9/local".parse::<Pair>().is_err());
}
