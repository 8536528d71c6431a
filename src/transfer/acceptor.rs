//! The clients of a listener: which ones are admitted, how many at once, for how long, and what was refused. No byte is
//! read before the address is known to be that of a transfer.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::grant::{Grant, Refusal, Upload};
use super::refusals::{LogQuota, quoted};
use super::settings::Protocol;

/// The transfers that share a listener, and the connections to it.
#[derive(Debug)]
pub(super) struct Acceptor {
    pub protocol: Protocol,
    /// Where it listens.
    pub address: SocketAddr,
    /// Cancelled when the last transfer has left.
    pub closed: CancellationToken,
    grants: Mutex<Vec<Arc<Grant>>>,
    clients: Mutex<Vec<Arc<Client>>>,
    quota: Mutex<LogQuota>,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Never an IPv4-mapped IPv6 address.
    pub peer: SocketAddr,
    /// The address that it came to.
    pub local: SocketAddr,
    acceptor: Arc<Acceptor>,
    /// The transfer that it has logged in to.
    connection: OnceLock<Connection>,
    logged_in: CancellationToken,
    evicted: CancellationToken,
    /// Whether something was noted already, so that its end needs no note.
    noted: OnceLock<()>,
}

/// A connection that has logged in: the only way to the file of a transfer.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub grant: Arc<Grant>,
    peer: SocketAddr,
    acceptor: Arc<Acceptor>,
}

impl Acceptor {
    /// For a listener at `address`.
    pub fn new(protocol: Protocol, address: SocketAddr) -> Arc<Self> {
        Arc::new(Self {
            protocol,
            address,
            closed: CancellationToken::new(),
            grants: Mutex::default(),
            clients: Mutex::default(),
            quota: Mutex::new(LogQuota::new(Instant::now())),
        })
    }

    /// One more transfer.
    pub fn add(&self, grant: Arc<Grant>) {
        lock(&self.grants).push(grant);
    }

    /// A transfer is over; whether it was the last.
    pub fn remove(&self, grant: &Arc<Grant>) -> bool {
        let mut grants = lock(&self.grants);
        grants.retain(|other| !Arc::ptr_eq(other, grant));
        grants.is_empty()
    }

    /// Logs how many refused attempts were not logged. Called when no more connections are accepted.
    pub fn say_goodbye(&self) {
        let unwritten = lock(&self.quota).unwritten();
        if unwritten > 0 {
            tracing::warn!(
                port = self.address.port(),
                unwritten,
                "more was refused than was logged"
            );
        }
        tracing::debug!(address = %self.address, protocol = self.protocol.name(), "the port for transfers is closed");
    }

    /// Admits a client whose address is that of a transfer. At the limit, the oldest connection from that address that
    /// has not logged in is closed, so that idle connections cannot block other clients.
    pub fn admit(self: &Arc<Self>, peer: SocketAddr, local: SocketAddr) -> Option<Arc<Client>> {
        let peer = canonical(peer);
        let is_expected = lock(&self.grants)
            .iter()
            .any(|grant| grant.admits(peer.ip()));
        if !is_expected {
            self.refuse(None, peer.ip(), "a connection");
            return None;
        }
        let client = Arc::new(Client {
            peer,
            local: canonical(local),
            acceptor: Arc::clone(self),
            connection: OnceLock::new(),
            logged_in: CancellationToken::new(),
            evicted: CancellationToken::new(),
            noted: OnceLock::new(),
        });
        let mut clients = lock(&self.clients);
        evict(&mut clients, STRANGERS_OF_ONE_ADDRESS, |other| {
            other.peer.ip() == peer.ip()
        });
        evict(&mut clients, STRANGERS, |_| true);
        clients.push(Arc::clone(&client));
        Some(client)
    }

    /// A connection is gone.
    pub fn forget(&self, client: &Arc<Client>) {
        lock(&self.clients).retain(|other| !Arc::ptr_eq(other, client));
    }

    /// The transfer for which these are the name and the password.
    fn find(&self, peer: IpAddr, user: &str, password: &str) -> Option<Arc<Grant>> {
        let grants = lock(&self.grants);
        // Every transfer is compared: the time that it takes does not show which one was nearly right.
        let right = grants.iter().fold(None, |found, grant| {
            if grant.accepts(user, password) {
                Some(grant)
            } else {
                found
            }
        });
        right.filter(|grant| grant.admits(peer)).cloned()
    }

    /// How many connections have logged in to `grant`.
    fn visits(&self, grant: &Arc<Grant>) -> usize {
        let belongs = |client: &&Arc<Client>| {
            client
                .connection
                .get()
                .is_some_and(|connection| Arc::ptr_eq(&connection.grant, grant))
        };
        lock(&self.clients).iter().filter(belongs).count()
    }

    /// Notes and logs that `source_address` was refused `what`: for one transfer, or for all that are open here.
    fn refuse(&self, grant: Option<&Grant>, peer: IpAddr, what: &str) {
        let what = self.veiled(what);
        let note = format!("{what} from {peer}");
        match grant {
            Some(grant) => grant.refusals.note(&note),
            None => lock(&self.grants)
                .iter()
                .for_each(|grant| grant.refusals.note(&note)),
        }
        if let Some(unwritten) = lock(&self.quota).take(Instant::now()) {
            tracing::warn!(
                %peer,
                port = self.address.port(),
                protocol = self.protocol.name(),
                refused = what,
                unwritten,
                "refused at the port for transfers"
            );
        }
    }

    /// `words` without any password that is good here.
    fn veiled(&self, words: &str) -> String {
        lock(&self.grants)
            .iter()
            .fold(words.to_owned(), |words, grant| {
                words.replace(grant.password.expose(), "[secret]")
            })
    }
}

impl Client {
    /// The transfer to which `user` and `password` belong. Everything else is noted, without the password.
    pub fn log_in(&self, user: &str, password: &str) -> Option<Connection> {
        let Some(grant) = self.acceptor.find(self.peer.ip(), user, password) else {
            let user = self.acceptor.veiled(user);
            self.refuse(&format!("a login as {}", quoted(&user)));
            return None;
        };
        if self.acceptor.visits(&grant) >= VISITS {
            self.refuse("a login beyond the limit of simultaneous logins");
            return None;
        }
        let connection = Connection {
            grant,
            peer: self.peer,
            acceptor: Arc::clone(&self.acceptor),
        };
        let connection = self.connection.get_or_init(|| connection);
        self.logged_in.cancel();
        tracing::debug!(peer = %self.peer, user, "logged in for a transfer");
        Some(connection.clone())
    }

    /// The name that the client has logged in with.
    pub fn connection(&self) -> Option<&Connection> {
        self.connection.get()
    }

    /// Notes and logs that it was refused `what`.
    pub fn refuse(&self, what: &str) {
        // Once is enough: that something was noted.
        let _ = self.noted.set(());
        let grant = self.connection.get().map(|connection| &*connection.grant);
        self.acceptor.refuse(grant, self.peer.ip(), what);
    }

    /// Returns when the connection has to end: no login in time, evicted, or the transfer is over. After a whole
    /// transfer the client has a moment to close the connection as its protocol requires.
    pub async fn time_is_up(&self) {
        tokio::select! {
            () = self.logged_in.cancelled() => {}
            () = self.evicted.cancelled() => return,
            () = self.acceptor.closed.cancelled() => return,
            () = tokio::time::sleep(LOGIN_LIMIT) => return,
        }
        if let Some(connection) = self.connection.get() {
            tokio::select! {
                () = connection.grant.closed.cancelled() => {}
                () = tokio::time::sleep_until(connection.grant.deadline) => {}
            }
            if connection.grant.done.is_cancelled() {
                tokio::time::sleep(LEAVE_LIMIT).await;
            }
        }
    }

    /// It is gone; one that never logged in is noted, unless its wrong login was.
    pub fn leave(self: &Arc<Self>) {
        self.acceptor.forget(self);
        if self.connection.get().is_none() && self.noted.get().is_none() {
            self.refuse("a connection without a login");
        }
    }
}

impl Connection {
    /// Begins to take the file at `path`.
    pub fn receive(&self, path: &str) -> Result<Upload, Refusal> {
        self.noted(self.grant.receive(path), path)
    }

    /// What is in the file at `path`.
    pub fn hand_out(&self, path: &str) -> Result<&[u8], Refusal> {
        self.noted(self.grant.hand_out(path), path)
    }

    /// The size of the file at `path`, if that is the one to be fetched. A question is no attempt, and not noted.
    pub fn size(&self, path: &str) -> Option<u64> {
        let content = self.grant.hand_out(path).ok()?;
        u64::try_from(content.len()).ok()
    }

    /// The file at `path` is whole.
    pub fn finish(&self, upload: Upload, path: &str) -> Result<(), Refusal> {
        let size = upload.size();
        self.noted(upload.finish(), path)?;
        tracing::debug!(peer = %self.peer, path = quoted(path), size, "a file was uploaded");
        Ok(())
    }

    /// The whole file is with the firewall.
    pub fn fetched(&self) {
        tracing::debug!(peer = %self.peer, "a file was downloaded");
        self.grant.fetched();
    }

    /// Passes `result` on; a refusal is noted.
    pub fn noted<T>(&self, result: Result<T, Refusal>, path: &str) -> Result<T, Refusal> {
        result.inspect_err(|refusal| {
            self.refuse(&format!("the file {} ({refusal})", quoted(path)));
        })
    }

    /// Notes and logs that `what` was refused.
    pub fn refuse(&self, what: &str) {
        self.acceptor
            .refuse(Some(&self.grant), self.peer.ip(), what);
    }
}

/// An IPv4 address that arrives on an IPv6 socket is an IPv4 address.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Evicts the oldest connection without a login that is `meant`, when there are `most` of them.
fn evict(clients: &mut Vec<Arc<Client>>, most: usize, meant: impl Fn(&Client) -> bool) {
    let is_idle = |client: &Arc<Client>| client.connection.get().is_none() && meant(client);
    // They are in the order of their arrival.
    if clients.iter().filter(|client| is_idle(client)).count() >= most
        && let Some(oldest) = clients.iter().position(is_idle)
    {
        clients.remove(oldest).evicted.cancel();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From connecting to the right password.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);

/// From the whole file to the end of the connection.
const LEAVE_LIMIT: Duration = Duration::from_secs(3);

/// Connections without a login from one address, and to one listener.
const STRANGERS_OF_ONE_ADDRESS: usize = 8;
const STRANGERS: usize = 256;

/// Logins to one transfer at a time: a device that lost a connection comes again.
const VISITS: usize = 4;

#[cfg(test)]
mod tests;
