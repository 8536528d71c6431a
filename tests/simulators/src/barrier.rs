//! Lets a test stop a client at an exact moment. Independent of the request that is held.

use std::sync::Arc;

use tokio::sync::watch;

/// Lets a test stop a client at an exact moment.
#[derive(Debug)]
pub struct Barrier {
    reached: watch::Sender<bool>,
    released: watch::Sender<bool>,
}

impl Barrier {
    /// A closed barrier without a waiting request.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            reached: watch::Sender::new(false),
            released: watch::Sender::new(false),
        })
    }

    /// Returns once a request has reached the barrier.
    pub async fn wait_reached(&self) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.reached.subscribe().wait_for(|reached| *reached).await;
    }

    /// Opens the barrier permanently.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Waits at the barrier until it opens.
    pub async fn hold(&self) {
        self.reached.send_replace(true);
        let _ = self
            .released
            .subscribe()
            .wait_for(|released| *released)
            .await;
    }
}
