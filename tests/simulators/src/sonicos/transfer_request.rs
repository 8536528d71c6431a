//! File transfers that a request requires before it is answered: the device uploads a file to an FTP or SCP server, or
//! downloads one (SonicOS reference 3.3, 3.4).
//!
//! The device states which file to transfer. `carrier` transfers it without the lock of the device. The device then
//! continues. `transfers.rs` processes a downloaded file.

use std::fmt;
use std::sync::Arc;

use super::carrier::{self, Manner, TransferFault};
use super::device::Device;
use super::server::Shared;
use super::wire::{Handled, Refusal, Reply};

/// A file to transfer.
#[derive(Debug)]
pub(super) enum TransferRequest {
    /// Upload `content` to the server.
    Bring {
        /// As the device was given it, decoded.
        url: String,
        /// The file's name in the folder of `url`; where `url` names a file, that name counts.
        file_name: String,
        content: Vec<u8>,
    },
    /// Download the file of `url`, then process it.
    Fetch { url: String, then: Then },
}

/// What a fetched file is for.
#[derive(Debug, Clone)]
pub(super) enum Then {
    /// The certificate of a pending request.
    Signed { alias: String },
    /// A CA certificate.
    Authority,
    /// A PKCS#12 file.
    KeyPair { alias: String, password: String },
}

/// The faults of transfers, each for one file.
#[derive(Debug, Default)]
pub(super) struct TransferFaults {
    begun: u64,
    /// With the number of its file.
    waiting: Vec<(u64, TransferFault)>,
    used: u64,
}

impl TransferFaults {
    /// 1 is the next file.
    pub(super) fn add(&mut self, nth: u32, fault: TransferFault) {
        self.waiting.push((self.begun + u64::from(nth), fault));
    }

    /// How many have happened.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    fn take(&mut self) -> Option<TransferFault> {
        self.begun += 1;
        let index = self
            .waiting
            .iter()
            .position(|(nth, _)| *nth == self.begun)?;
        self.used += 1;
        Some(self.waiting.swap_remove(index).1)
    }
}

/// A transfer, and what the device does after it.
#[derive(Debug)]
pub(super) struct TransferStep {
    pub(super) transfer: TransferRequest,
    pub(super) next: Continuation,
}

/// The rest of a handler: it turns the outcome of the transfer into the answer.
pub(super) struct Continuation(Box<Rest>);

type Rest = dyn FnOnce(&mut Device, Handled) -> Handled + Send;

impl TransferStep {
    pub(super) fn new(transfer: TransferRequest) -> Self {
        Self {
            transfer,
            next: Continuation(Box::new(|_, handled| handled)),
        }
    }

    /// The same transfer, with one more step after it.
    pub(super) fn and_then(
        self,
        next: impl FnOnce(&mut Device, Handled) -> Handled + Send + 'static,
    ) -> Self {
        let Self {
            transfer,
            next: first,
        } = self;
        let both = move |device: &mut Device, handled: Handled| {
            let handled = first.run(device, handled);
            match handled {
                // The first step may have requested another transfer.
                Ok(reply) => reply.and_then(device, next),
                refused => next(device, refused),
            }
        };
        Self {
            transfer,
            next: Continuation(Box::new(both)),
        }
    }
}

impl Continuation {
    pub(super) fn run(self, device: &mut Device, handled: Handled) -> Handled {
        (self.0)(device, handled)
    }
}

impl fmt::Debug for Continuation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Continuation")
    }
}

impl Shared {
    /// Runs a transfer without the lock of the device. A device that answers first does not wait for its end.
    pub(super) async fn carry(self: &Arc<Self>, transfer: TransferRequest) -> Handled {
        let answers_first = self.device().variants.answers_before_transfer;
        let carried = tokio::spawn(run(self.clone(), transfer));
        if answers_first {
            return Ok(Reply::done("Success."));
        }
        carried
            .await
            .unwrap_or_else(|_| Err(Refusal::new(500, "Internal error")))
    }
}

async fn run(shared: Arc<Shared>, transfer: TransferRequest) -> Handled {
    let (manner, fault) = {
        let mut device = shared.device();
        (Manner::of(&device.variants), device.transfer_faults.take())
    };
    match transfer {
        TransferRequest::Bring {
            url,
            file_name,
            content,
        } => {
            let outcome = carrier::bring(&manner, &url, &file_name, &content, fault).await;
            shared.device().brought(&url, outcome)
        }
        TransferRequest::Fetch { url, then } => {
            let outcome = carrier::fetch(&manner, &url, fault).await;
            let task = move || shared.device().fetched(&url, outcome, then);
            // A PKCS#12 file takes its time to open.
            tokio::task::spawn_blocking(task)
                .await
                .unwrap_or_else(|_| Err(Refusal::new(500, "Internal error")))
        }
    }
}
