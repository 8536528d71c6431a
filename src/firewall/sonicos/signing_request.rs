//! What the device is asked for when a key pair is to be born: the body of generate-signing-request
//! (SonicOS reference 3.1).

use serde_json::{Map, Value, json};

use crate::pki::{AlternateName, Digest, KeyKind, KeyRequest, Subject, country_name};

/// The body; an error says which setting the device cannot take, before anything is sent.
pub(super) fn body(alias: &str, request: &KeyRequest) -> Result<Value, String> {
    let mut wanted = Map::new();
    wanted.insert("alias".to_owned(), json!(alias));
    wanted.insert("distinguished_name".to_owned(), elements(&request.subject)?);
    match request.alternate_names.as_slice() {
        [] => {}
        [name] => {
            wanted.insert("alternate_name".to_owned(), alternate_name(name)?);
        }
        [_, others @ ..] => {
            let others: Vec<String> = others.iter().map(ToString::to_string).collect();
            return Err(format!(
                "a request that is made on the device has room for one alternate name, and none for {}: let renewd make \
                 the key (`key = {{ origin = \"renewd\" }}`), or use one certificate for each name",
                others.join(", ")
            ));
        }
    }
    wanted.insert(
        "signature_algorithm".to_owned(),
        json!(digest(request.digest)),
    );
    wanted.insert("key".to_owned(), key(request.key)?);
    wanted.insert("generate".to_owned(), json!(true));
    Ok(json!({ "certificates": { "generate_signing_request": [wanted] } }))
}

/// The name's parts in the device's numbered elements. Each element takes some of the kinds only, and unused
/// ones are left out. Gaps between elements are avoided where the table allows it, since the reference does not
/// say whether the device takes them.
fn elements(subject: &Subject) -> Result<Value, String> {
    let parts = parts(subject)?;
    let mut placed = Map::new();
    for ((part, text), position) in parts.iter().zip(positions(&parts)?) {
        placed.insert(format!("element{position}"), json!({ part.key: text }));
    }
    Ok(Value::Object(placed))
}

/// The parts that are set, in the order in which they stand in the name.
fn parts(subject: &Subject) -> Result<Vec<(&'static Part, &str)>, String> {
    let texts = [
        &subject.country,
        &subject.state,
        &subject.locality,
        &subject.organization,
        &subject.department,
        &subject.group,
        &subject.team,
        &subject.common_name,
        &subject.serial,
        &subject.email,
    ];
    let mut parts: Vec<(&Part, &str)> = PARTS
        .iter()
        .zip(texts)
        .filter_map(|(part, text)| Some((part, text.as_deref()?.trim())))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    if parts.is_empty() {
        return Err("the subject is empty: set at least common_name".to_owned());
    }
    if let Some((_, text)) = parts.iter_mut().find(|(part, _)| part.key == "country") {
        *text = country(text)?;
    }
    Ok(parts)
}

/// The device takes the name of a country from its own list, and refuses a code (SonicOS reference 3.1).
fn country(text: &str) -> Result<&str, String> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_code {
        return Ok(text);
    }
    country_name(text).ok_or_else(|| {
        format!("country = \"{text}\" is not a code of ISO 3166-1; the device also takes a name from its list")
    })
}

/// Where each part goes: first as far to the front as possible, which finds a place if there is one; then,
/// from the last to the first, as close to its successor as the table allows.
fn positions(parts: &[(&'static Part, &str)]) -> Result<Vec<u8>, String> {
    let mut positions = Vec::with_capacity(parts.len());
    let mut next_free = 1;
    for (part, _) in parts {
        let position = part.first.max(next_free);
        if position > part.last {
            return Err(format!(
                "the subject has too many parts for the device: no element is left for {}",
                part.key
            ));
        }
        positions.push(position);
        next_free = position + 1;
    }
    let mut successor: Option<u8> = None;
    for (position, (part, _)) in positions.iter_mut().zip(parts).rev() {
        if let Some(successor) = successor {
            *position = part.last.min(successor - 1);
        }
        successor = Some(*position);
    }
    Ok(positions)
}

/// The one alternate name that fits in a request of the device.
fn alternate_name(name: &AlternateName) -> Result<Value, String> {
    match name {
        AlternateName::Domain(name) => Ok(json!({ "domain_name": name })),
        AlternateName::Email(address) => Ok(json!({ "email_address": address })),
        AlternateName::Ip(std::net::IpAddr::V4(address)) => {
            Ok(json!({ "ipv4_address": address.to_string() }))
        }
        AlternateName::Ip(address) => Err(format!(
            "ip_addresses = [\"{address}\"]: the device takes IPv4 addresses only; use a name in dns_names"
        )),
    }
}

/// Algorithm and size; the size is a string, as the device wants it.
fn key(kind: KeyKind) -> Result<Value, String> {
    match kind {
        KeyKind::Rsa(bits @ (1024 | 1536 | 2048 | 4096)) => {
            Ok(json!({ "type": "rsa", "size": bits.to_string() }))
        }
        KeyKind::Ecdsa(bits @ (256 | 384 | 521)) => {
            Ok(json!({ "type": "ecdsa", "size": bits.to_string() }))
        }
        other => Err(format!(
            "key {other}: the device makes RSA keys of 1024, 1536, 2048 and 4096 bits and ECDSA keys of 256, 384 and 521"
        )),
    }
}

fn digest(digest: Digest) -> &'static str {
    match digest {
        Digest::Sha256 => "sha-256",
        Digest::Sha384 => "sha-384",
        Digest::Sha512 => "sha-512",
    }
}

/// A kind of name part, and the elements that take it.
#[derive(Debug)]
struct Part {
    key: &'static str,
    first: u8,
    last: u8,
}

const fn part(key: &'static str, first: u8, last: u8) -> Part {
    Part { key, first, last }
}

/// The table of the SonicOS reference 3.1, read by columns: the elements of each kind are consecutive.
const PARTS: [Part; 10] = [
    part("country", 1, 2),
    part("state", 1, 2),
    part("locality", 1, 3),
    part("organization", 1, 4),
    part("department", 2, 5),
    part("group", 3, 6),
    part("team", 3, 7),
    part("common_name", 4, 8),
    part("serial", 4, 8),
    part("email", 4, 8),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    /// The same table, read by rows as the reference prints it.
    const ALLOWED: [&[&str]; 8] = [
        &["country", "state", "locality", "organization"],
        &["country", "state", "locality", "organization", "department"],
        &["locality", "organization", "department", "group", "team"],
        &[
            "organization",
            "department",
            "group",
            "team",
            "common_name",
            "serial",
            "email",
        ],
        &[
            "department",
            "group",
            "team",
            "common_name",
            "serial",
            "email",
        ],
        &["group", "team", "common_name", "serial", "email"],
        &["team", "common_name", "serial", "email"],
        &["common_name", "serial", "email"],
    ];

    /// A subject with the parts whose bit is set.
    fn subject(bits: u16) -> Subject {
        let text = |bit: u16| (bits & (1 << bit) != 0).then(|| format!("text {bit}"));
        Subject {
            country: text(0),
            state: text(1),
            locality: text(2),
            organization: text(3),
            department: text(4),
            group: text(5),
            team: text(6),
            common_name: text(7),
            serial: text(8),
            email: text(9),
        }
    }

    fn placed(subject: &Subject) -> Vec<(usize, String)> {
        let elements = elements(subject).unwrap();
        let mut placed: Vec<(usize, String)> = elements
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, element)| {
                let position = name.strip_prefix("element").unwrap().parse().unwrap();
                let keys: Vec<&String> = element.as_object().unwrap().keys().collect();
                assert_eq!(keys.len(), 1, "one key per element");
                (position, keys[0].clone())
            })
            .collect();
        placed.sort();
        placed
    }

    #[test]
    fn every_subject_is_placed_in_order_in_elements_that_take_it_or_refused_for_its_size() {
        for bits in 1_u16..1 << 10 {
            let subject = subject(bits);
            if bits.count_ones() > 8 || elements(&subject).is_err() {
                assert!(bits.count_ones() > 6, "{bits:b} must fit");
                continue;
            }
            let placed = placed(&subject);
            assert_eq!(placed.len(), bits.count_ones() as usize);
            for (position, key) in &placed {
                assert!(
                    ALLOWED[position - 1].contains(&key.as_str()),
                    "{bits:b}: {key} in element{position}"
                );
            }
            let order: Vec<usize> = placed
                .iter()
                .map(|(_, key)| PARTS.iter().position(|part| part.key == key).unwrap())
                .collect();
            assert!(order.is_sorted(), "{bits:b}: {order:?}");
        }
    }

    #[test]
    fn the_usual_subjects_leave_no_gap() {
        let words = |bits| -> Vec<String> {
            placed(&subject(bits))
                .iter()
                .map(|(position, key)| format!("{position}={key}"))
                .collect()
        };
        assert_eq!(words(0b00_1000_0000), ["4=common_name"]);
        assert_eq!(words(0b00_1000_1000), ["3=organization", "4=common_name"]);
        assert_eq!(
            words(0b00_1000_1001),
            ["2=country", "3=organization", "4=common_name"]
        );
        assert_eq!(
            words(0b00_1001_1111),
            [
                "1=country",
                "2=state",
                "3=locality",
                "4=organization",
                "5=department",
                "6=common_name"
            ]
        );
    }

    #[test]
    fn the_body_is_the_one_of_the_reference() {
        let request = KeyRequest {
            subject: Subject {
                country: Some("United States".to_owned()),
                state: Some("StateName".to_owned()),
                locality: Some("City Name".to_owned()),
                organization: Some("My Company".to_owned()),
                department: Some("IT".to_owned()),
                common_name: Some("fw.example.com".to_owned()),
                email: Some(" ".to_owned()),
                ..Subject::default()
            },
            alternate_names: vec![AlternateName::Domain("fw.example.com".to_owned())],
            key: KeyKind::Rsa(2048),
            digest: Digest::Sha256,
        };
        let expected = json!({"certificates":{"generate_signing_request":[{
            "alias":"fw-2026",
            "distinguished_name":{
                "element1":{"country":"United States"},
                "element2":{"state":"StateName"},
                "element3":{"locality":"City Name"},
                "element4":{"organization":"My Company"},
                "element5":{"department":"IT"},
                "element6":{"common_name":"fw.example.com"}
            },
            "alternate_name":{"domain_name":"fw.example.com"},
            "signature_algorithm":"sha-256",
            "key":{"type":"rsa","size":"2048"},
            "generate":true
        }]}});
        assert_eq!(body("fw-2026", &request).unwrap(), expected);
    }

    #[test]
    fn the_device_gets_the_name_of_a_country_that_is_written_as_a_code() {
        for written in ["NL", "nl", "Netherlands"] {
            let subject = Subject {
                country: Some(written.to_owned()),
                ..Subject::default()
            };
            let element = elements(&subject).unwrap();
            let country = element.pointer("/element1/country");
            assert_eq!(country, Some(&json!("Netherlands")), "{written}");
        }
    }

    #[test]
    fn what_the_device_cannot_take_is_said_before_anything_is_sent() {
        let request = |subject, alternate_name: Option<AlternateName>, key| KeyRequest {
            subject,
            alternate_names: alternate_name.into_iter().collect(),
            key,
            digest: Digest::Sha256,
        };
        let named = || subject(1 << 7);
        let refusal = |request: KeyRequest| body("a", &request).unwrap_err();
        let unknown = Subject {
            country: Some("XQ".to_owned()),
            ..named()
        };
        assert!(refusal(request(unknown, None, KeyKind::Rsa(2048))).contains("ISO 3166"));
        assert!(refusal(request(Subject::default(), None, KeyKind::Rsa(2048))).contains("empty"));
        assert!(
            refusal(request(subject(0x3ff), None, KeyKind::Rsa(2048))).contains("too many parts")
        );
        assert!(refusal(request(named(), None, KeyKind::Rsa(3072))).contains("RSA 3072"));
        assert!(refusal(request(named(), None, KeyKind::Other)).contains("another kind"));
        let ipv6 = AlternateName::Ip("2001:db8::1".parse().unwrap());
        assert!(refusal(request(named(), Some(ipv6), KeyKind::Ecdsa(256))).contains("IPv4"));
        let mut two = request(named(), None, KeyKind::Rsa(2048));
        two.alternate_names = ["a.example.com", "b.example.com"]
            .map(|name| AlternateName::Domain(name.to_owned()))
            .to_vec();
        assert!(refusal(two).contains("none for b.example.com"));
    }
}
