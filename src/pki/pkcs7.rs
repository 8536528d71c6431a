//! Bags of certificates: PKCS#7, which is CMS SignedData without a signature (RFC 2315, RFC 5652), and whatever else CAs
//! wrap certificates in. It verifies nothing: the caller has to verify the content.

use x509_parser::asn1_rs::{Any, Class, FromBer, Oid, Tag};

use super::der::is_sequence;
use super::{Allowance, Certificate, PkiError, certificate, pem};

impl Certificate {
    /// Parses every certificate of a PKCS#7, DER or PEM, in its order, which means nothing. None is no error.
    ///
    /// BER of indefinite length is read too: common Java libraries write it.
    pub fn all_from_pkcs7(bytes: &[u8]) -> Result<Vec<Self>, PkiError> {
        let mut allowance = Allowance::of_an_answer();
        if is_sequence(bytes) {
            return all_from_signed_data(bytes, &mut allowance);
        }
        let text = String::from_utf8_lossy(bytes);
        let blocks = pem::blocks(&text)?;
        let bags: Vec<_> = blocks
            .iter()
            .filter(|block| BAGS.contains(&block.label))
            .collect();
        if bags.is_empty() {
            return Err(PkiError("there is no BEGIN PKCS7 in this text".to_owned()));
        }
        let all: Result<Vec<Vec<Self>>, PkiError> = bags
            .iter()
            .map(|bag| all_from_signed_data(&bag.der, &mut allowance))
            .collect();
        Ok(all?.concat())
    }
}

/// Every certificate of what a CA sent as "the certificate", in its order: PEM of certificates or of a PKCS#7, DER of
/// either, or base64 of any of these. At least one; none is an error.
///
/// # Errors
/// Also when it holds more than one answer may.
pub fn certificates_in(bytes: &[u8]) -> Result<Vec<Certificate>, PkiError> {
    certificates_within(bytes, &mut Allowance::of_an_answer())
}

/// As [`certificates_in`], of one text of several that came together.
///
/// # Errors
/// As there.
pub fn certificates_within(
    bytes: &[u8],
    allowance: &mut Allowance,
) -> Result<Vec<Certificate>, PkiError> {
    let found = match all_in(bytes, allowance) {
        Err(NotRead::Unknown) => {
            let text: Vec<u8> = bytes
                .iter()
                .copied()
                .filter(|b| !b.is_ascii_whitespace())
                .collect();
            let decoded = data_encoding::BASE64
                .decode(&text)
                .map_err(|_| NotRead::Unknown);
            decoded.and_then(|bytes| all_in(&bytes, allowance))
        }
        read => read,
    };
    match found {
        Ok(certificates) if certificates.is_empty() => {
            Err(PkiError("it contains no certificate".to_owned()))
        }
        Ok(certificates) => Ok(certificates),
        Err(NotRead::Broken(error)) => Err(error),
        Err(NotRead::Unknown) => Err(PkiError(format!(
            "neither a certificate nor a PKCS#7, in PEM, DER or base64; it begins with {:?}",
            String::from_utf8_lossy(bytes)
                .chars()
                .take(40)
                .collect::<String>()
        ))),
    }
}

/// Why nothing was read.
enum NotRead {
    /// It is none of these, but may be base64 of one.
    Unknown,
    /// It is, and is damaged.
    Broken(PkiError),
}

fn all_in(bytes: &[u8], allowance: &mut Allowance) -> Result<Vec<Certificate>, NotRead> {
    if is_sequence(bytes) {
        return all_in_der(bytes, allowance).map_err(NotRead::Broken);
    }
    let bytes = bytes.trim_ascii();
    let text = String::from_utf8_lossy(bytes);
    let blocks = pem::blocks(&text).map_err(NotRead::Broken)?;
    if blocks.is_empty() {
        return Err(NotRead::Unknown);
    }
    let mut found = Vec::new();
    for block in blocks {
        if holds_certificates(block.label) {
            found.extend(all_in_der(&block.der, allowance).map_err(NotRead::Broken)?);
        }
    }
    Ok(found)
}

/// Whether a PEM block of this label holds a certificate or a PKCS#7; some programs put the one under the label of the
/// other.
pub(super) fn holds_certificates(label: &str) -> bool {
    BAGS.contains(&label) || certificate::LABELS.contains(&label)
}

/// A certificate begins with its content, a PKCS#7 with the name of its kind.
pub(super) fn all_in_der(
    der: &[u8],
    allowance: &mut Allowance,
) -> Result<Vec<Certificate>, PkiError> {
    let is_bag = Any::from_ber(der)
        .and_then(|(_, outer)| Any::from_ber(outer.data))
        .is_ok_and(|(_, first)| first.tag() == Tag::Oid);
    if is_bag {
        all_from_signed_data(der, allowance)
    } else {
        Ok(vec![allowance.read(der)?])
    }
}

/// The field `certificates` of SignedData (RFC 5652, 5.1); kinds of certificate other than X.509 are skipped (10.2.2).
fn all_from_signed_data(
    bytes: &[u8],
    allowance: &mut Allowance,
) -> Result<Vec<Certificate>, PkiError> {
    let (kind, content) = content_info(bytes)?;
    if kind != SIGNED_DATA {
        return Err(PkiError(format!(
            "a PKCS#7 of another kind ({kind}) than signed data holds no certificates"
        )));
    }
    let (_, signed_data) = element(content)?;
    let mut rest = signed_data.data;
    while !rest.is_empty() {
        let (after, field) = element(rest)?;
        if field.class() == Class::ContextSpecific && field.tag() == CERTIFICATES {
            return each_certificate(field.data, allowance);
        }
        rest = after;
    }
    Ok(Vec::new())
}

/// The kind of a ContentInfo, in dotted numbers, and what is in it (RFC 5652, 3).
fn content_info(bytes: &[u8]) -> Result<(String, &[u8]), PkiError> {
    let (rest, outer) = element(bytes)?;
    if !rest.iter().all(u8::is_ascii_whitespace) {
        return Err(PkiError(format!("{} bytes follow the PKCS#7", rest.len())));
    }
    let (rest, kind) = element(outer.data)?;
    let kind: Oid = kind
        .try_into()
        .map_err(|error| PkiError(format!("not a PKCS#7: {error}")))?;
    let (_, content) = element(rest)?;
    Ok((kind.to_id_string(), content.data))
}

fn each_certificate(
    mut rest: &[u8],
    allowance: &mut Allowance,
) -> Result<Vec<Certificate>, PkiError> {
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        let (after, one) = element(rest)?;
        let (whole, _) = rest.split_at(rest.len() - after.len());
        if one.class() == Class::Universal && one.tag() == Tag::Sequence {
            certificates.push(allowance.read(whole)?);
        }
        rest = after;
    }
    Ok(certificates)
}

/// The first element of `bytes` and what follows it.
fn element(bytes: &[u8]) -> Result<(&[u8], Any<'_>), PkiError> {
    Any::from_ber(bytes).map_err(|error| PkiError(format!("not a PKCS#7: {error}")))
}

/// RFC 7468, 8 and 9, and an older label.
const BAGS: [&str; 3] = ["PKCS7", "CMS", "PKCS #7 SIGNED DATA"];
/// id-signedData (RFC 5652, 5.1).
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
/// `certificates [0]`.
const CERTIFICATES: Tag = Tag(0);
