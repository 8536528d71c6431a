//! Proof by a file, served by renewd itself. A port is open only while a proof is published, and serves nothing but
//! proofs.
//!
//! The listeners belong to the process and not to a CA: several CAs, and the old and the new configuration during a
//! reload, may use the same address.

mod board;
mod listener;
mod page;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::failure::Failure;
use listener::Listener;
pub(super) use page::Page;

/// Where files are served.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Addresses to listen at. `[::]` takes IPv4 as well.
    pub listen: Vec<SocketAddr>,
}

/// Puts `page` up at every address, and opens those that are not open.
pub(super) async fn present(settings: &Settings, page: Page<'_>) -> Result<(), Failure> {
    let mut listeners = LISTENERS.lock().await;
    for address in &settings.listen {
        let board = match listeners.get(address) {
            Some(listener) if listener.is_open() => continue,
            // Its runtime has ended; what is up stays up.
            Some(closed) => closed.board.clone(),
            None => board::Board::default(),
        };
        match Listener::open(*address, board).await {
            Ok(listener) => listeners.insert(*address, listener),
            Err(failure) => {
                close_idle(&mut listeners).await;
                return Err(failure);
            }
        };
    }
    for address in &settings.listen {
        if let Some(listener) = listeners.get(address) {
            listener.board.put(page);
        }
    }
    Ok(())
}

/// Withdraws `page`, and closes the listeners that serve no page any more. That includes addresses that have left the
/// configuration since the page was published: nothing else would close them.
pub(super) async fn withdraw(page: &Page<'_>) {
    let mut listeners = LISTENERS.lock().await;
    for listener in listeners.values() {
        listener.board.remove(page);
    }
    close_idle(&mut listeners).await;
}

/// The addresses that do not serve `page`. Each is requested as a CA would do it, but from this machine.
pub(super) async fn missing(settings: &Settings, page: &Page<'_>) -> Option<String> {
    for address in &settings.listen {
        let problem = match tokio::time::timeout(ASK_LIMIT, ask(*address, page)).await {
            Ok(Ok(answer)) if is_page(&answer, page) => continue,
            Ok(Ok(_)) => "gives something else".to_owned(),
            Ok(Err(error)) => format!("does not answer: {error}"),
            Err(_) => "does not answer in time".to_owned(),
        };
        let Page { domain, path, .. } = page;
        return Some(format!("http://{domain}{path}: {address} {problem}"));
    }
    None
}

/// Whether every address can be opened.
pub(super) async fn check(settings: &Settings) -> Result<Vec<(String, String)>, Failure> {
    // Held throughout: the trial would block a proof that is published at the same moment.
    let listeners = LISTENERS.lock().await;
    let mut facts = Vec::new();
    for address in &settings.listen {
        let state = if listeners.get(address).is_some_and(Listener::is_open) {
            "open, a proof is up"
        } else {
            drop(listener::bind(*address).await?);
            "can be opened"
        };
        facts.push((format!("validation listens at {address}"), state.to_owned()));
    }
    Ok(facts)
}

async fn close_idle(listeners: &mut BTreeMap<SocketAddr, Listener>) {
    let idle: Vec<SocketAddr> = listeners
        .iter()
        .filter(|(_, listener)| listener.board.is_empty())
        .map(|(address, _)| *address)
        .collect();
    for address in idle {
        if let Some(listener) = listeners.remove(&address) {
            listener.close().await;
        }
    }
}

/// The whole answer of the listener at `address`, as far as it is of interest.
async fn ask(address: SocketAddr, page: &Page<'_>) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(reachable(address)).await?;
    let Page { domain, path, .. } = page;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let limit = page.content.len().saturating_add(HEAD_LIMIT);
    stream
        .take(u64::try_from(limit).unwrap_or(u64::MAX))
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

fn is_page(answer: &[u8], page: &Page<'_>) -> bool {
    let end = [b"\r\n\r\n", page.content.as_bytes()].concat();
    answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(&end)
}

/// Where something that listens at `address` can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    // `[::]` takes IPv4 as well, and is 0.0.0.0 on a machine without IPv6.
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

static LISTENERS: Mutex<BTreeMap<SocketAddr, Listener>> = Mutex::const_new(BTreeMap::new());

/// How long our own listener may take to answer.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// More than the head of our own answers.
const HEAD_LIMIT: usize = 4096;
