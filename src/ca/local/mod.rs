//! The built-in private CA.

mod settings;

pub use settings::{Purpose, Settings};

use async_trait::async_trait;

use super::{Issuance, Issuer, Reference, SigningRequest};
use crate::failure::Failure;
use crate::surroundings::Surroundings;

/// A CA whose key is on this machine.
#[derive(Debug)]
pub struct LocalCa {
    #[expect(dead_code, reason = "skeleton")]
    settings: Settings,
    #[expect(dead_code, reason = "skeleton")]
    surroundings: Surroundings,
}

impl LocalCa {
    /// A driver for `settings`; its files are read at each use.
    pub fn new(settings: Settings, surroundings: Surroundings) -> Self {
        Self {
            settings,
            surroundings,
        }
    }
}

#[async_trait]
impl Issuer for LocalCa {
    async fn submit(&self, _request: &SigningRequest) -> Result<Reference, Failure> {
        unimplemented!()
    }
    async fn find(&self, _request: &SigningRequest) -> Result<Option<Reference>, Failure> {
        unimplemented!()
    }
    async fn poll(&self, _reference: &Reference) -> Result<Issuance, Failure> {
        unimplemented!()
    }
    async fn check(&self) -> Result<Vec<(String, String)>, Failure> {
        unimplemented!()
    }
}
