//! The certificates between a leaf and its root: put in order, and judged.

use jiff::Timestamp;

use super::Certificate;

/// Sorts `certificates` into the chain above `leaf`, nearest first; strangers, duplicates and the leaf itself are
/// dropped. Whether it ends in a root, [`ends_in_root`] tells.
pub fn order_chain(leaf: &Certificate, certificates: Vec<Certificate>) -> Vec<Certificate> {
    let mut left = certificates;
    left.retain(|certificate| certificate.der != leaf.der);
    left.truncate(MOST_CANDIDATES);
    let mut chain: Vec<Certificate> = Vec::new();
    loop {
        let last = chain.last().unwrap_or(leaf);
        if last.is_self_signed() || chain.len() >= LONGEST_CHAIN {
            return chain;
        }
        let issuer = left
            .iter()
            .position(|candidate| candidate.is_ca && last.verify_signed_by(candidate).is_ok());
        let Some(issuer) = issuer.map(|place| left.remove(place)) else {
            return chain;
        };
        // A key may be certified twice (cross-signing); going through both ways would be a loop.
        left.retain(|other| {
            other.subject != issuer.subject || other.public_key != issuer.public_key
        });
        chain.push(issuer);
    }
}

/// Whether the last certificate of `chain` is a self-signed root.
pub fn ends_in_root(chain: &[Certificate]) -> bool {
    chain.last().is_some_and(Certificate::is_self_signed)
}

/// Everything that is wrong with `chain` above `leaf`, in words. An empty chain is fine: the device may hold the CA already.
pub(super) fn problems(leaf: &Certificate, chain: &[Certificate], now: Timestamp) -> Vec<String> {
    let mut problems = Vec::new();
    let mut last = leaf;
    for issuer in chain {
        let subject = &issuer.subject;
        if !issuer.is_ca {
            problems.push(format!("in the chain, {subject} is not a CA"));
        }
        if issuer.not_after <= now {
            problems.push(format!(
                "in the chain, {subject} expired on {}",
                issuer.not_after
            ));
        }
        if let Err(error) = last.verify_signed_by(issuer) {
            problems.push(format!(
                "{} is followed by {subject} in the chain, which did not issue it: {error}",
                last.subject
            ));
        }
        last = issuer;
    }
    problems
}

/// Each link may cost as many signatures as there are candidates of one name: what no CA sends must not keep us busy for
/// hours.
const LONGEST_CHAIN: usize = 16;
const MOST_CANDIDATES: usize = 200;
