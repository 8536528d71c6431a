//! One open port. Each connection gets one short answer and little time. If there are too many connections, the oldest
//! one without a request is dropped, so that the next request is always accepted at once.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use crate::failure::{Failure, FailureKind};

/// A port that is open, and what is served there.
#[derive(Debug)]
pub(super) struct Listener {
    pub board: Board,
    task: JoinHandle<()>,
}

impl Listener {
    /// Opens `address`.
    pub async fn open(address: SocketAddr, board: Board) -> Result<Self, Failure> {
        let socket = bind(address).await?;
        tracing::debug!(%address, "the port for proofs is open");
        let task = tokio::spawn(accept(socket, board.clone()));
        Ok(Self { board, task })
    }

    /// Whether it still serves; it ends with the runtime that it was opened in.
    pub fn is_open(&self) -> bool {
        !self.task.is_finished()
    }

    /// Gives the port back; an answer that is on its way still arrives.
    pub async fn close(self) {
        self.task.abort();
        // The port is free when the task is gone; that it was aborted is no news.
        let _ = self.task.await;
    }
}

/// Takes `address` for this process.
pub(super) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    let mut bound = TcpListener::bind(address).await;
    let is_any = address.is_ipv6() && address.ip().is_unspecified();
    if let Err(error) = &bound
        && is_any
        && lacks_ipv6(error)
    {
        bound = TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
    }
    bound.map_err(|error| cannot_bind(address, &error))
}

/// A kernel without IPv6 does not know the family, or has no such address.
fn lacks_ipv6(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unsupported | ErrorKind::AddrNotAvailable
    ) || error.raw_os_error() == Some(EAFNOSUPPORT)
}

fn cannot_bind(address: SocketAddr, error: &std::io::Error) -> Failure {
    let advice = match error.kind() {
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a privilege: CapabilityBoundingSet=CAP_NET_BIND_SERVICE, \
             AmbientCapabilities=CAP_NET_BIND_SERVICE and PrivateUsers=no in the unit (its drop-in port-80.conf), or \
             a higher port in `listen` and a redirect of port 80 to it"
        }
        ErrorKind::AddrInUse => {
            "another program listens there: let `listen` name another port, and let that program pass \
             /.well-known/ on to it"
        }
        ErrorKind::AddrNotAvailable => "this machine has no such address: see `listen`",
        _ => "see `listen`",
    };
    let words = format!("{error}; {advice}");
    Failure::new(FailureKind::Local, format!("listen at {address}"), words)
}

async fn accept(socket: TcpListener, board: Board) {
    let crowd = Crowd::default();
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                let client = crowd.admit(peer.ip());
                let (board, crowd) = (board.clone(), crowd.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = client.dropped.cancelled() => {
                            tracing::debug!(%peer, "dropped from the port for proofs, which is too crowded");
                        }
                        () = serve(stream, peer, board, &client) => {}
                    }
                    crowd.forget(&client);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection to the port for proofs was lost");
                // Out of file descriptors: room is made, and the next attempt would fail at once, again and again.
                crowd.drop_oldest();
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, board: Board, client: &Client) {
    let service = service_fn(move |request: Request<Incoming>| {
        client.has_asked.store(true, Ordering::Relaxed);
        let answer = board.answer(&request);
        let path: String = request.uri().path().chars().take(SHOWN).collect();
        tracing::debug!(%peer, method = %request.method(), path, status = answer.status().as_u16(), "asked for a proof");
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .keep_alive(false)
        // A guest may close its sending half and still wait for the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_LIMIT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no request on the port for proofs"),
        Err(_) => tracing::debug!(%peer, "too slow for the port for proofs"),
    }
}

/// A connection.
#[derive(Debug)]
struct Client {
    address: IpAddr,
    /// Whether a whole request has come.
    has_asked: AtomicBool,
    dropped: CancellationToken,
}

/// The connections of one port, in the order in which they came.
#[derive(Debug, Clone, Default)]
struct Crowd(Arc<Mutex<Vec<Arc<Client>>>>);

impl Crowd {
    /// Accepts a connection from `address`. If there are too many, another one is dropped.
    fn admit(&self, address: IpAddr) -> Arc<Client> {
        let client = Arc::new(Client {
            address,
            has_asked: AtomicBool::new(false),
            dropped: CancellationToken::new(),
        });
        let mut clients = self.lock();
        if clients.len() >= CONNECTIONS {
            drop_one(&mut clients);
        }
        clients.push(Arc::clone(&client));
        client
    }

    /// Makes room for one more.
    fn drop_oldest(&self) {
        drop_one(&mut self.lock());
    }

    fn forget(&self, gone: &Arc<Client>) {
        self.lock().retain(|client| !Arc::ptr_eq(client, gone));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Client>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the oldest connection that is idle, of the address that has most of them: one that floods the port drops its own.
/// Where none is idle it is the oldest of all.
fn drop_one(clients: &mut Vec<Arc<Client>>) {
    let is_idle = |client: &Client| !client.has_asked.load(Ordering::Relaxed);
    let mut idle: HashMap<IpAddr, usize> = HashMap::new();
    for client in clients.iter().filter(|client| is_idle(client)) {
        *idle.entry(client.address).or_default() += 1;
    }
    let most = idle.values().max().copied().unwrap_or_default();
    let is_meant =
        |client: &Arc<Client>| is_idle(client) && idle.get(&client.address).copied() == Some(most);
    let index = clients.iter().position(is_meant).unwrap_or(0);
    if index < clients.len() {
        clients.remove(index).dropped.cancel();
    }
}

/// Connections at one time.
const CONNECTIONS: usize = 256;

/// For a whole request head.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// From connecting to the last byte of the answer.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// What a request head may hold.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;

/// Characters of an unknown client's path in the log.
const SHOWN: usize = 120;

/// After a connection that could not be taken.
const BREATH: Duration = Duration::from_millis(100);

/// Linux: `EAFNOSUPPORT`, for which std has no name.
const EAFNOSUPPORT: i32 = 97;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn in_a_crowd_the_oldest_idle_connection_of_the_busiest_address_goes() {
        let crowd = Crowd::default();
        let ca = crowd.admit(address(1));
        let asked = crowd.admit(address(2));
        asked.has_asked.store(true, Ordering::Relaxed);
        let flood: Vec<_> = (2..CONNECTIONS + 400)
            .map(|_| crowd.admit(address(2)))
            .collect();
        assert_eq!(crowd.lock().len(), CONNECTIONS);
        assert!(!ca.dropped.is_cancelled() && !asked.dropped.is_cancelled());
        let dropped = flood
            .iter()
            .take_while(|client| client.dropped.is_cancelled());
        assert_eq!(dropped.count(), 400);
        assert!(
            flood[400..]
                .iter()
                .all(|client| !client.dropped.is_cancelled())
        );
        crowd.forget(&ca);
        assert_eq!(crowd.lock().len(), CONNECTIONS - 1);
    }

    #[test]
    fn a_busy_client_is_dropped_if_none_is_idle_and_no_client_is_no_error() {
        let crowd = Crowd::default();
        crowd.drop_oldest();
        let clients = [crowd.admit(address(1)), crowd.admit(address(2))];
        for client in &clients {
            client.has_asked.store(true, Ordering::Relaxed);
        }
        crowd.drop_oldest();
        let dropped = clients.map(|client| client.dropped.is_cancelled());
        assert_eq!(dropped, [true, false]);
    }
}
