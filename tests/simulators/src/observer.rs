//! A callback for every request that a simulator has processed, before the answer is sent. It receives the name of the
//! request only.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// The future that delays the answer.
pub type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Called for every processed request. The answer is sent when the returned future has ended. A future that never ends
/// withholds the answer of a request that took effect.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(String) -> Wait + Send + Sync>);

impl Observer {
    /// An observer that calls `reported` with the name of each request, such as `POST /auth`.
    pub fn new(reported: impl Fn(String) -> Wait + Send + Sync + 'static) -> Self {
        Self(Arc::new(reported))
    }

    /// Reports a request, and waits as long as the observer wants.
    pub async fn tell(&self, request: String) {
        (self.0)(request).await;
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Observer")
    }
}
