//! Data connections of FTP: to and from the client's own address only. A server that connects to any address
//! in a request ("bounce", RFC 2577) would let a client reach ports of other machines from our address.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::lines::IDLE_LIMIT;
use crate::transfer::acceptor::{Client, canonical};
use crate::transfer::grant::{Refusal, Upload};

/// How the next file will go.
#[derive(Debug)]
pub(super) enum DataPort {
    /// The client connects to us.
    Passive(TcpListener),
    /// We connect to the client.
    Active(SocketAddr),
}

/// Why a file did not arrive.
#[derive(Debug)]
pub(super) enum Broken {
    /// We do not take it; still to be noted.
    Refused(Refusal),
    /// The connection broke.
    Lost(io::Error),
}

impl DataPort {
    /// Opens a port for the client, among `ports`.
    pub async fn passive(
        own: IpAddr,
        ports: Option<&RangeInclusive<u16>>,
    ) -> io::Result<(Self, u16)> {
        let mut last = io::Error::new(ErrorKind::AddrInUse, "no port to choose from");
        for port in ports.cloned().unwrap_or(0..=0) {
            match TcpListener::bind((own, port)).await {
                Ok(listener) => {
                    let port = listener.local_addr()?.port();
                    return Ok((Self::Passive(listener), port));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The client's own port, if it is its own and not that of a service.
    pub fn active(address: SocketAddr, client: &Client) -> Option<Self> {
        let address = canonical(address);
        let is_own = address.ip() == client.peer.ip() && address.port() >= FIRST_FREE_PORT;
        is_own.then_some(Self::Active(address))
    }

    /// The data connection.
    pub async fn connect(self, client: &Client) -> io::Result<TcpStream> {
        let connected = match self {
            Self::Active(address) => timeout(CONNECT_LIMIT, dial(address, client.local.ip())).await,
            Self::Passive(listener) => timeout(CONNECT_LIMIT, welcome(listener, client)).await,
        };
        connected?
    }
}

/// Connects from the address that the client knows.
async fn dial(address: SocketAddr, own: IpAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(SocketAddr::new(own, 0))?;
    socket.connect(address).await
}

/// Waits for the client; connections from other addresses are refused.
async fn welcome(listener: TcpListener, client: &Client) -> io::Result<TcpStream> {
    loop {
        let (stream, peer) = listener.accept().await?;
        if canonical(peer).ip() == client.peer.ip() {
            return Ok(stream);
        }
        client.refuse(&format!("a data connection of {}", canonical(peer).ip()));
    }
}

/// Takes everything up to the end of the connection.
pub(super) async fn take(mut stream: TcpStream, upload: &mut Upload) -> Result<(), Broken> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = timeout(IDLE_LIMIT, stream.read(&mut chunk)).await;
        let read = read
            .map_err(io::Error::from)
            .flatten()
            .map_err(Broken::Lost)?;
        match chunk.get(..read) {
            Some(bytes) if !bytes.is_empty() => upload.push(bytes).map_err(Broken::Refused)?,
            _ => return Ok(()),
        }
    }
}

/// Gives `content` and waits until the client has closed its end too, as far as it does that before our answer.
pub(super) async fn give(mut stream: TcpStream, content: &[u8]) -> io::Result<()> {
    timeout(IDLE_LIMIT, stream.write_all(content)).await??;
    stream.shutdown().await?;
    match timeout(CLOSE_LIMIT, stream.read(&mut [0])).await {
        Ok(Err(error)) => Err(error),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

/// Bytes of a file that are taken at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// Ports below it belong to services.
const FIRST_FREE_PORT: u16 = 1024;

/// Until a data connection is there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Until the client closes a connection on which it has got everything.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
