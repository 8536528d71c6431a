//! What a certificate must be in its place on a path (RFC 5280, 6.1.3 to 6.1.5), in words that say which one it is.

use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{BasicConstraints, KeyUsage, ParsedExtension, X509Extension};
use x509_parser::x509::X509Version;

use super::super::certificate::{SERVER_AUTH, parse};
use super::super::issued::{is_not_yet_valid, validity_problem};
use super::super::name::{Comparable, comparable};
use super::super::request::KeyKind;
use super::super::signature::{self, Scheme, SignatureFault};
use super::super::{Certificate, PkiError};
use super::authority_key::AuthorityKey;
use super::constraints::{self, Effort};

/// A certificate with what decides on its place.
pub(in super::super) struct Node<'a> {
    pub certificate: &'a Certificate,
    pub parsed: X509Certificate<'a>,
    pub subject: Comparable,
    pub issuer: Comparable,
    /// Which issuer its authority key identifier names; `None`: it cannot be read.
    authority_key: Option<AuthorityKey<'a>>,
}

impl<'a> Node<'a> {
    pub fn new(certificate: &'a Certificate) -> Result<Self, PkiError> {
        let parsed = parse(&certificate.der)?;
        Ok(Self {
            certificate,
            subject: comparable(parsed.subject()),
            issuer: comparable(parsed.issuer()),
            authority_key: AuthorityKey::of(&parsed),
            parsed,
        })
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `now` is within its dates, give or take a clock that is a little ahead.
    pub fn is_current(&self, now: Timestamp) -> bool {
        now < self.certificate.not_after && !is_not_yet_valid(self.certificate.not_before, now)
    }

    /// Whether its signature was made in a way that is verified at all.
    pub fn is_verifiable(&self) -> bool {
        Scheme::of(&self.parsed.signature_algorithm).is_ok()
    }

    /// Verifies that the key of `issuer` signed it.
    pub fn verify_signed_by(&self, issuer: &Node<'_>) -> Result<(), SignatureFault> {
        let tbs = &self.parsed.tbs_certificate;
        if tbs.signature != self.parsed.signature_algorithm {
            let words = "it names two different signature algorithms";
            return Err(SignatureFault::Unreliable(PkiError(words.to_owned())));
        }
        let scheme = Scheme::of(&self.parsed.signature_algorithm);
        signature::verify(
            issuer.parsed.public_key(),
            scheme.map_err(SignatureFault::Unreliable)?,
            tbs.as_ref(),
            self.parsed.signature_value.data.as_ref(),
        )
    }

    /// Whether its authority key identifier is the subject key identifier of `issuer`.
    pub fn names_key_of(&self, issuer: &Node<'_>) -> bool {
        let named = self.named_key();
        named.is_some() && named == issuer.subject_key_identifier()
    }

    /// Whether both have a key identifier, and they differ.
    pub fn names_another_key_than(&self, issuer: &Node<'_>) -> bool {
        let both = (self.named_key(), issuer.subject_key_identifier());
        matches!(both, (Some(named), Some(own)) if named != own)
    }

    /// Whether it names another certificate than `issuer`, by the issuer and the serial number of that.
    fn names_another_certificate_than(&self, issuer: &Node<'_>) -> bool {
        self.authority_key.as_ref().is_some_and(|named| {
            let serial = named
                .serial
                .is_none_or(|it| it == issuer.parsed.raw_serial());
            let name = named.issuer.as_ref().is_none_or(|it| *it == issuer.issuer);
            !(serial && name)
        })
    }

    /// Its extensions, parsed.
    pub fn extensions(&self) -> impl Iterator<Item = &ParsedExtension<'_>> {
        self.parsed
            .iter_extensions()
            .map(X509Extension::parsed_extension)
    }

    pub fn basic_constraints(&self) -> Option<&BasicConstraints> {
        self.extensions().find_map(|extension| match extension {
            ParsedExtension::BasicConstraints(limits) => Some(limits),
            _ => None,
        })
    }

    fn key_usage(&self) -> Option<&KeyUsage> {
        self.extensions().find_map(|extension| match extension {
            ParsedExtension::KeyUsage(usage) => Some(usage),
            _ => None,
        })
    }

    fn named_key(&self) -> Option<&[u8]> {
        self.authority_key.as_ref().and_then(|named| named.key)
    }

    /// Its subject key identifier.
    pub fn subject_key_identifier(&self) -> Option<&[u8]> {
        self.extensions().find_map(|extension| match extension {
            ParsedExtension::SubjectKeyIdentifier(own) => Some(own.0),
            _ => None,
        })
    }

    /// A root of before 1996 has no basic constraints; only as a root it is still one.
    fn is_ca(&self) -> bool {
        self.certificate.is_ca
            || (self.parsed.version() != X509Version::V3 && self.is_self_issued())
    }
}

/// Why an issuer cannot be the next on a path.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// That it is expired or not valid yet.
    pub dates: Vec<String>,
    /// That what it signed names another issuer.
    pub identifiers: Vec<String>,
    /// Anything else.
    pub others: Vec<String>,
}

impl Faults {
    pub fn is_none(&self) -> bool {
        self.dates.is_empty() && self.identifiers.is_empty() && self.others.is_empty()
    }

    /// Whether nothing else is wrong than that it is outdated. Which of the certificates of that CA was named does not
    /// matter then.
    pub fn is_outdated_only(&self) -> bool {
        !self.dates.is_empty() && self.others.is_empty()
    }

    pub fn words(self) -> Vec<String> {
        let mut words = self.others;
        words.extend(self.identifiers);
        words.extend(self.dates);
        words
    }
}

/// Why `issuer` cannot be above `below`, which begins with the leaf; `signed`: whether it signed the last of them.
pub(super) fn faults(
    below: &[&Node<'_>],
    issuer: &Node<'_>,
    signed: Result<(), SignatureFault>,
    effort: &Effort,
    now: Timestamp,
) -> Faults {
    let subject = &issuer.certificate.subject;
    let mut others = Vec::new();
    let mut identifiers = Vec::new();
    if let Some(last) = below.last() {
        match signed {
            Ok(()) => identifiers.extend(identifier_fault(last, issuer)),
            Err(fault) => others.push(signature_fault(last, issuer, fault)),
        }
    }
    let mut own: Vec<String> = extension_faults(issuer);
    own.extend(authority_faults(issuer));
    own.extend(length_fault(below, issuer));
    own.extend(constraints::violation(below, issuer, effort));
    others.extend(
        own.into_iter()
            .map(|words| format!("in the chain, {subject} {words}")),
    );
    Faults {
        dates: date_fault(issuer.certificate, now).into_iter().collect(),
        identifiers,
        others,
    }
}

fn signature_fault(last: &Node<'_>, issuer: &Node<'_>, fault: SignatureFault) -> String {
    let (last, issuer) = (&last.certificate.subject, &issuer.certificate.subject);
    match fault {
        SignatureFault::Mismatch => format!(
            "{last} is followed by {issuer} in the chain, which did not issue it: {}",
            PkiError::from(fault)
        ),
        SignatureFault::Unreliable(why) => {
            format!("whether {issuer} issued {last} cannot be verified: {why}")
        }
    }
}

/// As openssl compares them: an identifier that names another issuer is no mere hint.
fn identifier_fault(last: &Node<'_>, issuer: &Node<'_>) -> Option<String> {
    let (child, subject) = (&last.certificate.subject, &issuer.certificate.subject);
    if last.names_another_key_than(issuer) {
        return Some(format!(
            "{child} names another key than that of {subject} as its issuer's (authority key identifier)"
        ));
    }
    last.names_another_certificate_than(issuer).then(|| {
        format!(
            "{child} names another certificate of its issuer than the one of {subject} in the chain, by issuer and serial number (authority key identifier)"
        )
    })
}

/// What is wrong with `leaf` itself as the certificate of a TLS server, in words that follow its name.
pub(in super::super) fn leaf_faults(leaf: &Certificate, now: Timestamp) -> Vec<String> {
    let node = match Node::new(leaf) {
        Ok(node) => node,
        Err(PkiError(words)) => return vec![words],
    };
    let mut faults = Vec::new();
    if leaf.is_ca {
        faults.push("it is a CA certificate (basic constraints CA:TRUE)".to_owned());
    }
    if !leaf.allows_server_auth {
        faults.push("its extended key usage does not allow TLS servers".to_owned());
    }
    if node.key_usage().is_some_and(|usage| !is_for_tls(*usage)) {
        let words = "its key usage allows neither signatures nor the exchange of keys";
        faults.push(words.to_owned());
    }
    let is_for_servers = |extension: &ParsedExtension<'_>| match extension {
        ParsedExtension::NSCertType(kind) => kind.ssl_server(),
        _ => true,
    };
    if !node.extensions().all(is_for_servers) {
        faults.push("its Netscape certificate type does not allow TLS servers".to_owned());
    }
    faults.extend(
        extension_faults(&node)
            .into_iter()
            .map(|words| format!("it {words}")),
    );
    if let Err(error) = Scheme::of(&node.parsed.signature_algorithm) {
        faults.push(format!("it is {error}"));
    }
    faults.extend(validity_problem(leaf, now));
    faults
}

/// That `leaf` is its own issuer by all that it says. No CA signs with the key of a request; and openssl takes it for
/// self-signed without a look at the signature, even when its CA has the same name.
pub(super) fn self_issued_fault(leaf: &Certificate) -> Option<String> {
    let node = Node::new(leaf).ok()?;
    let names_another =
        node.names_another_key_than(&node) || node.names_another_certificate_than(&node);
    (node.is_self_issued() && !names_another).then(|| {
        let subject = &leaf.subject;
        format!("it names itself ({subject}) as its issuer, as a self-signed certificate does")
    })
}

fn is_for_tls(usage: KeyUsage) -> bool {
    usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
}

/// RFC 5280, 6.1.4 (k), (n) and 4.2.1.12; keys as every TLS client demands them.
fn authority_faults(issuer: &Node<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if !issuer.is_ca() {
        faults.push("is not a CA".to_owned());
    }
    if issuer
        .key_usage()
        .is_some_and(|usage| !usage.key_cert_sign())
    {
        faults.push("may not sign certificates (key usage)".to_owned());
    }
    // As a limit for what is below it, which is how every TLS client reads it. "Any purpose" is not enough for openssl.
    let purposes = &issuer.certificate.purposes;
    let is_limited = !purposes.is_empty() && !purposes.iter().any(|one| one == SERVER_AUTH);
    if is_limited || !issuer.certificate.allows_server_auth {
        faults.push("may not issue for TLS servers (extended key usage)".to_owned());
    }
    if let KeyKind::Rsa(bits @ ..=2047) = issuer.certificate.key {
        faults.push(format!("has a key of {bits} bits, which can be broken"));
    }
    faults
}

/// RFC 5280, 6.1.4 (l) and (m): certificates that only renew their own issuer do not count.
fn length_fault(below: &[&Node<'_>], issuer: &Node<'_>) -> Option<String> {
    let most = issuer.basic_constraints()?.path_len_constraint?;
    let between = below
        .iter()
        .skip(1)
        .filter(|node| !node.is_self_issued())
        .count();
    (u64::try_from(between).unwrap_or(u64::MAX) > u64::from(most))
        .then(|| format!("allows {most} CAs below it (path length), and there are {between}"))
}

fn date_fault(issuer: &Certificate, now: Timestamp) -> Option<String> {
    let subject = &issuer.subject;
    if now >= issuer.not_after {
        return Some(format!(
            "in the chain, {subject} expired on {}",
            issuer.not_after
        ));
    }
    is_not_yet_valid(issuer.not_before, now).then(|| {
        format!(
            "in the chain, {subject} is not valid before {}, and it is {now} here: is the clock right?",
            issuer.not_before
        )
    })
}

/// RFC 5280, 4.2: an extension that is critical must be understood and readable, one that decides must be readable, and none
/// may be there twice.
fn extension_faults(node: &Node<'_>) -> Vec<String> {
    let mut faults = Vec::new();
    if node.parsed.extensions_map().is_err() {
        faults.push("has an extension twice".to_owned());
    }
    for extension in node.parsed.iter_extensions() {
        let oid = extension.oid.to_id_string();
        let is_known = KNOWN.contains(&oid.as_str());
        if extension.critical && !is_known {
            faults.push(format!(
                "has a critical extension that renewd does not know ({oid})"
            ));
        }
        let parsed = extension.parsed_extension();
        let is_readable = match parsed {
            ParsedExtension::ParseError { .. } => false,
            ParsedExtension::AuthorityKeyIdentifier(_) => node.authority_key.is_some(),
            _ => true,
        };
        if !is_readable && (extension.critical && is_known || DECISIVE.contains(&oid.as_str())) {
            faults.push(format!("has an extension that cannot be read ({oid})"));
        }
    }
    faults
}

/// The extensions that may be critical, as openssl has them. Policies limit nothing for a TLS server.
const KNOWN: [&str; 11] = [
    "2.5.29.15",             // key usage
    "2.5.29.17",             // subject alternative name
    "2.5.29.19",             // basic constraints
    "2.5.29.30",             // name constraints
    "2.5.29.31",             // CRL distribution points
    "2.5.29.32",             // certificate policies
    "2.5.29.33",             // policy mappings
    "2.5.29.36",             // policy constraints
    "2.5.29.37",             // extended key usage
    "2.5.29.54",             // inhibit anyPolicy
    "2.16.840.1.113730.1.1", // Netscape certificate type
];

/// Those that must be readable even where they are not critical.
const DECISIVE: [&str; 8] = [
    "2.5.29.14", // subject key identifier
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.35", // authority key identifier
    "2.5.29.37",
];
