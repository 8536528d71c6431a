//! Files that some firewalls transfer over SCP or FTP (SonicOS reference 3.3, 3.4). The servers for it exist only
//! during a transfer.
//!
//! A transfer is one file, in one direction, for one peer, with a one-time name and password, within a time. Whatever
//! else comes is refused and logged. Nothing here knows what is in a file.

mod acceptor;
mod address;
mod ftp;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod grant;
mod host_keys;
mod listener;
mod ports;
mod refusals;
mod settings;
mod ssh;

pub use address::advertised as advertised_address;
pub use settings::{Choice, Protocol, Settings};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::PrivateKey;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::grant::Grant;
use self::listener::Service;
use self::ports::{Ports, TransferSlot};
use self::refusals::Refusals;
use crate::env::Env;
use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;

/// The servers of this process. Clones share them: two transfers on one port go through one listener.
#[derive(Debug, Clone)]
pub struct Transfers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Where the host keys lie.
    folder: PathBuf,
    env: Env,
    /// How SCP is served; made on first use, and kept.
    scp: OnceCell<Scp>,
    ports: Ports,
}

#[derive(Debug)]
struct Scp {
    keys: Vec<HostKey>,
    config: Arc<russh::server::Config>,
}

/// One file that a firewall is to upload or download.
#[derive(Debug, Clone)]
pub struct TransferRequest {
    /// In which protocol.
    pub protocol: Protocol,
    /// The firewall's management address: the peer, and what our own address is looked up for.
    pub firewall: SocketAddr,
    /// What is to happen.
    pub task: Task,
    /// How long the server waits.
    pub time_limit: Duration,
}

/// The direction of a transfer.
#[derive(Debug, Clone)]
pub enum Task {
    /// The firewall uploads a file under one of these names, of at most so many bytes.
    Receive {
        /// Names that are taken, without folders; the first is the one in the URL of the file.
        names: Vec<String>,
        /// Bytes.
        largest: usize,
    },
    /// The firewall downloads this file.
    HandOut {
        /// Its name.
        name: String,
        /// What is in it.
        content: Vec<u8>,
    },
}

/// A transfer that is open. Dropping it closes it.
#[derive(Debug)]
pub struct Transfer {
    folder_url: Secret,
    file_url: Secret,
    grant: Arc<Grant>,
    time_limit: Duration,
    /// Leaves the port when this is dropped.
    slot: TransferSlot,
}

/// A host key of the SCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    /// As SSH names it, such as "ssh-ed25519".
    pub algorithm: String,
    /// As OpenSSH prints it, "SHA256:…".
    pub fingerprint: String,
}

impl Transfers {
    /// The servers of a process whose host keys lie in `state_directory`. Nothing is opened or read yet.
    pub fn new(state_directory: &Path, env: &Env) -> Self {
        Self {
            shared: Arc::new(Shared {
                folder: state_directory.join("ssh"),
                env: env.clone(),
                scp: OnceCell::new(),
                ports: Ports::default(),
            }),
        }
    }

    /// Opens a server for one transfer request.
    ///
    /// # Errors
    /// `Local` when the address cannot be listened on, or the host keys cannot be read or made; `Busy` when too many
    /// transfers are open.
    pub async fn open(
        &self,
        settings: &Settings,
        request: TransferRequest,
    ) -> Result<Transfer, Failure> {
        let shared = &self.shared;
        let service = match request.protocol {
            Protocol::Scp => Service::Scp(Arc::clone(&shared.scp().await?.config)),
            Protocol::Ftp => Service::Ftp,
        };
        let listen = address::listen(settings, &request)?;
        let advertised = address::advertised(settings, request.firewall)?;
        let name = request.task.name().to_owned();
        let time_limit = request.time_limit;
        let grant = shared.grant(settings, request);
        let slot = shared
            .ports
            .enter(listen, service, Arc::clone(&grant))
            .await?;
        let advertised = SocketAddr::new(advertised, slot.port());
        let folder_url = address::folder_url(slot.protocol(), advertised, &grant);
        let file_url = Secret::new(format!("{}{name}", folder_url.expose()));
        tracing::debug!(address = %advertised, protocol = slot.protocol().name(), "a transfer is open");
        Ok(Transfer {
            folder_url,
            file_url,
            grant,
            time_limit,
            slot,
        })
    }

    /// The host keys of the SCP server, which are made when there are none.
    ///
    /// # Errors
    /// `Local` when they cannot be read or made.
    pub async fn host_keys(&self) -> Result<Vec<HostKey>, Failure> {
        Ok(self.shared.scp().await?.keys.clone())
    }
}

impl Shared {
    async fn scp(&self) -> Result<&Scp, Failure> {
        let read = || async {
            let keys = self.read_host_keys().await?;
            Ok(Scp {
                keys: keys.iter().map(host_keys::public_key).collect(),
                config: Arc::new(ssh::configuration(keys)),
            })
        };
        self.scp.get_or_try_init(read).await
    }

    /// Generating an RSA key takes a second, and file access blocks: neither may delay other tasks.
    async fn read_host_keys(&self) -> Result<Vec<PrivateKey>, Failure> {
        let folder = self.folder.clone();
        let random = Arc::clone(&self.env.random);
        let work = move || host_keys::read_or_make(&folder, &*random);
        tokio::task::spawn_blocking(work).await.map_err(|error| {
            let call = format!("read the host keys in {}", self.folder.display());
            Failure::new(FailureKind::Local, call, error)
        })?
    }

    fn grant(&self, settings: &Settings, request: TransferRequest) -> Arc<Grant> {
        let peer = settings.source_address.unwrap_or(request.firewall.ip());
        Arc::new(Grant {
            peer: peer.to_canonical(),
            user: format!("r{}", self.word(USER_BYTES)),
            password: Secret::new(self.word(PASSWORD_BYTES)),
            task: request.task,
            deadline: Instant::now() + request.time_limit,
            passive_address: address::ipv4(settings.advertise),
            passive_ports: settings.passive_ports.clone(),
            closed: CancellationToken::new(),
            done: CancellationToken::new(),
            refusals: Refusals::default(),
            content: Mutex::default(),
        })
    }

    /// Small letters and digits only: a device may take others for its own syntax.
    fn word(&self, bytes: usize) -> String {
        let mut random = vec![0; bytes];
        self.env.random.fill(&mut random);
        data_encoding::BASE32_NOPAD
            .encode(&random)
            .to_ascii_lowercase()
    }
}

impl Task {
    /// The name in the URL of the file.
    fn name(&self) -> &str {
        match self {
            Self::Receive { names, .. } => names.first().map_or("", String::as_str),
            Self::HandOut { name, .. } => name,
        }
    }
}

impl Transfer {
    /// The URL of the folder for the file, with name, password and a numeric address: for the device only.
    pub fn folder_url(&self) -> &Secret {
        &self.folder_url
    }

    /// The URL of the file itself.
    pub fn file_url(&self) -> &Secret {
        &self.file_url
    }

    /// The one-time password, to be redacted in the device's output.
    pub fn password(&self) -> &Secret {
        &self.grant.password
    }

    /// What was refused so far, and what would have been taken; `None` when nothing was refused.
    pub fn refused(&self) -> Option<String> {
        let refused = self.grant.refusals.summary()?;
        let expected = match &self.grant.task {
            Task::Receive { names, .. } => names.join(" or "),
            Task::HandOut { name, .. } => name.clone(),
        };
        Some(format!("{refused}; expected was the file {expected}"))
    }

    /// The file, once the firewall has uploaded it.
    ///
    /// # Errors
    /// `Unreachable` when no client uploaded it within the time limit; the detail lists what was refused meanwhile.
    pub async fn received(&mut self) -> Result<Vec<u8>, Failure> {
        self.done("receive a file", "uploaded").await?;
        let content = self.grant.content.lock();
        Ok(content.unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Returns once the firewall has downloaded the whole file.
    ///
    /// # Errors
    /// `Unreachable` when no client downloaded it within the time limit; the detail lists what was refused meanwhile.
    pub async fn fetched(&mut self) -> Result<(), Failure> {
        self.done("hand out a file", "downloaded").await
    }

    async fn done(&self, what: &str, verb: &str) -> Result<(), Failure> {
        let done = self.grant.done.cancelled();
        if tokio::time::timeout_at(self.grant.deadline, done)
            .await
            .is_ok()
        {
            return Ok(());
        }
        let call = format!("{what} by {}", self.slot.protocol().name());
        let detail = format!(
            "no client {verb} the file within {} s; {}; it was expected from {} at port {}",
            self.time_limit.as_secs(),
            self.grant.refusals,
            self.grant.peer,
            self.slot.port()
        );
        Err(Failure::new(FailureKind::Unreachable, call, detail))
    }
}

/// Random bytes in a name: enough to distinguish transfers.
const USER_BYTES: usize = 5;

/// Random bytes in a password: enough that it cannot be guessed.
const PASSWORD_BYTES: usize = 16;
