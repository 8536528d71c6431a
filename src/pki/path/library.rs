//! The second opinion on a path: webpki, the maintained verifier under rustls.

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::x509::X509Version;

use super::super::PkiError;
use super::constraints;
use super::rules::Node;

/// Whether webpki verifies `path` too, which begins with the leaf and ends with the certificate that is trusted. A path that
/// uses what webpki does not implement is passed, as is one whose signatures are of a kind that webpki does not have, such as
/// RSA-PSS with an unusual salt.
pub(super) fn confirm(path: &[&Node<'_>], now: Timestamp) -> Result<(), PkiError> {
    let [leaf, between @ .., anchor] = path else {
        return Ok(());
    };
    if uses_more(path) {
        return Ok(());
    }
    let refused = |error: webpki::Error| {
        PkiError(format!(
            "the chain of {} up to {} does not verify: {error}",
            leaf.certificate.subject, anchor.certificate.subject
        ))
    };
    let der = CertificateDer::from(anchor.certificate.der.as_slice());
    let anchors = [anchor_from_trusted_cert(&der).map_err(refused)?];
    let between: Vec<CertificateDer<'_>> = between
        .iter()
        .map(|node| CertificateDer::from(node.certificate.der.as_slice()))
        .collect();
    let leaf_der = CertificateDer::from(leaf.certificate.der.as_slice());
    let leaf = EndEntityCert::try_from(&leaf_der).map_err(refused)?;
    let verified = leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &between,
        moment(path, now),
        KeyUsage::server_auth(),
        None,
        None,
    );
    match verified {
        // The signatures themselves were verified when the path was built.
        Ok(_)
        | Err(
            webpki::Error::UnsupportedSignatureAlgorithmContext(_)
            | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_),
        ) => Ok(()),
        Err(error) => Err(refused(error)),
    }
}

/// What webpki refuses because it does not implement it: names that differ in case or spaces, CAs that renew themselves,
/// constraints on other names than domains and addresses, critical policies and Netscape's certificate type, certificates of
/// version 1, dates before 1970, path lengths of more than an octet, long paths.
fn uses_more(path: &[&Node<'_>]) -> bool {
    let is_linked = path.windows(2).all(|pair| match pair {
        [child, issuer] => child.parsed.issuer().as_raw() == issuer.parsed.subject().as_raw(),
        _ => true,
    });
    let below_anchor = path.split_last().map_or(path, |(_, below)| below);
    let is_odd = |node: &&Node<'_>| {
        node.parsed.version() != X509Version::V3
            || node.is_self_issued()
            || node.parsed.tbs_certificate.issuer_uid.is_some()
            || node.parsed.tbs_certificate.subject_uid.is_some()
            || node
                .parsed
                .iter_extensions()
                .any(|one| one.critical && UNKNOWN.contains(&one.oid.to_id_string().as_str()))
            || node.certificate.not_before < Timestamp::UNIX_EPOCH
            || node
                .basic_constraints()
                .and_then(|limits| limits.path_len_constraint)
                .is_some_and(|most| most > u32::from(u8::MAX))
    };
    !is_linked
        || path.len() > LONGEST
        || below_anchor.iter().any(is_odd)
        || path
            .iter()
            .any(|node| constraints::are_on_other_names(node))
}

/// `now`, or the moment a little later at which the last certificate of the path begins, by a clock that is ahead.
fn moment(path: &[&Node<'_>], now: Timestamp) -> UnixTime {
    let starts = path.iter().map(|node| node.certificate.not_before).max();
    let seconds = starts.map_or(now, |start| start.max(now)).as_second();
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Extensions that may be critical for us.
const UNKNOWN: [&str; 5] = [
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.36",
    "2.5.29.54",
    "2.16.840.1.113730.1.1",
];
/// The leaf, six CAs and the anchor.
const LONGEST: usize = 8;
