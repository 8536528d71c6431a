//! Somebody who is told of everything that a simulator has done, before anybody hears its answer. Knows nothing of what
//! was done but its name.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// What the answer waits for.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Is told of every deed. An answer for which it makes the simulator wait for ever is never given, and the deed is done all
/// the same.
#[derive(Clone)]
pub struct Witness(Arc<dyn Fn(String) -> Wait + Send + Sync>);

impl Witness {
    /// A witness that calls `told` with the name of each deed, such as `POST /auth`.
    pub fn new(told: impl Fn(String) -> Wait + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }

    /// Tells of a deed, and waits as long as the witness wants.
    pub async fn tell(&self, deed: String) {
        (self.0)(deed).await;
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Witness")
    }
}
