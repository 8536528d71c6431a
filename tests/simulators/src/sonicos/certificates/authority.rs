//! Chains: the issuer of a certificate, and whether the device knows a path to a root (SonicOS reference 3.2, 3.4).

use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Store;

impl Store {
    /// The CA certificates from the issuer of `der` up to a root; `None` when one is missing or does not verify.
    pub(in crate::sonicos) fn chain_of(&self, der: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut chain: Vec<Vec<u8>> = Vec::new();
        let mut present = der.to_vec();
        while !is_issued_by(&present, &present) {
            let issuer = self
                .authorities()
                .find(|authority| is_issued_by(&present, authority))?
                .to_vec();
            // Two CAs that certify each other have no root.
            if chain.contains(&issuer) {
                return None;
            }
            chain.push(issuer.clone());
            present = issuer;
        }
        Some(chain)
    }
}

/// Names and signature agree.
fn is_issued_by(der: &[u8], issuer: &[u8]) -> bool {
    let (Some(certificate), Some(issuer)) = (parse(der), parse(issuer)) else {
        return false;
    };
    certificate.issuer() == issuer.subject()
        && certificate
            .verify_signature(Some(issuer.public_key()))
            .is_ok()
}

pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .filter(|(rest, _)| rest.is_empty())
        .map(|(_, certificate)| certificate)
}

/// Subject public key information, DER.
pub(super) fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    parse(der).map(|certificate| certificate.public_key().raw.to_vec())
}

pub(super) fn is_expired(certificate: &X509Certificate<'_>, now: OffsetDateTime) -> bool {
    certificate.validity().not_after.timestamp() <= now.unix_timestamp()
}
