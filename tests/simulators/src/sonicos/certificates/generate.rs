//! `POST /certificates/generate-signing-request` (SonicOS reference 3.1).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::keys::{DeviceKey, Hash, KeyKind};
use super::subject::{Subject, schema};
use super::{Kind, Row};
use crate::sonicos::device::Device;
use crate::sonicos::pending::ChangeKind;
use crate::sonicos::wire::{Handled, Refusal, Reply};

impl Device {
    /// Makes a key pair; the request itself is fetched by export (3.3). The row shows up when key generation is over.
    pub(in crate::sonicos) fn generate(&mut self, body: &Value) -> Handled {
        let wanted = only_request(body)?;
        refuse_unknown_keys(wanted)?;
        let alias = self.read_alias(wanted)?;
        let name = wanted
            .get("distinguished_name")
            .ok_or_else(|| schema("distinguished_name"))?;
        let subject = Subject::read(name, wanted.get("alternate_name"), &self.variants)?;
        let kind = read_key(wanted)?;
        match wanted.get("generate") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Ok(Reply::done("No changes made.")),
            _ => return Err(schema("generate")),
        }
        if self.variants.generation_comes_to_nothing {
            return Ok(Reply::done("Success."));
        }
        let failed = |error| Refusal::new(500, format!("Key generation failed: {error}"));
        let key = DeviceKey::generate(kind).map_err(failed)?;
        let request = key.request(&subject).map_err(failed)?;
        self.counters.key_pairs_generated += 1;
        let row = Row {
            name: alias,
            kind: Kind::Request {
                key: Arc::new(key),
                subject: Arc::new(subject),
                request,
            },
            visible_from: self.now() + self.variants.key_delay_ms,
            hidden_listings: self.variants.key_ready_after_listings,
            was_served: false,
            born_here: true,
        };
        Ok(self.stage(
            self.variants.generation_is_pending,
            ChangeKind::Generate(Box::new(row)),
        ))
    }

    fn read_alias(&self, wanted: &Map<String, Value>) -> Result<String, Refusal> {
        let alias = wanted
            .get("alias")
            .and_then(Value::as_str)
            .filter(|alias| !alias.is_empty())
            .ok_or_else(|| schema("alias"))?;
        self.check_new_name(alias)?;
        Ok(alias.to_owned())
    }

    /// 3.1: an existing alias is refused, also while its key is being generated.
    pub(super) fn check_new_name(&self, alias: &str) -> Result<(), Refusal> {
        let too_long = self
            .variants
            .alias_limit
            .is_some_and(|limit| alias.chars().count() > limit as usize);
        // guess: the alphabet is not published. Characters that would break the CLI behind the API are refused.
        if too_long
            || alias.contains(|letter: char| letter.is_control() || "\"'/\\?".contains(letter))
        {
            return Err(Refusal::unreasonable(alias));
        }
        let pending = self.pending.iter().any(|change| {
            matches!(&change.kind, ChangeKind::Generate(row) | ChangeKind::ImportKeyPair(row) if row.name == alias)
        });
        if pending || self.certificates.find(alias).is_some() {
            return Err(Refusal::new(
                400,
                self.variants.duplicate_alias_text.clone(),
            ));
        }
        Ok(())
    }
}

/// `{"certificates":{"generate_signing_request":[{...}]}}`, with exactly one entry.
fn only_request(body: &Value) -> Result<&Map<String, Value>, Refusal> {
    let list = body
        .pointer("/certificates/generate_signing_request")
        .and_then(Value::as_array);
    match list.map(Vec::as_slice) {
        Some([Value::Object(wanted)]) => Ok(wanted),
        _ => Err(schema("generate_signing_request")),
    }
}

fn refuse_unknown_keys(wanted: &Map<String, Value>) -> Result<(), Refusal> {
    let known = [
        "alias",
        "distinguished_name",
        "alternate_name",
        "signature_algorithm",
        "key",
        "generate",
    ];
    match wanted.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(schema(unknown)),
        None => Ok(()),
    }
}

/// 3.1: enumerations in lower case, and sizes that are texts.
fn read_key(wanted: &Map<String, Value>) -> Result<KeyKind, Refusal> {
    let algorithm = wanted
        .get("signature_algorithm")
        .and_then(Value::as_str)
        .ok_or_else(|| schema("signature_algorithm"))?;
    let hash = match algorithm {
        "sha-256" => Hash::Sha256,
        "sha-384" => Hash::Sha384,
        "sha-512" => Hash::Sha512,
        // The device also knows md5 and sha-1; this simulator cannot sign with them.
        other => return Err(Refusal::unreasonable(other)),
    };
    let key = wanted
        .get("key")
        .and_then(Value::as_object)
        .filter(|key| key.len() == 2)
        .ok_or_else(|| schema("key"))?;
    let text = |name: &str| {
        key.get(name)
            .and_then(Value::as_str)
            .ok_or_else(|| schema(&format!("key.{name}")))
    };
    match (text("type")?, text("size")?) {
        ("rsa", "2048") => Ok(KeyKind::Rsa2048(hash)),
        ("rsa", "4096") => Ok(KeyKind::Rsa4096(hash)),
        ("ecdsa", "256") => Ok(KeyKind::P256),
        ("ecdsa", "384") => Ok(KeyKind::P384),
        ("ecdsa", "521") => Ok(KeyKind::P521),
        ("rsa" | "ecdsa", size) => Err(Refusal::unreasonable(size)),
        (kind, _) => Err(Refusal::unreasonable(kind)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use serde_json::{Value, json};

    use super::{Hash, KeyKind, read_key};

    fn key(value: &Value) -> Result<KeyKind, u16> {
        read_key(value.as_object().unwrap()).map_err(|refusal| refusal.status)
    }

    #[test]
    fn a_key_size_is_a_text() {
        let text =
            json!({"signature_algorithm": "sha-256", "key": {"type": "rsa", "size": "2048"}});
        assert_eq!(key(&text), Ok(KeyKind::Rsa2048(Hash::Sha256)));
        let number =
            json!({"signature_algorithm": "sha-256", "key": {"type": "rsa", "size": 2048}});
        assert_eq!(key(&number), Err(400));
    }

    #[test]
    fn enumerations_are_lower_case_with_a_hyphen() {
        for algorithm in ["SHA-256", "sha256"] {
            assert_eq!(
                key(
                    &json!({"signature_algorithm": algorithm, "key": {"type": "rsa", "size": "2048"}})
                ),
                Err(400)
            );
        }
        assert_eq!(
            key(&json!({"signature_algorithm": "sha-256", "key": {"type": "RSA", "size": "2048"}})),
            Err(400)
        );
    }
}
