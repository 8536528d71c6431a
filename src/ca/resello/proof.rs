//! What is published to prove control over a domain (purchase API reference 5): as the CA states it, or computed from
//! the request if the CA does not. A stated proof must be the proof of our own request: any other record would give
//! control over the domain away, and the proof of another request would let another customer obtain a certificate.

use data_encoding::{HEXLOWER, HEXUPPER};
use md5::{Digest as _, Md5};

use crate::dcv::{Method, Proof};
use crate::pki::{AlternateName, Csr, Fingerprint, is_dns_name};

/// The request that control is proven for, and the host that its proof ends in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proven<'a> {
    pub csr: &'a Csr,
    pub host: &'a str,
}

impl Proven<'_> {
    /// SHA-256 of the request, in hexadecimal.
    fn sha256(&self) -> String {
        Fingerprint::of(&self.csr.der).to_string()
    }

    /// The label of its record.
    fn label(&self) -> String {
        format!("_{}", HEXLOWER.encode(&Md5::digest(&self.csr.der)))
    }

    /// The name of its file.
    fn file(&self) -> String {
        format!("{}.txt", HEXUPPER.encode(&Md5::digest(&self.csr.der)))
    }

    /// What its record points to, without the unique value and the host. A label holds 63 characters, one less than the
    /// digest has.
    fn labels(&self) -> String {
        let sha256 = self.sha256();
        let (first, last) = sha256.split_at(32);
        format!("{first}.{last}")
    }

    /// Whether a proof may end in `host`. The CA may state either of its two names, whatever is configured.
    fn ends_in(&self, host: &str) -> bool {
        std::iter::once(self.host)
            .chain(HOSTS)
            .any(|own| own.eq_ignore_ascii_case(host))
    }

    /// Whether `target`, in lower case, is what the record of this request points to.
    fn is_target(&self, target: &str) -> bool {
        let rest = target
            .strip_prefix(&self.labels())
            .and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|rest| {
            self.ends_in(rest)
                || rest
                    .split_once('.')
                    .is_some_and(|(unique, host)| is_unique(unique) && self.ends_in(host))
        })
    }

    /// The lines of `content` without white space around them, where they are those of the file of this request.
    fn lines<'c>(&self, content: &'c str) -> Option<Vec<&'c str>> {
        let lines = content.lines().map(str::trim);
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).take(4).collect();
        let is_own = match lines.as_slice() {
            [digest, host] => self.is_digest(digest) && self.ends_in(host),
            [digest, host, unique] => {
                self.is_digest(digest) && self.ends_in(host) && is_unique(unique)
            }
            _ => false,
        };
        is_own.then_some(lines)
    }

    fn is_digest(&self, text: &str) -> bool {
        text.eq_ignore_ascii_case(&self.sha256())
    }
}

/// Whether `value` can be what a CA adds to tell one use of a request from another.
fn is_unique(value: &str) -> bool {
    (1..=63).contains(&value.len())
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The domains of a request, without the `*.` of a wildcard: what control must be proven over.
pub(super) fn domains(csr: &Csr) -> Vec<String> {
    let common_name = csr.common_name().and_then(AlternateName::from_common_name);
    let mut domains: Vec<String> = Vec::new();
    for name in csr.alternate_names.iter().chain(&common_name) {
        if let AlternateName::Domain(name) = name {
            let name = bare(name);
            if !domains.contains(&name) {
                domains.push(name);
            }
        }
    }
    domains
}

/// The proof for `domain`, computed. It lacks the unique value that a CA may add.
pub(super) fn computed(proven: Proven<'_>, domain: &str, method: Method) -> Proof {
    let host = proven.host;
    match method {
        Method::Http => Proof::File {
            domain: domain.to_owned(),
            path: format!("{FOLDER}{}", proven.file()),
            content: format!("{}\n{host}", proven.sha256()),
        },
        Method::Dns => Proof::Cname {
            name: format!("{}.{domain}", proven.label()),
            target: format!("{}.{host}", proven.labels()),
        },
    }
}

/// A sample proof for `domain`, to find out whether it could be published.
pub(super) fn rehearsal(domain: &str, method: Method, host: &str) -> Proof {
    let domain = bare(domain);
    match method {
        Method::Http => Proof::File {
            domain,
            path: format!("{FOLDER}rehearsal.txt"),
            content: "rehearsal".to_owned(),
        },
        Method::Dns => Proof::Cname {
            name: format!("_rehearsal.{domain}"),
            target: host.to_owned(),
        },
    }
}

/// The record that the CA states for `domain`; an error says why it is not written.
pub(super) fn stated_record(
    proven: Proven<'_>,
    domain: &str,
    name: &str,
    target: &str,
) -> Result<Proof, String> {
    let domain = bare(domain);
    let plain = |text: &str| text.trim().trim_end_matches('.').to_ascii_lowercase();
    let (mut name, target) = (plain(name), plain(target));
    let refused = |why: &str| {
        Err(format!(
            "the CA asks for the record {name:?} that points to {target:?}, and {why}: it is not written"
        ))
    };
    let label = name.split('.').next().unwrap_or_default();
    if label != proven.label() {
        let why = format!(
            "the record of our request begins with {}; another one is not the proof of it",
            proven.label()
        );
        return refused(&why);
    }
    let place = name.split_once('.').map(|(_, place)| place);
    // Whether it may be a name above the domain is not known (purchase API reference 5).
    let is_above = |place: &str| place.contains('.') && domain.ends_with(&format!(".{place}"));
    if place.is_some_and(|place| place != domain && !is_above(place)) {
        return refused(&format!("that is not a name of {domain}"));
    }
    if !proven.is_target(&target) || !is_dns_name(&target) {
        let why = format!(
            "the record of our request points to {}.{}, with no more than one label between the digest and the host",
            proven.labels(),
            proven.host
        );
        return refused(&why);
    }
    if place.is_none() {
        name = format!("{name}.{domain}");
    }
    Ok(Proof::Cname { name, target })
}

/// The file that the CA states for `domain`; an error says why it is not served.
pub(super) fn stated_file(
    proven: Proven<'_>,
    domain: &str,
    location: &str,
    content: &str,
) -> Result<Proof, String> {
    let domain = bare(domain);
    let location = location.trim();
    let refused = |why: &str| {
        Err(format!(
            "the CA asks for the file {location:?} with {content:?}, and {why}: it is not served"
        ))
    };
    let place = location
        .split_once("://")
        .map_or(location, |(_, rest)| rest);
    let Some((host, path)) = place.split_once('/') else {
        return refused("that is not the place of a file");
    };
    let host = if host.is_empty() {
        domain.clone()
    } else {
        bare(host)
    };
    if without_www(&host) != without_www(&domain) {
        return refused(&format!("{host} is not {domain}"));
    }
    let path = format!("/{path}");
    let own = format!("{FOLDER}{}", proven.file());
    if !path.eq_ignore_ascii_case(&own) {
        return refused(&format!("the file of our request is {own}"));
    }
    let Some(lines) = proven.lines(content) else {
        let why = format!(
            "the file of our request says {}, {} and no more than a unique value",
            proven.sha256(),
            proven.host
        );
        return refused(&why);
    };
    Ok(Proof::File {
        domain: host,
        path,
        content: lines.join("\n"),
    })
}

/// Whether `domain` is one of `names`, or one of them with or without a `www.` that a CA adds without a request.
pub(super) fn is_among(domain: &str, names: &[String]) -> bool {
    let domain = bare(domain);
    names
        .iter()
        .any(|name| without_www(name) == without_www(&domain))
}

/// Without the `*.` of a wildcard, in lower case.
fn bare(domain: &str) -> String {
    let domain = domain.trim().trim_end_matches('.').to_ascii_lowercase();
    domain.strip_prefix("*.").unwrap_or(&domain).to_owned()
}

fn without_www(domain: &str) -> &str {
    domain.strip_prefix("www.").unwrap_or(domain)
}

const FOLDER: &str = "/.well-known/pki-validation/";
/// The names of the CA that proofs end in, the later one first (purchase API reference 5).
const HOSTS: [&str; 2] = ["sectigo.com", "comodoca.com"];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;
    use crate::pki::testing;

    fn csr() -> Csr {
        let key = rcgen::KeyPair::generate().unwrap();
        Csr {
            der: b"abc".to_vec(),
            ..testing::csr(&testing::csr_params(), &key)
        }
    }

    #[test]
    fn proofs_are_computed_from_both_digests_of_the_request() {
        // The digests of "abc" are those of RFC 1321, A.5 and FIPS 180-4.
        let file = computed(
            proven(&csr(), "sectigo.com"),
            "vpn.example.com",
            Method::Http,
        );
        let Proof::File {
            domain,
            path,
            content,
        } = file
        else {
            panic!("{file:?}");
        };
        assert_eq!(domain, "vpn.example.com");
        assert_eq!(
            path,
            "/.well-known/pki-validation/900150983CD24FB0D6963F7D28E17F72.txt"
        );
        assert_eq!(
            content,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nsectigo.com"
        );
        let record = computed(
            proven(&csr(), "comodoca.com"),
            "vpn.example.com",
            Method::Dns,
        );
        let Proof::Cname { name, target } = record else {
            panic!("{record:?}");
        };
        assert_eq!(name, "_900150983cd24fb0d6963f7d28e17f72.vpn.example.com");
        assert_eq!(
            target,
            "ba7816bf8f01cfea414140de5dae2223.b00361a396177a9cb410ff61f20015ad.comodoca.com"
        );
    }

    #[test]
    fn each_domain_of_a_request_is_proven_once() {
        assert_eq!(domains(&csr()), ["vpn.example.com"]);
        let mut csr = csr();
        csr.alternate_names = vec![AlternateName::Domain("*.example.com".to_owned())];
        assert_eq!(domains(&csr), ["example.com", "vpn.example.com"]);
    }

    fn proven<'a>(csr: &'a Csr, host: &'a str) -> Proven<'a> {
        Proven { csr, host }
    }

    fn record(domain: &str, name: &str, target: &str) -> Result<Proof, String> {
        stated_record(proven(&csr(), "sectigo.com"), domain, name, target)
    }

    fn file(domain: &str, location: &str, content: &str) -> Result<Proof, String> {
        stated_file(proven(&csr(), "sectigo.com"), domain, location, content)
    }

    #[test]
    fn the_record_of_our_request_is_written_at_the_domain_or_above_it_and_nowhere_else() {
        let target = format!("{DIGEST}.U1.Sectigo.com.");
        let name = |domain, name: &str| match record(domain, name, &target) {
            Ok(Proof::Cname { name, target }) => {
                assert_eq!(target, format!("{DIGEST}.u1.sectigo.com"));
                Ok(name)
            }
            Ok(other) => panic!("{other:?}"),
            Err(words) => Err(words),
        };
        let domain = "vpn.example.com";
        let at = |place: &str| format!("{LABEL}.{place}");
        assert_eq!(
            name(domain, &at("VPN.example.com.").to_ascii_uppercase()).unwrap(),
            at("vpn.example.com")
        );
        assert_eq!(name(domain, LABEL).unwrap(), at("vpn.example.com"));
        assert_eq!(name(domain, &at("example.com")).unwrap(), at("example.com"));
        assert_eq!(
            name("*.example.com", &at("example.com")).unwrap(),
            at("example.com")
        );
        for evil in [
            "www.example.com",
            "vpn.example.com",
            "_domainkey.example.com",
            "_dmarc.example.com",
            "_tcp.vpn.example.com",
            "_900150983cd24fb0d6963f7d28e17f73.vpn.example.com",
            "",
            &at("com"),
            &at("example.net"),
            &at("badexample.com"),
            &at("x.vpn.example.com"),
            &format!("x.{}", at("vpn.example.com")),
        ] {
            let words = name(domain, evil).unwrap_err();
            assert!(words.contains(&format!("{evil:?}")), "{words}");
        }
    }

    #[test]
    fn a_record_points_to_the_digest_of_our_request_and_adds_no_more_than_a_unique_value() {
        let other = "11111111111111111111111111111111.22222222222222222222222222222222";
        for target in [
            format!("{DIGEST}.sectigo.com"),
            format!("{DIGEST}.comodoca.com"),
            format!("{DIGEST}.a-1.comodoca.com"),
        ] {
            assert!(
                record("vpn.example.com", LABEL, &target).is_ok(),
                "{target}"
            );
        }
        for target in [
            " ".to_owned(),
            "dkim.evil.example".to_owned(),
            format!("{other}.sectigo.com"),
            format!("x.{DIGEST}.sectigo.com"),
            format!("{DIGEST}.evil.example"),
            format!("{DIGEST}.sectigo.com.evil.example"),
            format!("{DIGEST}.u1.u2.sectigo.com"),
            format!("{DIGEST}..sectigo.com"),
            format!("{DIGEST}.u 1.sectigo.com"),
            format!("{DIGEST}.-u.sectigo.com"),
            format!("{DIGEST}sectigo.com"),
        ] {
            let words = record("vpn.example.com", LABEL, &target).unwrap_err();
            assert!(words.contains(target.trim()), "{words}");
        }
        // What is configured counts as well.
        let target = format!("{DIGEST}.u1.ca.example");
        let reported = stated_record(proven(&csr(), "ca.example"), "a.example", LABEL, &target);
        assert!(reported.is_ok(), "{reported:?}");
    }

    #[test]
    fn the_file_of_our_request_is_served_in_its_folder_of_its_domain_only() {
        let content = format!("{}\r\nsectigo.com\r\nu1\r\n", SHA256.to_uppercase());
        let place = format!("{FOLDER}{FILE}");
        for location in [
            format!("vpn.example.com{place}"),
            format!("http://VPN.example.com{place}"),
            place.clone(),
        ] {
            let expected = Proof::File {
                domain: "vpn.example.com".to_owned(),
                path: place.clone(),
                content: format!("{}\nsectigo.com\nu1", SHA256.to_uppercase()),
            };
            assert_eq!(file("vpn.example.com", &location, &content), Ok(expected));
        }
        for location in [
            "vpn.example.com".to_owned(),
            "vpn.example.com/index.html".to_owned(),
            format!("evil.example.net{place}"),
            format!("vpn.example.com{FOLDER}../{FILE}"),
            format!("vpn.example.com{FOLDER}00000000000000000000000000000000.txt"),
            format!("vpn.example.com{place}\r\n"),
            format!("vpn.example.com{place}?x"),
        ] {
            let location = location
                .strip_suffix("\r\n")
                .map_or(location.clone(), |cut| format!("{cut}\r\nx"));
            assert!(
                file("vpn.example.com", &location, &content).is_err(),
                "{location}"
            );
        }
    }

    #[test]
    fn a_file_says_the_digest_of_our_request_and_adds_no_more_than_a_unique_value() {
        let other = "0".repeat(64);
        for (content, is_ours) in [
            (format!("{SHA256}\nsectigo.com"), true),
            (format!("{SHA256}\ncomodoca.com\nu1"), true),
            (format!("{other}\nsectigo.com\nu1"), false),
            (format!("{SHA256}\nevil.example"), false),
            (format!("{SHA256}\nsectigo.com\nu1\n{other}"), false),
            (format!("{SHA256}\nsectigo.com\n<script>"), false),
            (SHA256.to_owned(), false),
            (String::new(), false),
        ] {
            let reported = file("vpn.example.com", &format!("{FOLDER}{FILE}"), &content);
            assert_eq!(reported.is_ok(), is_ours, "{reported:?}");
        }
    }

    /// The digests of "abc", as above.
    const LABEL: &str = "_900150983cd24fb0d6963f7d28e17f72";
    const FILE: &str = "900150983CD24FB0D6963F7D28E17F72.txt";
    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223.b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_www_name_that_the_ca_adds_is_accepted() {
        let names = ["example.com".to_owned()];
        assert!(is_among("www.example.com", &names) && is_among("*.Example.com", &names));
        assert!(!is_among("vpn.example.com", &names));
    }
}
