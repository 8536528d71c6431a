//! The differences between the configuration and a CSR or a certificate, in words for a message.

use super::country::{country_code, country_name};
use super::request::{AlternateName, KeyRequest, Subject};
use super::{Certificate, Csr};

impl Csr {
    /// Every difference between this request and what was asked for, in words; empty: it is what was asked for.
    ///
    /// The order of the subject's parts is the device's own affair, and so is whether it repeats the CN as an
    /// alternate name. Anything else that was not asked for is a difference: a CA may act on it.
    pub fn differences(&self, wanted: &KeyRequest) -> Vec<String> {
        let mut differences = subject_differences(&self.subject, &wanted.subject);
        differences.extend(alternate_name_differences(self, wanted));
        if self.key != wanted.key {
            differences.push(format!("the key is {}, not {}", self.key, wanted.key));
        }
        if self.asks_for_ca {
            differences.push("it asks to become a CA (basic constraints CA:TRUE)".to_owned());
        }
        differences.extend(self.extras.iter().cloned());
        differences
    }
}

/// Whether `certificate` still says what `request` asks for: every difference in words; empty: it does.
///
/// Only what every CA keeps is compared: host names and the kind of key, not O, OU or further names. Whatever
/// [`check_issued`](super::check_issued) lets pass has no difference here; otherwise the same certificate would be
/// renewed for ever.
pub fn differences_from_request(certificate: &Certificate, request: &KeyRequest) -> Vec<String> {
    let common_name = certificate.common_name.as_deref();
    let common_name = common_name.and_then(AlternateName::from_common_name);
    let mut differences: Vec<String> = missing_names(certificate, request)
        .into_iter()
        .filter(|name| common_name.as_ref().is_none_or(|cn| !cn.is_same(name)))
        .map(|name| format!("the name {name} is missing"))
        .collect();
    differences.extend(foreign_common_names(certificate, request));
    if certificate.key != request.key {
        differences.push(format!(
            "the key is {}, not {}",
            certificate.key, request.key
        ));
    }
    differences
}

/// The host names of `request` that are not among the alternate names of `certificate`.
pub(super) fn missing_names(certificate: &Certificate, request: &KeyRequest) -> Vec<AlternateName> {
    request
        .host_names()
        .into_iter()
        .filter(|name| !certificate.alternate_names.iter().any(|n| n.is_same(name)))
        .collect()
}

/// Every CN that is neither the one asked for nor one of its host names. CAs leave the CN out, or put a host name there.
pub(super) fn foreign_common_names(certificate: &Certificate, request: &KeyRequest) -> Vec<String> {
    let Some(wanted) = request.subject.common_name.as_deref() else {
        return Vec::new();
    };
    let names = request.host_names();
    let is_ours = |found: &str| {
        wanted.eq_ignore_ascii_case(found) || names.iter().any(|name| is_text_of(name, found))
    };
    let found = certificate.common_names().into_iter();
    found
        .filter(|found| !is_ours(found))
        .map(|found| format!("the CN is {found}, not {wanted}"))
        .collect()
}

fn is_text_of(name: &AlternateName, text: &str) -> bool {
    name.to_string().eq_ignore_ascii_case(text)
}

fn subject_differences(found: &[(String, String)], wanted: &Subject) -> Vec<String> {
    let mut left: Vec<&(String, String)> = found.iter().collect();
    let mut differences = Vec::new();
    for (attribute, value) in wanted.parts() {
        let place = left
            .iter()
            .position(|(name, text)| name == attribute && is_same_part(attribute, value, text));
        match place {
            Some(place) => drop(left.remove(place)),
            None => differences.push(format!("{attribute}={value} is missing")),
        }
    }
    let foreign = left.into_iter();
    differences
        .extend(foreign.map(|(attribute, value)| format!("{attribute}={value} was not asked for")));
    differences
}

fn is_same_part(attribute: &str, wanted: &str, found: &str) -> bool {
    match attribute {
        "C" => is_same_country(wanted, found),
        _ => wanted == found,
    }
}

/// The device takes a country's name and writes the name or its code into the CSR. If the device's spelling of the name
/// is not in our table, the code cannot be verified. A renewal must not fail for that.
fn is_same_country(wanted: &str, found: &str) -> bool {
    if wanted.eq_ignore_ascii_case(found) {
        return true;
    }
    let code = |text: &str| match country_name(text) {
        Some(_) => Some(text.to_ascii_uppercase()),
        None => country_code(text).map(str::to_owned),
    };
    match (code(wanted), code(found)) {
        (Some(wanted), Some(found)) => wanted == found,
        (None, Some(_)) => found.len() == 2,
        (_, None) => false,
    }
}

fn alternate_name_differences(csr: &Csr, wanted: &KeyRequest) -> Vec<String> {
    let allowed = wanted.host_names();
    let holds = |names: &[AlternateName], name| names.iter().any(|n| n.is_same(name));
    let missing = wanted
        .alternate_names
        .iter()
        .filter(|name| !holds(&csr.alternate_names, name))
        .map(|name| format!("the alternate name {name} is missing"));
    let foreign = csr
        .alternate_names
        .iter()
        .filter(|name| !holds(&allowed, name))
        .map(ToString::to_string)
        .chain(csr.other_names.iter().cloned())
        .map(|name| format!("the alternate name {name} was not asked for"));
    missing.chain(foreign).collect()
}
