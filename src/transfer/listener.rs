//! One open port: takes connections, and gives each to the server of its protocol for as long as it may stay.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::acceptor::{Acceptor, Client};
use super::settings::Protocol;
use super::{ftp, ssh};
use crate::failure::{Failure, FailureKind};

/// What is spoken at a port.
#[derive(Debug, Clone)]
pub(super) enum Service {
    Scp(Arc<russh::server::Config>),
    Ftp,
}

impl Service {
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Scp(_) => Protocol::Scp,
            Self::Ftp => Protocol::Ftp,
        }
    }
}

/// Takes `address` for this process. It does not block.
pub(super) fn bind(address: SocketAddr, protocol: Protocol) -> Result<TcpListener, Failure> {
    // The standard library lets an address be taken again at once after a listener of ours has left it.
    let bound = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    bound.map_err(|error| cannot_bind(address, protocol, &error))
}

/// Takes connections until the last transfer has left.
pub(super) async fn accept(socket: TcpListener, acceptor: Arc<Acceptor>, service: Service) {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = acceptor.closed.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer, &acceptor, &service),
            Err(error) => {
                tracing::debug!(%error, "a connection to the port for transfers was lost");
                // Out of file descriptors: the next attempt would fail at once, again and again.
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    acceptor.say_goodbye();
}

/// Each connection has a task of its own, so that a slow client does not delay another one.
fn take(stream: TcpStream, peer: SocketAddr, acceptor: &Arc<Acceptor>, service: &Service) {
    let local = stream.local_addr().unwrap_or(acceptor.address);
    if let Some(client) = acceptor.admit(peer, local) {
        tokio::spawn(accompany(stream, client, service.clone()));
    }
}

async fn accompany(stream: TcpStream, client: Arc<Client>, service: Service) {
    let serve = async {
        match service {
            Service::Scp(config) => ssh::serve(stream, Arc::clone(&client), config).await,
            Service::Ftp => ftp::serve(stream, Arc::clone(&client)).await,
        }
    };
    let _leaving = Leaving(Arc::clone(&client));
    tokio::select! {
        () = serve => {}
        () = client.time_is_up() => {}
    }
}

/// Its place is free again, however its task ends: in a panic as well.
struct Leaving(Arc<Client>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.leave();
    }
}

fn cannot_bind(address: SocketAddr, protocol: Protocol, error: &io::Error) -> Failure {
    let port = match protocol {
        Protocol::Scp => "scp_port",
        Protocol::Ftp => "ftp_port",
    };
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => format!(
            "ports below 1024 need a privilege: CapabilityBoundingSet=CAP_NET_BIND_SERVICE, \
             AmbientCapabilities=CAP_NET_BIND_SERVICE and PrivateUsers=no in the unit (its drop-in port-80.conf), or \
             a higher port in `{port}`"
        ),
        ErrorKind::AddrInUse => {
            format!("another program listens there: let `{port}` name another port, or 0 for a free one")
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address: see `listen` (and `advertise`, where addresses are translated)".to_owned()
        }
        _ => format!("see `listen` and `{port}`"),
    };
    let words = format!("{error}; {advice}");
    Failure::new(
        FailureKind::Local,
        format!("listen at {address} for {}", protocol.name()),
        words,
    )
}

/// After a connection that could not be taken.
const BREATH: Duration = Duration::from_millis(100);
