//! A client of the shop: the path, the credentials and the envelope around the client that all CAs' tests share.

use data_encoding::BASE64;
use serde_json::{Value, json};
use simulators::resello::{Plan, Simulator};

use crate::client::{Client, HttpAnswer};

/// Places orders, and reads and changes them.
pub struct Shopper {
    client: Client,
}

/// The envelope of every answer but a file (3).
pub trait Envelope {
    /// `result`; panics with the answer when it is no success.
    fn result(&self) -> Value;

    /// `error.code`; panics with the answer when it is a success.
    fn refusal(&self) -> String;

    /// The names of the fields that are wrong.
    fn wrong_fields(&self) -> Vec<String>;
}

impl Envelope for HttpAnswer {
    fn result(&self) -> Value {
        let json = self.json();
        assert_eq!(json["success"], json!(true), "{} {json}", self.status);
        json["result"].clone()
    }

    fn refusal(&self) -> String {
        let json = self.json();
        assert_eq!(json["success"], json!(false), "{} {json}", self.status);
        let code = json["error"]["code"].as_str();
        code.unwrap_or_default().to_owned()
    }

    fn wrong_fields(&self) -> Vec<String> {
        assert_eq!(self.refusal(), "request_validation_failed");
        let json = self.json();
        let fields = json["error"]["message"].as_object().unwrap();
        fields.keys().cloned().collect()
    }
}

impl Shopper {
    pub fn new(simulator: &Simulator) -> Self {
        Self::with_key(simulator, "purchase key")
    }

    pub fn with_key(simulator: &Simulator, key: &str) -> Self {
        let credentials = BASE64.encode(format!("renewd:{key}").as_bytes());
        let authorization = format!("Basic {credentials}");
        Self {
            client: Client::new(simulator, &[("Authorization", &authorization)]),
        }
    }

    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.call("GET", path, &Value::Null).await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        self.call("POST", path, body).await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> HttpAnswer {
        self.call("DELETE", path, &Value::Null).await.unwrap()
    }

    /// As the samples of the documentation do it: JSON that is called a form (2).
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        body: &Value,
    ) -> std::io::Result<HttpAnswer> {
        let kind = "application/x-www-form-urlencoded";
        let target = format!("/api/v1{path}");
        let body = Some(body).filter(|body| !body.is_null());
        let body = body.map(Value::to_string).unwrap_or_default();
        self.client
            .send(method, &target, kind, body.as_bytes())
            .await
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
    pub async fn download(&self, id: &str, format: &str) -> HttpAnswer {
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
