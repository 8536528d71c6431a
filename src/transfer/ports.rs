//! Which ports are open: one listener for all transfers at a fixed address and port, an own one where any free port
//! will do. A listener is there as long as a transfer uses it, and no longer.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::acceptor::Acceptor;
use super::grant::Grant;
use super::listener::{self, Service};
use super::settings::Protocol;
use crate::failure::{Failure, FailureKind};

/// The open ports of this process.
#[derive(Debug, Clone, Default)]
pub(super) struct Ports {
    fixed: Arc<Mutex<Fixed>>,
    /// Only one opens or joins a listener at a time: it may have to wait until the port is free again.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The listeners at fixed ports, and how many transfers are open at all ports.
#[derive(Debug, Default)]
struct Fixed {
    listeners: HashMap<(SocketAddr, Protocol), Listener>,
    transfers: usize,
}

#[derive(Debug)]
struct Listener {
    acceptor: Arc<Acceptor>,
    task: JoinHandle<()>,
}

/// The place of a transfer at a listener. Dropping it leaves, and the last one closes the port.
#[derive(Debug)]
pub(super) struct TransferSlot {
    acceptor: Arc<Acceptor>,
    grant: Arc<Grant>,
    ports: Ports,
}

impl Ports {
    /// Opens `address`, or joins the listener that is open there.
    pub async fn enter(
        &self,
        address: SocketAddr,
        service: Service,
        grant: Arc<Grant>,
    ) -> Result<TransferSlot, Failure> {
        let _turn = self.turn.lock().await;
        if self.lock().transfers >= MOST_TRANSFERS {
            let call = format!("open a server for {}", service.protocol().name());
            let words = format!("{MOST_TRANSFERS} transfers are open already");
            return Err(Failure::new(FailureKind::Busy, call, words));
        }
        if address.port() == 0 {
            let socket = listener::bind(address, service.protocol())?;
            let acceptor = open(&socket, address, &service);
            acceptor.add(Arc::clone(&grant));
            tokio::spawn(listener::accept(socket, Arc::clone(&acceptor), service));
            return Ok(self.slot(acceptor, grant, &mut self.lock()));
        }
        // Nothing is awaited while the map is locked.
        if let Some(ending) = self.ending(address, service.protocol()) {
            // The port is free when the task is gone; how it went is no news.
            let _ = ending.await;
        }
        self.join(address, service, grant)
    }

    /// The end of a listener at `address` that no transfer uses any more.
    fn ending(&self, address: SocketAddr, protocol: Protocol) -> Option<JoinHandle<()>> {
        let key = (address, protocol);
        let mut fixed = self.lock();
        let listener = fixed.listeners.get(&key)?;
        // It also ends with the runtime that it was opened in.
        let is_over = listener.acceptor.closed.is_cancelled() || listener.task.is_finished();
        if !is_over {
            return None;
        }
        fixed.listeners.remove(&key).map(|listener| listener.task)
    }

    fn join(
        &self,
        address: SocketAddr,
        service: Service,
        grant: Arc<Grant>,
    ) -> Result<TransferSlot, Failure> {
        let key = (address, service.protocol());
        let mut fixed = self.lock();
        let there = fixed.listeners.get(&key).map(|there| &there.acceptor);
        // The last transfer may have left since the check before.
        let acceptor = if let Some(there) = there.filter(|there| !there.closed.is_cancelled()) {
            Arc::clone(there)
        } else {
            let socket = listener::bind(address, service.protocol())?;
            let acceptor = open(&socket, address, &service);
            let task = tokio::spawn(listener::accept(socket, Arc::clone(&acceptor), service));
            let listener = Listener {
                acceptor: Arc::clone(&acceptor),
                task,
            };
            fixed.listeners.insert(key, listener);
            acceptor
        };
        acceptor.add(Arc::clone(&grant));
        Ok(self.slot(acceptor, grant, &mut fixed))
    }

    fn slot(&self, acceptor: Arc<Acceptor>, grant: Arc<Grant>, fixed: &mut Fixed) -> TransferSlot {
        fixed.transfers += 1;
        TransferSlot {
            acceptor,
            grant,
            ports: self.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Fixed> {
        self.fixed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TransferSlot {
    pub fn protocol(&self) -> Protocol {
        self.acceptor.protocol
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.acceptor.address.port()
    }
}

impl Drop for TransferSlot {
    fn drop(&mut self) {
        self.grant.closed.cancel();
        // Locked, so that no transfer joins a listener that is about to close.
        let mut fixed = self.ports.lock();
        fixed.transfers = fixed.transfers.saturating_sub(1);
        if self.acceptor.remove(&self.grant) {
            self.acceptor.closed.cancel();
        }
    }
}

/// The acceptor of a listener that has just been opened.
fn open(socket: &TcpListener, wanted: SocketAddr, service: &Service) -> Arc<Acceptor> {
    let address = socket.local_addr().unwrap_or(wanted);
    tracing::debug!(%address, protocol = service.protocol().name(), "the port for transfers is open");
    Acceptor::new(service.protocol(), address)
}

/// Open at one time, at all ports: what they hold in memory is bounded.
const MOST_TRANSFERS: usize = 256;
