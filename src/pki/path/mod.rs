//! Certification path validation (RFC 5280, 6.1), and the building of paths out of whatever was sent (RFC 4158).
//!
//! Every certificate of a path is judged here by name, because a refusal must say which one and why; and because webpki
//! compares names byte by byte, ignores key usage, and has no constraints on directory names. What is found is then verified
//! by webpki, the verifier under rustls, wherever it implements what the path uses (`library.rs`). No I/O, no clock.

mod authority_key;
mod constraints;
mod library;
mod rules;
mod search;

use jiff::Timestamp;

use super::{AlternateName, Certificate, Fingerprint, PkiError};
use search::{End, Goal, Search};

use rules::self_issued_fault;
pub(super) use rules::{Node, leaf_faults};

/// The certificates above a leaf, as far as they could be verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain {
    /// The verified path above the leaf, nearest first.
    pub certificates: Vec<Certificate>,
    /// Why there is no valid path, in words; empty: nothing speaks against the leaf.
    pub problems: Vec<String>,
    /// What could not be verified because its issuer was not sent, in words: the leaf's own signature.
    pub unverified: Option<String>,
}

/// Verifies that `leaf` may serve `name` at `now`: that a valid path leads to one of `roots`, over any of `intermediates`,
/// which may be in any order, doubled, expired or unrelated. `None` as the name: its names are not looked at.
///
/// Gives the certificates above the leaf, nearest first; the last is the one of `roots`. A root need not be self-signed, but
/// it must be valid as well. Accepts what `openssl verify -partial_chain -purpose sslserver -verify_hostname` accepts, except
/// signatures over SHA-1, CA keys below 2048 bits, CA certificates as the leaf, a leaf that is itself one of `roots`, and host
/// names that are nowhere but in the CN. What else aws-lc-rs does not verify is in the tests' list of exceptions.
///
/// # Errors
/// Which certificate is not valid, and why, in words.
pub fn verify(
    leaf: &Certificate,
    intermediates: &[Certificate],
    roots: &[Certificate],
    name: Option<&AlternateName>,
    now: Timestamp,
) -> Result<Vec<Certificate>, PkiError> {
    let mut faults = leaf_faults(leaf, now);
    faults.extend(self_issued_fault(leaf));
    if let Some(name) = name
        && !is_for(leaf, name)
    {
        faults.push(format!("it is not for {name}"));
    }
    if !faults.is_empty() {
        return Err(PkiError(faults.join("; ")));
    }
    let goal = Goal::Anchors(roots.iter().map(|root| root.fingerprint).collect());
    let bag: Vec<&Certificate> = intermediates.iter().chain(roots).collect();
    let searched = Search::new(leaf, &bag, goal, now)?.run();
    match searched.best {
        Some(path) => Ok(path.certificates),
        None => Err(PkiError(searched.problems.join("; "))),
    }
}

/// Verifies `leaf` against what its CA sent with it, in any order, and gives the best path. Public roots need not be in the
/// bag: the path ends in a root, in the last issuer that was sent, or below issuers that are all expired. With `chain_roots`
/// it must lead over or to one of these certificates, which need not be in the bag; only what was in the bag is in the chain.
///
/// Says nothing of the leaf's own dates, names and purposes.
pub fn build(
    leaf: &Certificate,
    bag: &[Certificate],
    chain_roots: &[Certificate],
    now: Timestamp,
) -> Chain {
    if let Some(problem) = self_issued_fault(leaf) {
        return Chain {
            problems: vec![problem],
            ..Chain::default()
        };
    }
    let bag: Vec<&Certificate> = bag.iter().collect();
    let searched = match Search::new(leaf, &bag, Goal::Top, now) {
        Ok(search) => search.run(),
        Err(PkiError(problem)) => {
            return Chain {
                problems: vec![problem],
                ..Chain::default()
            };
        }
    };
    if !chain_roots.is_empty() {
        return pinned(leaf, &bag, chain_roots, now, searched.best);
    }
    match searched.best {
        Some(path) => Chain {
            certificates: path.certificates,
            ..Chain::default()
        },
        None if searched.problems.is_empty() => unverified(leaf),
        None => Chain {
            problems: searched.problems,
            ..Chain::default()
        },
    }
}

/// Whether the last certificate of `chain` is a self-signed root.
pub fn ends_in_root(chain: &[Certificate]) -> bool {
    chain.last().is_some_and(Certificate::is_self_signed)
}

/// Whether `name` is among the alternate names of `leaf`, itself or by a wildcard.
fn is_for(leaf: &Certificate, name: &AlternateName) -> bool {
    leaf.alternate_names.iter().any(|own| {
        own.is_same(name)
            || match (own, name) {
                (AlternateName::Domain(own), AlternateName::Domain(name)) => {
                    is_wildcard_for(own, name)
                }
                _ => false,
            }
    })
}

/// Whether `pattern` has a wildcard, and `name` is one of those that it stands for. As openssl has it: RFC 9525, 6.3, wants
/// the first label to be the wildcard alone.
fn is_wildcard_for(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let Some((before, after)) = pattern.split_once('*') else {
        return false;
    };
    let Some((rest, parents)) = after.split_once('.') else {
        return false;
    };
    let is_part = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_label = |label: &str| {
        !label.is_empty() && is_part(label) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_first_label = (before.is_empty() || is_label(before) && !before.starts_with("xn--"))
        && (rest.is_empty() || is_part(rest) && !rest.ends_with('-'))
        && (before.is_empty() || rest.is_empty());
    if !is_first_label || !parents.contains('.') || !parents.split('.').all(is_label) {
        return false;
    }
    let is_whole = before.is_empty() && rest.is_empty();
    if !is_whole && name.starts_with("xn--") {
        return false;
    }
    let covered = name
        .strip_prefix(before)
        .and_then(|name| name.strip_suffix(after));
    covered.is_some_and(|covered| {
        !(is_whole && covered.is_empty()) && (covered == "*" || is_part(covered))
    })
}

fn pinned(
    leaf: &Certificate,
    bag: &[&Certificate],
    chain_roots: &[Certificate],
    now: Timestamp,
    unpinned: Option<search::Path>,
) -> Chain {
    let of = |certificates: Vec<Certificate>| Chain {
        certificates,
        ..Chain::default()
    };
    let pins: Vec<Fingerprint> = chain_roots.iter().map(|root| root.fingerprint).collect();
    if let Some(path) = &unpinned
        && path
            .certificates
            .iter()
            .any(|one| pins.contains(&one.fingerprint))
    {
        return of(path.certificates.clone());
    }
    let all: Vec<&Certificate> = bag.iter().copied().chain(chain_roots).collect();
    let searched = Search::new(leaf, &all, Goal::Anchors(pins), now).map(Search::run);
    if let Ok(search::Searched {
        best: Some(path), ..
    }) = searched
    {
        let was_sent = |one: &Certificate| bag.iter().any(|sent| sent.der == one.der);
        return of(path.certificates.into_iter().filter(was_sent).collect());
    }
    let problem = match (unpinned, searched) {
        (Some(path), _) => leads_elsewhere(&path.certificates),
        (None, Ok(searched)) => searched.problems.join("; "),
        (None, Err(PkiError(words))) => words,
    };
    Chain {
        problems: vec![problem],
        ..Chain::default()
    }
}

fn leads_elsewhere(path: &[Certificate]) -> String {
    let sent: Vec<String> = path
        .iter()
        .map(|one| format!("{} (SHA-256 {})", one.subject, one.fingerprint))
        .collect();
    format!(
        "none of the CA certificates above it is in chain_roots: {}",
        sent.join(", ")
    )
}

/// The issuer was not sent: its signature cannot be verified, but how it was made can be judged.
fn unverified(leaf: &Certificate) -> Chain {
    Chain {
        unverified: Some(format!(
            "the CA did not send the certificate of the issuer ({}), so the signature of {} was not verified",
            leaf.issuer, leaf.subject
        )),
        ..Chain::default()
    }
}

impl End {
    /// Which of several valid paths is preferred: the higher.
    fn rank(self) -> u8 {
        match self {
            Self::Root => 2,
            Self::Top => 1,
            Self::BelowExpired => 0,
        }
    }
}
