//! Signed calls to an ACME server under one account, with the nonce that each of them needs (RFC 8555, 6).

use std::sync::Arc;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;
use url::Url;

use super::directory::Directory;
use super::jws::{AccountKey, Signer};
use super::object;
use super::problem::{Problem, Refusal};
use crate::ca::http::{Http, Request, Response};
use crate::failure::{Failure, FailureKind};

/// The way to one server.
#[derive(Debug)]
pub(super) struct Session {
    pub http: Http,
    pub directory: Arc<Directory>,
    pub key: AccountKey,
    /// The account's URL; `None` while it is being made.
    pub account: Option<String>,
    pub now: Timestamp,
    nonce: Option<String>,
}

impl Session {
    /// A session that has sent no request yet.
    pub fn new(http: Http, directory: Arc<Directory>, key: AccountKey, now: Timestamp) -> Self {
        Self {
            http,
            directory,
            key,
            account: None,
            now,
            nonce: None,
        }
    }

    /// Reads what is at `url` (POST-as-GET, RFC 8555 6.3).
    pub async fn read(&mut self, url: &Url) -> Result<Response, Refusal> {
        self.call(url, None).await
    }

    /// Sends `payload` to `url`.
    pub async fn post(&mut self, url: &Url, payload: &Value) -> Result<Response, Refusal> {
        self.call(url, Some(payload)).await
    }

    async fn call(&mut self, url: &Url, payload: Option<&Value>) -> Result<Response, Refusal> {
        // The one way to the server, so that no URL that it names leads elsewhere.
        self.directory.hosts.check("a further call", url)?;
        let mut refused_nonces = 0;
        loop {
            let nonce = self.nonce().await.map_err(Failure::before_request)?;
            let answer = self.send(url, payload, &nonce).await?;
            self.nonce = nonce_of(&answer.headers);
            let Some(refusal) = Refusal::of(&answer, payload.is_some(), self.now) else {
                return Ok(answer);
            };
            // Not a retry: the server has looked at nothing but the nonce, and has given a new one (RFC 8555, 6.5).
            refused_nonces += 1;
            if refusal.problem.name() != "badNonce" || refused_nonces >= REFUSED_NONCES {
                return Err(refusal);
            }
        }
    }

    async fn send(
        &self,
        url: &Url,
        payload: Option<&Value>,
        nonce: &str,
    ) -> Result<Response, Failure> {
        let signer = self.account.as_deref().map_or(Signer::Key, Signer::Account);
        let body = self.key.sign(signer, nonce, url.as_str(), payload)?;
        let call = match payload {
            Some(_) => Request::lasting(Method::POST, url.clone()),
            None => Request::reading(Method::POST, url.clone()),
        };
        let body = body.to_string();
        self.http
            .send(call, |request| {
                request
                    .header(CONTENT_TYPE, "application/jose+json")
                    .body(body)
            })
            .await
    }

    /// The nonce of the last answer, or a new one (RFC 8555, 7.2).
    async fn nonce(&mut self) -> Result<String, Failure> {
        if let Some(nonce) = self.nonce.take() {
            return Ok(nonce);
        }
        let call = Request::reading(Method::HEAD, self.directory.new_nonce.clone());
        let answer = self.http.send(call, |request| request).await?;
        if let Some(failure) = answer.refusal_by_status(false, self.now) {
            return Err(failure);
        }
        nonce_of(&answer.headers).ok_or_else(|| {
            answer.failure(FailureKind::Unexpected, "there is no Replay-Nonce in it")
        })
    }
}

impl From<Failure> for Refusal {
    /// A call without an answer.
    fn from(failure: Failure) -> Self {
        Self {
            status: 0,
            problem: Problem::default(),
            failure,
        }
    }
}

/// The URL of what was made by a call of `called`.
pub(super) fn location(answer: &Response, called: &Url) -> Result<Url, Failure> {
    answer
        .headers
        .get("location")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| object::resolved(text, called))
        .ok_or_else(|| {
            let detail = format!("there is no URL in its Location: {}", answer.evidence());
            answer.failure(FailureKind::Unexpected, detail)
        })
}

/// The nonce of an answer; one that is not base64url is none (RFC 8555, 6.5.1).
pub(super) fn nonce_of(headers: &HeaderMap) -> Option<String> {
    let nonce = headers.get("replay-nonce")?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=".contains(&byte);
    let is_bearable = (1..=LONGEST_NONCE).contains(&nonce.len()) && nonce.bytes().all(is_plain);
    is_bearable.then(|| nonce.to_owned())
}

/// A server that refuses so many nonces of its own in one go is out of order; one that refuses every second good nonce
/// to try its clients is not.
const REFUSED_NONCES: u32 = 12;
/// Characters.
const LONGEST_NONCE: usize = 1000;
