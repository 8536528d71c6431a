//! Authorizations and their challenges. The proof is published and its visibility is verified before the server is
//! asked to validate it (RFC 8555, 7.5 and 8).

use jiff::SignedDuration;
use serde_json::{Value, json};
use url::Url;

use super::jws::{AccountKey, sha256};
use super::names::Identifier;
use super::object::{self, Object};
use super::problem::{INPUT_PAUSE, Problem};
use super::session::Session;
use crate::ca::http::Response;
use crate::dcv::{Method, Proof, Validator};
use crate::failure::{Failure, FailureKind, readable};

/// What must be proven for one name that we asked for. Statuses and challenges that are unknown are skipped.
#[derive(Debug)]
pub(super) struct Authorization {
    status: String,
    /// As we asked for it, without the `*.` of a wildcard.
    identifier: Identifier,
    challenges: Vec<Challenge>,
}

/// One way to prove it. What is missing matters only where this is the way that we take.
#[derive(Debug)]
struct Challenge {
    kind: String,
    url: Option<Url>,
    status: Option<String>,
    /// Challenges of other kinds have none.
    token: Option<String>,
    error: Option<Problem>,
}

/// Puts proofs up and takes them away.
#[derive(Clone, Copy)]
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
    /// Reads what came from `called`. One that is for none of the names that were `asked` for is refused: the CA must not
    /// choose what is written to the DNS or served.
    pub fn read(answer: &Response, called: &Url, asked: &[Identifier]) -> Result<Self, Failure> {
        let object = Object::of(answer, called, "authorization")?;
        let reported = object.member("identifier").and_then(Identifier::read);
        let reported = reported.ok_or_else(|| object.strange("no name in \"identifier\""))?;
        let identifier = asked
            .iter()
            .map(Identifier::bare)
            .find(|name| *name == reported.bare())
            .ok_or_else(|| {
                let words = format!(
                    "the CA wants a proof for {}, which was not asked for: nothing is proven",
                    readable(&reported.value)
                );
                answer.failure(FailureKind::Unexpected, words)
            })?;
        let challenges = object.list("challenges", MOST_CHALLENGES)?;
        Ok(Self {
            status: object.text("status")?,
            identifier,
            challenges: challenges
                .iter()
                .filter_map(|value| Challenge::read(value, called))
                .collect(),
        })
    }

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
        match kinds.as_slice() {
            [] => "nothing".to_owned(),
            kinds => kinds.join(", "),
        }
    }
}

impl Challenge {
    /// `None`: no kind can be read.
    fn read(value: &Value, called: &Url) -> Option<Self> {
        let text = |name: &str| object::text(value.get(name)).map(str::to_owned);
        Some(Self {
            kind: text("type")?,
            url: object::url(value.get("url"), called),
            status: text("status"),
            token: text("token"),
            error: value.get("error").and_then(Problem::read),
        })
    }

    /// Whether the server was not asked to validate it yet. A challenge without a status counts as pending: a repeated
    /// request is harmless.
    fn is_pending(&self) -> bool {
        self.status
            .as_deref()
            .is_none_or(|status| status == "pending")
    }

    /// The token, which becomes part of a path and of what is published: 8.1 allows the base64url alphabet and nothing else.
    fn token(&self) -> Result<&str, String> {
        let kind = &self.kind;
        let token = self.token.as_deref().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match token {
            "" => Err(format!("the {kind} challenge has no token")),
            token if token.len() > LONGEST_TOKEN => Err(format!(
                "the token of the {kind} challenge has more than {LONGEST_TOKEN} characters"
            )),
            token if !token.bytes().all(is_plain) => Err(format!(
                "the token of the {kind} challenge is not base64url (RFC 8555, 8.1): {token:?}"
            )),
            token => Ok(token),
        }
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
        let Some(challenge) = authorization.challenge(self.kind()) else {
            return Err(self.not_offered(authorization));
        };
        let strange = |words: String| {
            let words = format!("{name}: {words}");
            Failure::new(FailureKind::Unexpected, "prove control", words)
        };
        let proof = self
            .proof(&session.key, &authorization.identifier, challenge)
            .map_err(strange)?;
        let url = challenge.url.as_ref().ok_or_else(|| {
            let kind = self.kind();
            strange(format!("the {kind} challenge has no readable URL"))
        })?;
        session.directory.hosts.check("a challenge", url)?;
        // Also while the server validates: after a restart the proof may be gone.
        self.validator.present(&proof).await?;
        if challenge.is_pending() {
            if let Some(missing) = self.validator.missing(&proof).await? {
                let waiting_for = format!("the proof for {name} to be seen: {missing}");
                let wait = Some(UNTIL_SEEN);
                return Ok(Step { waiting_for, wait });
            }
            report(session, url).await?;
        }
        Ok(Step {
            waiting_for: format!("the validation of {name}"),
            wait: None,
        })
    }

    /// Takes the proof of one authorization away.
    pub async fn withdraw(&self, session: &Session, authorization: &Authorization) {
        let challenge = authorization.challenge(self.kind());
        let proof = challenge
            .map(|challenge| self.proof(&session.key, &authorization.identifier, challenge));
        let Some(Ok(proof)) = proof else {
            return;
        };
        if let Err(failure) = self.validator.withdraw(&proof).await {
            let name = &authorization.identifier.value;
            tracing::warn!(name, %failure, "a proof of control is left behind");
        }
    }

    /// The proof that the CA asks for by a challenge of our kind.
    fn proof(
        self,
        key: &AccountKey,
        identifier: &Identifier,
        challenge: &Challenge,
    ) -> Result<Proof, String> {
        let token = challenge.token()?;
        let content = key.key_authorization(token);
        Ok(proof(self.validator.method(), identifier, token, content))
    }

    fn kind(self) -> &'static str {
        match self.validator.method() {
            Method::Http => "http-01",
            Method::Dns => "dns-01",
        }
    }

    fn not_offered(self, authorization: &Authorization) -> Failure {
        Failure::refused(
            "prove control",
            format!(
                "the CA offers no {} for {}, but {}: choose another `validation`",
                self.kind(),
                authorization.identifier.value,
                authorization.offered()
            ),
        )
        .retry_after(INPUT_PAUSE)
    }
}

/// Checks whether control over `identifier` could be proven, before the CA asks for it.
pub(super) async fn rehearse(
    validator: &Validator,
    identifier: &Identifier,
) -> Result<(), Failure> {
    let content = "rehearsal".to_owned();
    let proof = proof(validator.method(), identifier, "rehearsal", content);
    validator.rehearse(&proof).await
}

/// The proof that the CA checks (RFC 8555, 8.3 and 8.4).
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

/// Asks the server to validate. A server that has validated already answers `malformed`, and one that does not know the
/// challenge yet answers 404. The next poll of the order shows which it is.
async fn report(session: &mut Session, url: &Url) -> Result<(), Failure> {
    match session.post(url, &json!({})).await {
        Err(refusal)
            if refusal.problem.name() == "malformed" || matches!(refusal.status, 404 | 410) =>
        {
            tracing::debug!(failure = %refusal.failure, "the challenge is not pending any more");
            Ok(())
        }
        Err(refusal) => Err(refusal.into()),
        Ok(_) => Ok(()),
    }
}

/// Until a proof is looked for again: name servers take seconds to minutes to follow.
const UNTIL_SEEN: SignedDuration = SignedDuration::from_secs(10);
/// No CA offers so many.
const MOST_CHALLENGES: usize = 50;
/// Characters. Those of all known CAs have less than a hundred.
const LONGEST_TOKEN: usize = 256;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::dcv;
    use crate::env::Env;
    use crate::random::SeededRandom;

    fn validator() -> Validator {
        let env = Env {
            clock: Arc::new(SystemClock),
            random: Arc::new(SeededRandom::new(1)),
        };
        let listen = Vec::new();
        Validator::new(dcv::Settings::Http(dcv::http::Settings { listen }), env)
    }

    fn asked() -> Vec<Identifier> {
        let name = |value: &str| Identifier {
            kind: "dns".to_owned(),
            value: value.to_owned(),
        };
        vec![name("*.example.com"), name("vpn.example.com")]
    }

    fn read(body: &Value) -> Result<Authorization, Failure> {
        let answer = Response::example("POST /a/1", 200, body.to_string().as_bytes());
        let called = "https://acme.example.com/a/1".parse().unwrap();
        Authorization::read(&answer, &called, &asked())
    }

    fn authorization(status: &str, token: &str) -> Authorization {
        read(&json!({
            "status": status,
            "identifier": { "type": "dns", "value": "vpn.example.com" },
            "mood": "good",
            "challenges": [
                { "type": "dns-persist-01", "url": "https://a/1", "status": "pending", "issuers": ["a"] },
                { "type": "device-attest-01", "url": "", "status": 7, "token": ["a"], "error": "no" },
                "tls-alpn-01",
                { "type": "http-01", "url": "../c/3", "status": "pending", "token": token },
            ],
        }))
        .unwrap()
    }

    fn proof_of(authorization: &Authorization, key: &AccountKey) -> Result<Proof, String> {
        let validator = validator();
        let proofs = Proofs {
            validator: &validator,
        };
        let challenge = authorization.challenge("http-01").unwrap();
        proofs.proof(key, &authorization.identifier, challenge)
    }

    #[test]
    fn the_one_challenge_that_we_can_answer_is_found_among_unknown_and_odd_ones() {
        let key = AccountKey::generate().unwrap();
        let authorization = authorization("pending", "to-k_en");
        assert_eq!(
            proof_of(&authorization, &key).unwrap(),
            Proof::File {
                domain: "vpn.example.com".to_owned(),
                path: "/.well-known/acme-challenge/to-k_en".to_owned(),
                content: key.key_authorization("to-k_en"),
            }
        );
        let url = authorization.challenge("http-01").unwrap().url.clone();
        assert_eq!(url.unwrap().as_str(), "https://acme.example.com/c/3");
    }

    #[test]
    fn a_token_that_would_lead_elsewhere_is_no_token() {
        let key = AccountKey::generate().unwrap();
        let long = "a".repeat(LONGEST_TOKEN + 1);
        for token in [
            "",
            "../secret",
            "a/b",
            "a b",
            "a.b",
            "a\nb",
            "ä",
            "a=",
            &long,
        ] {
            let proof = proof_of(&authorization("pending", token), &key);
            assert!(proof.is_err(), "{token:?}");
        }
        let longest = "a".repeat(LONGEST_TOKEN);
        assert!(proof_of(&authorization("pending", &longest), &key).is_ok());
    }

    #[test]
    fn an_authorization_for_a_name_that_was_not_asked_for_is_refused() {
        let of = |kind: &str, value: Value| {
            read(&json!({ "status": "pending", "identifier": { "type": kind, "value": value } }))
        };
        for good in [
            "vpn.example.com",
            "VPN.Example.com.",
            "example.com",
            "*.example.com",
        ] {
            assert!(of("dns", json!(good)).is_ok(), "{good}");
        }
        for bad in [
            "www.example.com",
            "evil.example.org",
            "vpn.example.com.evil.example.org",
            "com",
            "*.vpn.example.com.x",
            "",
        ] {
            let failure = of("dns", json!(bad)).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Unexpected, "{bad}");
        }
        assert!(of("ip", json!("vpn.example.com")).is_err());
        assert!(of("dns", json!(7)).is_err());
    }

    #[test]
    fn more_challenges_than_any_ca_has_are_refused() {
        let one = json!({ "type": "x" });
        let challenges = vec![one; MOST_CHALLENGES + 1];
        let name = json!({ "type": "dns", "value": "vpn.example.com" });
        let body = json!({ "status": "pending", "identifier": name, "challenges": challenges });
        assert!(read(&body).unwrap_err().detail.contains("51 entries"));
    }

    #[test]
    fn an_unknown_status_is_neither_done_nor_ended() {
        let odd = authorization("paused", "t");
        assert!(!odd.is_valid() && !odd.has_ended());
        assert!(authorization("valid", "t").is_valid());
        assert!(authorization("deactivated", "t").has_ended());
    }
}
