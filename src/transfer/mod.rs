//! The files that some firewalls bring and fetch themselves (SonicOS reference 3.3, 3.4): servers for SCP and FTP that
//! exist for the seconds of a transfer.
//!
//! A transfer is one file, in one direction, for one peer, with a one-time name and password, within a time. Whatever
//! else comes is refused and logged. Nothing here knows what is in a file.

mod settings;

pub use settings::{Choice, Protocol, Settings};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;
use crate::surroundings::Surroundings;

/// The servers of this process. Clones share them: two transfers on one port go through one listener.
#[derive(Debug, Clone)]
pub struct Transfers {
    /// Where the host keys lie.
    folder: PathBuf,
    _surroundings: Surroundings,
}

/// One file that a firewall is to bring or fetch.
#[derive(Debug, Clone)]
pub struct Errand {
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
    /// The firewall brings a file under one of these names, of at most so many bytes.
    Receive {
        /// Names that are taken, without folders; the first is the one in the URL of the file.
        names: Vec<String>,
        /// Bytes.
        largest: usize,
    },
    /// The firewall fetches this file.
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
    password: Secret,
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
    pub fn new(state_directory: &Path, surroundings: &Surroundings) -> Self {
        Self {
            folder: state_directory.to_owned(),
            _surroundings: surroundings.clone(),
        }
    }

    /// Opens a server for one errand.
    ///
    /// # Errors
    /// `Local` when the address cannot be listened on, or the host keys cannot be read or made; `Busy` when too many
    /// transfers are open.
    pub async fn open(&self, settings: &Settings, errand: Errand) -> Result<Transfer, Failure> {
        let call = format!("open a server for {}", errand.protocol.name());
        let detail = format!("{settings:?}: not yet");
        Err(Failure::new(FailureKind::Local, call, detail))
    }

    /// The host keys of the SCP server, which are made when there are none.
    ///
    /// # Errors
    /// `Local` when they cannot be read or made.
    pub async fn host_keys(&self) -> Result<Vec<HostKey>, Failure> {
        let call = format!("read the host keys in {}", self.folder.display());
        Err(Failure::new(FailureKind::Local, call, "not yet"))
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

    /// The one-time password, to be cut out of whatever the device says.
    pub fn password(&self) -> &Secret {
        &self.password
    }

    /// The file, once the firewall has brought it.
    ///
    /// # Errors
    /// `Unreachable` when nobody brought it within the time limit; the detail tells what was refused meanwhile.
    pub async fn received(&mut self) -> Result<Vec<u8>, Failure> {
        Err(Failure::new(
            FailureKind::Local,
            "receive a file",
            "not yet",
        ))
    }

    /// Returns once the firewall has fetched the whole file.
    ///
    /// # Errors
    /// `Unreachable` when nobody fetched it within the time limit; the detail tells what was refused meanwhile.
    pub async fn fetched(&mut self) -> Result<(), Failure> {
        Err(Failure::new(
            FailureKind::Local,
            "hand out a file",
            "not yet",
        ))
    }
}
