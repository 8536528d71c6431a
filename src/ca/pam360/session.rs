//! Calls of the interface: how each is put on the wire (PAM360 reference 1, 3). Independent of orders.

use jiff::Timestamp;
use reqwest::header::HeaderValue;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use url::Url;

use super::envelope::{Envelope, text};
use super::settings::{Encoding, InputData, Settings, Signer};
use crate::ca::http::{Http, Request, Response};
use crate::failure::{Failure, FailureKind};
use crate::pki::Csr;
use crate::secret::Secret;

/// A handful of calls for one purpose. The token is read once for all of them.
pub(super) struct Session<'a> {
    pub settings: &'a Settings,
    /// When it began.
    pub now: Timestamp,
    http: Http,
    token: Secret,
}

impl<'a> Session<'a> {
    /// Reads the token and the files of the trust; nothing is sent yet.
    pub fn new(settings: &'a Settings, now: Timestamp) -> Result<Self, Failure> {
        let local = |words: String| Failure::new(FailureKind::Local, "read the token", words);
        let token = settings
            .token
            .read()
            .map_err(|error| local(error.to_string()))?;
        if HeaderValue::from_str(token.expose()).is_err() {
            let words = format!(
                "{}: it contains characters that a token cannot have",
                settings.token
            );
            return Err(local(words));
        }
        Ok(Self {
            settings,
            now,
            http: Http::new(&settings.trust, settings.timeout)?,
            token,
        })
    }

    /// A GET; its input goes into the query.
    pub async fn read(&self, operation: &str, details: &Value) -> Result<Response, Failure> {
        let mut url = self.url(operation);
        url.query_pairs_mut()
            .append_pair(INPUT_DATA, &input(details));
        self.send(Request::reading(Method::GET, url), |request| request)
            .await
    }

    /// Asks for a stored certificate; the answer differs from build to build.
    pub async fn certificate(
        &self,
        common_name: &str,
        serial_number: &str,
        file_type: &str,
    ) -> Result<Response, Failure> {
        let mut details = json!({ "common_name": common_name, "serial_number": serial_number });
        if !file_type.is_empty() {
            details["fileType"] = file_type.into();
        }
        self.read("getCertificate", &details).await
    }

    /// Asks for the list of all stored certificates.
    pub async fn list_certificates(&self) -> Result<Vec<Value>, Failure> {
        self.list("getAllSSLCertificates", "list the certificates")
            .await
    }

    /// Asks `operation` for all of its rows.
    pub async fn list(&self, operation: &str, what: &str) -> Result<Vec<Value>, Failure> {
        // Nothing but the size of an answer that comes is unexpected before it is read.
        let answer = self.read(operation, &json!({})).await.map_err(|failure| {
            if failure.kind != FailureKind::Unexpected {
                return failure;
            }
            let words = format!("{}: {}", failure.detail, self.remedy_for_length());
            Failure::new(FailureKind::Unexpected, failure.call, words)
        })?;
        let envelope = self.open(&answer, false)?;
        envelope.rows(&answer, what, &self.remedy_for_length())
    }

    /// What helps against a list that is too long. No parameter for a part of it is documented (PAM360 reference 3 and 9).
    fn remedy_for_length(&self) -> String {
        format!(
            "no part of this list can be asked for, and nothing is ordered without all of it: delete expired certificates and old CSRs in {}, or give renewd an API user that sees fewer of them",
            self.settings.product.name()
        )
    }

    /// Asks for a stored CSR.
    pub async fn export_csr(&self, csr_id: &str) -> Result<Response, Failure> {
        let details = json!({ "CSR_ID": self.csr_id(csr_id), "fileType": "CSR" });
        self.read("exportCSR", &details).await
    }

    /// Stores `csr` under the name of a file; doing so twice is harmless.
    pub async fn import_csr(&self, csr: &Csr, name: &str) -> Result<(Response, Envelope), Failure> {
        let details = match &self.settings.expiry_email {
            Some(address) => json!({ "Email": address }),
            None => json!({}),
        };
        let file = Part::text(csr.to_pem()).file_name(format!("{name}.csr"));
        let mut form = Form::new().part("CSR", file);
        let mut url = self.url("importCSR");
        match self.settings.dialect.input_data {
            InputData::Form => form = form.text(INPUT_DATA, input(&details)),
            InputData::Query => add_input(&mut url, &details),
        }
        let call = Request::lasting(Method::POST, url);
        let answer = self.send(call, |request| request.multipart(form)).await?;
        let envelope = self.open(&answer, true)?;
        Ok((answer, envelope))
    }

    /// Has a stored CSR signed: the one call that cannot be taken back.
    pub async fn sign_csr(&self, csr_id: &str) -> Result<(Response, Envelope), Failure> {
        let details = self.signing_details(csr_id);
        let mut url = self.url("signCSR");
        let limit = self.settings.timeout + self.settings.agents_limit();
        let answer = match self.settings.dialect.input_data {
            InputData::Form => {
                let call = Request::lasting(Method::POST, url);
                let form = [(INPUT_DATA, input(&details))];
                self.send(call, |request| request.form(&form).timeout(limit))
                    .await?
            }
            InputData::Query => {
                add_input(&mut url, &details);
                let call = Request::lasting(Method::POST, url);
                self.send(call, |request| request.timeout(limit)).await?
            }
        };
        let envelope = self.open(&answer, true)?;
        Ok((answer, envelope))
    }

    /// Reads an answer's envelope.
    pub fn open(&self, answer: &Response, lasting: bool) -> Result<Envelope, Failure> {
        Envelope::open(answer, self.settings.product, lasting, self.now)
    }

    async fn send(
        &self,
        call: Request,
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder + Send,
    ) -> Result<Response, Failure> {
        let call = call.with_secret(&self.token);
        self.http
            .send(call, |request| {
                let mut request = prepare(request);
                if let Ok(mut token) = HeaderValue::from_str(self.token.expose()) {
                    token.set_sensitive(true);
                    request = request.header("AUTHTOKEN", token);
                }
                match &self.settings.organization {
                    Some(name) => request.header("orgName", name.as_bytes()),
                    None => request,
                }
            })
            .await
    }

    fn url(&self, operation: &str) -> Url {
        let mut url = self.settings.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .extend(["api", "pki", "restapi", operation]);
        }
        url
    }

    /// The input of signCSR (PAM360 reference 4).
    fn signing_details(&self, csr_id: &str) -> Value {
        let Settings {
            signer,
            validity_days,
            is_intermediate,
            dialect,
            ..
        } = self.settings;
        let mut details = match signer {
            Signer::Root {
                common_name,
                serial_number,
            } => json!({
                "signType": "signWithRoot",
                "rootCertificateCommonName": common_name,
                "rootCertificateSerialNumber": serial_number,
            }),
            Signer::Msca(ca) | Signer::MscaUsingAgent { ca, .. } => json!({
                "signType": "MSCA",
                "serverName": ca.server,
                "caName": ca.name,
                "templateName": ca.template,
            }),
        };
        if let Signer::MscaUsingAgent {
            agent,
            response_timeout,
            ..
        } = signer
        {
            details["signType"] = "MSCAusingAgent".into();
            details["agentName"] = agent.as_str().into();
            details["agentResponseTimeout"] = response_timeout.as_secs().into();
        }
        details["Validity"] = encoded(&(*validity_days).into(), dialect.validity);
        details["isIntermediate"] = encoded(&(*is_intermediate).into(), dialect.is_intermediate);
        details["CSR_ID"] = self.csr_id(csr_id);
        details
    }

    fn csr_id(&self, csr_id: &str) -> Value {
        // What is no number can only be sent as text.
        match (self.settings.dialect.csr_id, csr_id.parse::<u64>()) {
            (Encoding::Plain, Ok(number)) => number.into(),
            _ => csr_id.into(),
        }
    }
}

fn add_input(url: &mut Url, details: &Value) {
    url.query_pairs_mut()
        .append_pair(INPUT_DATA, &input(details));
}

fn input(details: &Value) -> String {
    json!({ "operation": { "Details": details } }).to_string()
}

fn encoded(value: &Value, encoding: Encoding) -> Value {
    match encoding {
        Encoding::Plain => value.clone(),
        Encoding::Text => text(value).unwrap_or_else(|| value.to_string()).into(),
    }
}

const INPUT_DATA: &str = "INPUT_DATA";
