//! Certificates, certificate signing requests and the checks on them (RFC 5280, RFC 2986). No I/O, no clock.

mod certificate;
mod csr;
mod fingerprint;
mod issued;
mod request;

pub use certificate::Certificate;
pub use csr::Csr;
pub use fingerprint::Fingerprint;
pub use issued::{Expected, check_issued};
pub use request::{AlternateName, Digest, KeyKind, KeyRequest, Subject};

/// Something that is not the certificate, request or fingerprint that it should be; says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PkiError(pub String);
