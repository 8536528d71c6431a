//! The answer to validation-details, whose shape is in no documentation (purchase API reference 4.6): the keys of the
//! service that is probably behind it are searched for wherever they are, in both spellings.

use serde_json::{Map, Value};

use super::proof::{self, Proven};
use crate::dcv::{Method, Proof};

/// How far the validation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Details {
    /// What was understood.
    Known {
        /// Every reported name; empty: none is reported yet.
        domains: Vec<Domain>,
        /// What else is looked at and not done, such as the organization: in words.
        open: Vec<String>,
    },
    /// Nothing was.
    Strange,
}

/// How far the validation of one name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Domain {
    pub name: String,
    pub is_valid: bool,
    /// EMAIL, FILE or DNS.
    pub dcv_type: Option<String>,
    /// The CA's words.
    pub message: Option<String>,
    record: Option<(String, String)>,
    file: Option<(String, String)>,
}

impl Details {
    /// The CA has none to tell.
    pub fn not_yet() -> Self {
        Self::Known {
            domains: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Reads the answer.
    pub fn read(value: &Value) -> Self {
        let (mut domains, mut open, mut is_known) = (Vec::new(), Vec::new(), false);
        visit(value, &mut |object| {
            if let Some(domain) = Domain::read(object) {
                domains.push(domain);
            }
            if get(object, "dcv").is_some() {
                is_known = true;
                open.extend(object.iter().filter_map(|(key, part)| open_part(key, part)));
            }
        });
        if is_known || !domains.is_empty() {
            Self::Known { domains, open }
        } else {
            Self::Strange
        }
    }
}

impl Domain {
    fn read(object: &Map<String, Value>) -> Option<Self> {
        let both = |one, two| Some((text(object, one)?, text(object, two)?));
        Some(Self {
            name: text(object, "domain")?,
            is_valid: get(object, "status").is_some_and(is_true),
            dcv_type: text(object, "dcvtype"),
            message: text(object, "statusmessage"),
            record: both("dnsrecord", "dnscnamevalue"),
            file: both("filelocation", "filecontents"),
        })
    }

    /// Whether it contains nothing that could be published.
    pub fn lacks(&self, method: Method) -> bool {
        match method {
            Method::Dns => self.record.is_none(),
            Method::Http => self.file.is_none(),
        }
    }

    /// The proof to publish; `None`: it is not reported (yet). An error says why it is not published.
    pub fn proof(&self, proven: Proven<'_>, method: Method) -> Option<Result<Proof, String>> {
        Some(match method {
            Method::Dns => {
                let (name, target) = self.record.as_ref()?;
                proof::stated_record(proven, &self.name, name, target)
            }
            Method::Http => {
                let (location, content) = self.file.as_ref()?;
                proof::stated_file(proven, &self.name, location, content)
            }
        })
    }
}

/// Calls `see` with every object in `value`.
fn visit(value: &Value, see: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            see(object);
            object.values().for_each(|value| visit(value, see));
        }
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        _ => {}
    }
}

/// A part of the validation, other than the domains, that says that it is not done.
fn open_part(key: &str, part: &Value) -> Option<String> {
    let part = part.as_object().filter(|_| plain(key) != "dcv")?;
    if get(part, "status").is_none_or(is_true) {
        return None;
    }
    Some(match text(part, "statusmessage") {
        Some(words) => format!("{key} ({words})"),
        None => key.to_owned(),
    })
}

/// The value of a key in either spelling; `key` is written without either.
fn get<'o>(object: &'o Map<String, Value>, key: &str) -> Option<&'o Value> {
    let mut entries = object.iter();
    entries
        .find(|(name, _)| plain(name) == key)
        .map(|(_, value)| value)
}

fn text(object: &Map<String, Value>, key: &str) -> Option<String> {
    let text = get(object, key)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// `dnsRecord` and `dns_record` alike.
fn plain(key: &str) -> String {
    key.chars()
        .filter(|c| *c != '_')
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use serde_json::json;

    use super::*;
    use crate::pki::testing;

    fn known(value: &Value) -> (Vec<Domain>, Vec<String>) {
        match Details::read(value) {
            Details::Known { domains, open } => (domains, open),
            Details::Strange => panic!("strange: {value}"),
        }
    }

    #[test]
    fn both_spellings_say_the_same() {
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = testing::csr(&testing::csr_params(), &key);
        let proven = Proven {
            csr: &csr,
            host: "sectigo.com",
        };
        let expected = proof::computed(proven, "fw.example.com", Method::Dns);
        let Proof::Cname {
            name: record,
            target,
        } = &expected
        else {
            panic!("{expected:?}");
        };
        let camel = json!({"organization": {"status": false, "statusDetail": 9, "statusMessage": "papers"}, "docs": {},
            "dcv": {"status": false, "domains": [{"domain": "fw.example.com", "status": false, "dcvType": "DNS",
                "dnsRecord": record, "dnsCnameValue": target}]}});
        let snake = json!({"organization": {"status": "false", "status_message": "papers"},
            "dcv": {"domains": [{"domain": "fw.example.com", "status": "false", "dcv_type": "DNS",
                "dns_record": record, "dns_cname_value": target}]}});
        assert_eq!(known(&camel), known(&snake));
        let (domains, open) = known(&camel);
        assert_eq!(open, ["organization (papers)"]);
        let proof = domains[0].proof(proven, Method::Dns).unwrap().unwrap();
        assert_eq!(proof, expected);
        assert!(domains[0].lacks(Method::Http));
    }

    #[test]
    fn a_record_that_is_not_reported_yet_is_waited_for_and_not_computed() {
        let (domains, _) = known(&json!({"dcv": {"status": false, "domains": []}}));
        assert!(domains.is_empty());
        let (domains, _) = known(&json!([{"domain": "fw.example.com", "dnsRecord": ""}]));
        assert!(domains[0].lacks(Method::Dns));
    }

    #[test]
    fn an_answer_with_none_of_the_keys_is_unexpected() {
        for value in [
            json!({"steps": [{"label": "1", "done": 0}]}),
            json!("soon"),
            json!([]),
        ] {
            assert_eq!(Details::read(&value), Details::Strange);
        }
    }
}
