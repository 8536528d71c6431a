//! How a firewall that transfers files over SCP or FTP reaches us.

use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Where the servers for transfers listen, and which address is advertised to the firewall. `[file_transfer]`, and each
/// firewall's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which protocol is used.
    pub protocol: Choice,
    /// The address to listen on; `None`: the one by which renewd reaches the firewall.
    pub listen: Option<IpAddr>,
    /// The address that is advertised to the firewall; `None`: the one that is listened on. It differs where addresses
    /// are translated in between.
    pub advertise: Option<IpAddr>,
    /// From where the firewall comes; `None`: its management address.
    pub source_address: Option<IpAddr>,
    /// TCP port for SCP; 0: a free one for each transfer.
    pub scp_port: u16,
    /// TCP port for FTP; 0: a free one for each transfer.
    pub ftp_port: u16,
    /// TCP ports for the data connections of passive FTP; `None`: any free one.
    pub passive_ports: Option<RangeInclusive<u16>>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// SCP. FTP is never used unless it is asked for.
    #[default]
    Automatic,
    /// One of them alone.
    Only(Protocol),
}

/// A protocol in which a firewall can be a client (SonicOS reference 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Legacy `scp` and SFTP, over SSH.
    Scp,
    /// FTP (RFC 959), in clear text.
    Ftp,
}

impl Protocol {
    /// The scheme of an URL, and the word in paths, logs and quirks.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scp => "scp",
            Self::Ftp => "ftp",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protocol: Choice::Automatic,
            listen: None,
            advertise: None,
            source_address: None,
            scp_port: 0,
            ftp_port: 0,
            passive_ports: None,
        }
    }
}
