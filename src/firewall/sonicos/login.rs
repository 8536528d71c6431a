//! Logging in and out (SonicOS reference 1.2). A wrong password costs exactly one failed login: firewalls lock
//! accounts after three to five (SonicOS reference 1.4).

use data_encoding::HEXLOWER_PERMISSIVE;
use digest_auth::{Algorithm, AlgorithmType};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use super::channel::{Channel, Standing, UNAUTHORIZED};
use super::envelope::{Envelope, evidence, intercepted, judge, shortened};
use super::login_level::LoginLevel;
use super::public_key::{self, Padding};
use super::relaxed_json::json_in;
use super::transport::{CredentialsIn, Request, Response};
use super::{Login, Settings, messages, totp};
use crate::clock::Clock;
use crate::failure::{Failure, FailureKind};
use crate::firewall::{KnownDevice, LONGEST_FACT, NEXT_CODE, OneTimeCodes};
use crate::sanitize::bounded;
use crate::secret::{Secret, SecretSource};

/// The device's answer to the login.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Welcome {
    /// Whether we are in configuration mode; `None` when the device does not say.
    pub(super) configuration_mode: Option<bool>,
    /// Whether the device reports that no administrator is in configuration mode.
    pub(super) is_mode_free: bool,
    /// Whether the device says that a central management has it (SonicOS reference 1.2, 6.13).
    pub(super) is_managed_centrally: bool,
    /// Our rights, as the device writes them.
    pub(super) privilege: Option<String>,
}

/// Logs in with the scheme that the settings name.
pub(super) async fn log_in(
    channel: &mut Channel,
    settings: &Settings,
    known: &KnownDevice<'_>,
    clock: &dyn Clock,
) -> Result<Welcome, Failure> {
    channel.overrides = settings.replaces_left_session && known.left_session_blocks;
    match log_in_once(channel, settings, known, clock).await {
        // A code is used up, whatever came of it: the next login, with the next code, replaces the session.
        outcome if settings.totp.is_some() || channel.overrides => outcome,
        // Only a session that renewd itself left behind is replaced. No other administrator is logged out.
        Err(failure) if failure.kind == FailureKind::Busy && settings.replaces_left_session => {
            channel.overrides = true;
            log_in_once(channel, settings, known, clock).await
        }
        outcome => outcome,
    }
}

async fn log_in_once(
    channel: &mut Channel,
    settings: &Settings,
    known: &KnownDevice<'_>,
    clock: &dyn Clock,
) -> Result<Welcome, Failure> {
    channel.show_by_digest();
    let (call, answer) = match (&settings.totp, settings.login) {
        (Some(key), _) => two_factor(channel, key, known.codes, clock).await?,
        (None, Login::Automatic) => automatic(channel).await?,
        (None, Login::Digest) => digest(channel).await?,
        (None, Login::Basic) => basic(channel).await?,
        (None, Login::PublicKey) => encrypted(channel, Padding::Oaep).await?,
        (None, Login::PublicKeyPkcs1) => encrypted(channel, Padding::Pkcs1).await?,
        (None, Login::Chap) => match chap(channel).await? {
            Chap::Answered(call, answer) => (call, answer),
            Chap::NotOffered(call, reason) => {
                return Err(call.failure(FailureKind::Refused, reason));
            }
        },
    };
    let welcome = welcome(channel, &call, &answer);
    welcome.map_err(|failure| {
        let failure = channel.without_secrets(failure);
        if answer.is_login && failure.kind == FailureKind::Unexpected {
            return failure.leaving_session();
        }
        failure
    })
}

/// Logs out. A session that is gone already is fine.
pub(super) async fn log_out(channel: &mut Channel) -> Result<(), Failure> {
    let call = Request::session(Method::DELETE, "/auth");
    let answer = channel.exchange(&call).await?;
    if answer.status == UNAUTHORIZED {
        return Ok(());
    }
    let judged = judge(&call, &answer).map(|_| ());
    judged.map_err(|failure| channel.without_secrets(failure))
}

/// Reads a secret at the moment of its use.
pub(super) fn read(source: &SecretSource) -> Result<Secret, Failure> {
    let read = source.read();
    read.map_err(|error| Failure::new(FailureKind::Local, "read a secret", error))
}

type Outcome = Result<(Request, Response), Failure>;

/// The safest that the device offers; the first request carries no credentials and so costs no login.
async fn automatic(channel: &mut Channel) -> Outcome {
    let call = login_call(&json!({ "override": channel.overrides }));
    let answer = channel.exchange(&call).await?;
    if channel.is_digest() || answer.status != UNAUTHORIZED {
        return Ok((call, answer));
    }
    if channel.floor.level > LoginLevel::Chap {
        // One that asks for nothing at all asks for nothing weaker.
        let asks = !answer.challenges().is_empty() || offers_chap(channel).await?;
        return Err(if asks {
            downgraded(channel, &call, &answer)
        } else {
            no_common_scheme(&call, &answer, channel.floor.level.name())
        });
    }
    if let Chap::Answered(call, answer) = chap(channel).await? {
        return Ok((call, answer));
    }
    let challenges = answer.challenges();
    let offers = |scheme| challenges.iter().any(|one| one.is(scheme));
    if channel.floor.level > LoginLevel::Basic {
        return Err(downgraded(channel, &call, &answer));
    }
    if offers("Digest") {
        // A device that knows digests and offers none that is safe does not get the password itself.
        let wanted = "digest with `qop`, in a form that renewd knows";
        return Err(no_common_scheme(&call, &answer, wanted));
    }
    if offers("Basic") {
        return basic(channel).await;
    }
    if offers(public_key::SCHEME) {
        return Err(call.failure(FailureKind::Refused, PADDING_UNKNOWN));
    }
    Err(no_common_scheme(&call, &answer, "digest, CHAP or Basic"))
}

async fn digest(channel: &mut Channel) -> Outcome {
    let call = login_call(&json!({ "override": channel.overrides }));
    let answer = channel.exchange(&call).await?;
    if answer.status == UNAUTHORIZED && !channel.is_digest() {
        if channel.floor.level >= LoginLevel::DigestMd5 {
            return Err(downgraded(channel, &call, &answer));
        }
        return Err(no_common_scheme(&call, &answer, "digest with `qop`"));
    }
    Ok((call, answer))
}

async fn basic(channel: &mut Channel) -> Outcome {
    let call = login_call(&json!({ "override": channel.overrides }));
    allow(channel, &call, LoginLevel::Basic)?;
    channel.stand_by(Standing::Basic);
    let answer = channel.send(&call).await?;
    let offered = answer.challenges();
    if answer.status == UNAUTHORIZED
        && !offered.is_empty()
        && !offered.iter().any(|one| one.is("Basic"))
    {
        return Err(no_common_scheme(&call, &answer, "Basic"));
    }
    Ok((call, answer))
}

/// Whether the peer gives out a challenge of CHAP; nothing is sent to ask for it.
async fn offers_chap(channel: &mut Channel) -> Result<bool, Failure> {
    let question = Request::get("/auth");
    let answer = channel.send(&question).await?;
    let judged = ChapAnswer::of(&question, &answer);
    let judged = judged.map_err(|failure| channel.without_secrets(failure))?;
    Ok(matches!(judged, ChapAnswer::Challenge { .. }))
}

enum Chap {
    Answered(Request, Response),
    /// Why there is no challenge to answer.
    NotOffered(Request, String),
}

/// CHAP with MD5. Credentials stand in the body, so a refusal is final: no challenge in it is answered.
async fn chap(channel: &mut Channel) -> Result<Chap, Failure> {
    channel.stand_by(Standing::Address);
    let question = Request::get("/auth");
    allow(channel, &question, LoginLevel::Chap)?;
    let answer = channel.send(&question).await?;
    let judged = ChapAnswer::of(&question, &answer);
    let (id, challenge) = match judged.map_err(|failure| channel.without_secrets(failure))? {
        ChapAnswer::Challenge { id, challenge } => (id, challenge),
        ChapAnswer::NotOffered(reason) => {
            channel.show_by_digest();
            return Ok(Chap::NotOffered(question, reason));
        }
    };
    let Some(digest) = chap_digest(&id, &challenge, &channel.password) else {
        let detail = format!(
            "a CHAP challenge that is not hexadecimal: {}",
            shortened(&answer.text())
        );
        return Err(question.failure(FailureKind::Unexpected, detail));
    };
    let call = Request::login("/auth", CredentialsIn::Body).json(
        &json!({ "override": channel.overrides, "id": id, "user": channel.user, "digest": digest }),
    );
    let answer = channel.send(&call).await?;
    Ok(Chap::Answered(call, answer))
}

/// What a peer says to the question for a challenge of CHAP.
enum ChapAnswer {
    Challenge {
        id: String,
        challenge: String,
    },
    /// The device itself says that it gives none, in these words.
    NotOffered(String),
}

impl ChapAnswer {
    /// Reads `answer`. What comes in the place of the device's own word says nothing of what the device offers: with less
    /// than CHAP the password itself would be sent, or an attack reported.
    fn of(question: &Request, answer: &Response) -> Result<Self, Failure> {
        let said = answer.text();
        let json = json_in(&said);
        let text = |name| {
            let value = json.as_ref().and_then(|json| json.get(name));
            value.and_then(Value::as_str).map(str::to_owned)
        };
        if let (Some(id), Some(challenge)) = (text("id"), text("challenge")) {
            return Ok(Self::Challenge { id, challenge });
        }
        if answer.status == 200 && json.is_none() {
            let busy = question.failure(
                FailureKind::Busy,
                "no CHAP challenge now: an administrator is logged in from this address",
            );
            return Err(busy
                .retry_after(CHAP_WAIT)
                .waiting_for("another administrator"));
        }
        if let Some(failure) = not_now(question, answer) {
            return Err(failure);
        }
        let said = shortened(&said);
        let is_refused = match answer.status {
            400 | UNAUTHORIZED | 404 | 405 => true,
            // Its words are the device's, with a status of their own (SonicOS reference 1.5).
            200 | 403 => json.as_ref().and_then(Envelope::of).is_some(),
            _ => false,
        };
        if is_refused {
            let reason = evidence("the device gives no CHAP challenge", answer.status, &said);
            return Ok(Self::NotOffered(reason));
        }
        let unclear = "neither a CHAP challenge nor a word of the device that it gives none";
        let detail = evidence(unclear, answer.status, &said);
        Err(question.failure(FailureKind::Unexpected, detail))
    }
}

/// A refusal that does not list the logins that the device offers. It comes from a proxy in front of the device, or
/// from a device that accepts no login at the moment.
fn not_now(call: &Request, answer: &Response) -> Option<Failure> {
    if let Some(failure) = intercepted(call, answer) {
        return Some(failure);
    }
    let said = shortened(&answer.text());
    if !matches!(answer.status, 429 | 500..) && !messages::is_full(&said) {
        return None;
    }
    let meaning = "the device takes no login now";
    let mut failure = call.failure(FailureKind::Busy, evidence(meaning, answer.status, &said));
    failure.retry_after = answer.retry_after();
    Some(failure)
}

/// MD5 over the identifier, the password and the challenge.
fn chap_digest(id: &str, challenge: &str, password: &Secret) -> Option<String> {
    let mut bytes = HEXLOWER_PERMISSIVE.decode(id.as_bytes()).ok()?;
    bytes.extend_from_slice(password.expose().as_bytes());
    bytes.extend(HEXLOWER_PERMISSIVE.decode(challenge.as_bytes()).ok()?);
    Some(Algorithm::new(AlgorithmType::MD5, false).hash(&bytes))
}

/// The password, encrypted for the key that the device shows. Credentials go once, whatever comes back.
async fn encrypted(channel: &mut Channel, padding: Padding) -> Outcome {
    channel.stand_by(Standing::Address);
    let call = login_call(&json!({ "override": channel.overrides }));
    allow(channel, &call, LoginLevel::PublicKey)?;
    let answer = channel.send(&call).await?;
    if answer.status != UNAUTHORIZED {
        return Ok((call, answer));
    }
    let challenges = answer.challenges();
    let Some(challenge) = challenges.iter().find(|one| one.is(public_key::SCHEME)) else {
        return Err(no_common_scheme(&call, &answer, public_key::SCHEME));
    };
    let proof = public_key::authorization(challenge, &channel.user, &channel.password, padding)
        .map_err(|(kind, detail)| call.failure(kind, detail))?;
    let answer = channel.send_with(&call, proof).await?;
    if answer.status != UNAUTHORIZED {
        return Ok((call, answer));
    }
    let mut failure = turned_away(&call, &answer);
    if failure.kind == FailureKind::Unauthorized {
        failure.detail.push_str(match padding {
            Padding::Oaep => {
                "; or it expects PKCS#1 v1.5 padding: that is `login = \"public-key-pkcs1\"`"
            }
            Padding::Pkcs1 => "; or it expects OAEP padding: that is `login = \"public-key\"`",
        });
    }
    Err(channel.without_secrets(failure))
}

/// Password and one-time code together; the token in the reply identifies us afterwards. A code goes once: to the device
/// a second time would be a wrong one, and those lock the account.
async fn two_factor(
    channel: &mut Channel,
    key: &SecretSource,
    codes: Option<&dyn OneTimeCodes>,
    clock: &dyn Clock,
) -> Outcome {
    let now = clock.now();
    let code = totp::code(&read(key)?, now).ok_or_else(|| {
        Failure::new(
            FailureKind::Local,
            "make a one-time code",
            format!("{key} holds no base32 TOTP key"),
        )
    })?;
    let call = Request::login("/tfa", CredentialsIn::Body).json(&json!({
        "user": channel.user, "password": channel.password.expose(), "tfa": code.expose(), "override": channel.overrides,
    }));
    let step = totp::step(now);
    if let Some(codes) = codes
        && !codes.take(step).await?
    {
        let detail = "a one-time code is good once, and the next one is not due yet";
        let busy = call.failure(FailureKind::Busy, detail);
        let next = step.saturating_add(totp::CODE_PERIOD).unwrap_or(now);
        return Err(busy
            .retry_after(now.duration_until(next))
            .waiting_for(NEXT_CODE));
    }
    let answer = channel.send(&call).await?;
    if let Some(token) = bearer_token(&answer) {
        channel.stand_by(Standing::Bearer(token));
    }
    Ok((call, answer))
}

/// The token in JSON, or in the text form `INFO: Success. BearToken: ...`.
fn bearer_token(answer: &Response) -> Option<Secret> {
    let text = answer.text();
    let in_json = json_in(&text).as_ref().and_then(Envelope::of);
    let in_json = in_json.and_then(|envelope| envelope.field("bearer_token").map(str::to_owned));
    let in_text = || {
        let (_, after) = text.split_once("BearToken:")?;
        after.split_whitespace().next().map(str::to_owned)
    };
    in_json
        .or_else(in_text)
        .filter(|token| !token.is_empty())
        .map(Secret::new)
}

fn login_call(body: &Value) -> Request {
    Request::login("/auth", CredentialsIn::Header).json(body)
}

/// Judges the last answer of a login.
fn welcome(channel: &mut Channel, call: &Request, answer: &Response) -> Result<Welcome, Failure> {
    if let Some(failure) = intercepted(call, answer) {
        return Err(failure);
    }
    if matches!(answer.status, UNAUTHORIZED | 403 | 404) {
        return Err(turned_away(call, answer));
    }
    let reply = judge(call, answer).map_err(|failure| reconsidered(failure, answer))?;
    channel.prove();
    let envelope = reply.envelope.unwrap_or_default();
    let problem = match envelope.field("auth_code") {
        Some("API_AUTH_PASSWORD_UPDATE") => {
            "the device wants this administrator's password changed before it can be used: log in once in the web interface"
        }
        Some("API_AUTH_FAILURE") => "the device refused the name or the password",
        _ => {
            return Ok(Welcome {
                is_mode_free: is_mode_unheld(&envelope),
                is_managed_centrally: envelope.flag("is_fw_managed_by_gms_actively") == Some(true),
                configuration_mode: envelope
                    .field("config_mode")
                    .map(|word| word.eq_ignore_ascii_case("yes")),
                privilege: envelope
                    .field("privilege")
                    .map(|text| bounded(text, LONGEST_FACT)),
            });
        }
    };
    Err(call.failure(FailureKind::Unauthorized, problem))
}

/// Whether the login's reply says that no administrator is in configuration mode (SonicOS reference 1.2).
fn is_mode_unheld(envelope: &Envelope) -> bool {
    let holder = envelope.field("curr_config_type");
    let address = envelope.field("curr_config_ip");
    holder.is_some_and(|holder| holder.eq_ignore_ascii_case("none"))
        && address.is_none_or(|address| ["", "0.0.0.0", "::"].contains(&address))
}

/// A login that the HTTP code refuses. The body may be empty (SonicOS reference 1.2).
fn turned_away(call: &Request, answer: &Response) -> Failure {
    let text = answer.text();
    let envelope = json_in(&text).as_ref().and_then(Envelope::of);
    let said = envelope.map_or_else(|| shortened(&text), |envelope| envelope.messages());
    let (kind, meaning) = match answer.status {
        404 => (
            FailureKind::Refused,
            "no SonicOS API here: it exists since SonicOS 6.5.1, on the HTTPS management port",
        ),
        _ if messages::is_switched_off(&said) => (
            FailureKind::Refused,
            "the device's API is switched off: enable it under Device > Settings > Administration > SonicOS API",
        ),
        _ if messages::is_full(&said) => {
            (FailureKind::Busy, "the device takes no further login now")
        }
        403 => (
            FailureKind::Unauthorized,
            "this administrator may not use the API",
        ),
        _ => (
            FailureKind::Unauthorized,
            "the device refused the name or the password",
        ),
    };
    call.failure(kind, evidence(meaning, answer.status, &said))
}

/// A refusal without its HTTP code says only in words what it is about.
fn reconsidered(mut failure: Failure, answer: &Response) -> Failure {
    if failure.kind != FailureKind::Refused {
        return failure;
    }
    let text = answer.text().to_ascii_lowercase();
    if messages::is_full(&text) {
        failure.kind = FailureKind::Busy;
    } else if [
        "unauthorized",
        "password",
        "api_auth_failure",
        "locked",
        "denied",
    ]
    .iter()
    .any(|word| text.contains(word))
    {
        failure.kind = FailureKind::Unauthorized;
    }
    failure
}

/// Refuses a login that shows more of the password than earlier ones did.
fn allow(channel: &mut Channel, call: &Request, level: LoginLevel) -> Result<(), Failure> {
    if channel.show_by(level) {
        return Ok(());
    }
    Err(downgraded(channel, call, &Response::default()))
}

/// A peer that offers less than before: an attacker on the path, or a device whose settings were changed.
/// Nothing that comes from the password was sent.
fn downgraded(channel: &Channel, call: &Request, answer: &Response) -> Failure {
    if let Some(failure) = not_now(call, answer) {
        return channel.without_secrets(failure);
    }
    let floor = channel.floor;
    let wanted = floor.level.name();
    let integrity = if floor.with_integrity {
        " with integrity protection"
    } else {
        ""
    };
    let detail = format!(
        "the peer offers only logins weaker than {wanted}{integrity}, which this firewall had before (it offers {}): no \
         credential was sent. An attacker on the network path may be asking for the password. Check the API settings \
         on the device itself; if the weaker login is wanted, name it in `minimum_login` of this firewall",
        offered(answer)
    );
    call.failure(FailureKind::LoginDowngrade, detail)
}

/// The schemes in an answer, for people.
fn offered(answer: &Response) -> String {
    let challenges = answer.challenges();
    let schemes: Vec<String> = challenges
        .iter()
        .map(|one| match one.parameter("algorithm") {
            Some(algorithm) => format!("{} {algorithm}", one.scheme),
            None => one.scheme.clone(),
        })
        .collect();
    if schemes.is_empty() {
        "nothing".to_owned()
    } else {
        shortened(&schemes.join(", "))
    }
}

fn no_common_scheme(call: &Request, answer: &Response, wanted: &str) -> Failure {
    if let Some(failure) = not_now(call, answer) {
        return failure;
    }
    let detail = format!(
        "the device offers {}, not {wanted}: choose another `login`, enable it in its API settings, or configure `totp` where \
         this account needs one-time codes",
        offered(answer)
    );
    call.failure(FailureKind::Refused, detail)
}

const PADDING_UNKNOWN: &str = "the device offers only the encrypted password (SNWL-PK-AUTH), and does not say with which padding; a \
                               wrong guess is a refused login: choose `login = \"public-key\"` for OAEP or `login = \
                               \"public-key-pkcs1\"` for PKCS#1 v1.5, as in its API settings";
const CHAP_WAIT: SignedDuration = SignedDuration::from_secs(5);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

    use super::*;

    #[test]
    fn the_chap_digest_is_md5_over_identifier_password_and_challenge() {
        // printf '\x0bpassword\xde\xad' | md5sum
        let digest = chap_digest("0b", "DEad", &Secret::new("password".to_owned()));
        assert_eq!(digest.as_deref(), Some("6af941290d2428addd3ec1fb086779cd"));
        assert_eq!(chap_digest("0b", "xy", &Secret::new(String::new())), None);
    }

    #[test]
    fn a_token_is_found_in_json_and_in_text() {
        let json = r#"{"status":{"success":true,"info":[{"level":"info","code":"E_OK","bearer_token":"t1"}]}}"#;
        assert_eq!(
            bearer_token(&Response::saying(200, json)).unwrap().expose(),
            "t1"
        );
        assert_eq!(
            bearer_token(&Response::saying(200, "INFO: Success. BearToken: t2\r\n"))
                .unwrap()
                .expose(),
            "t2"
        );
        assert!(bearer_token(&Response::saying(200, "INFO: Success.")).is_none());
    }

    #[test]
    fn an_empty_401_is_a_refused_password() {
        let failure = turned_away(&Request::get("/auth"), &Response::saying(401, ""));
        assert_eq!(failure.kind, FailureKind::Unauthorized);
    }

    #[test]
    fn a_switched_off_api_and_a_missing_one_are_no_matter_of_passwords() {
        let off = r#"{"status":{"success":false,"info":[{"level":"error","code":"E_DISABLED","message":"Service disabled."}]}}"#;
        assert_eq!(
            turned_away(&Request::get("/auth"), &Response::saying(403, off)).kind,
            FailureKind::Refused
        );
        assert_eq!(
            turned_away(&Request::get("/auth"), &Response::saying(404, "")).kind,
            FailureKind::Refused
        );
        assert_eq!(
            turned_away(&Request::get("/auth"), &Response::saying(403, "")).kind,
            FailureKind::Unauthorized
        );
    }
}
