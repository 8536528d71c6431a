//! What a certificate's request is to say: subject, alternate name, key, digest.

use std::net::IpAddr;
use std::ops::Range;

use super::Resolver;
use crate::config::file_model::{self, KeyType, Placed};
use crate::config::values::{self, Wrong};
use crate::inventory::KeyOrigin;
use crate::pki::{AlternateName, Digest, KeyKind, KeyRequest, Subject, country_code, country_name};

/// The alternate names as they are written, by their kinds.
pub(super) struct AlternateNames {
    pub dns: Option<Placed<Vec<Placed<String>>>>,
    pub ip: Option<Placed<Vec<Placed<String>>>>,
    pub email: Option<Placed<Vec<Placed<String>>>>,
}

impl Resolver<'_> {
    /// The request; `None` when its subject is missing or wrong.
    pub(super) fn request(
        &mut self,
        subject: Option<Placed<file_model::Subject>>,
        alternate_names: AlternateNames,
        key: Option<&Placed<file_model::KeyPair>>,
        digest: Option<&Placed<file_model::Digest>>,
    ) -> Option<KeyRequest> {
        let place = subject.as_ref().map(|subject| subject.range.clone());
        let subject = subject.and_then(|subject| self.subject(subject));
        let origin = origin(key);
        let alternate_names = self.alternate_names(alternate_names, origin);
        let key = self.key(key);
        let (subject, place) = (subject?, place?);
        match origin {
            KeyOrigin::Firewall => self.compare(&subject, alternate_names.first(), &place),
            KeyOrigin::Renewd => self.check_country_code(&subject, &place),
        }
        Some(KeyRequest {
            subject,
            alternate_names,
            key,
            digest: digest.map_or_else(Digest::default, |digest| digest.value.into()),
        })
    }

    fn subject(&mut self, raw: Placed<file_model::Subject>) -> Option<Subject> {
        let Placed {
            value: parts,
            range,
        } = raw;
        let subject = Subject {
            country: parts.country.and_then(|part| self.parse(&part, country)),
            state: self.part(parts.state, 128),
            locality: self.part(parts.locality, 128),
            organization: self.part(parts.organization, 64),
            department: self.part(parts.department, 64),
            group: self.part(parts.group, 64),
            team: self.part(parts.team, 64),
            common_name: self.part(parts.common_name, 64),
            serial: self.part(parts.serial, 64),
            email: parts
                .email
                .and_then(|part| self.parse(&part, values::email)),
        };
        if subject == Subject::default() {
            let hint = "for example: subject = { common_name = \"vpn.example.com\" }";
            self.lacking(&range, "`subject` is empty", hint);
            return None;
        }
        Some(subject)
    }

    /// A part of the subject of at most `longest` characters (RFC 5280, appendix A.1, upper bounds).
    fn part(&mut self, key: Option<Placed<String>>, longest: usize) -> Option<String> {
        self.parse(&key?, |text| {
            let length = text.chars().count();
            if text.trim().is_empty() {
                return Err(Wrong::new("this is empty", "leave the key out"));
            }
            if text.contains(char::is_control) {
                let message = "a subject cannot contain control characters";
                return Err(Wrong::new(message, "write it in one line, without tabs"));
            }
            if length > longest {
                let message = format!("this is too long: {length} characters");
                return Err(Wrong::new(
                    message,
                    format!("at most {longest} are allowed (RFC 5280)"),
                ));
            }
            Ok(text.to_owned())
        })
    }

    /// The names of all three lists.
    fn alternate_names(&mut self, raw: AlternateNames, origin: KeyOrigin) -> Vec<AlternateName> {
        let dns = self.names_of("dns_names", raw.dns, |text| {
            values::domain(text).map(AlternateName::Domain)
        });
        let ip = self.names_of("ip_addresses", raw.ip, |text| {
            values::ip_address(text).map(AlternateName::Ip)
        });
        let email = self.names_of("email_addresses", raw.email, |text| {
            values::email(text).map(AlternateName::Email)
        });
        let mut names: Vec<AlternateName> = Vec::new();
        for (name, range) in dns.into_iter().chain(ip).chain(email) {
            if names.iter().any(|known| known.is_same(&name)) {
                let message = format!("`{name}` is named twice");
                self.wrong(&range, Wrong::new(message, "name it once"));
                continue;
            }
            if origin == KeyOrigin::Firewall {
                self.check_on_device(&name, names.len(), &range);
            }
            names.push(name);
        }
        names
    }

    /// The names of the list `key`, each with its place.
    fn names_of(
        &mut self,
        key: &str,
        raw: Option<Placed<Vec<Placed<String>>>>,
        read: impl Fn(&str) -> Result<AlternateName, Wrong>,
    ) -> Vec<(AlternateName, Range<usize>)> {
        let Some(raw) = raw else {
            return Vec::new();
        };
        if raw.value.is_empty() {
            let hint = "leave it out, or name at least one";
            self.lacking(&raw.range, &format!("`{key}` is empty"), hint);
        }
        let names = raw.value.into_iter();
        names
            .filter_map(|name| Some((self.parse(&name, &read)?, name.range)))
            .collect()
    }

    /// What a request that is made on the device has room for (SonicOS reference 3.1).
    fn check_on_device(&mut self, name: &AlternateName, before: usize, range: &Range<usize>) {
        let is_wildcard = matches!(name, AlternateName::Domain(domain) if domain.starts_with("*."));
        let message = if before == 1 {
            "a request made on the device has room for one alternate name".to_owned()
        } else if before == 0 && is_wildcard {
            format!("a device is not known to make requests for a wildcard such as `{name}`")
        } else if before == 0 && matches!(name, AlternateName::Ip(IpAddr::V6(_))) {
            format!("a request made on the device cannot hold the IPv6 address `{name}`")
        } else {
            return;
        };
        self.wrong(range, Wrong::new(message, RENEWD_KEY_HINT));
    }

    /// A request of our own holds the code of a country; only a device gets the name.
    fn check_country_code(&mut self, subject: &Subject, range: &Range<usize>) {
        let Some(name) = subject.country.as_deref() else {
            return;
        };
        if country_code(name).is_none() {
            let message = format!("no code is known for the country `{name}`");
            let hint = "a request that renewd makes holds the code of the country: write that code, such as \"NL\", or leave it out";
            self.wrong(range, Wrong::new(message, hint));
        }
    }

    /// Browsers look at the alternate name only, and the device has a list of countries of its own.
    fn compare(
        &mut self,
        subject: &Subject,
        alternate: Option<&AlternateName>,
        range: &Range<usize>,
    ) {
        if let Some(name) = &subject.country
            && country_code(name).is_none()
        {
            let hint = "write its code of ISO 3166-1, such as \"NL\", or spell it as in the device's list of countries";
            self.warn(
                range,
                "this country is not known: the device may refuse it",
                hint,
            );
        }
        let Some(common) = subject.common_name.as_deref() else {
            return;
        };
        match alternate {
            None => {
                let hint = format!("add: dns_names = [\"{common}\"]");
                self.warn(
                    range,
                    "without `dns_names` browsers do not accept the certificate",
                    &hint,
                );
            }
            Some(AlternateName::Domain(domain))
                if common.contains('.') && !common.eq_ignore_ascii_case(domain) =>
            {
                let message =
                    format!("`common_name` and `dns_names` differ: browsers accept {domain} only");
                let hint = "use one certificate for each name, or let renewd make the key: both in `dns_names` with key = { origin = \"renewd\" }";
                self.warn(range, &message, hint);
            }
            Some(_) => {}
        }
    }

    fn key(&mut self, raw: Option<&Placed<file_model::KeyPair>>) -> KeyKind {
        let pair = raw.map(|pair| &pair.value);
        let kind = pair
            .and_then(|pair| pair.kind.as_ref())
            .map_or(KeyType::Rsa, |kind| kind.value);
        let size = pair.and_then(|pair| pair.size.as_ref());
        let (offered, other): (&[u32], &[u32]) = match kind {
            KeyType::Rsa => (&[2048, 4096], &[256, 384, 521]),
            KeyType::Ecdsa => (&[256, 384, 521], &[2048, 4096]),
        };
        let smallest = offered.first().copied().unwrap_or_default();
        let bits = size.map_or(smallest, |size| size.value);
        if let Some(size) = size.filter(|_| !offered.contains(&bits)) {
            self.wrong(
                &size.range,
                key_size(kind, bits, offered, other.contains(&bits)),
            );
        }
        match kind {
            KeyType::Rsa => KeyKind::Rsa(bits),
            KeyType::Ecdsa => KeyKind::Ecdsa(bits),
        }
    }
}

/// Who makes the key pair; the firewall, where nothing is said of it.
pub(super) fn origin(key: Option<&Placed<file_model::KeyPair>>) -> KeyOrigin {
    let origin = key.and_then(|pair| pair.value.origin.as_ref());
    match origin.map(|origin| origin.value) {
        Some(file_model::KeyOrigin::Renewd) => KeyOrigin::Renewd,
        Some(file_model::KeyOrigin::Firewall) | None => KeyOrigin::Firewall,
    }
}

/// A code of ISO 3166-1 in capitals, or a name as it is: each driver maps both to what its device takes.
fn country(text: &str) -> Result<String, Wrong> {
    let is_code = text.len() <= 3 && text.chars().all(|c| c.is_ascii_alphabetic());
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err(Wrong::new("this is not a country", "leave the key out"));
    }
    if !is_code {
        return Ok(text.to_owned());
    }
    if country_name(text).is_some() {
        return Ok(text.to_ascii_uppercase());
    }
    let hint = match country_code(text) {
        Some(code) => format!("write its code of two letters: \"{code}\""),
        None => {
            "write the code of two letters, such as \"NL\", or the name, such as \"Netherlands\""
                .to_owned()
        }
    };
    Err(Wrong::new(
        format!("`{text}` is not a code of ISO 3166-1"),
        hint,
    ))
}

fn key_size(kind: KeyType, bits: u32, offered: &[u32], of_the_other: bool) -> Wrong {
    let sizes: Vec<String> = offered.iter().map(u32::to_string).collect();
    let (name, other) = match kind {
        KeyType::Rsa => ("rsa", "ecdsa"),
        KeyType::Ecdsa => ("ecdsa", "rsa"),
    };
    let message = match kind {
        KeyType::Rsa if !of_the_other && bits < 2048 => {
            format!("an rsa key of {bits} bits is not secure")
        }
        _ => format!("no device makes an {name} key of {bits} bits"),
    };
    let hint = format!("one of: {}", sizes.join(", "));
    if of_the_other {
        return Wrong::new(message, format!("{hint}; or type = \"{other}\""));
    }
    Wrong::new(message, hint)
}

impl From<file_model::Digest> for Digest {
    fn from(raw: file_model::Digest) -> Self {
        match raw {
            file_model::Digest::Sha256 => Self::Sha256,
            file_model::Digest::Sha384 => Self::Sha384,
            file_model::Digest::Sha512 => Self::Sha512,
        }
    }
}

const RENEWD_KEY_HINT: &str = "let renewd make the key: key = { origin = \"renewd\" } (docs/operations.md lists the disadvantages), or use one certificate for each name";
