//! The contents of a request: the table of elements and the alternate name (SonicOS reference 3.1).

use std::net::Ipv4Addr;

use serde_json::{Map, Value};

use super::countries;
use crate::sonicos::Variants;
use crate::sonicos::wire::Refusal;

/// Distinguished name, in order, and the only alternate name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sonicos) struct Subject {
    pub(super) names: Vec<(NameKind, String)>,
    pub(super) alternate_name: Option<AlternateName>,
}

/// The one subject alternative name (3.1: exactly one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AlternateName {
    Domain(String),
    Email(String),
    Address(Ipv4Addr),
}

/// A part of the distinguished name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameKind {
    Country,
    State,
    Locality,
    Organization,
    /// department, group and team: all OU.
    Department,
    CommonName,
    Serial,
    Email,
}

/// How a part is written in DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    Printable,
    Ia5,
    Utf8,
}

impl NameKind {
    fn of_key(key: &str) -> Option<Self> {
        Some(match key {
            "country" => Self::Country,
            "state" => Self::State,
            "locality" => Self::Locality,
            "organization" => Self::Organization,
            "department" | "group" | "team" => Self::Department,
            "common_name" => Self::CommonName,
            "serial" => Self::Serial,
            "email" => Self::Email,
            _ => return None,
        })
    }

    /// The mapping of 3.1.
    pub(super) fn oid(self) -> &'static [u64] {
        match self {
            Self::Country => &[2, 5, 4, 6],
            Self::State => &[2, 5, 4, 8],
            Self::Locality => &[2, 5, 4, 7],
            Self::Organization => &[2, 5, 4, 10],
            Self::Department => &[2, 5, 4, 11],
            Self::CommonName => &[2, 5, 4, 3],
            Self::Serial => &[2, 5, 4, 5],
            Self::Email => &[1, 2, 840, 113_549, 1, 9, 1],
        }
    }

    /// RFC 5280 appendix A.1 fixes three of them.
    pub(super) fn text(self) -> TextKind {
        match self {
            Self::Country | Self::Serial => TextKind::Printable,
            Self::Email => TextKind::Ia5,
            _ => TextKind::Utf8,
        }
    }
}

impl Subject {
    /// Reads `distinguished_name` and `alternate_name` of the body, exactly.
    pub(super) fn read(
        distinguished_name: &Value,
        alternate_name: Option<&Value>,
        variants: &Variants,
    ) -> Result<Self, Refusal> {
        let elements = distinguished_name
            .as_object()
            .ok_or_else(|| Refusal::unreasonable("distinguished_name"))?;
        if let Some(unknown) = elements
            .keys()
            .find(|key| !ELEMENTS.iter().any(|(name, _)| name == key))
        {
            return Err(schema(unknown));
        }
        let mut names = Vec::new();
        let mut gap = false;
        for (name, allowed) in ELEMENTS {
            match elements.get(*name) {
                None => gap = true,
                Some(_) if gap && variants.refuse_element_gaps => {
                    return Err(Refusal::unreasonable(name));
                }
                Some(element) => names.push(read_element(name, element, allowed)?),
            }
        }
        if names.is_empty() {
            return Err(Refusal::unreasonable("distinguished_name"));
        }
        let alternate_name = alternate_name.map(read_alternate_name).transpose()?;
        let subject = Self {
            names,
            alternate_name,
        };
        if variants.refuse_wildcards && subject.has_wildcard() {
            return Err(Refusal::unreasonable("*"));
        }
        Ok(subject)
    }

    /// The same with another common name, for a device that exports the wrong request.
    pub(super) fn with_other_common_name(&self) -> Self {
        let mut other = self.clone();
        for (kind, value) in &mut other.names {
            if *kind == NameKind::CommonName {
                "other.invalid".clone_into(value);
            }
        }
        other
    }

    /// The same with another alternate name.
    pub(super) fn with_other_alternate_name(&self) -> Self {
        Self {
            alternate_name: Some(AlternateName::Domain("other.invalid".to_owned())),
            ..self.clone()
        }
    }

    /// `CN=..., O=...` as listings show it (3.2; guess: the order).
    pub(super) fn text(&self) -> String {
        let short = |kind: &NameKind| match kind {
            NameKind::Country => "C",
            NameKind::State => "ST",
            NameKind::Locality => "L",
            NameKind::Organization => "O",
            NameKind::Department => "OU",
            NameKind::CommonName => "CN",
            NameKind::Serial => "SN",
            NameKind::Email => "E",
        };
        let parts: Vec<String> = self
            .names
            .iter()
            .map(|(kind, value)| format!("{}={value}", short(kind)))
            .collect();
        parts.join(", ")
    }

    fn has_wildcard(&self) -> bool {
        let in_alternate =
            matches!(&self.alternate_name, Some(AlternateName::Domain(name)) if name.contains('*'));
        in_alternate || self.names.iter().any(|(_, value)| value.contains('*'))
    }
}

/// The table of 3.1: which keys an element may have.
const ELEMENTS: &[(&str, &[&str])] = &[
    (
        "element1",
        &["country", "state", "locality", "organization"],
    ),
    (
        "element2",
        &["country", "state", "locality", "organization", "department"],
    ),
    (
        "element3",
        &["locality", "organization", "department", "group", "team"],
    ),
    (
        "element4",
        &[
            "organization",
            "department",
            "group",
            "team",
            "common_name",
            "serial",
            "email",
        ],
    ),
    (
        "element5",
        &[
            "department",
            "group",
            "team",
            "common_name",
            "serial",
            "email",
        ],
    ),
    (
        "element6",
        &["group", "team", "common_name", "serial", "email"],
    ),
    ("element7", &["team", "common_name", "serial", "email"]),
    ("element8", &["common_name", "serial", "email"]),
];

/// One key per element, none empty (3.1).
fn read_element(
    name: &str,
    element: &Value,
    allowed: &[&str],
) -> Result<(NameKind, String), Refusal> {
    let (key, value) = only_member(element).ok_or_else(|| schema(name))?;
    let text = value.as_str().filter(|text| !text.trim().is_empty());
    let kind = NameKind::of_key(key).filter(|_| allowed.contains(&key));
    let (Some(kind), Some(text)) = (kind, text) else {
        return Err(schema(&format!("{name}.{key}")));
    };
    match kind {
        NameKind::Country => Ok((
            kind,
            countries::code(text)
                .ok_or_else(|| Refusal::unreasonable(text))?
                .to_owned(),
        )),
        NameKind::Serial | NameKind::Email if !text.is_ascii() => Err(Refusal::unreasonable(text)),
        _ => Ok((kind, text.to_owned())),
    }
}

/// Exactly one of three (3.1).
fn read_alternate_name(value: &Value) -> Result<AlternateName, Refusal> {
    let (key, value) = only_member(value).ok_or_else(|| schema("alternate_name"))?;
    let text = value
        .as_str()
        .filter(|text| !text.is_empty() && text.is_ascii())
        .ok_or_else(|| schema(key))?;
    match key {
        "domain_name" => Ok(AlternateName::Domain(text.to_owned())),
        "email_address" => Ok(AlternateName::Email(text.to_owned())),
        "ipv4_address" => text
            .parse()
            .map(AlternateName::Address)
            .map_err(|_| Refusal::unreasonable(text)),
        _ => Err(schema(key)),
    }
}

fn only_member(value: &Value) -> Option<(&str, &Value)> {
    let members: &Map<String, Value> = value.as_object()?;
    let (key, value) = members.iter().next()?;
    (members.len() == 1).then_some((key.as_str(), value))
}

/// 1.5: schema validation; guess: the wording.
pub(super) fn schema(word: &str) -> Refusal {
    Refusal::new(400, format!("Schema validation error: '{word}'"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use serde_json::{Value, json};

    use super::{AlternateName, NameKind, Subject};
    use crate::sonicos::Variants;

    fn read(name: &Value, alternate: Option<&Value>) -> Result<Subject, u16> {
        Subject::read(name, alternate, &Variants::default()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn a_country_is_a_name_and_not_a_code() {
        let subject = read(&json!({"element1": {"country": "Netherlands"}}), None).unwrap();
        assert_eq!(subject.names, [(NameKind::Country, "NL".to_owned())]);
        assert_eq!(
            read(&json!({"element1": {"country": "NL"}}), None),
            Err(400)
        );
    }

    #[test]
    fn a_key_in_the_wrong_element_or_an_empty_element_is_refused() {
        assert_eq!(
            read(&json!({"element1": {"common_name": "fw"}}), None),
            Err(400)
        );
        assert_eq!(
            read(
                &json!({"element4": {"common_name": "fw"}, "element5": {}}),
                None
            ),
            Err(400)
        );
        assert_eq!(
            read(
                &json!({"element4": {"common_name": "fw"}, "element5": null}),
                None
            ),
            Err(400)
        );
        assert!(read(&json!({"element4": {"common_name": "fw"}}), None).is_ok());
    }

    #[test]
    fn two_alternate_names_are_refused() {
        let name = json!({"element4": {"common_name": "fw"}});
        let one = read(&name, Some(&json!({"ipv4_address": "192.0.2.1"}))).unwrap();
        assert_eq!(
            one.alternate_name,
            Some(AlternateName::Address([192, 0, 2, 1].into()))
        );
        assert_eq!(
            read(
                &name,
                Some(&json!({"domain_name": "a.example", "email_address": "b@example"}))
            ),
            Err(400)
        );
    }
}
