//! `[file_transfer]`, and what a firewall needs that is reached by more than its API.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Key, default};

/// How firewalls that bring and fetch their files themselves (SonicOS 6.5) reach renewd: its servers for SCP and FTP,
/// which exist for the seconds of a transfer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfers {
    /// Which protocol is used.
    #[schemars(extend("default" = "automatic", "x-hint" = "one of: automatic, scp (SFTP included), ftp (in clear text)"))]
    pub protocol: Key<TransferProtocol>,
    /// The numeric address to listen on. Left out: the one by which renewd reaches the firewall.
    #[schemars(extend("x-hint" = "for example: listen = \"192.0.2.10\""))]
    pub listen: Key<String>,
    /// The numeric address that is given to the firewall, where addresses are translated in between. Left out: the one
    /// that is listened on.
    #[schemars(extend("x-hint" = "for example: advertise = \"198.51.100.10\""))]
    pub advertise: Key<String>,
    /// The numeric address from which a firewall comes, where that is not its management address. For one firewall.
    #[schemars(extend("x-hint" = "for example: source_address = \"192.0.2.1\""))]
    pub source_address: Key<String>,
    /// TCP port for SCP; 0: a free one for each transfer.
    #[schemars(range(min = 0, max = 65535), extend("default" = default::TRANSFER_PORT))]
    pub scp_port: Key<u16>,
    /// TCP port for FTP; 0: a free one for each transfer.
    #[schemars(range(min = 0, max = 65535), extend("default" = default::TRANSFER_PORT))]
    pub ftp_port: Key<u16>,
    /// TCP ports for the data connections of passive FTP, first and last. Left out: any free one.
    #[schemars(extend("x-hint" = "for example: passive_ports = \"50000-50099\""))]
    pub passive_ports: Key<String>,
}

/// The protocols of transfers.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransferProtocol {
    /// SCP.
    Automatic,
    /// SCP, as `automatic`.
    Scp,
    /// FTP, in clear text: only where it is asked for.
    Ftp,
}

/// The command line of a device over SSH, the last resort where its API lacks a call. User and password are those of
/// the API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// Where its SSH management listens, as "HOST:PORT". Left out: the host of `url`, port 22.
    #[schemars(extend("x-hint" = "for example: address = \"192.0.2.1:22\""))]
    pub address: Key<String>,
    /// SHA-256 of its host key, as OpenSSH prints it. Nothing is sent to another.
    #[schemars(required, extend("x-hint" = HOST_KEY_HINT))]
    pub host_key: Key<String>,
}

/// Also the hint where a host key is written in another form.
pub const HOST_KEY_HINT: &str = "host_key = \"SHA256:…\" as `ssh-keyscan HOST | ssh-keygen -lf -` prints it; compare it with what the device itself shows";
