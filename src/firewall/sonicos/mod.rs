//! The SonicOS driver.

mod settings;

pub use settings::{Login, Settings};

use async_trait::async_trait;

use super::{Binding, Firewall, ForeignChanges, Identity, InstalledObject};
use crate::failure::Failure;
use crate::pki::{Certificate, Fingerprint, KeyRequest};
use crate::surroundings::Surroundings;

/// A session with a SonicOS device.
#[derive(Debug)]
pub struct Session;

impl Session {
    /// Logs in.
    pub async fn open(
        _settings: &Settings,
        _also_trusted: &[Fingerprint],
        _surroundings: &Surroundings,
    ) -> Result<Self, Failure> {
        unimplemented!()
    }
}

#[async_trait]
impl Firewall for Session {
    async fn identify(&mut self) -> Result<Identity, Failure> {
        unimplemented!()
    }
    async fn installed(&mut self) -> Result<Vec<InstalledObject>, Failure> {
        unimplemented!()
    }
    async fn generate_csr(&mut self, _alias: &str, _request: &KeyRequest) -> Result<(), Failure> {
        unimplemented!()
    }
    async fn export_csr(&mut self, _alias: &str) -> Result<Vec<u8>, Failure> {
        unimplemented!()
    }
    async fn import_chain(&mut self, _chain: &[Certificate]) -> Result<(), Failure> {
        unimplemented!()
    }
    async fn import_signed(&mut self, _alias: &str, _leaf: &Certificate) -> Result<(), Failure> {
        unimplemented!()
    }
    async fn bindings(&mut self) -> Result<Vec<Binding>, Failure> {
        unimplemented!()
    }
    async fn bind(&mut self, _bindings: &[Binding]) -> Result<(), Failure> {
        unimplemented!()
    }
    async fn remove(&mut self, _alias: &str) -> Result<(), Failure> {
        unimplemented!()
    }
    async fn foreign_changes(&mut self) -> Result<Option<ForeignChanges>, Failure> {
        unimplemented!()
    }
    async fn close(self: Box<Self>) -> Result<(), Failure> {
        unimplemented!()
    }
}
