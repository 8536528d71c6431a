//! What the certificate of a peer is checked against.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::pki::Fingerprint;

/// How a peer proves that it is the one.
#[derive(Debug, Clone)]
pub struct Trust {
    /// What its certificate is checked against.
    pub anchor: Anchor,
    /// The name that the certificate must carry when it is not the one in the URL; without effect for pins.
    pub server_name: Option<String>,
}

impl Trust {
    /// The file that decides which certificates are accepted, where one does.
    pub fn file(&self) -> Option<&Path> {
        match &self.anchor {
            Anchor::Ca(path) => Some(path),
            Anchor::System | Anchor::Pins(_) => None,
        }
    }

    /// A text that is another one for each other trust. It is stored, and codes are made over it: no byte of it may ever
    /// change, or every pin that renewd stored is lost.
    pub fn text(&self) -> String {
        let anchor = match &self.anchor {
            Anchor::System => "System".to_owned(),
            Anchor::Ca(path) => format!("Ca({})", quoted(&path.to_string_lossy())),
            Anchor::Pins(pins) => {
                let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
                format!("Pins([{}])", pins.join(", "))
            }
        };
        let name = self.server_name.as_deref();
        let name = name.map_or_else(
            || "None".to_owned(),
            |name| format!("Some({})", quoted(name)),
        );
        format!("Trust {{ anchor: {anchor}, server_name: {name} }}")
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What a certificate is checked against.
#[derive(Debug, Clone)]
pub enum Anchor {
    /// The system's root certificates and the host name.
    System,
    /// The CA certificates of a PEM file and the host name.
    Ca(PathBuf),
    /// Exactly these certificates, by the SHA-256 of their DER.
    Pins(Vec<Fingerprint>),
}

/// Certificates that are accepted as they are. One that is added counts from the next handshake on.
#[derive(Debug, Clone, Default)]
pub struct Accepted(Arc<RwLock<Vec<Fingerprint>>>);

impl Accepted {
    /// These.
    pub fn of(fingerprints: &[Fingerprint]) -> Self {
        Self(Arc::new(RwLock::new(fingerprints.to_vec())))
    }

    /// And this one.
    pub fn add(&self, fingerprint: Fingerprint) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fingerprint);
    }

    pub(super) fn all(&self) -> Vec<Fingerprint> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
