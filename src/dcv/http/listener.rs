//! One open port. Whoever connects gets one short answer and little time; nobody is waited for at another one's cost.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

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
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed. Who finds no slot waits in the kernel's queue until one is free.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        match socket.accept().await {
            Ok((stream, peer)) => {
                let board = board.clone();
                tokio::spawn(async move {
                    serve(stream, peer, board).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection to the port for proofs was lost");
                // Out of file descriptors: the next attempt would fail at once, again and again.
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, board: Board) {
    let service = service_fn(move |request: Request<Incoming>| {
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

/// Guests at one time.
const CONNECTIONS: usize = 128;

/// For a whole request head.
const HEAD_LIMIT: Duration = Duration::from_secs(5);

/// From connecting to the last byte of the answer.
const CONNECTION_LIMIT: Duration = Duration::from_secs(10);

/// What a request head may hold.
const HEAD_BYTES: usize = 16 * 1024;
const HEADERS: usize = 64;

/// Characters of a stranger's path in the log.
const SHOWN: usize = 120;

/// After a connection that could not be taken.
const BREATH: Duration = Duration::from_millis(100);

/// Linux: `EAFNOSUPPORT`, for which std has no name.
const EAFNOSUPPORT: i32 = 97;
