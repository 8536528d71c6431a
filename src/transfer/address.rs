//! The address to listen on, and the address that is advertised to the firewall. Both are numeric, because devices
//! refuse names (SonicOS reference 3.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::TransferRequest;
use super::grant::Grant;
use super::settings::{Protocol, Settings};
use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;

/// Where to listen for `request`.
pub(super) fn listen(
    settings: &Settings,
    request: &TransferRequest,
) -> Result<SocketAddr, Failure> {
    let port = match request.protocol {
        Protocol::Scp => settings.scp_port,
        Protocol::Ftp => settings.ftp_port,
    };
    let address = match settings.listen {
        Some(address) => address,
        None => own_towards(request.firewall)?,
    };
    Ok(SocketAddr::new(address, port))
}

/// The address that is advertised to `firewall`. Nothing is opened or sent.
///
/// # Errors
/// `Local` when none is configured and there is no way to `firewall` from here.
pub fn advertised(settings: &Settings, firewall: SocketAddr) -> Result<IpAddr, Failure> {
    // Listening everywhere is no address to connect to.
    let listen = settings.listen.filter(|listen| !listen.is_unspecified());
    match settings.advertise.or(listen) {
        Some(address) => Ok(address),
        None => own_towards(firewall),
    }
}

/// The URL of the folder at `address`; the protocol's default port is left out.
pub(super) fn folder_url(protocol: Protocol, address: SocketAddr, grant: &Grant) -> Secret {
    let (name, well_known) = match protocol {
        Protocol::Scp => (protocol.name(), 22),
        Protocol::Ftp => (protocol.name(), 21),
    };
    let host = match address.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let port = match address.port() {
        port if port == well_known => String::new(),
        port => format!(":{port}"),
    };
    let (user, password) = (&grant.user, grant.password.expose());
    Secret::new(format!("{name}://{user}:{password}@{host}{port}/"))
}

/// `address`, if it can stand in the answer to `PASV`.
pub(super) fn ipv4(address: Option<IpAddr>) -> Option<Ipv4Addr> {
    match address {
        Some(IpAddr::V4(address)) => Some(address),
        Some(IpAddr::V6(_)) | None => None,
    }
}

/// The address of this machine by which it reaches `firewall`. Connecting a UDP socket asks the kernel for the way and
/// sends nothing.
fn own_towards(firewall: SocketAddr) -> Result<IpAddr, Failure> {
    let any: IpAddr = match firewall {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let own = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(firewall)?;
        socket.local_addr()
    });
    own.map(|own| own.ip().to_canonical()).map_err(|error| {
        let call = format!("find the address by which {} is reached", firewall.ip());
        let advice = format!("{error}; name one in `listen`");
        Failure::new(FailureKind::Local, call, advice)
    })
}
