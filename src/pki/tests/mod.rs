//! The checks on certificates, requests and chains, against material of rcgen and openssl.

mod agreement;
mod certificate;
mod csr;
mod difference;
mod identifiers;
mod issued;
mod making;
mod odd_signatures;
mod path;
mod pkcs7;
