//! Names that can be certified (RFC 8555 7.1.4, RFC 8738), and which of them an order may have.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::wire::Problem;
use super::{Acme, ProblemType};
use crate::ca::{Csr, Name};

/// A name of an order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identifier {
    /// A domain, also with `*.` before it.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Identifier {
    /// All names of a request, sorted, each once: the alternate ones and the CN.
    pub(super) fn of_csr(csr: &Csr) -> Result<Vec<Self>, String> {
        let mut names = Vec::new();
        for name in &csr.names {
            names.push(match name {
                Name::Dns(text) => Self::Dns(text.to_ascii_lowercase()),
                Name::Ip(address) => Self::Ip(*address),
                other => return Err(format!("{} is neither domain nor address", other.text())),
            });
        }
        let common_name = csr.common_name().to_ascii_lowercase();
        if !common_name.is_empty() {
            names.push(match common_name.parse() {
                Ok(address) => Self::Ip(address),
                Err(_) => Self::Dns(common_name),
            });
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// As an alternate name.
    pub(super) fn name(&self) -> Name {
        match self {
            Self::Dns(text) => Name::Dns(text.clone()),
            Self::Ip(address) => Name::Ip(*address),
        }
    }

    /// As text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Dns(text) => text.clone(),
            Self::Ip(address) => address.to_string(),
        }
    }

    /// 7.1.4: the domain to be proved.
    pub(super) fn without_wildcard(&self) -> Self {
        match self {
            Self::Dns(text) => Self::Dns(text.strip_prefix("*.").unwrap_or(text).to_owned()),
            Self::Ip(_) => self.clone(),
        }
    }

    /// 7.1.3.
    pub(super) fn json(&self) -> Value {
        let kind = match self {
            Self::Dns(_) => "dns",
            Self::Ip(_) => "ip",
        };
        json!({"type": kind, "value": self.text()})
    }
}

impl Acme {
    /// 7.4: the names of a newOrder, each once.
    pub(super) fn identifiers(&self, body: &Value) -> Result<Vec<Identifier>, Problem> {
        let list = body["identifiers"].as_array().map(Vec::as_slice);
        let mut identifiers = Vec::new();
        for value in list.unwrap_or_default() {
            identifiers.push(self.identifier(value)?);
        }
        identifiers.sort();
        identifiers.dedup();
        if identifiers.is_empty() {
            Err(Problem::malformed("an order has at least one identifier"))
        } else {
            Ok(identifiers)
        }
    }

    fn identifier(&self, value: &Value) -> Result<Identifier, Problem> {
        let text = value["value"].as_str().unwrap_or_default();
        let rejected = |why: &str| {
            Problem::new(ProblemType::RejectedIdentifier, format!("{text}: {why}")).about(value)
        };
        match value["type"].as_str().unwrap_or_default() {
            "dns" if is_domain(text.strip_prefix("*.").unwrap_or(text)) => {
                Ok(Identifier::Dns(text.to_owned()))
            }
            // guess: `malformed` is as good a type.
            "dns" => Err(rejected("no domain that a public CA certifies")),
            "ip" if self.variants.addresses_offered => text
                .parse()
                .map(Identifier::Ip)
                .map_err(|_| rejected("no address")),
            other => {
                let detail = format!("{other:?} is no kind of name that is certified here");
                Err(Problem::new(ProblemType::UnsupportedIdentifier, detail).about(value))
            }
        }
    }
}

/// Lower-case labels of letters, digits and hyphens, two at least, the last one no number.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_domain;

    #[test]
    fn a_domain_has_two_labels_in_lower_case() {
        for good in ["fw.example.com", "a-1.example", "xn--mller-kva.de"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in [
            "",
            "fw",
            "FW.example.com",
            "fw_1.example.com",
            "-a.example",
            "192.0.2.1",
            "a..example",
            "*.example.com",
        ] {
            assert!(!is_domain(bad), "{bad}");
        }
    }
}
