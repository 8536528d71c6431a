//! An observer of commits.

use std::fmt::Debug;

use async_trait::async_trait;

/// Called at every commit. The store continues only after it returns, so that a test can stop there.
#[async_trait]
pub trait CommitObserver: Debug + Send + Sync {
    /// Called when a transaction was committed. It is on the disk, and has not been reported yet.
    async fn committed(&self) {}
}
