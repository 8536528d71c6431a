//! What a request may contain: names in the permitted domains and strong keys.

use std::net::IpAddr;

use super::Settings;
use crate::failure::Failure;
use crate::pki::{AlternateName, Csr, KeyKind, KeyRequest, is_dns_name};

/// The names that the certificate will carry: those of the request, and its CN where it is a host name or an address.
pub(super) fn names(csr: &Csr, settings: &Settings) -> Result<Vec<AlternateName>, Failure> {
    if let Some(other) = csr.other_names.first() {
        return Err(no(format!(
            "the request asks for a kind of alternate name that is not signed here: {other}"
        )));
    }
    let alternate_names = csr.alternate_names.iter().cloned();
    permitted(alternate_names, csr.common_name(), settings).map_err(no)
}

/// Why a request for `wanted` would not be signed.
pub(super) fn preflight(wanted: &KeyRequest, settings: &Settings) -> Vec<String> {
    let alternate_names = wanted.alternate_names.iter().cloned();
    let common_name = wanted.subject.common_name.as_deref();
    let of_names = permitted(alternate_names, common_name, settings).err();
    of_names
        .into_iter()
        .chain(key_objection(wanted.key))
        .collect()
}

fn permitted(
    alternate_names: impl Iterator<Item = AlternateName>,
    common_name: Option<&str>,
    settings: &Settings,
) -> Result<Vec<AlternateName>, String> {
    let mut names: Vec<AlternateName> = Vec::new();
    let common_name = common_name.and_then(AlternateName::from_common_name);
    for name in alternate_names.chain(common_name) {
        if !names.iter().any(|known| known.is_same(&name)) {
            check_name(&name, &settings.permitted_domains)?;
            names.push(name);
        }
    }
    if names.is_empty() {
        let words = "the request names no host: it needs an alternate name, or a host name as CN";
        return Err(words.to_owned());
    }
    Ok(names)
}

/// Today's least: RSA 2048, or a NIST curve.
pub(super) fn check_key(key: KeyKind) -> Result<(), Failure> {
    key_objection(key).map_or(Ok(()), |words| Err(no(words)))
}

fn key_objection(key: KeyKind) -> Option<String> {
    match key {
        KeyKind::Rsa(2048..) | KeyKind::Ecdsa(256 | 384 | 521) => None,
        _ => Some(format!(
            "the key is {key}; at least RSA 2048 or ECDSA P-256 is signed here"
        )),
    }
}

fn check_name(name: &AlternateName, permitted: &[String]) -> Result<(), String> {
    let domain = match name {
        AlternateName::Ip(address) => return check_address(*address, permitted),
        AlternateName::Domain(name) => name.as_str(),
        AlternateName::Email(email) => email.rsplit_once('@').map_or("", |(_, domain)| domain),
    };
    if !is_dns_name(domain) {
        return Err(format!("{:?} is no valid name", name.to_string()));
    }
    if permitted.is_empty() || permitted.iter().any(|above| is_within(domain, above)) {
        return Ok(());
    }
    Err(format!(
        "{name} is not in permitted_domains ({})",
        permitted.join(", ")
    ))
}

/// A list of domains says nothing about addresses, so with one none is permitted.
fn check_address(address: IpAddr, permitted: &[String]) -> Result<(), String> {
    if permitted.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{address} is an address, and permitted_domains permits domains only"
    ))
}

/// Whether `name` is `domain` or below it. A wildcard stands for names below.
fn is_within(name: &str, domain: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    name == domain
        || name
            .strip_suffix(&domain)
            .is_some_and(|rest| rest.ends_with('.'))
}

fn no(words: impl std::fmt::Display) -> Failure {
    Failure::refused("local CA: policy", words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_permits_itself_and_what_is_below_and_not_what_only_ends_alike() {
        assert!(is_within("Example.com", "example.COM"));
        assert!(is_within("vpn.example.com", ".example.com"));
        assert!(is_within("*.example.com", "example.com"));
        assert!(!is_within("badexample.com", "example.com"));
        assert!(!is_within("example.com.attacker.test", "example.com"));
        assert!(!is_within("com", "example.com"));
    }

    #[test]
    fn keys_are_permitted_from_rsa_2048_and_p_256_on() {
        for key in [KeyKind::Rsa(2048), KeyKind::Rsa(4096), KeyKind::Ecdsa(521)] {
            assert!(check_key(key).is_ok(), "{key}");
        }
        for key in [KeyKind::Rsa(1024), KeyKind::Rsa(2047), KeyKind::Other] {
            assert!(check_key(key).is_err(), "{key}");
        }
    }
}
