//! What a certificate is to say: subject, alternate name, key. In the field's words (RFC 2986, RFC 5280);
//! how a device spells them is its driver's business.

use std::fmt;
use std::net::IpAddr;

use super::name::is_dns_name;

/// What the CSR asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyRequest {
    /// The distinguished name.
    pub subject: Subject,
    /// The subject alternative names; a request that is made on a SonicWall can carry one (SonicOS reference 3.1).
    pub alternate_names: Vec<AlternateName>,
    /// The key pair.
    pub key: KeyKind,
    /// The digest that signs the CSR.
    pub digest: Digest,
}

impl KeyRequest {
    /// The names that a TLS client may look for: the alternate names, and the CN where it is a host name or an address.
    pub fn host_names(&self) -> Vec<AlternateName> {
        let common_name = self.subject.common_name.as_deref();
        let mut names = self.alternate_names.clone();
        if let Some(name) = common_name.and_then(AlternateName::from_common_name)
            && !names.iter().any(|known| known.is_same(&name))
        {
            names.push(name);
        }
        names
    }
}

/// A distinguished name's parts; at least one is set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Subject {
    /// C, as its code of ISO 3166-1 ("US") or as a name that a device lists ("United States").
    pub country: Option<String>,
    /// ST.
    pub state: Option<String>,
    /// L.
    pub locality: Option<String>,
    /// O.
    pub organization: Option<String>,
    /// OU.
    pub department: Option<String>,
    /// A second OU.
    pub group: Option<String>,
    /// A third OU.
    pub team: Option<String>,
    /// CN.
    pub common_name: Option<String>,
    /// serialNumber.
    pub serial: Option<String>,
    /// emailAddress.
    pub email: Option<String>,
}

impl Subject {
    /// The parts that are set, in the order of a distinguished name: attribute (as in [`Csr::subject`](super::Csr)) and value.
    pub fn parts(&self) -> Vec<(&'static str, &str)> {
        let parts = [
            ("C", &self.country),
            ("ST", &self.state),
            ("L", &self.locality),
            ("O", &self.organization),
            ("OU", &self.department),
            ("OU", &self.group),
            ("OU", &self.team),
            ("CN", &self.common_name),
            ("serialNumber", &self.serial),
            ("emailAddress", &self.email),
        ];
        parts
            .into_iter()
            .filter_map(|(attribute, value)| Some((attribute, value.as_deref()?)))
            .collect()
    }
}

/// A subject alternative name (RFC 5280, 4.2.1.6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlternateName {
    /// dNSName, in lower case.
    Domain(String),
    /// rfc822Name.
    Email(String),
    /// iPAddress.
    Ip(IpAddr),
}

impl AlternateName {
    /// The alternate name that says the same as this CN; `None` for a CN that is no address and no host name with
    /// a dot in it ("Office firewall", "fw").
    pub fn from_common_name(common_name: &str) -> Option<Self> {
        if let Ok(address) = common_name.parse() {
            return Some(Self::Ip(address));
        }
        let is_host_name = common_name.contains('.') && is_dns_name(common_name);
        is_host_name.then(|| Self::Domain(common_name.to_ascii_lowercase()))
    }

    /// Whether both name the same; case does not count.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Domain(one), Self::Domain(two)) | (Self::Email(one), Self::Email(two)) => {
                one.eq_ignore_ascii_case(two)
            }
            (Self::Ip(one), Self::Ip(two)) => one == two,
            _ => false,
        }
    }
}

impl fmt::Display for AlternateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) | Self::Email(name) => f.write_str(name),
            Self::Ip(address) => write!(f, "{address}"),
        }
    }
}

/// Algorithm and size of a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA, with the modulus' size in bits.
    Rsa(u32),
    /// ECDSA on the NIST curve of this many bits: 256, 384 or 521.
    Ecdsa(u32),
    /// Something else, as met in a foreign certificate.
    Other,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA {bits}"),
            Self::Ecdsa(bits) => write!(f, "ECDSA P-{bits}"),
            Self::Other => f.write_str("a key of another kind"),
        }
    }
}

/// A signature's digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Digest {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}
