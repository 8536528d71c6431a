//! The names of a request as ACME writes them, and their problems that are known before anything is sent. Pure.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::directory::Directory;
use super::settings::Settings;
use crate::dcv::Method;
use crate::failure::Failure;
use crate::pki::{AlternateName, Csr, KeyRequest};

/// A name (RFC 8555, 7.1.3; RFC 8738).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Identifier {
    /// `dns` or `ip`; other kinds are never asked for.
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

impl Identifier {
    /// The name in an answer, as we write it; `None`: it is of no kind that is ever asked for, or not readable.
    pub fn read(value: &Value) -> Option<Self> {
        let kind = value.get("type")?.as_str()?.to_ascii_lowercase();
        let text = value.get("value")?.as_str()?.trim();
        let value = match kind.as_str() {
            "dns" => text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase(),
            "ip" => text.parse::<IpAddr>().ok()?.to_string(),
            _ => return None,
        };
        Some(Self { kind, value })
    }

    /// What control is proven over: without the `*.` of a wildcard (RFC 8555, 7.1.4).
    pub fn bare(&self) -> Self {
        let value = self.value.strip_prefix("*.").unwrap_or(&self.value);
        Self {
            kind: self.kind.clone(),
            value: value.to_owned(),
        }
    }
}

/// What a CSR asks for: its alternate names, and its CN where that is a host name or an address. In order, each once.
pub(super) fn identifiers(csr: &Csr) -> Result<Vec<Identifier>, Failure> {
    let common_name = csr.common_name().and_then(AlternateName::from_common_name);
    let identifiers = sorted(csr.alternate_names.iter().cloned().chain(common_name));
    if identifiers.is_empty() {
        return Err(Failure::refused("order", NO_NAME));
    }
    Ok(identifiers)
}

/// Those of `names` that ACME knows, in order and each once.
pub(super) fn sorted(names: impl Iterator<Item = AlternateName>) -> Vec<Identifier> {
    let mut identifiers: Vec<Identifier> = names.filter_map(|name| identifier(&name)).collect();
    identifiers.sort();
    identifiers.dedup();
    identifiers
}

/// Why a request of these names cannot succeed at this CA.
pub(super) fn preflight(
    wanted: &KeyRequest,
    settings: &Settings,
    method: Method,
    directory: &Directory,
) -> Vec<String> {
    let mut problems = name_problems(wanted, method);
    if let Some(profile) = &settings.profile
        && !directory.meta.profiles.contains(profile)
    {
        let offered: Vec<&str> = directory.meta.profiles.iter().map(String::as_str).collect();
        problems.push(format!(
            "the CA offers no profile {profile:?}, but {}",
            if offered.is_empty() {
                "none at all: leave `profile` out".to_owned()
            } else {
                offered.join(", ")
            }
        ));
    }
    if directory.meta.external_account_required && settings.external_account.is_none() {
        let words = "the CA requires an external account: set `external_account` to the key that it gives its customers";
        problems.push(words.to_owned());
    }
    problems
}

fn name_problems(wanted: &KeyRequest, method: Method) -> Vec<String> {
    let names = wanted.host_names();
    let mut problems = Vec::new();
    if names.iter().find_map(identifier).is_none() {
        problems.push(NO_NAME.to_owned());
    }
    for name in &names {
        match (name, method) {
            (AlternateName::Email(address), _) => problems.push(format!(
                "{address}: ACME has no certificates for mail addresses"
            )),
            (AlternateName::Domain(domain), Method::Http) if domain.starts_with("*.") => {
                problems.push(format!(
                    "{domain}: a wildcard is proven by DNS only: use `validation.dns` (RFC 8555, 8.3)"
                ));
            }
            (AlternateName::Ip(address), Method::Dns) => problems.push(format!(
                "{address}: an address is proven over HTTP only: use `validation.http` (RFC 8738, 4)"
            )),
            _ => {}
        }
    }
    if let Some(name) = &wanted.subject.common_name
        && name.chars().count() > LONGEST_COMMON_NAME
    {
        problems.push(format!(
            "the common name {name} is longer than {LONGEST_COMMON_NAME} characters (RFC 5280, appendix A)"
        ));
    }
    problems
}

fn identifier(name: &AlternateName) -> Option<Identifier> {
    let (kind, value) = match name {
        AlternateName::Domain(name) => ("dns", name.to_ascii_lowercase()),
        AlternateName::Ip(address) => ("ip", address.to_string()),
        AlternateName::Email(_) => return None,
    };
    Some(Identifier {
        kind: kind.to_owned(),
        value,
    })
}

const NO_NAME: &str = "there is no host name and no address in the request: set `dns_names`, or a `common_name` that is a host name";

/// ub-common-name.
const LONGEST_COMMON_NAME: usize = 64;
