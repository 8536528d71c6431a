//! Login: the schemes of `/auth` and `/tfa`, what identifies later requests, and the lockout (SonicOS
//! reference 1.2 to 1.4). Never writes a password, token or code anywhere but into a login's own reply.

mod digest;
mod public_key;
mod totp;

use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use self::digest::{Algorithm, Check, Nonces, OPAQUE, Verdict};
use self::public_key::LoginKey;
use super::Profile;
use super::device::Device;
use super::session::Holder;
use super::switch::PublicKeyPadding;
use super::wire::{Handled, Refusal, Reply, Request};

/// The state of the device about logins.
#[derive(Debug, Default)]
pub(super) struct Gatekeeper {
    nonces: Nonces,
    /// Challenges of CHAP not answered yet: id and challenge, both hexadecimal.
    chap: Vec<(String, String)>,
    wrong_in_a_row: u32,
    locked_until: Option<OffsetDateTime>,
    last_totp_step: Option<u64>,
    login_key: LoginKey,
}

impl Device {
    /// 1.2: `POST` (or `HEAD`) `/auth`. The body or the header determines the scheme.
    pub(super) fn log_in(&mut self, request: &Request) -> Handled {
        if self.variants.totp_secret.is_some() {
            // guess: an account with a bound TOTP key cannot enter through /auth.
            return Err(Refusal::unauthorized("Two-factor authentication required."));
        }
        let body = request.json()?;
        if body.get("digest").is_some() {
            return self.log_in_with_chap(request, &body);
        }
        match authorization(request) {
            Some(("digest", header)) => match self.check_digest(request, header) {
                Ok(next_nonce) => {
                    let reply = self
                        .open_session(request, self.variants.bearer_token)?
                        .noted("digest");
                    Ok(match next_nonce {
                        Some(nonce) => {
                            reply.header("Authentication-Info", format!("nextnonce=\"{nonce}\""))
                        }
                        None => reply,
                    })
                }
                Err(reply) => Ok(*reply),
            },
            Some(("basic", credentials)) => self.log_in_with_basic(request, credentials),
            Some(("snwl-pk-auth", parameters)) => self.log_in_with_public_key(request, parameters),
            _ => Ok(self.challenge(false)),
        }
    }

    /// 1.2: `POST /tfa`; afterwards `Authorization: Bearer`.
    pub(super) fn log_in_with_totp(&mut self, request: &Request) -> Handled {
        let Some(secret) = self.variants.totp_secret.clone() else {
            return Err(Refusal::new(
                400,
                "Two-factor authentication is not enabled for this user.",
            ));
        };
        let body = request.json()?;
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let step = totp::matching_step(&secret, text("tfa"), self.now().unix_timestamp());
        let replayed = self.variants.totp_code_only_once
            && step.is_some()
            && step <= self.gatekeeper.last_totp_step;
        let right = self.is_right(text("user"), text("password")) && step.is_some() && !replayed;
        self.judge_login(right)?;
        self.gatekeeper.last_totp_step = step;
        Ok(self.open_session(request, true)?.noted("totp"))
    }

    /// 1.2: `GET /auth` fetches a CHAP challenge.
    pub(super) fn challenge_for_chap(&mut self) -> Reply {
        if !self.offers_chap() {
            return self.challenge(false);
        }
        if self.variants.chap_busy_text && self.mode.is_some_and(|holder| holder != Holder::Api) {
            return Reply::file(
                "text/plain",
                b"An administrator is already logged in.".to_vec(),
            );
        }
        let id: String = self.rng.hex(1).chars().take(2).collect();
        let challenge = self.rng.hex(2);
        self.gatekeeper.chap.push((id.clone(), challenge.clone()));
        Reply::json(json!({"id": id, "challenge": challenge}))
    }

    /// Admits a request after the login, or returns the reply that refuses it. The nonce that the client shall use
    /// next, if any, is the good result (1.2, 1.3).
    pub(super) fn admit(&mut self, request: &Request) -> Result<Option<String>, Box<Reply>> {
        let secured = self.has_session_security();
        let next_nonce = match authorization(request) {
            Some(("digest", header)) => self.check_digest(request, header)?,
            Some(("bearer", token))
                if self
                    .session
                    .as_ref()
                    .is_some_and(|session| session.token == token) =>
            {
                None
            }
            Some(("bearer", _)) => {
                return Err(Box::new(Refusal::unauthorized("Unauthorized.").into()));
            }
            _ if secured => return Err(Box::new(self.challenge(false))),
            _ if self
                .session
                .as_ref()
                .is_some_and(|session| session.source == request.peer) =>
            {
                None
            }
            _ => return Err(Box::new(self.challenge(false))),
        };
        if self.session.is_none() {
            return Err(Box::new(
                Reply::from(Refusal::unauthorized("Unauthorized.")).noted("no session"),
            ));
        }
        self.touch_session();
        Ok(next_nonce)
    }

    fn log_in_with_basic(&mut self, request: &Request, credentials: &str) -> Handled {
        if !self.offers_basic() {
            return Ok(self.challenge(false));
        }
        let decoded = BASE64
            .decode(credentials.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let right = pair.is_some_and(|(user, password)| self.is_right(user, password));
        self.judge_login(right)?;
        Ok(self.open_session_without_digest(request)?.noted("basic"))
    }

    /// 1.2: digest = hex(MD5(unhex(id) || password || unhex(challenge))).
    fn log_in_with_chap(&mut self, request: &Request, body: &Value) -> Handled {
        if !self.offers_chap() {
            return Ok(self.challenge(false));
        }
        let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
        let known = self
            .gatekeeper
            .chap
            .iter()
            .position(|(id, _)| id == text("id"));
        let Some((id, challenge)) = known.map(|index| self.gatekeeper.chap.remove(index)) else {
            return Err(Refusal::unauthorized("Unknown challenge."));
        };
        let unhex = |text: &str| {
            HEXLOWER_PERMISSIVE
                .decode(text.as_bytes())
                .unwrap_or_default()
        };
        let secret = [
            unhex(&id),
            self.settings.password.clone().into_bytes(),
            unhex(&challenge),
        ]
        .concat();
        let right = text("user") == self.settings.user
            && HEXLOWER.encode(&Md5::digest(&secret)) == text("digest").to_lowercase();
        self.judge_login(right)?;
        Ok(self.open_session_without_digest(request)?.noted("chap"))
    }

    /// 1.2: the password, encrypted with the key of the challenge. guess: an unreadable value is a wrong password.
    fn log_in_with_public_key(&mut self, request: &Request, parameters: &str) -> Handled {
        let padding = self.variants.public_key_padding;
        if padding == PublicKeyPadding::Off {
            return Ok(self.challenge(false));
        }
        let opened = self.gatekeeper.login_key.open(parameters, padding);
        let right = opened.is_some_and(|(user, password)| self.is_right(&user, &password));
        self.judge_login(right)?;
        Ok(self
            .open_session_without_digest(request)?
            .noted("public key"))
    }

    /// 1.3: after a non-digest login the reply names the digest with which later requests start.
    fn open_session_without_digest(&mut self, request: &Request) -> Handled {
        let reply = self.open_session(request, false)?;
        match self.offered_algorithms().first() {
            Some(algorithm) if self.has_session_security() => {
                let parameters = self.digest_parameters(*algorithm);
                Ok(reply.header("Authentication-Info", format!("Digest {parameters}")))
            }
            _ => Ok(reply),
        }
    }

    fn check_digest(
        &mut self,
        request: &Request,
        header: &str,
    ) -> Result<Option<String>, Box<Reply>> {
        self.refuse_while_locked()
            .map_err(|refusal| Box::new(refusal.into()))?;
        let offered = self.offered_algorithms();
        let realm = self.realm();
        let check = Check {
            method: &request.method,
            target: &request.target,
            body: &request.body,
            user: &self.settings.user,
            password: &self.settings.password,
            realm: &realm,
            offered: &offered,
            integrity: self.variants.integrity_protection,
            max_nonce: self.variants.max_nonce,
        };
        match self.gatekeeper.nonces.check(header, check) {
            Verdict::Right { nonce, .. } if self.refuses_by_chance(&nonce) => {
                self.gatekeeper.nonces.forget(&nonce);
                Err(Box::new(self.challenge(true)))
            }
            Verdict::Right { nonce, last_use } => {
                self.gatekeeper.wrong_in_a_row = 0;
                Ok(last_use.then(|| {
                    self.gatekeeper.nonces.forget(&nonce);
                    self.new_nonce()
                }))
            }
            Verdict::Stale => Err(Box::new(self.challenge(true))),
            Verdict::Wrong(reason) => {
                self.count_wrong_login();
                Err(Box::new(self.challenge(false).noted(reason)))
            }
        }
    }

    /// Only a nonce that worked before: a client that starts afresh always gets through.
    fn refuses_by_chance(&mut self, nonce: &str) -> bool {
        self.gatekeeper.nonces.uses(nonce) > 1
            && self.rng.one_in(self.variants.refused_nonce_one_in)
    }

    fn judge_login(&mut self, right: bool) -> Result<(), Refusal> {
        self.refuse_while_locked()?;
        if right {
            self.gatekeeper.wrong_in_a_row = 0;
            return Ok(());
        }
        self.count_wrong_login();
        Err(Refusal::unauthorized("Incorrect name/password"))
    }

    fn count_wrong_login(&mut self) {
        self.counters.failed_logins += 1;
        self.gatekeeper.wrong_in_a_row += 1;
        if self.variants.lockout_after > 0
            && self.gatekeeper.wrong_in_a_row >= self.variants.lockout_after
        {
            self.counters.locked_out += 1;
            self.gatekeeper.wrong_in_a_row = 0;
            self.gatekeeper.locked_until =
                Some(self.now() + Duration::minutes(i64::from(self.variants.lockout_minutes)));
        }
    }

    /// 1.4: locked after several wrong logins. guess: the text, and that it is a 401.
    fn refuse_while_locked(&self) -> Result<(), Refusal> {
        match self.gatekeeper.locked_until {
            Some(until) if self.now() < until => Err(Refusal::unauthorized("Account is locked.")),
            _ => Ok(()),
        }
    }

    fn is_right(&self, user: &str, password: &str) -> bool {
        user == self.settings.user && password == self.settings.password
    }

    /// 1.2: 401 with one or several challenges and an empty body when digest is on; else JSON.
    fn challenge(&mut self, stale: bool) -> Reply {
        let mut challenges = Vec::new();
        for algorithm in self.offered_algorithms() {
            let stale = if stale { ", stale=true" } else { "" };
            challenges.push(format!(
                "Digest {}{stale}",
                self.digest_parameters(algorithm)
            ));
        }
        let mut reply = if challenges.is_empty() {
            Refusal::unauthorized("Unauthorized.").into()
        } else {
            let note = if stale {
                "a fresh nonce is wanted"
            } else {
                "challenge"
            };
            Reply::empty(401).noted(note)
        };
        if self.offers_basic() {
            challenges.push(format!("Basic realm=\"{}\"", self.realm()));
        }
        if self.variants.public_key_padding != PublicKeyPadding::Off
            && let Some(key) = self.gatekeeper.login_key.challenge()
        {
            challenges.push(format!("SNWL-PK-AUTH {key}"));
        }
        if self.variants.challenges_in_one_header {
            challenges = vec![challenges.join(", ")];
        }
        for challenge in challenges
            .into_iter()
            .filter(|challenge| !challenge.is_empty())
        {
            reply = reply.header("WWW-Authenticate", challenge);
        }
        reply
    }

    fn digest_parameters(&mut self, algorithm: Algorithm) -> String {
        let (realm, nonce) = (self.realm(), self.new_nonce());
        let (qop, name) = (
            digest::offered_qop(self.variants.integrity_protection),
            algorithm.name(),
        );
        format!(
            "algorithm={name}, realm=\"{realm}\", qop=\"{qop}\", nonce=\"{nonce}\", opaque=\"{OPAQUE}\""
        )
    }

    fn new_nonce(&mut self) -> String {
        let nonce = self.rng.hex(2);
        self.gatekeeper.nonces.hand_out(nonce)
    }

    /// 1.2: `admin-users@A.B.C.D`.
    fn realm(&self) -> String {
        format!("admin-users@{}", self.settings.management.ip())
    }

    fn offered_algorithms(&self) -> Vec<Algorithm> {
        let profile = self.settings.profile;
        let usual = !matches!(profile, Profile::V6_5 | Profile::V8);
        let md5 = self.variants.digest_md5.unwrap_or(usual);
        let sha256 = self.variants.digest_sha256 && profile != Profile::V6_5;
        Algorithm::offered(sha256, md5, self.variants.session_variant)
    }

    fn offers_basic(&self) -> bool {
        self.variants
            .basic
            .unwrap_or(self.settings.profile != Profile::V8)
    }

    fn offers_chap(&self) -> bool {
        self.variants
            .chap
            .unwrap_or(self.settings.profile != Profile::V8)
    }

    fn has_session_security(&self) -> bool {
        self.variants
            .session_security
            .unwrap_or(matches!(self.settings.profile, Profile::V7_X | Profile::V8))
    }
}

/// The scheme, in lower case, and the rest of the `Authorization` header.
fn authorization(request: &Request) -> Option<(&'static str, &str)> {
    let (scheme, rest) = request.header("authorization")?.split_once(' ')?;
    let known = ["digest", "basic", "bearer", "snwl-pk-auth"]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))?;
    Some((known, rest.trim()))
}
