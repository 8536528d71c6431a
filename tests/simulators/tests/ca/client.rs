//! A small client for the tests: HTTP/1.1 over TLS, written by hand, so that nothing is shared with renewd or the
//! simulators. It trusts only the CA of the simulator.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use simulators::ca::{Model, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A client of one CA with header fields of its own.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    pub headers: Vec<(String, String)>,
}

/// One answer.
#[derive(Debug)]
pub struct HttpAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl HttpAnswer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The certificates of a PEM body, DER.
    pub fn certificates(&self) -> Vec<Vec<u8>> {
        certificates(&self.body)
    }

    pub fn header(&self, name: &str) -> Option<String> {
        let of_name = |line: &str| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        self.head.lines().find_map(of_name)
    }
}

impl Client {
    pub fn new<M: Model>(simulator: &Simulator<M>, headers: &[(&str, &str)]) -> Self {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(simulator.ca_pem().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            address: simulator.address(),
            config: Arc::new(config),
            headers: headers.iter().map(own).collect(),
        }
    }

    pub async fn get(&self, target: &str) -> std::io::Result<HttpAnswer> {
        self.send("GET", target, "text/plain", b"").await
    }

    pub async fn post(&self, target: &str, body: &Value) -> std::io::Result<HttpAnswer> {
        let body = body.to_string();
        self.send("POST", target, "application/json", body.as_bytes())
            .await
    }

    pub async fn send(
        &self,
        method: &str,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> std::io::Result<HttpAnswer> {
        let stream = TcpStream::connect(self.address).await?;
        let mut stream = TlsConnector::from(self.config.clone())
            .connect(ServerName::from(self.address.ip()), stream)
            .await?;
        let headers = self
            .headers
            .iter()
            .fold(String::new(), |text, (name, value)| {
                text + &format!("{name}: {value}\r\n")
            });
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\nConnection: close\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes).await;
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Err(read
                .err()
                .unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into()));
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok(HttpAnswer {
            status: status.unwrap_or_default(),
            head,
            body: bytes[end + 4..].to_vec(),
        })
    }
}

/// A request for one domain with a fresh P-256 key.
pub struct Applicant {
    pub key: KeyPair,
    pub pem: String,
}

impl Applicant {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        Self { key, pem }
    }

    pub fn owns(&self, der: &[u8]) -> bool {
        parsed(der).public_key().raw == self.key.subject_public_key_info()
    }
}

pub fn parsed(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).unwrap().1
}

pub fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    CertificateDer::pem_slice_iter(pem)
        .map(|certificate| certificate.unwrap().to_vec())
        .collect()
}

/// Whether each certificate is signed by the next, and the last by itself.
pub fn is_chain(list: &[Vec<u8>]) -> bool {
    let issuers = list.iter().skip(1).chain(list.last());
    list.iter().zip(issuers).all(|(child, issuer)| {
        let issuer = parsed(issuer);
        parsed(child)
            .verify_signature(Some(issuer.public_key()))
            .is_ok()
    })
}
