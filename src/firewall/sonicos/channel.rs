//! Authorised exchanges: puts the right `Authorization` on each request and answers digest challenges
//! (SonicOS reference 1.3). It must never send a password again that the device refused.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::BASE64;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

use super::challenge::information;
use super::digest::{self, Digester};
use super::envelope::{self, Reply};
use super::login_level::{Floor, LoginLevel};
use super::transport::{Request, Response, Transport};
use crate::body::Limits;
use crate::failure::Failure;
use crate::pki::Fingerprint;
use crate::random::Random;
use crate::secret::{self, Secret};

/// The way to a device, with what identifies us on it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about one session"
)]
#[derive(Debug)]
pub(super) struct Channel {
    transport: Transport,
    pub(super) user: String,
    pub(super) password: Secret,
    /// Whether a login may replace an open session, and take configuration mode with it.
    pub(super) overrides: bool,
    random: Arc<dyn Random>,
    standing: Standing,
    /// The least login that is accepted; nothing is sent to a peer that offers less.
    pub(super) floor: Floor,
    /// How the login showed the password; a digest names its own algorithm.
    displayed_as: Option<LoginLevel>,
    /// How the accepted login was made.
    login: Option<String>,
    /// Whether the device has accepted our credentials in this session.
    proven: bool,
    /// Whether an answer to a challenge was refused: then none is given any more.
    refused: bool,
    /// Whether management was started in this session, or it was tried.
    has_started: bool,
    /// Where the API really is.
    peer: Option<SocketAddr>,
    /// What else must never be shown, such as the passwords of transfers.
    one_time: Vec<Secret>,
}

/// What identifies us.
#[derive(Debug)]
pub(super) enum Standing {
    /// Our source address, after a login whose credentials stood in the body; nothing, before it.
    Address,
    /// HTTP Basic on every request.
    Basic,
    /// The token of a two-factor login.
    Bearer(Secret),
    /// Digest on every request.
    Digest(Digester),
}

impl Channel {
    /// A channel without standing.
    pub(super) fn new(
        transport: Transport,
        user: &str,
        password: Secret,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            transport,
            user: user.to_owned(),
            password,
            overrides: false,
            random,
            standing: Standing::Address,
            floor: Floor::NONE,
            displayed_as: None,
            login: None,
            proven: false,
            refused: false,
            has_started: false,
            peer: None,
            one_time: Vec::new(),
        }
    }

    /// From now on the device may show this certificate as well.
    pub(super) fn also_accept(&self, fingerprint: Fingerprint) {
        self.transport.also_accept(fingerprint);
    }

    /// Sends with what identifies us now, and answers no challenge.
    pub(super) async fn send(&mut self, call: &Request) -> Result<Response, Failure> {
        let authorization = self.authorization(call);
        let sent = self
            .transport
            .send(&self.bounded(call), authorization)
            .await;
        let answer = sent.map_err(|failure| self.without_secrets(failure))?;
        self.peer = answer.peer.or(self.peer);
        self.note_information(&answer);
        Ok(answer)
    }

    /// Sends a login whose credentials are valid for this request only.
    pub(super) async fn send_with(
        &mut self,
        call: &Request,
        proof: HeaderValue,
    ) -> Result<Response, Failure> {
        let sent = self.transport.send(&self.bounded(call), Some(proof)).await;
        let answer = sent.map_err(|failure| self.without_secrets(failure))?;
        self.note_information(&answer);
        Ok(answer)
    }

    /// Before the login the peer is not authenticated. Only short requests are sent until then.
    fn bounded<'a>(&self, call: &'a Request) -> Cow<'a, Request> {
        if self.proven {
            Cow::Borrowed(call)
        } else {
            Cow::Owned(call.clone().within(Limits::STRANGER))
        }
    }

    /// Sends, and answers the challenges to which an answer is no second login. After a good login a device may know the
    /// session only once management was started (SonicOS reference 1.4): that is tried once.
    pub(super) async fn exchange(&mut self, call: &Request) -> Result<Response, Failure> {
        let answer = self.exchange_as_known(call).await?;
        let is_logout = call.method == Method::DELETE && call.path == "/auth";
        if answer.status != UNAUTHORIZED || !self.proven || is_logout {
            return Ok(answer);
        }
        if self.start_management().await? {
            return self.exchange_as_known(call).await;
        }
        Ok(answer)
    }

    /// Starts management, once in a session; whether the device did.
    pub(super) async fn start_management(&mut self) -> Result<bool, Failure> {
        if std::mem::replace(&mut self.has_started, true) {
            return Ok(false);
        }
        let call = Request::session(Method::POST, "/start-management").json(&json!({}));
        let answer = self.exchange_as_known(&call).await?;
        let is_started = envelope::judge(&call, &answer).is_ok();
        // What was refused before it was no answer to a challenge.
        self.refused &= !is_started;
        Ok(is_started)
    }

    async fn exchange_as_known(&mut self, call: &Request) -> Result<Response, Failure> {
        let mut answer = self.send(call).await?;
        // More than one round only while the device says that nothing but the nonce was wrong.
        for _ in 0..MOST_ROUNDS {
            let Some(next) = self.next_digester(&answer) else {
                break;
            };
            self.standing = Standing::Digest(next);
            answer = self.send(call).await?;
            self.refused = answer.status == UNAUTHORIZED
                && !self.offer(&answer).is_some_and(|offer| offer.is_stale());
        }
        Ok(answer)
    }

    /// Sends and judges the answer to a question.
    pub(super) async fn ask(&mut self, call: &Request) -> Result<Reply, Failure> {
        let answer = self.exchange(call).await?;
        envelope::judge(call, &answer).map_err(|failure| self.without_secrets(failure))
    }

    /// Sends and takes the JSON that was asked for.
    pub(super) async fn ask_json(&mut self, call: &Request) -> Result<serde_json::Value, Failure> {
        let answer = self.exchange(call).await?;
        envelope::judge_json(call, &answer).map_err(|failure| self.without_secrets(failure))
    }

    /// From here on the device knows us by `standing`.
    pub(super) fn stand_by(&mut self, standing: Standing) {
        self.standing = standing;
    }

    /// The login goes by this method, if the peer may have so much of the password.
    pub(super) fn show_by(&mut self, level: LoginLevel) -> bool {
        self.displayed_as = Some(level);
        level >= self.floor.level
    }

    /// The login goes by a digest, or by a method that is still to be chosen.
    pub(super) fn show_by_digest(&mut self) {
        self.displayed_as = None;
    }

    /// The login was accepted; how it was made, where it showed anything.
    pub(super) fn prove(&mut self) {
        self.proven = true;
        self.login = match (&self.standing, self.displayed_as) {
            (Standing::Bearer(_), _) => Some("bearer token".to_owned()),
            (_, Some(LoginLevel::Basic)) => Some("basic".to_owned()),
            (_, Some(LoginLevel::PublicKey)) => Some("public key".to_owned()),
            (_, Some(LoginLevel::Chap)) => Some("chap".to_owned()),
            (Standing::Digest(digester), _) => Some(digester.name()),
            _ => None,
        };
    }

    /// How the login was made; `None` when the peer wanted no password.
    pub(super) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    /// Whether the login was accepted.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// The address that answered last.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// From here on `secret` is redacted in failures.
    pub(super) fn hide(&mut self, secret: &Secret) {
        self.one_time.push(secret.clone());
    }

    /// Whether every request carries a digest.
    pub(super) fn is_digest(&self) -> bool {
        matches!(self.standing, Standing::Digest(_))
    }

    /// Randomness for boundaries.
    pub(super) fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    /// The failure without a password or token that the device may have repeated.
    pub(super) fn without_secrets(&self, failure: Failure) -> Failure {
        Failure {
            detail: self.discreet(&failure.detail),
            waiting_for: failure.waiting_for.map(|holder| self.discreet(&holder)),
            ..failure
        }
    }

    /// The device's words without a password or token of ours.
    pub(super) fn discreet(&self, words: &str) -> String {
        let token = match &self.standing {
            Standing::Bearer(token) => Some(token),
            _ => None,
        };
        let known = self.one_time.iter().chain([&self.password]).chain(token);
        secret::redact(words, known)
    }

    fn authorization(&mut self, call: &Request) -> Option<HeaderValue> {
        let text = match &mut self.standing {
            Standing::Address => return None,
            Standing::Digest(digester) => {
                return digester.answer(&digest::Subject {
                    user: &self.user,
                    password: &self.password,
                    method: call.method.as_str(),
                    target: &Transport::target(call),
                    body: &call.body,
                });
            }
            Standing::Basic => {
                let pair = format!("{}:{}", self.user, self.password.expose());
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
            Standing::Bearer(token) => format!("Bearer {}", token.expose()),
        };
        let mut header = HeaderValue::from_bytes(text.as_bytes()).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    /// The digester that answers a refusal, when answering it is protocol and not a second try at a login.
    fn next_digester(&self, answer: &Response) -> Option<Digester> {
        if answer.status != UNAUTHORIZED || self.refused {
            return None;
        }
        let next = self.offer(answer)?;
        let is_protocol = match &self.standing {
            Standing::Address | Standing::Bearer(_) => true,
            Standing::Basic => self.proven,
            // Another nonce: the old one is used up (SonicOS reference 1.2).
            Standing::Digest(used) => next.is_stale() || used.nonce() != next.nonce(),
        };
        is_protocol.then_some(next)
    }

    /// The best of the digests that an answer offers.
    fn offer(&self, answer: &Response) -> Option<Digester> {
        let floor = match &self.standing {
            // Nor less than in the request before.
            Standing::Digest(used) => used.floor(),
            _ => self.floor,
        };
        Digester::best(&answer.challenges(), floor, self.random.as_ref())
    }

    /// Takes over the next nonce, or the challenge with which a device that logged us in otherwise
    /// asks for a digest from here on (SonicOS reference 1.2, 1.3).
    fn note_information(&mut self, answer: &Response) {
        let headers = answer.headers.get_all("authentication-info");
        for header in headers.iter().filter_map(|header| header.to_str().ok()) {
            let information = information(header);
            match (&mut self.standing, information.parameter("nextnonce")) {
                (Standing::Digest(digester), Some(nonce)) => digester.renew(nonce),
                (Standing::Address | Standing::Basic, None)
                    if information.is("Digest") && (200..300).contains(&answer.status) =>
                {
                    let best = Digester::best(&[information], self.floor, self.random.as_ref());
                    if let Some(digester) = best {
                        self.standing = Standing::Digest(digester);
                    }
                }
                _ => {}
            }
        }
    }
}

pub(super) const UNAUTHORIZED: u16 = 401;
const MOST_ROUNDS: usize = 3;
