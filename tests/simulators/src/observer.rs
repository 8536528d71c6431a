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
pub struct Observer(Arc<dyn Fn(String) -> Wait + Send + Sync>);

impl Observer {
    /// A witness that calls `reported` with the name of each deed, such as `POST /auth`.
    pub fn new(reported: impl Fn(String) -> Wait + Send + Sync + 'static) -> Self {
        Self(Arc::new(reported))
    }

    /// Tells of a deed, and waits as long as the witness wants.
    pub async fn tell(&self, deed: String) {
        (self.0)(deed).await;
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Witness")
    }
}
