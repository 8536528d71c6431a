//! What is published to prove control over a domain (purchase API reference 5): as the CA tells it, or computed from the
//! request where the CA does not. What the CA tells is looked at first: it must not make us write just any record.

use data_encoding::{HEXLOWER, HEXUPPER};
use md5::{Digest as _, Md5};

use crate::dcv::{Method, Proof};
use crate::pki::{AlternateName, Csr, Fingerprint, is_dns_name};

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

/// The proof for `domain`, computed; `host` is what it ends in. It lacks the unique value that a CA may add.
pub(super) fn computed(csr: &Csr, domain: &str, method: Method, host: &str) -> Proof {
    let sha256 = Fingerprint::of(&csr.der).to_string();
    let md5 = Md5::digest(&csr.der);
    match method {
        Method::Http => Proof::File {
            domain: domain.to_owned(),
            path: format!("{FOLDER}{}.txt", HEXUPPER.encode(&md5)),
            content: format!("{sha256}\n{host}"),
        },
        Method::Dns => {
            // A label holds 63 characters, one less than the digest has.
            let (first, last) = sha256.split_at(32);
            Proof::Cname {
                name: format!("_{}.{domain}", HEXLOWER.encode(&md5)),
                target: format!("{first}.{last}.{host}"),
            }
        }
    }
}

/// A proof for `domain` as it would be, to find out whether it could be put up.
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

/// The record that the CA tells for `domain`; an error says why it is not written.
pub(super) fn told_record(domain: &str, name: &str, target: &str) -> Result<Proof, String> {
    let domain = bare(domain);
    let plain = |text: &str| text.trim().trim_end_matches('.').to_ascii_lowercase();
    let (mut name, target) = (plain(name), plain(target));
    let Some(label) = name
        .split('.')
        .next()
        .filter(|label| is_made_for_proofs(label))
    else {
        return Err(format!(
            "{name:?} does not begin with a label like \"_0123abcd\""
        ));
    };
    if name == label {
        name = format!("{name}.{domain}");
    }
    let place = name.split_once('.').map_or("", |(_, place)| place);
    let is_above = place.contains('.') && domain.ends_with(&format!(".{place}"));
    if place != domain && !is_above {
        return Err(format!("{name} is not a name of {domain}"));
    }
    if target.is_empty() {
        return Err(format!("the CA does not say where {name} is to point"));
    }
    if !is_dns_name(&target) {
        return Err(format!(
            "{target:?} is not a name to which {name} could point"
        ));
    }
    Ok(Proof::Cname { name, target })
}

/// The file that the CA tells for `domain`; an error says why it is not served.
pub(super) fn told_file(domain: &str, location: &str, content: &str) -> Result<Proof, String> {
    let domain = bare(domain);
    let location = location.trim();
    let location = location
        .split_once("://")
        .map_or(location, |(_, rest)| rest);
    let Some((host, path)) = location.split_once('/') else {
        return Err(format!("{location:?} is not the place of a file"));
    };
    let host = if host.is_empty() {
        domain.clone()
    } else {
        bare(host)
    };
    if without_www(&host) != without_www(&domain) {
        return Err(format!("{host} is not {domain}"));
    }
    let path = format!("/{path}");
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    if !path.starts_with(FOLDER) || path.contains("..") || !is_plain {
        return Err(format!("{path:?} is not in {FOLDER}"));
    }
    Ok(Proof::File {
        domain: host,
        path,
        content: content.to_owned(),
    })
}

/// Whether `domain` is one of `names`, or one of them with or without a `www.` that a CA adds of its own accord.
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

/// No host is called so.
fn is_made_for_proofs(label: &str) -> bool {
    label
        .strip_prefix('_')
        .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

const FOLDER: &str = "/.well-known/pki-validation/";

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
        let file = computed(&csr(), "vpn.example.com", Method::Http, "sectigo.com");
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
        let record = computed(&csr(), "vpn.example.com", Method::Dns, "comodoca.com");
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

    #[test]
    fn a_record_is_written_at_the_domain_or_above_it_and_nowhere_else() {
        let name = |domain, name| match told_record(domain, name, "A.Sectigo.com.") {
            Ok(Proof::Cname { name, target }) => {
                assert_eq!(target, "a.sectigo.com");
                Ok(name)
            }
            other => Err(format!("{other:?}")),
        };
        let domain = "vpn.example.com";
        assert_eq!(
            name(domain, "_AB.VPN.example.com.").unwrap(),
            "_ab.vpn.example.com"
        );
        assert_eq!(name(domain, "_ab").unwrap(), "_ab.vpn.example.com");
        assert_eq!(name(domain, "_ab.example.com").unwrap(), "_ab.example.com");
        assert_eq!(
            name("*.example.com", "_ab.example.com").unwrap(),
            "_ab.example.com"
        );
        for evil in [
            "www.example.com",
            "vpn.example.com",
            "_ab.com",
            "_ab.example.net",
            "_ab.badexample.com",
            "_ab.x.vpn.example.com",
            "_.example.com",
            "_dmarc-x.example.com",
            "",
        ] {
            assert!(name(domain, evil).is_err(), "{evil}");
        }
        assert!(told_record(domain, "_ab", " ").is_err());
    }

    #[test]
    fn a_file_is_served_in_its_folder_of_its_domain_only() {
        let content = "x\nsectigo.com\nu1";
        let place = "/.well-known/pki-validation/AB.txt";
        for location in [
            format!("vpn.example.com{place}"),
            format!("http://VPN.example.com{place}"),
            place.to_owned(),
        ] {
            let expected = Proof::File {
                domain: "vpn.example.com".to_owned(),
                path: place.to_owned(),
                content: content.to_owned(),
            };
            assert_eq!(
                told_file("vpn.example.com", &location, content),
                Ok(expected)
            );
        }
        for location in [
            "vpn.example.com",
            "vpn.example.com/index.html",
            "evil.example.net/.well-known/pki-validation/AB.txt",
            "vpn.example.com/.well-known/pki-validation/../x",
        ] {
            assert!(
                told_file("vpn.example.com", location, content).is_err(),
                "{location}"
            );
        }
    }

    #[test]
    fn a_www_that_the_ca_adds_is_no_stranger() {
        let names = ["example.com".to_owned()];
        assert!(is_among("www.example.com", &names) && is_among("*.Example.com", &names));
        assert!(!is_among("vpn.example.com", &names));
    }

    #[test]
    fn what_is_no_name_and_no_path_is_not_published() {
        let domain = "vpn.example.com";
        for target in ["a b.example", "a\nb", "x.y/z", "_a..b"] {
            let told = told_record(domain, "_0abc.vpn.example.com", target);
            assert!(told.is_err(), "{told:?}");
        }
        for path in ["a b.txt", "a\r\nb.txt", "ü.txt"] {
            let location = format!("http://{domain}{FOLDER}{path}");
            let told = told_file(domain, &location, "x");
            assert!(told.is_err(), "{told:?}");
        }
    }
}
