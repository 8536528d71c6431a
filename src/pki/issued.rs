//! What an issued certificate must be before it may go to a firewall.

use jiff::{SignedDuration, Timestamp};

use super::certificate::{CLIENT_AUTH, SERVER_AUTH, parse};
use super::difference::{foreign_common_names, missing_names};
use super::{AlternateName, Certificate, Fingerprint, KeyRequest, name, path};

/// What was asked for, to compare with what came.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// SHA-256 of the public key in the CSR.
    pub public_key: Fingerprint,
    /// The names in the CSR.
    pub request: &'a KeyRequest,
    /// Names that this CA adds without a request.
    pub tolerated: &'a [AlternateName],
    /// Its chain must lead to one of these CA certificates; empty: to any.
    pub chain_roots: &'a [Certificate],
    /// Now: the certificate must be valid, give or take a small clock skew.
    pub now: Timestamp,
}

impl<'a> Expected<'a> {
    /// `request` for the key of this fingerprint, by a CA that adds no names and is not pinned.
    pub fn new(public_key: Fingerprint, request: &'a KeyRequest, now: Timestamp) -> Self {
        Self {
            public_key,
            request,
            tolerated: &[],
            chain_roots: &[],
            now,
        }
    }
}

/// What is to be said of an issued certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Everything that is wrong, in words; empty: it may be installed.
    pub problems: Vec<String>,
    /// The CA certificates to install with it, nearest first: the verified path.
    pub chain: Vec<Certificate>,
    /// Why its signature could not be verified, in words: its issuer was not sent.
    pub unverified: Option<String>,
    /// Names that were not asked for and are borne, because this CA is known to add them.
    pub tolerated: Vec<AlternateName>,
}

/// Judges an issued certificate with everything that came with it, in any order.
pub fn check_issued(leaf: &Certificate, bag: &[Certificate], expected: &Expected<'_>) -> Verdict {
    let request = expected.request;
    let mut problems = Vec::new();
    if leaf.public_key != expected.public_key {
        problems.push(format!(
            "its public key (SHA-256 {}) is not the one of the request ({})",
            leaf.public_key, expected.public_key
        ));
    }
    for name in missing_names(leaf, request) {
        problems.push(format!("{name} is not among its alternate names"));
    }
    problems.extend(foreign_common_names(leaf, request));
    let (tolerated, foreign) = foreign_names(leaf, expected);
    problems.extend(
        foreign
            .into_iter()
            .map(|name| format!("it is also for {name}, which was not asked for")),
    );
    problems.extend(foreign_purposes(leaf));
    problems.extend(path::leaf_faults(leaf, expected.now));
    let chain = path::build(leaf, bag, expected.chain_roots, expected.now);
    problems.extend(chain.problems);
    Verdict {
        problems,
        chain: chain.certificates,
        unverified: chain.unverified,
        tolerated,
    }
}

/// The names of `leaf` that were not requested: the tolerated ones, and the others in words.
fn foreign_names(leaf: &Certificate, expected: &Expected<'_>) -> (Vec<AlternateName>, Vec<String>) {
    let asked_for = expected.request.host_names();
    let is_one_of = |names: &[AlternateName], name| names.iter().any(|own| own.is_same(name));
    let (tolerated, foreign): (Vec<&AlternateName>, Vec<_>) = leaf
        .alternate_names
        .iter()
        .filter(|name| !is_one_of(&asked_for, name))
        .partition(|name| is_one_of(expected.tolerated, name));
    let mut foreign: Vec<String> = foreign.into_iter().map(ToString::to_string).collect();
    foreign.extend(leaf.other_names.iter().cloned());
    foreign.extend(foreign_subject(leaf, expected.request));
    (tolerated.into_iter().cloned().collect(), foreign)
}

/// Names in the subject: a CN where none was asked for, unless it repeats a host name; and mail addresses.
fn foreign_subject(leaf: &Certificate, request: &KeyRequest) -> Vec<String> {
    let is_host_name = |text: &str| {
        let names = request.host_names();
        names
            .iter()
            .any(|name| name.to_string().eq_ignore_ascii_case(text))
    };
    let mut foreign = Vec::new();
    if request.subject.common_name.is_none() {
        let found = leaf.common_names().into_iter();
        let found = found.filter(|name| !is_host_name(name));
        foreign.extend(found.map(|name| format!("the CN {name}")));
    }
    let is_wanted_mail = |address: &str| {
        request.subject.email.as_deref() == Some(address)
            || request
                .alternate_names
                .iter()
                .any(|name| matches!(name, AlternateName::Email(own) if own == address))
    };
    let attributes = parse(&leaf.der).map(|parsed| name::attributes(parsed.subject()));
    let mails = attributes
        .unwrap_or_default()
        .into_iter()
        .filter(|(attribute, address)| attribute == "emailAddress" && !is_wanted_mail(address));
    foreign.extend(mails.map(|(_, address)| address));
    foreign
}

/// A firewall is a TLS server; as a TLS client and in IPsec it uses the same certificate. Any other purpose is a power that
/// was not asked for.
fn foreign_purposes(leaf: &Certificate) -> Vec<String> {
    leaf.purposes
        .iter()
        .filter(|purpose| !OF_FIREWALLS.contains(&purpose.as_str()))
        .map(|purpose| {
            format!(
                "it may also be used for the purpose {purpose} (extended key usage), which was not asked for"
            )
        })
        .collect()
}

/// Why `leaf` is not valid now, in words.
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

/// The tolerance for CAs whose clock is a little ahead.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(10);

/// TLS servers and clients, IPsec (RFC 4945, 5.1.3.12, and the older kinds of RFC 2459), and what browsers of the nineties
/// wanted of a server with strong encryption.
const OF_FIREWALLS: [&str; 9] = [
    SERVER_AUTH,
    CLIENT_AUTH,
    "1.3.6.1.5.5.7.3.5",
    "1.3.6.1.5.5.7.3.6",
    "1.3.6.1.5.5.7.3.7",
    "1.3.6.1.5.5.7.3.17",
    "1.3.6.1.5.5.8.2.2",
    "1.3.6.1.4.1.311.10.3.3",
    "2.16.840.1.113730.4.1",
];
