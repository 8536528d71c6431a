//! A small client for the tests: HTTP/1.1 over TLS, written by hand, so that nothing is shared with renewd or the simulator.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use md5::{Digest as _, Md5};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How the client proves itself.
#[derive(Debug, Clone)]
pub enum Login {
    Nothing,
    Basic,
    Bearer(String),
    /// A given Authorization header.
    Header(String),
    /// The expected algorithm and qop.
    Digest(&'static str, &'static str),
}

/// A client of one device.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    pub login: Login,
    pub user: String,
    pub password: String,
    nonce: Option<(String, u32)>,
    first_cnonce: Option<String>,
    realm: String,
    opaque: String,
    /// `stale=true` answers met.
    pub stale: u32,
}

/// One answer.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The JSON of the body, after any `%` lines.
    pub fn json(&self) -> Value {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let json: String = text.lines().filter(|line| !line.starts_with('%')).collect();
        serde_json::from_str(&json).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `info[]` member of the last entry.
    pub fn info(&self, key: &str) -> String {
        let json = self.json();
        let last = json
            .pointer("/status/info")
            .and_then(Value::as_array)
            .and_then(|info| info.last().cloned());
        last.and_then(|entry| entry.get(key).and_then(Value::as_str).map(str::to_owned))
            .unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Vec<String> {
        let of_name = |line: &&str| {
            line.to_ascii_lowercase()
                .starts_with(&format!("{}:", name.to_ascii_lowercase()))
        };
        self.head
            .lines()
            .filter(of_name)
            .filter_map(|line| line.split_once(": "))
            .map(|(_, value)| value.to_owned())
            .collect()
    }

    /// Panics with the answer when it is not a success.
    pub fn succeeded(self) -> Self {
        assert!(
            self.status == 200
                && self.json().pointer("/status/success") == Some(&Value::Bool(true)),
            "{} {}",
            self.status,
            self.text()
        );
        self
    }
}

impl Client {
    pub fn new(address: SocketAddr, login: Login) -> Self {
        Self {
            address,
            login,
            user: "renewd".to_owned(),
            password: "correct horse".to_owned(),
            nonce: None,
            first_cnonce: None,
            realm: String::new(),
            opaque: String::new(),
            stale: 0,
        }
    }

    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<HttpAnswer> {
        self.call_as(method, path, "application/json", body.as_bytes())
            .await
    }

    /// Answers one challenge, and a stale nonce at any time.
    pub async fn call_as(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> std::io::Result<HttpAnswer> {
        let target = format!("/api/sonicos{path}");
        for _ in 0..3 {
            let authorization = self.authorization(method, &target, body);
            let answer = send(
                self.address,
                method,
                &target,
                kind,
                authorization.as_deref(),
                body,
            )
            .await?;
            self.follow_next_nonce(&answer);
            let fresh = self.nonce.is_none();
            let challenge = answer.header("www-authenticate").join(", ");
            let stale = challenge.contains("stale=true");
            self.stale += u32::from(stale);
            if answer.status != 401 || !(fresh || stale) || !self.accept_challenge(&challenge) {
                return Ok(answer);
            }
        }
        Err(std::io::Error::other("challenged three times"))
    }

    fn authorization(&mut self, method: &str, target: &str, body: &[u8]) -> Option<String> {
        match self.login.clone() {
            Login::Nothing => None,
            Login::Basic => {
                let pair = format!("{}:{}", self.user, self.password);
                Some(format!(
                    "Basic {}",
                    data_encoding::BASE64.encode(pair.as_bytes())
                ))
            }
            Login::Header(header) => Some(header),
            Login::Bearer(token) => Some(format!("Bearer {token}")),
            Login::Digest(algorithm, qop) => {
                let (nonce, count) = self.nonce.as_mut()?;
                *count += 1;
                let (nonce, count) = (nonce.clone(), format!("{count:08x}"));
                let cnonce = self
                    .first_cnonce
                    .get_or_insert_with(|| format!("c{nonce}"))
                    .clone();
                Some(self.digest(
                    method,
                    target,
                    body,
                    [algorithm, qop, &nonce, &count, &cnonce],
                ))
            }
        }
    }

    fn digest(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
        [algorithm, qop, nonce, count, cnonce]: [&str; 5],
    ) -> String {
        let hash = |data: &[u8]| {
            if algorithm.starts_with("MD5") {
                hex(&Md5::digest(data))
            } else {
                hex(&Sha256::digest(data))
            }
        };
        let (user, realm, opaque) = (&self.user, &self.realm, &self.opaque);
        let mut key = hash(format!("{user}:{realm}:{}", self.password).as_bytes());
        if algorithm.ends_with("-sess") {
            key = hash(format!("{key}:{nonce}:{cnonce}").as_bytes());
        }
        let covered = if qop == "auth-int" {
            format!("{method}:{target}:{}", hash(body))
        } else {
            format!("{method}:{target}")
        };
        let response = hash(
            format!(
                "{key}:{nonce}:{count}:{cnonce}:{qop}:{}",
                hash(covered.as_bytes())
            )
            .as_bytes(),
        );
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{target}\", algorithm={algorithm}, \
             qop={qop}, nc={count}, cnonce=\"{cnonce}\", response=\"{response}\", opaque=\"{opaque}\""
        )
    }

    fn accept_challenge(&mut self, challenges: &str) -> bool {
        let Login::Digest(algorithm, _) = self.login else {
            return false;
        };
        let wanted = format!("algorithm={algorithm},");
        let Some(challenge) = challenges
            .split("Digest ")
            .find(|challenge| challenge.contains(&wanted))
        else {
            return false;
        };
        self.nonce = Some((between(challenge, "nonce=\""), 0));
        self.realm = between(challenge, "realm=\"");
        self.opaque = between(challenge, "opaque=\"");
        self.first_cnonce = None;
        true
    }

    fn follow_next_nonce(&mut self, answer: &HttpAnswer) {
        let Some(header) = answer.header("authentication-info").pop() else {
            return;
        };
        if header.starts_with("Digest ") {
            self.nonce = Some((between(&header, "nonce=\""), 0));
            self.realm = between(&header, "realm=\"");
            self.opaque = between(&header, "opaque=\"");
        } else {
            self.nonce = Some((between(&header, "nextnonce=\""), 0));
        }
        self.first_cnonce = None;
    }
}

/// The leaf that an address serves, DER.
pub async fn served_leaf(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let stream = connect(address).await?;
    let leaf = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(|leaf| leaf.to_vec());
    leaf.ok_or_else(|| std::io::Error::other("no certificate"))
}

async fn send(
    address: SocketAddr,
    method: &str,
    target: &str,
    kind: &str,
    authorization: Option<&str>,
    body: &[u8],
) -> std::io::Result<HttpAnswer> {
    let mut stream = connect(address).await?;
    let authorization = authorization
        .map(|value| format!("Authorization: {value}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\nConnection: close\r\n{authorization}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes).await;
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else {
        return Err(read
            .err()
            .unwrap_or_else(|| std::io::Error::other("no answer")));
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_default();
    Ok(HttpAnswer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    })
}

pub async fn connect(address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config))
        .connect(ServerName::from(address.ip()), stream)
        .await
}

/// The tests ask which certificate is served; whether it is trusted is not their question.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms =
            rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, leaf, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn between(text: &str, start: &str) -> String {
    let after = text
        .split_once(start)
        .map(|(_, after)| after)
        .unwrap_or_default();
    after.split('"').next().unwrap_or_default().to_owned()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
