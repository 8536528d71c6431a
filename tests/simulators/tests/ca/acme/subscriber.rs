//! An ACME client for the tests (RFC 8555): it signs, assumes nothing, and repeats requests after badNonce.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};
use simulators::acme::Simulator;

use crate::client::{Client, HttpAnswer};

/// A key with an account, or without one yet.
pub struct Subscriber {
    pub client: Client,
    pub base: String,
    pub account: Option<String>,
    key: EcdsaKeyPair,
}

impl Subscriber {
    pub fn new(simulator: &Simulator) -> Self {
        Self {
            client: Client::new(simulator, &[]),
            base: simulator.url(),
            account: None,
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    /// With an account.
    pub async fn registered(simulator: &Simulator) -> Self {
        let mut subscriber = Self::new(simulator);
        let answer = subscriber
            .post("/new-account", &json!({"termsOfServiceAgreed": true}))
            .await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        subscriber.account = answer.header("location");
        subscriber
    }

    pub fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let coordinate = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        json!({"crv": "P-256", "kty": "EC", "x": coordinate(&point[1..33]), "y": coordinate(&point[33..])})
    }

    pub fn key_authorization(&self, token: &str) -> String {
        let jwk = self.jwk();
        let canonical = format!(
            r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#,
            jwk["x"], jwk["y"]
        );
        let thumbprint = digest(&SHA256, canonical.as_bytes());
        format!("{token}.{}", BASE64URL_NOPAD.encode(thumbprint.as_ref()))
    }

    pub async fn nonce(&self) -> String {
        let answer = self.client.get("/new-nonce").await.unwrap();
        assert_eq!(answer.status, 204);
        answer.header("replay-nonce").unwrap()
    }

    /// The protected header of a good request.
    pub async fn header(&self, path: &str) -> Value {
        let mut header = json!({"alg": "ES256", "nonce": self.nonce().await, "url": format!("{}{path}", self.base)});
        match &self.account {
            Some(kid) => header["kid"] = json!(kid),
            None => header["jwk"] = self.jwk(),
        }
        header
    }

    pub fn sign(&self, header: &Value, payload: &str) -> Value {
        let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let (protected, payload) = (part(&header.to_string()), part(payload));
        let signed = format!("{protected}.{payload}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = BASE64URL_NOPAD.encode(signature.unwrap().as_ref());
        json!({"protected": protected, "payload": payload, "signature": signature})
    }

    /// As it is, once.
    pub async fn send(&self, path: &str, jws: &Value) -> HttpAnswer {
        let body = jws.to_string();
        self.client
            .send("POST", path, "application/jose+json", body.as_bytes())
            .await
            .unwrap()
    }

    pub async fn post(&self, path: &str, payload: &Value) -> HttpAnswer {
        self.signed(path, &payload.to_string()).await
    }

    /// POST-as-GET.
    pub async fn read(&self, path: &str) -> HttpAnswer {
        self.signed(path, "").await
    }

    async fn signed(&self, path: &str, payload: &str) -> HttpAnswer {
        let path = path.strip_prefix(&self.base).unwrap_or(path);
        for _ in 0..3 {
            let header = self.header(path).await;
            let answer = self.send(path, &self.sign(&header, payload)).await;
            if problem(&answer) != "badNonce" {
                return answer;
            }
        }
        panic!("three nonces in a row were refused");
    }

    pub fn binding(&self, kid: &str, key: &[u8], path: &str) -> Value {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let url = format!("{}{path}", self.base);
        let protected = part(&json!({"alg": "HS256", "kid": kid, "url": url}));
        let payload = part(&self.jwk());
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let tag = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        json!({"protected": protected, "payload": payload, "signature": BASE64URL_NOPAD.encode(tag.as_ref())})
    }

    /// Orders; the URL of the order.
    pub async fn order(&self, names: &[&str]) -> String {
        let answer = self.post("/new-order", &names_body(names)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.header("location").unwrap()
    }

    /// An order's first authorization.
    pub async fn authorization(&self, order: &str) -> Value {
        let order = self.read(order).await.json();
        let url = order["authorizations"][0].as_str().unwrap();
        self.read(url).await.json()
    }

    /// The challenge of this type of an order's first authorization.
    pub async fn challenge(&self, order: &str, kind: &str) -> Value {
        let order = self.read(order).await.json();
        let authorization = self
            .read(order["authorizations"][0].as_str().unwrap())
            .await;
        let challenges = authorization.json()["challenges"].clone();
        let mut challenges = challenges.as_array().unwrap().iter();
        challenges.find(|one| one["type"] == kind).unwrap().clone()
    }

    /// Answers a challenge, and polls the order until its status is final.
    pub async fn prove(&self, order: &str, challenge: &Value) -> Value {
        let answer = self
            .post(challenge["url"].as_str().unwrap(), &json!({}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.settled(order, "pending").await
    }

    /// The same for every name of an order whose challenges always succeed.
    pub async fn prove_all(&self, order: &str) {
        let authorizations = self.read(order).await.json()["authorizations"].clone();
        for url in authorizations.as_array().unwrap() {
            let authorization = self.read(url.as_str().unwrap()).await.json();
            let challenge = authorization["challenges"][0]["url"].clone();
            self.post(challenge.as_str().unwrap(), &json!({})).await;
        }
        assert_eq!(self.settled(order, "pending").await["status"], "ready");
    }

    /// Looks at an order until its status is another.
    pub async fn settled(&self, order: &str, passing: &str) -> Value {
        loop {
            let order = self.read(order).await.json();
            if order["status"] != passing {
                return order;
            }
            tokio::task::yield_now().await;
        }
    }

    pub async fn finalize(&self, order: &str, request: &Request) -> HttpAnswer {
        let csr = json!({"csr": BASE64URL_NOPAD.encode(&request.der)});
        self.post(&format!("{order}/finalize"), &csr).await
    }

    /// A whole order where every challenge succeeds. Returns the list of certificates.
    pub async fn issued(&self, names: &[&str]) -> Vec<Vec<u8>> {
        let order = self.order(names).await;
        let challenge = self.challenge(&order, "http-01").await;
        assert_eq!(self.prove(&order, &challenge).await["status"], "ready");
        let answer = self.finalize(&order, &Request::new(names)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let order = self.settled(&order, "processing").await;
        self.download(&order).await
    }

    pub async fn download(&self, order: &Value) -> Vec<Vec<u8>> {
        let answer = self.read(order["certificate"].as_str().unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.certificates()
    }
}

/// A request for certificates with a fresh P-256 key.
pub struct Request {
    pub key: KeyPair,
    pub der: Vec<u8>,
}

impl Request {
    /// The first name is the CN too.
    pub fn new(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let alternate: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(alternate).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, names[0]);
        params
            .distinguished_name
            .push(DnType::OrganizationName, "Example");
        let der = params.serialize_request(&key).unwrap().der().to_vec();
        Self { key, der }
    }
}

pub fn names_body(names: &[&str]) -> Value {
    let identifier = |name: &&str| {
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        json!({"type": if is_address { "ip" } else { "dns" }, "value": name})
    };
    json!({"identifiers": names.iter().map(identifier).collect::<Vec<_>>()})
}

/// The last part of a problem's type; empty when it is none.
pub fn problem(answer: &HttpAnswer) -> String {
    let kind = answer.json()["type"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    kind.strip_prefix("urn:ietf:params:acme:error:")
        .unwrap_or_default()
        .to_owned()
}
