//! One conversation with the service: credentials, calls, and what its refusals mean. Decides by the code of an error
//! and only then by the HTTP status: 412 says that anything may be wrong (TLS Protect Cloud reference 3).

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::VenafiCa;
use super::settings::Login;
use super::token::Token;
use super::wire::{self, Errors, ServiceError};
use crate::ca::http::{Http, Request, Response};
use crate::failure::{Failure, FailureKind};
use crate::secret::{Secret, SecretSource};

/// A way to the service with credentials.
pub(super) struct Session<'a> {
    ca: &'a VenafiCa,
    http: Http,
    credential: Credential,
}

enum Credential {
    ApiKey(Secret),
    /// Whether it was obtained just now: then its refusal means something else than that it grew old.
    Token {
        token: Secret,
        is_fresh: bool,
    },
}

impl VenafiCa {
    /// Prepares the way; for a service account a token is obtained, unless an earlier one is still good.
    pub(super) async fn session(&self) -> Result<Session<'_>, Failure> {
        let http = Http::new(&self.settings.trust, self.settings.timeout)?;
        let credential = match &self.settings.login {
            Login::ApiKey(source) => Credential::ApiKey(secret(source, "api_key")?),
            Login::ServiceAccount { id, jwt } => self.token(&http, id, jwt).await?,
        };
        Ok(Session {
            ca: self,
            http,
            credential,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.env.clock.now()
    }

    async fn token(
        &self,
        http: &Http,
        id: &str,
        jwt: &SecretSource,
    ) -> Result<Credential, Failure> {
        if let Some(token) = self.tokens.good_at(self.now()) {
            return Ok(Credential::Token {
                token,
                is_fresh: false,
            });
        }
        let jwt = secret(jwt, "service_account.jwt")?;
        let url = address(&self.settings.url, &["v1", "oauth2", "v2.0", id, "token"])?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", jwt.expose()),
        ];
        let call = Request::reading(Method::POST, url).with_secret(&jwt);
        let answer = http.send(call, |request| request.form(&form)).await?;
        let token = self.obtained(&answer)?;
        self.tokens.keep(&token);
        Ok(Credential::Token {
            token: token.secret,
            is_fresh: true,
        })
    }

    /// The token in an answer of the token endpoint, whose body is never shown: it may hold half a token.
    fn obtained(&self, answer: &Response) -> Result<Token, Failure> {
        if matches!(answer.status, 400 | 401 | 403 | 404 | 412) {
            let words = format!(
                "{} does not accept the service account: check `service_account.id` and whether `service_account.jwt` is still valid ({})",
                host(&self.settings.url),
                answer.evidence()
            );
            return Err(answer.failure(FailureKind::Unauthorized, words));
        }
        if let Some(failure) = answer.refusal_by_status(false, self.now()) {
            return Err(failure);
        }
        let wire: wire::Token = serde_json::from_slice(&answer.body).map_err(|_| {
            let words =
                "the answer is not the JSON of an access token; does `url` lead to the API?";
            answer.failure(FailureKind::Unexpected, words)
        })?;
        if wire.access_token.len() > LONGEST_TOKEN_BYTES {
            let words = format!("an access token of more than {LONGEST_TOKEN_BYTES} bytes");
            return Err(answer.failure(FailureKind::Unexpected, words));
        }
        let lifetime = SignedDuration::from_secs(wire.expires_in.unwrap_or(0).into());
        Ok(Token {
            secret: Secret::new(wire.access_token),
            until: self
                .now()
                .saturating_add(lifetime)
                .unwrap_or(Timestamp::MIN),
        })
    }
}

impl Session<'_> {
    /// Reads something.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        let answer = self.get_raw(path, &[]).await?;
        self.accepted(&answer, false)?;
        read(&answer)
    }

    /// Reads something; the answer as it came, unless the credentials were refused or the service is busy.
    pub async fn get_raw(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Response, Failure> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let call = Request::reading(Method::GET, url);
        self.send(call, |request| request).await
    }

    /// Searches: a POST that changes nothing. With what was found comes the time of the service, where it says so.
    pub async fn search<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<(T, Option<Timestamp>), Failure> {
        let call = Request::reading(Method::POST, self.address(path)?);
        let answer = self.send(call, |request| request.json(body)).await?;
        self.accepted(&answer, false)?;
        Ok((read(&answer)?, answer.date()))
    }

    /// Sends a call that changes something. A call with an accepted but unreadable answer has been executed.
    pub async fn change<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &Value,
    ) -> Result<T, Failure> {
        let call = Request::lasting(Method::POST, self.address(path)?);
        let answer = self.send(call, |request| request.json(body)).await?;
        self.accepted(&answer, true)?;
        read(&answer).map_err(|failure| Failure {
            kind: FailureKind::OutcomeUnknown,
            ..failure
        })
    }

    /// The refusal in `answer`, if it is one.
    pub fn accepted(&self, answer: &Response, lasting: bool) -> Result<(), Failure> {
        let Some(by_status) = answer.refusal_by_status(lasting, self.ca.now()) else {
            return Ok(());
        };
        let errors = errors(answer);
        if answer.status == 401 || errors.iter().any(|e| is_about_login(e, answer.status)) {
            return Err(self.login_refused(answer, &errors));
        }
        if answer.status == 403 {
            let words = format!(
                "the account is known but has no right to do this: give it the right, or write ids instead of names for `application` and `template` ({})",
                words(answer, &errors)
            );
            return Err(answer.failure(FailureKind::Unauthorized, words));
        }
        let words = format!("HTTP {}: {}", answer.status, words(answer, &errors));
        Err(Failure {
            retry_after: by_status.retry_after,
            ..answer.failure(by_status.kind, words)
        })
    }

    fn login_refused(&self, answer: &Response, errors: &[ServiceError]) -> Failure {
        let host = host(&self.ca.settings.url);
        let said = words(answer, errors);
        match &self.credential {
            Credential::ApiKey(_) => answer.failure(
                FailureKind::Unauthorized,
                format!("{host} does not accept the API key: check `api_key`, and that `url` is of the region in which the key was made ({said})"),
            ),
            Credential::Token { is_fresh: true, .. } => answer.failure(
                FailureKind::Unauthorized,
                format!("{host} does not accept the access token that it has just given: check the rights of the service account ({said})"),
            ),
            Credential::Token { is_fresh: false, .. } => {
                self.ca.tokens.forget();
                answer.failure(
                    FailureKind::Busy,
                    format!("the access token is no longer accepted; the next call obtains another ({said})"),
                )
            }
        }
    }

    async fn send(
        &self,
        call: Request,
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder + Send,
    ) -> Result<Response, Failure> {
        let (secret, name, text) = match &self.credential {
            Credential::ApiKey(key) => (key, API_KEY, key.expose().to_owned()),
            Credential::Token { token, .. } => {
                (token, AUTHORIZATION, format!("Bearer {}", token.expose()))
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            let words = "the credential holds characters that no header can carry";
            Failure::new(FailureKind::Local, "log in", words)
        })?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let call = call.with_secret(secret);
        self.http
            .send(call, |request| prepare(request.headers(headers)))
            .await
    }

    fn address(&self, path: &[&str]) -> Result<Url, Failure> {
        address(&self.ca.settings.url, path)
    }
}

/// `base` and below it the segments of `path`, each escaped by itself.
fn address(base: &Url, path: &[&str]) -> Result<Url, Failure> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| {
            let words = format!("{base} cannot have a path");
            Failure::new(FailureKind::Local, "make an address", words)
        })?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}

/// What the service says is wrong; empty when the body is no envelope of errors.
pub(super) fn errors(answer: &Response) -> Vec<ServiceError> {
    serde_json::from_slice(&answer.body)
        .map_or_else(|_| Vec::new(), |envelope: Errors| envelope.errors)
}

fn words(answer: &Response, errors: &[ServiceError]) -> String {
    if errors.is_empty() {
        return answer.evidence();
    }
    let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// An unknown key (412) or none at all (400); the codes are used for nothing else.
fn is_about_login(error: &ServiceError, status: u16) -> bool {
    let about_header = error.message.contains("tppl-api-key") || error.message.contains("SESSION");
    error.code == Some(UNKNOWN_KEY)
        || error.code == Some(BAD_HEADER) && (about_header || status == 401)
}

/// The content of an accepted answer.
pub(super) fn read<T: DeserializeOwned>(answer: &Response) -> Result<T, Failure> {
    serde_json::from_value(answer.json()?).map_err(|error| {
        let words = format!(
            "HTTP {}: JSON of another form: {error}: {}",
            answer.status,
            answer.evidence()
        );
        answer.failure(FailureKind::Unexpected, words)
    })
}

fn secret(source: &SecretSource, key: &str) -> Result<Secret, Failure> {
    source
        .read()
        .map_err(|error| Failure::new(FailureKind::Local, format!("read `{key}`"), error))
}

pub(super) fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

const API_KEY: HeaderName = HeaderName::from_static("tppl-api-key");
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// "Invalid or missing request header".
const BAD_HEADER: i64 = 1004;
/// "Unable to find api key for key".
const UNKNOWN_KEY: i64 = 10501;
/// No server takes headers that are longer.
const LONGEST_TOKEN_BYTES: usize = 16 << 10;
