//! Name constraints (RFC 5280, 4.2.1.10 and 6.1.4 (g)): which names a CA may certify.

use std::cell::Cell;

use x509_parser::extensions::{GeneralName, X509Extension};
use x509_parser::oid_registry::{OID_X509_EXT_NAME_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME};

use super::super::der;
use super::super::name::{self, Comparable, comparable, general_name, general_names};
use super::rules::Node;

/// What may still be compared in one search, each name with each constraint, in bytes: otherwise a certificate full of names
/// under a CA full of constraints would be compared for minutes.
pub(super) struct Effort(Cell<usize>);

impl Effort {
    /// A certificate with two hundred names under a CA with a hundred constraints takes about a twentieth of it.
    pub fn of_one_search() -> Self {
        Self(Cell::new(MOST_COMPARED_BYTES))
    }

    /// Whether `bytes` more may be compared.
    fn allows(&self, bytes: usize) -> bool {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or(0));
        left.is_some()
    }
}

/// How a certificate of `below`, which begins with the leaf, breaks the constraints of `issuer`; `None`: none does.
pub(super) fn violation(below: &[&Node<'_>], issuer: &Node<'_>, effort: &Effort) -> Option<String> {
    let size = extension_of(issuer)?.value.len();
    if !effort.allows(size) {
        return Some(TOO_MUCH.to_owned());
    }
    let constraints = match of(issuer) {
        Ok(None) => return None,
        Ok(Some(constraints)) => constraints,
        Err(words) => return Some(words.to_owned()),
    };
    for (place, node) in below.iter().enumerate() {
        // A CA that certifies its own next key is not constrained (RFC 5280, 6.1.4 (b)).
        if place > 0 && node.is_self_issued() {
            continue;
        }
        let der = node.certificate.der.len();
        if !effort.allows(der) {
            return Some(TOO_MUCH.to_owned());
        }
        let Some(names) = names(node, place == 0) else {
            let subject = &node.certificate.subject;
            return Some(format!(
                "has name constraints, and the names of {subject} cannot be read"
            ));
        };
        let comparisons = names
            .len()
            .saturating_mul(size)
            .saturating_add(constraints.count().saturating_mul(der));
        if !effort.allows(comparisons) {
            return Some(TOO_MUCH.to_owned());
        }
        for name in names {
            if let Some(words) = constraints.refusal(&name) {
                let subject = &node.certificate.subject;
                return Some(format!(
                    "{words}, which {subject} carries (name constraints)"
                ));
            }
        }
    }
    None
}

/// Whether `node` has constraints on other names than domains and addresses.
pub(super) fn are_on_other_names(node: &Node<'_>) -> bool {
    let Ok(Some(constraints)) = of(node) else {
        return false;
    };
    let subtrees = constraints.permitted.iter().chain(&constraints.excluded);
    subtrees
        .into_iter()
        .any(|base| !matches!(base, GeneralName::DNSName(_) | GeneralName::IPAddress(_)))
}

struct Constraints<'a> {
    permitted: Vec<GeneralName<'a>>,
    excluded: Vec<GeneralName<'a>>,
}

impl Constraints<'_> {
    fn count(&self) -> usize {
        self.permitted.len() + self.excluded.len()
    }

    /// Why `name` must not be certified.
    fn refusal(&self, name: &Name<'_>) -> Option<String> {
        let of_kind = |base: &&GeneralName<'_>| name.is_of_kind(base);
        if self
            .permitted
            .iter()
            .chain(&self.excluded)
            .filter(of_kind)
            .any(|base| !is_supported(base))
        {
            return Some(format!(
                "has constraints that renewd cannot apply to {}",
                name.in_words()
            ));
        }
        let mut permitted = self.permitted.iter().filter(of_kind).peekable();
        if permitted.peek().is_some() && !permitted.any(|base| name.is_within(base)) {
            return Some(format!("does not permit {}", name.in_words()));
        }
        let mut excluded = self.excluded.iter().filter(of_kind);
        excluded
            .any(|base| name.is_within(base))
            .then(|| format!("excludes {}", name.in_words()))
    }
}

fn is_supported(base: &GeneralName<'_>) -> bool {
    match base {
        GeneralName::DNSName(_)
        | GeneralName::RFC822Name(_)
        | GeneralName::URI(_)
        | GeneralName::DirectoryName(_) => true,
        GeneralName::IPAddress(octets) => matches!(octets.len(), 8 | 32),
        _ => false,
    }
}

/// A name of a certificate.
enum Name<'a> {
    General(GeneralName<'a>),
    /// The subject.
    Subject(&'a Comparable, &'a str),
    /// A mail address of the subject.
    Mail(String),
    /// A CN that looks like a host name, of a certificate without others.
    Host(String),
}

impl Name<'_> {
    fn in_words(&self) -> String {
        match self {
            Self::General(name) => name::in_words(name),
            Self::Subject(_, text) => format!("the subject {text}"),
            Self::Mail(address) => address.clone(),
            Self::Host(name) => name.clone(),
        }
    }

    fn is_of_kind(&self, base: &GeneralName<'_>) -> bool {
        match self {
            Self::General(name) => std::mem::discriminant(name) == std::mem::discriminant(base),
            Self::Subject(..) => matches!(base, GeneralName::DirectoryName(_)),
            Self::Mail(_) => matches!(base, GeneralName::RFC822Name(_)),
            Self::Host(_) => matches!(base, GeneralName::DNSName(_)),
        }
    }

    fn is_within(&self, base: &GeneralName<'_>) -> bool {
        match (self, base) {
            (Self::General(GeneralName::DNSName(name)), GeneralName::DNSName(base)) => {
                is_domain_within(name, base)
            }
            (Self::Host(name), GeneralName::DNSName(base)) => is_domain_within(name, base),
            (Self::General(GeneralName::RFC822Name(name)), GeneralName::RFC822Name(base)) => {
                is_mail_within(name, base)
            }
            (Self::Mail(name), GeneralName::RFC822Name(base)) => is_mail_within(name, base),
            (Self::General(GeneralName::IPAddress(name)), GeneralName::IPAddress(base)) => {
                is_address_within(name, base)
            }
            (Self::General(GeneralName::URI(name)), GeneralName::URI(base)) => {
                is_uri_within(name, base)
            }
            (Self::General(GeneralName::DirectoryName(name)), GeneralName::DirectoryName(base)) => {
                comparable(name).starts_with(&comparable(base))
            }
            (Self::Subject(name, _), GeneralName::DirectoryName(base)) => {
                name.starts_with(&comparable(base))
            }
            _ => false,
        }
    }
}

fn extension_of<'a>(node: &'a Node<'_>) -> Option<&'a X509Extension<'a>> {
    let mut extensions = node.parsed.iter_extensions();
    extensions.find(|extension| extension.oid == OID_X509_EXT_NAME_CONSTRAINTS)
}

fn of<'a>(node: &'a Node<'_>) -> Result<Option<Constraints<'a>>, &'static str> {
    let unreadable = "has name constraints that cannot be read";
    let Some(extension) = extension_of(node) else {
        return Ok(None);
    };
    let fields = der::only(extension.value)
        .and_then(|whole| whole.children_of(der::SEQUENCE))
        .filter(|fields| !fields.is_empty())
        .ok_or(unreadable)?;
    let mut constraints = Constraints {
        permitted: Vec::new(),
        excluded: Vec::new(),
    };
    for field in fields {
        let subtrees = match field.tag {
            PERMITTED => &mut constraints.permitted,
            EXCLUDED => &mut constraints.excluded,
            _ => return Err(unreadable),
        };
        for subtree in field.children().ok_or(unreadable)? {
            // Minimum and maximum must not be there (4.2.1.10).
            let parts = subtree.children_of(der::SEQUENCE).ok_or(unreadable)?;
            let [base] = parts.as_slice() else {
                return Err(unreadable);
            };
            subtrees.push(general_name(base).ok_or(unreadable)?);
        }
    }
    Ok(Some(constraints))
}

/// Every name of `node` that constraints may be about; `None`: they cannot be read.
fn names<'a>(node: &'a Node<'_>, is_leaf: bool) -> Option<Vec<Name<'a>>> {
    let mut names = Vec::new();
    let mut hosts = 0;
    let alternate_names = node
        .parsed
        .iter_extensions()
        .filter(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    for extension in alternate_names {
        for name in general_names(extension.value)? {
            hosts += usize::from(matches!(name, GeneralName::DNSName(_)));
            names.push(Name::General(name));
        }
    }
    if !node.subject.is_empty() {
        names.push(Name::Subject(&node.subject, &node.certificate.subject));
    }
    let mails = name::attributes(node.parsed.subject())
        .into_iter()
        .filter(|(attribute, _)| attribute == "emailAddress");
    names.extend(mails.map(|(_, address)| Name::Mail(address)));
    if is_leaf && hosts == 0 {
        let hosts = node.certificate.common_names().into_iter();
        names.extend(hosts.filter(|name| looks_like_host(name)).map(Name::Host));
    }
    Some(names)
}

/// Whether a CN is compared with constraints on domains, as openssl decides it: at least two labels, which may be numbers.
/// The name of a device, such as "fw01", is none, though it could stand in a dNSName; an address is one.
fn looks_like_host(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.contains('.') && name.split('.').all(is_label)
}

/// The domain itself or a name below it; one that begins with a dot has only names below. An empty one has all.
fn is_domain_within(name: &str, base: &str) -> bool {
    let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
    match name.strip_suffix(&base) {
        Some("") => true,
        Some(rest) => base.is_empty() || base.starts_with('.') || rest.ends_with('.'),
        None => false,
    }
}

/// A mailbox, all of a host, or, after a dot, all below a domain.
fn is_mail_within(address: &str, base: &str) -> bool {
    let Some((mailbox, host)) = address.rsplit_once('@') else {
        return false;
    };
    match base.rsplit_once('@') {
        Some((own, base)) => (own.is_empty() || own == mailbox) && host.eq_ignore_ascii_case(base),
        None => is_host_within(host, base),
    }
}

/// The host of a URI (RFC 3986, 3.2.2), by the same rule as that of a mail address.
fn is_uri_within(uri: &str, base: &str) -> bool {
    let Some((_, after)) = uri.split_once("://") else {
        return false;
    };
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default();
    !host.is_empty() && is_host_within(host, base)
}

fn is_host_within(host: &str, base: &str) -> bool {
    if base.starts_with('.') {
        host.len() > base.len() && is_domain_within(host, base)
    } else {
        host.eq_ignore_ascii_case(base)
    }
}

/// An address and a mask, each as long as the name.
fn is_address_within(name: &[u8], base: &[u8]) -> bool {
    let Some((address, mask)) = base.split_at_checked(name.len()) else {
        return false;
    };
    mask.len() == name.len()
        && name
            .iter()
            .zip(address)
            .zip(mask)
            .all(|((own, address), mask)| own & mask == address & mask)
}

const TOO_MUCH: &str =
    "has more name constraints than renewd compares with the names that are below it";
const MOST_COMPARED_BYTES: usize = 32 << 20;
const PERMITTED: u8 = 0xa0;
const EXCLUDED: u8 = 0xa1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_within_themselves_and_those_above() {
        for (name, base, within) in [
            ("vpn.Example.com", "example.COM", true),
            ("example.com", "example.com", true),
            ("example.com", ".example.com", false),
            ("vpn.example.com", ".example.com", true),
            ("*.example.com", "example.com", true),
            ("badexample.com", "example.com", false),
            ("vpn.example.org", "", true),
        ] {
            assert_eq!(is_domain_within(name, base), within, "{name} in {base}");
        }
    }

    #[test]
    fn a_cn_looks_like_a_host_with_two_labels_or_more() {
        for name in [
            "fw01.example.com",
            "192.0.2.1",
            "FW_01.example.com",
            "a-b.c",
        ] {
            assert!(looks_like_host(name), "{name}");
        }
        for name in [
            "fw01",
            "Office firewall",
            "*.example.com",
            "-fw01.example.com",
            "fw01-.example.com",
            "fw01..example.com",
            "fw01.example.com.",
            ".example.com",
        ] {
            assert!(!looks_like_host(name), "{name}");
        }
    }

    #[test]
    fn mail_addresses_and_uris_go_by_their_host() {
        for (name, base, within) in [
            ("it@example.com", "example.com", true),
            ("it@vpn.example.com", "example.com", false),
            ("it@vpn.example.com", ".example.com", true),
            ("it@example.com", "it@example.com", true),
            ("IT@example.com", "it@example.com", false),
            ("example.com", "example.com", false),
        ] {
            assert_eq!(is_mail_within(name, base), within, "{name} in {base}");
        }
        for (name, base, within) in [
            ("https://user@example.com:8443/path", "example.com", true),
            ("https://a.example.com?x", ".example.com", true),
            ("https://a.example.com", "example.com", false),
            ("urn:example:com", "example.com", false),
        ] {
            assert_eq!(is_uri_within(name, base), within, "{name} in {base}");
        }
    }

    #[test]
    fn addresses_go_by_their_network() {
        let network = [192, 0, 2, 0, 255, 255, 255, 0];
        assert!(is_address_within(&[192, 0, 2, 9], &network));
        assert!(!is_address_within(&[192, 0, 3, 9], &network));
        assert!(!is_address_within(&[0; 16], &network));
    }
}
