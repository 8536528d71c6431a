//! Certificates, certificate signing requests and the checks on them (RFC 5280, RFC 2986). No I/O, no clock.

mod allowance;
mod certificate;
mod country;
mod csr;
mod der;
mod difference;
mod file;
mod fingerprint;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod issued;
mod key_bundle;
mod making;
mod name;
pub mod path;
mod pem;
mod pkcs7;
mod private_key;
mod request;
mod signature;
mod signing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use allowance::Allowance;
pub use certificate::Certificate;
pub use country::{country_code, country_name};
pub use csr::Csr;
pub use difference::differences_from_request;
pub use file::{CertificateFile, certificates_of_file, private_key_of_file};
pub use fingerprint::Fingerprint;
pub use issued::{Expected, Verdict, check_issued, is_not_yet_valid};
pub use key_bundle::{Encryption, KeyBundle};
pub(crate) use name::is_dns_name;
pub use path::ends_in_root;
pub use pkcs7::{certificates_in, certificates_within};
pub use private_key::PrivateKey;
pub use request::{AlternateName, Digest, KeyKind, KeyRequest, Subject};
pub(crate) use signature::{Scheme, verify_by_certificate};
pub use signing::sign_for_issuer;

/// Something that is not the certificate, request or fingerprint that it should be; says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PkiError(pub String);
