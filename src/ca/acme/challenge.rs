//! Authorizations and their challenges: the proof is put up, seen, and only then the server is told to look
//! (RFC 8555, 7.5 and 8).

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::jws::{AccountKey, sha256};
use super::names::Identifier;
use super::problem::Problem;
use super::session::{Session, parsed};
use crate::ca::http::nullable;
use crate::dcv::{Method, Proof, Validator};
use crate::failure::Failure;

/// What must be proven for one name. Statuses and challenges that are unknown are skipped.
#[derive(Debug, Deserialize)]
pub(super) struct Authorization {
    status: String,
    identifier: Identifier,
    #[serde(default, deserialize_with = "nullable")]
    challenges: Vec<Challenge>,
}

/// One way to prove it.
#[derive(Debug, Deserialize)]
struct Challenge {
    #[serde(rename = "type")]
    kind: String,
    url: Option<Url>,
    #[serde(default, deserialize_with = "nullable")]
    status: String,
    /// Challenges of other kinds have none.
    token: Option<String>,
    error: Option<Problem>,
}

/// Puts proofs up and takes them away.
pub(super) struct Proofs<'a> {
    pub validator: &'a Validator,
}

/// How far the proof of one name is.
#[derive(Debug)]
pub(super) struct Step {
    pub waiting_for: String,
    pub wait: Option<SignedDuration>,
}

impl Authorization {
    /// Whether nothing is left to prove.
    pub fn is_valid(&self) -> bool {
        self.status == "valid"
    }

    /// Whether it can never become valid again (RFC 8555, 7.1.6).
    pub fn has_ended(&self) -> bool {
        ["invalid", "expired", "deactivated", "revoked"].contains(&self.status.as_str())
    }

    /// What the server found wrong.
    pub fn problems(&self) -> Vec<Problem> {
        self.challenges
            .iter()
            .filter_map(|challenge| challenge.error.clone())
            .collect()
    }

    fn challenge(&self, kind: &str) -> Option<&Challenge> {
        self.challenges
            .iter()
            .find(|challenge| challenge.kind == kind)
    }

    fn offered(&self) -> String {
        let kinds: Vec<&str> = self
            .challenges
            .iter()
            .map(|one| one.kind.as_str())
            .collect();
        kinds.join(", ")
    }
}

impl Proofs<'_> {
    /// Does what is next for a pending authorization.
    pub async fn advance(
        &self,
        session: &mut Session,
        authorization: &Authorization,
    ) -> Result<Step, Failure> {
        let name = &authorization.identifier.value;
        let (Some(challenge), Some(proof)) = (
            authorization.challenge(self.kind()),
            self.proof(&session.key, authorization),
        ) else {
            return Err(self.not_offered(authorization));
        };
        // Also while the server looks: after a restart the proof may be gone.
        self.validator.present(&proof).await?;
        if challenge.status == "pending" {
            if let Some(whom) = self.validator.missing(&proof).await? {
                let waiting_for = format!("the proof for {name} to be seen: {whom}");
                let wait = Some(UNTIL_SEEN);
                return Ok(Step { waiting_for, wait });
            }
            tell(session, challenge).await?;
        }
        Ok(Step {
            waiting_for: format!("the validation of {name}"),
            wait: None,
        })
    }

    /// Takes away the proofs of these authorizations. What cannot be taken away is told, and holds up nothing.
    pub async fn withdraw_all(&self, session: &mut Session, authorizations: &[Url]) {
        for url in authorizations {
            let authorization = match session.read(url).await {
                Ok(answer) => parsed(&answer, "authorization"),
                Err(refusal) => Err(refusal.into()),
            };
            match authorization {
                Ok(authorization) => self.withdraw(session, &authorization).await,
                Err(failure) => tracing::warn!(%failure, "a proof of control may be left behind"),
            }
        }
    }

    /// Takes the proof of one authorization away.
    pub async fn withdraw(&self, session: &Session, authorization: &Authorization) {
        let Some(proof) = self.proof(&session.key, authorization) else {
            return;
        };
        if let Err(failure) = self.validator.withdraw(&proof).await {
            let name = &authorization.identifier.value;
            tracing::warn!(name, %failure, "a proof of control is left behind");
        }
    }

    /// The proof that the CA asks for here, if it asks for one of our kind.
    fn proof(&self, key: &AccountKey, authorization: &Authorization) -> Option<Proof> {
        let token = authorization.challenge(self.kind())?.token.as_deref()?;
        // It becomes part of a path: the base64url alphabet and nothing else (RFC 8555, 8.3).
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if token.is_empty() || !token.bytes().all(is_plain) {
            return None;
        }
        let content = key.key_authorization(token);
        let method = self.validator.method();
        Some(proof(method, &authorization.identifier, token, content))
    }

    fn kind(&self) -> &'static str {
        match self.validator.method() {
            Method::Http => "http-01",
            Method::Dns => "dns-01",
        }
    }

    fn not_offered(&self, authorization: &Authorization) -> Failure {
        super::refused(
            "prove control",
            format!(
                "the CA offers no {} for {}, but {}: choose another `validation`",
                self.kind(),
                authorization.identifier.value,
                authorization.offered()
            ),
        )
        .retry_after(super::problem::INPUT_PAUSE)
    }
}

/// Looks whether control over `identifier` could be proven, before anybody asks for it.
pub(super) async fn rehearse(
    validator: &Validator,
    identifier: &Identifier,
) -> Result<(), Failure> {
    let content = "rehearsal".to_owned();
    let proof = proof(validator.method(), identifier, "rehearsal", content);
    validator.rehearse(&proof).await
}

/// What the CA looks for (RFC 8555, 8.3 and 8.4).
fn proof(method: Method, identifier: &Identifier, token: &str, content: String) -> Proof {
    let name = identifier.value.trim_start_matches("*.");
    match method {
        Method::Http => Proof::File {
            domain: name.to_owned(),
            path: format!("/.well-known/acme-challenge/{token}"),
            content,
        },
        Method::Dns => Proof::Txt {
            name: format!("_acme-challenge.{name}"),
            value: sha256(&content),
        },
    }
}

/// Tells the server to look. One that has looked already calls that malformed: the next look at the order tells more.
async fn tell(session: &mut Session, challenge: &Challenge) -> Result<(), Failure> {
    let Some(url) = &challenge.url else {
        return Ok(());
    };
    match session.post(url, &json!({})).await {
        Err(refusal) if refusal.problem.name() == "malformed" => {
            tracing::debug!(failure = %refusal.failure, "the challenge is not pending any more");
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
        Ok(_) => Ok(()),
    }
}

/// Until a proof is looked for again: name servers take seconds to minutes to follow.
const UNTIL_SEEN: SignedDuration = SignedDuration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::dcv;
    use crate::random::SeededRandom;
    use crate::surroundings::Surroundings;

    fn validator() -> Validator {
        let surroundings = Surroundings {
            clock: Arc::new(SystemClock),
            random: Arc::new(SeededRandom::new(1)),
        };
        let listen = Vec::new();
        Validator::new(
            dcv::Settings::Http(dcv::http::Settings { listen }),
            surroundings,
        )
    }

    fn authorization(status: &str, token: &str) -> Authorization {
        serde_json::from_value(json!({
            "status": status,
            "identifier": { "type": "dns", "value": "vpn.example.com" },
            "mood": "good",
            "challenges": [
                { "type": "dns-persist-01", "url": "https://a/1", "status": "pending", "issuers": ["a"] },
                { "type": "device-attest-01", "url": "https://a/2", "status": "humming" },
                { "type": "http-01", "url": "https://a/3", "status": "pending", "token": token },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn the_one_challenge_that_we_can_answer_is_found_among_unknown_ones() {
        let key = AccountKey::generate().unwrap();
        let validator = validator();
        let proofs = Proofs {
            validator: &validator,
        };
        let proof = proofs
            .proof(&key, &authorization("pending", "to-k_en"))
            .unwrap();
        assert_eq!(
            proof,
            Proof::File {
                domain: "vpn.example.com".to_owned(),
                path: "/.well-known/acme-challenge/to-k_en".to_owned(),
                content: key.key_authorization("to-k_en"),
            }
        );
    }

    #[test]
    fn a_token_that_would_lead_elsewhere_is_no_token() {
        let key = AccountKey::generate().unwrap();
        let validator = validator();
        let proofs = Proofs {
            validator: &validator,
        };
        for token in ["", "../secret", "a/b", "a b", "a.b"] {
            let proof = proofs.proof(&key, &authorization("pending", token));
            assert_eq!(proof, None, "{token:?}");
        }
    }

    #[test]
    fn an_unknown_status_is_neither_done_nor_ended() {
        let odd = authorization("paused", "t");
        assert!(!odd.is_valid() && !odd.has_ended());
        assert!(authorization("valid", "t").is_valid());
        assert!(authorization("deactivated", "t").has_ended());
    }
}
