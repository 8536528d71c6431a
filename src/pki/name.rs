//! Distinguished names and general names, turned into text and our own words (RFC 4514, RFC 5280 4.1.2.4 and 4.2.1.6).

use std::net::IpAddr;

use x509_parser::asn1_rs::{Any, Oid, Tag, ToDer};
use x509_parser::extensions::{GeneralName, X509Extension};
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::FromDer;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::der::{self, Element};
use super::request::AlternateName;

/// The attributes of `name` in their order: short name (else dotted OID) and text.
pub(super) fn attributes(name: &X509Name<'_>) -> Vec<(String, String)> {
    name.iter_attributes()
        .map(|attribute| {
            let value = text(attribute.attr_value()).unwrap_or_else(|| hexadecimal(attribute));
            (short_name(attribute.attr_type()), value)
        })
        .collect()
}

/// `name` as RFC 4514 text: the last part first.
pub(super) fn rfc4514(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| rdn.iter().map(part).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    parts.join(",")
}

/// `name` in a form in which equal names are equal: case and the amount of white space in a text mean nothing, and neither
/// does the type of the string (RFC 5280, 7.1).
pub(super) type Comparable = Vec<Vec<(String, String)>>;

/// `name` as [`Comparable`].
pub(super) fn comparable(name: &X509Name<'_>) -> Comparable {
    let value = |attribute: &AttributeTypeAndValue<'_>| match text(attribute.attr_value()) {
        Some(text) => {
            let mut line = String::with_capacity(text.len());
            for word in text.split_whitespace() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            line.to_lowercase()
        }
        None => hexadecimal(attribute),
    };
    let parts = name.iter_rdn().map(|rdn| {
        let mut attributes: Vec<(String, String)> = rdn
            .iter()
            .map(|attribute| (attribute.attr_type().to_id_string(), value(attribute)))
            .collect();
        attributes.sort();
        attributes
    });
    parts.collect()
}

/// The names of a GeneralNames, DER; `None`: they cannot be read.
pub(super) fn general_names(der: &[u8]) -> Option<Vec<GeneralName<'_>>> {
    let names = der::only(der)?.children_of(der::SEQUENCE)?;
    names.into_iter().map(|name| general_name(&name)).collect()
}

/// One GeneralName; `None`: it cannot be read.
pub(super) fn general_name<'a>(name: &Element<'a>) -> Option<GeneralName<'a>> {
    match GeneralName::from_der(name.whole) {
        Ok(([], GeneralName::Invalid(..))) => None,
        Ok(([], name)) => Some(name),
        _ => None,
    }
}

/// A name for a message. Text of a peer is reduced to printable characters.
pub(super) fn in_words(name: &GeneralName<'_>) -> String {
    let text = match name {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => {
            (*text).to_owned()
        }
        GeneralName::IPAddress(octets) => match address(octets) {
            Some(address) => address.to_string(),
            None => data_encoding::HEXLOWER.encode(octets),
        },
        GeneralName::DirectoryName(name) => format!("the directory name {}", rfc4514(name)),
        GeneralName::OtherName(oid, _) if oid.to_id_string() == USER_PRINCIPAL => {
            "a user principal name".to_owned()
        }
        GeneralName::OtherName(oid, _) => format!("a name of the kind {oid}"),
        GeneralName::RegisteredID(oid) => format!("the registered id {oid}"),
        GeneralName::X400Address(_) => "an X.400 address".to_owned(),
        GeneralName::EDIPartyName(_) => "an EDI party name".to_owned(),
        GeneralName::Invalid(..) => "a name that cannot be read".to_owned(),
    };
    text.escape_debug().to_string()
}

/// The alternate names among `extensions`: those of the kinds we know, and the others in words.
pub(super) fn alternate_names<'a, 'b: 'a>(
    extensions: impl Iterator<Item = &'a X509Extension<'b>>,
) -> (Vec<AlternateName>, Vec<String>) {
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for extension in extensions.filter(|one| one.oid == OID_X509_EXT_SUBJECT_ALT_NAME) {
        let Some(names) = general_names(extension.value) else {
            unknown.push("alternate names that cannot be read".to_owned());
            continue;
        };
        for name in names {
            match alternate_name(&name) {
                Some(name) => known.push(name),
                None => unknown.push(in_words(&name)),
            }
        }
    }
    (known, unknown)
}

/// Whether `text` is valid in a dNSName: labels of letters, digits, `-` and `_`; the first may be `*`.
pub(crate) fn is_dns_name(text: &str) -> bool {
    let labels = text.strip_prefix("*.").unwrap_or(text);
    let last_is_number = labels
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && !last_is_number && labels.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn alternate_name(name: &GeneralName<'_>) -> Option<AlternateName> {
    match name {
        GeneralName::DNSName(name) => Some(AlternateName::Domain(name.to_ascii_lowercase())),
        GeneralName::RFC822Name(name) => Some(AlternateName::Email((*name).to_owned())),
        GeneralName::IPAddress(octets) => address(octets).map(AlternateName::Ip),
        _ => None,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

fn part(attribute: &AttributeTypeAndValue<'_>) -> String {
    let value =
        text(attribute.attr_value()).map_or_else(|| hexadecimal(attribute), |text| escape(&text));
    format!("{}={value}", short_name(attribute.attr_type()))
}

/// RFC 4514, 2.4.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (position, character) in text.chars().enumerate() {
        let at_the_edge = position == 0 || position == last;
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.extend(['\\', character]),
            ' ' if at_the_edge => escaped.push_str("\\ "),
            '#' if position == 0 => escaped.push_str("\\#"),
            // A control character in a log line would be worse than an unusual name.
            _ if character.is_control() => {
                let bytes = character.to_string().into_bytes();
                let digits = bytes.iter().map(|byte| format!("\\{byte:02x}"));
                escaped.extend(digits);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A value that is no text, as `#` and its DER in hexadecimal (RFC 4514, 2.4).
fn hexadecimal(attribute: &AttributeTypeAndValue<'_>) -> String {
    let der = attribute.attr_value().to_der_vec().unwrap_or_default();
    format!("#{}", data_encoding::HEXLOWER.encode(&der))
}

/// The text of a DirectoryString of any kind; `None` for anything else.
fn text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => String::from_utf8(value.data.to_vec()).ok(),
        // Code page switches do not occur in practice: the text is Latin-1.
        Tag::T61String => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => utf16(value.data),
        Tag::UniversalString => utf32(value.data),
        _ => None,
    }
}

fn utf16(data: &[u8]) -> Option<String> {
    let (pairs, []) = data.as_chunks::<2>() else {
        return None;
    };
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
    String::from_utf16(&units).ok()
}

fn utf32(data: &[u8]) -> Option<String> {
    let (quads, []) = data.as_chunks::<4>() else {
        return None;
    };
    quads
        .iter()
        .map(|quad| char::from_u32(u32::from_be_bytes(*quad)))
        .collect()
}

fn short_name(oid: &Oid<'_>) -> String {
    let dotted = oid.to_id_string();
    SHORT_NAMES
        .iter()
        .find(|(known, _)| *known == dotted)
        .map_or(dotted, |(_, name)| (*name).to_owned())
}

/// Microsoft's user principal name: the login name in a domain.
const USER_PRINCIPAL: &str = "1.3.6.1.4.1.311.20.2.3";

/// RFC 4514, 3, and the two more that firewalls write (RFC 4519 2.31, RFC 2985 5.2.1).
const SHORT_NAMES: [(&str, &str); 11] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.6", "C"),
    ("2.5.4.9", "STREET"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("2.5.4.5", "serialNumber"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use super::*;

    #[test]
    fn special_characters_are_escaped_as_rfc_4514_wants() {
        assert_eq!(
            escape(" Example, Inc. \"+\" "),
            "\\ Example\\, Inc. \\\"\\+\\\"\\ "
        );
        assert_eq!(escape("#1"), "\\#1");
        assert_eq!(escape("a\nb"), "a\\0ab");
        assert_eq!(escape("Zürich"), "Zürich");
    }

    #[test]
    fn dns_names_are_distinguished_from_addresses_and_free_text() {
        for name in [
            "vpn.example.com",
            "*.example.com",
            "firewall",
            "a_b.example",
            "1.example",
        ] {
            assert!(is_dns_name(name), "{name}");
        }
        for name in [
            "",
            "192.0.2.1",
            "Office Firewall",
            "a..b",
            "-a.example",
            "vpn.*.example",
            "*",
            "2001:db8::1",
            "a.example.",
        ] {
            assert!(!is_dns_name(name), "{name}");
        }
    }

    #[test]
    fn wide_strings_are_read() {
        assert_eq!(utf16(&[0, b'f', 0, b'w']).unwrap(), "fw");
        assert_eq!(utf16(&[0, b'f', 0]), None);
        assert_eq!(utf32(&[0, 0, 0, b'f']).unwrap(), "f");
    }
}
