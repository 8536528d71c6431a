//! Who is told when a transaction was committed.

use std::fmt::Debug;

use async_trait::async_trait;

/// Somebody who is told of every commit. Nothing else is done before it returns, so that a test can stop there.
#[async_trait]
pub trait CommitObserver: Debug + Send + Sync {
    /// Called when a transaction was committed: it is on the disk, and nobody has heard of it yet.
    async fn committed(&self) {}
}
