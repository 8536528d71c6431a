//! Work of the device that goes over the network before the answer can be given: it brings a file to an FTP or SCP
//! server, or fetches one (SonicOS reference 3.3, 3.4).
//!
//! The device says what is to be carried; `carrier` carries it, without the device's lock; the device then goes on.
//! What a fetched file means is decided in `file_transfer.rs`.

use std::fmt;
use std::sync::Arc;

use super::carrier::{self, Manner, TransferFault};
use super::device::Device;
use super::server::Shared;
use super::wire::{Handled, Refusal, Reply};

/// A file on its way.
#[derive(Debug)]
pub(super) enum Errand {
    /// Put `content` on the server.
    Bring {
        /// As the device was given it, decoded.
        url: String,
        /// The file's name in the folder of `url`; where `url` names a file, that name counts.
        file_name: String,
        content: Vec<u8>,
    },
    /// Get the file of `url`, and go on with it.
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

/// The faults of files on their way, each for one file.
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

/// An errand, and what the device does after it.
#[derive(Debug)]
pub(super) struct Commission {
    pub(super) errand: Errand,
    pub(super) next: Continuation,
}

/// The rest of a handler: it is given what the errand came to, and makes the answer of it.
pub(super) struct Continuation(Box<Rest>);

type Rest = dyn FnOnce(&mut Device, Handled) -> Handled + Send;

impl Commission {
    pub(super) fn new(errand: Errand) -> Self {
        Self {
            errand,
            next: Continuation(Box::new(|_, handled| handled)),
        }
    }

    /// The same errand, with one more thing to do after it.
    pub(super) fn and_then(
        self,
        next: impl FnOnce(&mut Device, Handled) -> Handled + Send + 'static,
    ) -> Self {
        let Self {
            errand,
            next: first,
        } = self;
        let both = move |device: &mut Device, handled: Handled| {
            let handled = first.run(device, handled);
            match handled {
                // The first may have asked for an errand of its own.
                Ok(reply) => reply.and_then(device, next),
                refused => next(device, refused),
            }
        };
        Self {
            errand,
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
    /// Runs an errand without the device's lock. A device that answers first is not waited for.
    pub(super) async fn carry(self: &Arc<Self>, errand: Errand) -> Handled {
        let answers_first = self.device().variants.answers_before_transfer;
        let carried = tokio::spawn(run(self.clone(), errand));
        if answers_first {
            return Ok(Reply::done("Success."));
        }
        carried
            .await
            .unwrap_or_else(|_| Err(Refusal::new(500, "Internal error")))
    }
}

async fn run(shared: Arc<Shared>, errand: Errand) -> Handled {
    let (manner, fault) = {
        let mut device = shared.device();
        (Manner::of(&device.variants), device.transfer_faults.take())
    };
    match errand {
        Errand::Bring {
            url,
            file_name,
            content,
        } => {
            let outcome = carrier::bring(&manner, &url, &file_name, &content, fault).await;
            shared.device().brought(&url, outcome)
        }
        Errand::Fetch { url, then } => {
            let outcome = carrier::fetch(&manner, &url, fault).await;
            let task = move || shared.device().fetched(&url, outcome, then);
            // A PKCS#12 file takes its time to open.
            tokio::task::spawn_blocking(task)
                .await
                .unwrap_or_else(|_| Err(Refusal::new(500, "Internal error")))
        }
    }
}
