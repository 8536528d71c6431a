//! The directory: where an ACME server takes which request, and what it tells of itself (RFC 8555, 7.1.1).

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;
use url::Url;

use super::Settings;
use crate::ca::http::{Answer, Call, Http, nullable};
use crate::failure::{Failure, FailureKind};

/// What the directory names. Further entries are skipped.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub new_nonce: Url,
    pub new_account: Url,
    pub new_order: Url,
    /// Where renewal windows are told (RFC 9773).
    pub renewal_info: Option<Url>,
    #[serde(default, deserialize_with = "nullable")]
    pub meta: Meta,
}

/// What the CA tells of itself.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub terms_of_service: Option<String>,
    #[serde(deserialize_with = "nullable")]
    pub external_account_required: bool,
    /// Names and what each is about.
    #[serde(deserialize_with = "nullable")]
    pub profiles: BTreeMap<String, serde_json::Value>,
}

impl Directory {
    /// Asks for it.
    pub async fn fetch(
        http: &Http,
        settings: &Settings,
        now: jiff::Timestamp,
    ) -> Result<Self, Failure> {
        let answer = fetch(http, settings).await?;
        if let Some(failure) = answer.refusal_by_status(false, now) {
            return Err(failure);
        }
        serde_json::from_value(answer.json()?).map_err(|error| {
            let detail = format!(
                "this is no ACME directory ({error}): does `directory` hold the whole URL? It answers {}",
                answer.evidence()
            );
            answer.failure(FailureKind::Unexpected, detail)
        })
    }
}

/// The directory as it comes.
pub(super) async fn fetch(http: &Http, settings: &Settings) -> Result<Answer, Failure> {
    let call = Call::reading(Method::GET, settings.directory.clone());
    http.send(call, |request| request).await
}
