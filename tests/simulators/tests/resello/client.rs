//! A small client for the tests: HTTP/1.1 over verified TLS, written by hand, so that nothing is shared with renewd or the
//! simulator.

use std::sync::Arc;

use data_encoding::BASE64;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use simulators::resello::{Plan, Simulator};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A client of one shop.
pub struct Client<'a> {
    pub simulator: &'a Simulator,
    pub key: String,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `result`; panics with the answer when it is no success.
    pub fn result(&self) -> Value {
        let json = self.json();
        assert_eq!(json["success"], json!(true), "{} {json}", self.status);
        json["result"].clone()
    }

    /// `error.code`; panics with the answer when it is a success.
    pub fn refusal(&self) -> String {
        let json = self.json();
        assert_eq!(json["success"], json!(false), "{} {json}", self.status);
        json["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The names of the fields that are wrong.
    pub fn wrong_fields(&self) -> Vec<String> {
        assert_eq!(self.refusal(), "request_validation_failed");
        let json = self.json();
        let fields = json["error"]["message"].as_object().unwrap();
        fields.keys().cloned().collect()
    }
}

impl<'a> Client<'a> {
    pub fn new(simulator: &'a Simulator) -> Self {
        Self {
            simulator,
            key: "purchase key".to_owned(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &Value::Null).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, body).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &Value::Null).await.unwrap()
    }

    pub async fn call(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Answer> {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let address = self.simulator.address();
        let credentials = BASE64.encode(format!("renewd:{}", self.key).as_bytes());
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {credentials}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let roots = CertificateDer::from_pem_slice(self.simulator.ca_pem().as_bytes()).unwrap();
        let mut store = RootCertStore::empty();
        store.add(roots).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(store)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::from(address.ip()), stream)
            .await?;
        stream.write_all(format!("{head}{body}").as_bytes()).await?;
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes).await;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(end) = end else {
            return Err(read
                .err()
                .unwrap_or_else(|| std::io::Error::other("no answer")));
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok(Answer {
            status: status.unwrap_or_default(),
            head,
            body: bytes[end + 4..].to_vec(),
        })
    }

    /// Buys with the fields of [`purchase`]; the order's id.
    pub async fn buy(&self, csr: &str) -> String {
        let answer = self.post("/ssl-certificate", &purchase(csr)).await;
        answer.result()["id"].as_str().unwrap().to_owned()
    }

    /// The status of an order.
    pub async fn status(&self, id: &str) -> String {
        let answer = self.get(&format!("/ssl-certificate/{id}")).await;
        answer.result()["status"].as_str().unwrap().to_owned()
    }

    /// Buys and waits until it is active.
    pub async fn buy_active(&self, csr: &str) -> String {
        let id = self.buy(csr).await;
        self.until_active(&id).await;
        id
    }

    pub async fn until_active(&self, id: &str) {
        for _ in 0..10 {
            if self.status(id).await == "active" {
                return;
            }
        }
        panic!("order {id} does not become active");
    }

    /// A downloaded file.
    pub async fn download(&self, id: &str, format: &str) -> Answer {
        self.get(&format!("/ssl-certificate/{id}/download-{format}"))
            .await
    }
}

/// The least that a DV plan takes.
pub fn purchase(csr: &str) -> Value {
    json!({
        "csr": csr,
        "dcv_type": "DNS",
        "plan": Plan::domain_validated().id,
        "client_reference": "fw01/#1",
    })
}
