//! What every certificate authority can do for us, and the drivers behind it.
//!
//! A driver does not retry and does not wait. `submit` may cost money: the engine stores an intent before it
//! and asks `find` before it submits again.

pub mod local;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::failure::Failure;
use crate::pki::{Certificate, Csr};
use crate::surroundings::Surroundings;

/// A certificate authority.
#[async_trait]
pub trait Issuer: Send + Sync {
    /// Asks for a certificate; the reference is enough to find the order again.
    async fn submit(&self, request: &SigningRequest) -> Result<Reference, Failure>;

    /// Whether the CA already has an order under our reference or a certificate with our public key.
    /// `None` is a positive "no"; a doubt is a `Failure`.
    async fn find(&self, request: &SigningRequest) -> Result<Option<Reference>, Failure>;

    /// How the order stands.
    async fn poll(&self, reference: &Reference) -> Result<Issuance, Failure>;

    /// When the CA would like this certificate to be renewed (ARI, RFC 9773).
    async fn renewal_window(&self, _certificate: &Certificate) -> Result<Option<Window>, Failure> {
        Ok(None)
    }

    /// Looks whether the CA can be used, changing nothing; facts worth showing, `name` and value.
    async fn check(&self) -> Result<Vec<(String, String)>, Failure>;
}

/// What the CA is asked for.
#[derive(Debug, Clone)]
pub struct SigningRequest {
    /// Our reference of the order: the renewal's id; unique and safe in URLs.
    pub client_reference: String,
    /// The checked CSR.
    pub csr: Csr,
}

/// The CA's own reference of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference(pub String);

/// How an order stands.
#[derive(Debug, Clone)]
pub enum Issuance {
    /// Not yet.
    Pending {
        /// When the CA wants to be asked again; `None`: it did not say.
        retry_after: Option<SignedDuration>,
        /// Whom or what it waits for, such as "approval".
        waiting_for: String,
    },
    /// Done.
    Issued {
        /// The certificate.
        leaf: Box<Certificate>,
        /// CA certificates above it as far as the CA gave them, nearest first.
        chain: Vec<Certificate>,
    },
    /// Finally no.
    Refused {
        /// The CA's own words.
        reason: String,
    },
}

/// A span in which a CA wants a certificate to be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Not before.
    pub start: Timestamp,
    /// Not after.
    pub end: Timestamp,
}

/// How to use one CA; one variant per driver.
#[derive(Debug, Clone)]
pub enum Settings {
    /// A private CA whose key is on this machine.
    Local(local::Settings),
}

/// Builds the driver. Nothing is read or sent yet.
pub fn issuer(settings: &Settings, surroundings: &Surroundings) -> Arc<dyn Issuer> {
    match settings {
        Settings::Local(settings) => {
            Arc::new(local::LocalCa::new(settings.clone(), surroundings.clone()))
        }
    }
}
