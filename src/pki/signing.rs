//! Signs a certificate in the name of a CA.
//!
//! The issuer is the subject of the CA's certificate, byte by byte (RFC 5280, 4.1.2.4): verifiers compare both, and a name
//! that was parsed and written again loses repeated attributes, string types and the sets of a multi-valued part.

use super::certificate::parse;
use super::der::{self, sequence};
use super::{Certificate, PkiError};

/// The certificate `draft` (DER, with any issuer and any signature) as `issuer` issues it. `sign` signs with the key of
/// `issuer`, by the algorithm that the draft names.
///
/// # Errors
/// When one of both cannot be read, or `sign` fails.
pub fn sign_for_issuer(
    draft: &[u8],
    issuer: &Certificate,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, PkiError>,
) -> Result<Certificate, PkiError> {
    let unreadable = || PkiError("the draft of the certificate cannot be read".to_owned());
    let issuer = parse(&issuer.der)?;
    let parts = der::only(draft)
        .and_then(|draft| draft.children_of(der::SEQUENCE))
        .ok_or_else(unreadable)?;
    let [to_be_signed, algorithm, _] = parts.as_slice() else {
        return Err(unreadable());
    };
    let fields = to_be_signed.children_of(der::SEQUENCE);
    let mut fields: Vec<&[u8]> = fields
        .ok_or_else(unreadable)?
        .iter()
        .map(|field| field.whole)
        .collect();
    *fields.get_mut(ISSUER).ok_or_else(unreadable)? = issuer.subject().as_raw();
    let to_be_signed = sequence(&fields);
    let signature = der::bit_string(&sign(&to_be_signed)?);
    Certificate::from_der(&sequence(&[&to_be_signed, algorithm.whole, &signature]))
}

/// Version, serial number and algorithm stand before it (RFC 5280, 4.1).
const ISSUER: usize = 3;
