//! Which certificate does this service show now? A TLS handshake, no application data.

use std::time::Duration;

use crate::inventory::Endpoint;
use crate::pki::Certificate;

/// What an address showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// A handshake showed this certificate, and the peer proved that it has the key.
    Shown(Box<Certificate>),
    /// No certificate was seen, or the peer could not prove that it has the key; why.
    Unreachable(String),
}

/// Looks at `endpoint`, naming `server_name` in the handshake (SNI) where it is a host name.
pub async fn look(_endpoint: &Endpoint, _server_name: Option<&str>, _limit: Duration) -> Sight {
    unimplemented!()
}
