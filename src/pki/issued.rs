//! What an issued certificate must be before it may go to a firewall.

use jiff::{SignedDuration, Timestamp};

use super::difference::{foreign_common_name, missing_names};
use super::{Certificate, Fingerprint, KeyRequest, chain};

/// What was asked for, to compare with what came.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// SHA-256 of the public key in the CSR.
    pub public_key: Fingerprint,
    /// The names in the CSR.
    pub request: &'a KeyRequest,
    /// Now: the certificate must be valid, give or take a small clock skew.
    pub now: Timestamp,
}

/// Everything that is wrong with an issued certificate and its chain (nearest first), in words; empty: it may be installed.
pub fn check_issued(
    leaf: &Certificate,
    chain: &[Certificate],
    expected: &Expected<'_>,
) -> Vec<String> {
    let mut problems = Vec::new();
    if leaf.public_key != expected.public_key {
        problems.push(format!(
            "its public key (SHA-256 {}) is not the one of the request ({})",
            leaf.public_key, expected.public_key
        ));
    }
    for name in missing_names(leaf, expected.request) {
        problems.push(format!("{name} is not among its alternate names"));
    }
    problems.extend(foreign_common_name(leaf, expected.request));
    if leaf.is_ca {
        problems.push("it is a CA certificate (basic constraints CA:TRUE)".to_owned());
    }
    if !leaf.allows_server_auth {
        problems.push("its extended key usage does not allow TLS servers".to_owned());
    }
    problems.extend(validity_problem(leaf, expected.now));
    problems.extend(chain::problems(leaf, chain, expected.now));
    problems
}

pub(super) fn validity_problem(leaf: &Certificate, now: Timestamp) -> Option<String> {
    if now >= leaf.not_after {
        return Some(format!("it expired on {}", leaf.not_after));
    }
    is_not_yet_valid(leaf.not_before, now).then(|| {
        format!(
            "it is not valid before {}, and it is {now} here: is the clock right?",
            leaf.not_before
        )
    })
}

/// Whether what is valid from `not_before` is not yet, by more than clocks differ.
pub fn is_not_yet_valid(not_before: Timestamp, now: Timestamp) -> bool {
    now.saturating_add(CLOCK_SKEW).unwrap_or(now) < not_before
}

/// CAs whose clock is a little ahead are met; waiting helps against no longer ones.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(10);
