//! The members of the service's answers that renewd reads (TLS Protect Cloud reference 3, 4 and 7). Unknown members are
//! skipped, `null` counts as absent, and open sets of words stay strings.

use serde::Deserialize;
use serde_json::Value;

use crate::ca::http::nullable;

/// The envelope of errors.
#[derive(Debug, Deserialize)]
pub(super) struct Errors {
    pub errors: Vec<ServiceError>,
}

/// One error; also what became of a failed request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServiceError {
    pub code: Option<i64>,
    #[serde(deserialize_with = "nullable")]
    pub message: String,
    /// Anything, also lists within lists.
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Application {
    pub id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub certificate_issuing_template_alias_id_map: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Templates {
    #[serde(default, deserialize_with = "nullable")]
    pub certificate_issuing_templates: Vec<Template>,
}

/// An issuing template. A list that is missing says nothing; an empty one allows nothing.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Template {
    #[serde(deserialize_with = "nullable")]
    pub id: String,
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    #[serde(deserialize_with = "nullable")]
    pub status: String,
    pub reason: Option<String>,
    pub certificate_authority: Option<String>,
    pub validity_period: Option<String>,
    pub product: Option<Product>,
    pub csr_upload_allowed: Option<bool>,
    pub key_reuse: Option<bool>,
    pub key_types: Option<Vec<KeyType>>,
    #[serde(rename = "subjectCNRegexes")]
    pub subject_cn_regexes: Option<Vec<String>>,
    #[serde(rename = "subjectORegexes")]
    pub subject_o_regexes: Option<Vec<String>>,
    #[serde(rename = "subjectOURegexes")]
    pub subject_ou_regexes: Option<Vec<String>>,
    #[serde(rename = "subjectSTRegexes")]
    pub subject_st_regexes: Option<Vec<String>>,
    #[serde(rename = "subjectLRegexes")]
    pub subject_l_regexes: Option<Vec<String>>,
    #[serde(rename = "subjectCValues")]
    pub subject_c_values: Option<Vec<String>>,
    pub san_regexes: Option<Vec<String>>,
    pub san_ip_address_regexes: Option<Vec<String>>,
    #[serde(rename = "sanRfc822NameRegexes")]
    pub san_rfc822_name_regexes: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Product {
    pub validity_period: Option<String>,
}

/// A kind of key that a template takes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct KeyType {
    #[serde(rename = "keyType", default, deserialize_with = "nullable")]
    pub algorithm: String,
    #[serde(rename = "keyLengths", default, deserialize_with = "nullable")]
    pub lengths: Vec<u32>,
    #[serde(rename = "keyCurves", default, deserialize_with = "nullable")]
    pub curves: Vec<String>,
}

/// A certificate request: answer of the POST, of the single GET, and, with fewer members, of a search.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateRequest {
    pub id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub status: String,
    #[serde(default, deserialize_with = "nullable")]
    pub certificate_ids: Vec<String>,
    pub certificate_signing_request: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub certificate_usage_metadata: Vec<Usage>,
    pub error_information: Option<ServiceError>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Usage {
    pub node_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateRequests {
    /// In a search: how many there are on all pages.
    pub num_found: Option<usize>,
    #[serde(default, deserialize_with = "nullable")]
    pub certificate_requests: Vec<CertificateRequest>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Certificates {
    #[serde(default, deserialize_with = "nullable")]
    pub certificates: Vec<Record>,
}

/// A certificate in the inventory.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    pub id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub fingerprint: String,
    #[serde(default, deserialize_with = "nullable")]
    pub certificate_status: String,
    #[serde(default, deserialize_with = "nullable")]
    pub version_type: String,
}

/// `GET /v1/useraccounts`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct UserAccount {
    pub user: Option<User>,
    pub company: Option<Company>,
    pub api_key: Option<ApiKey>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub username: Option<String>,
    pub email_address: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Company {
    pub name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKey {
    pub username: Option<String>,
    pub validity_end_date: Option<String>,
}

/// The answer of the token endpoint.
#[derive(Deserialize)]
pub(super) struct Token {
    pub access_token: String,
    /// Seconds.
    pub expires_in: Option<u32>,
}

impl std::fmt::Display for ServiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &*self.message {
            "" => "an error without words",
            message => message,
        })?;
        if let Some(code) = self.code {
            write!(f, " (code {code})")?;
        }
        // What the message says already needs no repetition.
        let args: Vec<String> = self
            .args
            .iter()
            .map(|arg| arg.as_str().map_or_else(|| arg.to_string(), str::to_owned))
            .filter(|arg| !self.message.contains(arg.as_str()))
            .collect();
        if !args.is_empty() {
            write!(f, ": {}", args.join(", "))?;
        }
        Ok(())
    }
}

/// A moment in any of the three spellings that occur: `+0000`, `+00:00` and `Z` (TLS Protect Cloud reference 4.3).
pub(super) fn moment(text: &str) -> Option<jiff::Timestamp> {
    text.parse().ok()
}
