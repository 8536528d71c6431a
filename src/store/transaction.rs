//! A transaction that writes, and who is told when it was committed.

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Any, AnyConnection};

use super::StoreError;

/// Somebody who is told of every commit. Nothing else is done before it returns, so that a test can stop there.
#[async_trait]
pub trait Witness: Debug + Send + Sync {
    /// Called when a transaction was committed: it is on the disk, and nobody has heard of it yet.
    async fn committed(&self) {}
}

/// An open transaction; what is not committed did not happen.
pub(super) struct Transaction {
    inner: sqlx::Transaction<'static, Any>,
    witness: Option<Arc<dyn Witness>>,
}

impl Transaction {
    pub fn new(inner: sqlx::Transaction<'static, Any>, witness: Option<&Arc<dyn Witness>>) -> Self {
        Self {
            inner,
            witness: witness.cloned(),
        }
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.inner
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

pub(super) async fn commit(transaction: Transaction) -> Result<(), StoreError> {
    transaction.inner.commit().await?;
    if let Some(witness) = transaction.witness {
        witness.committed().await;
    }
    Ok(())
}
