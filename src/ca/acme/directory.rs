//! The directory: the URLs of an ACME server's resources and its metadata (RFC 8555, 7.1.1).

use std::collections::BTreeSet;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::hosts::Hosts;
use super::object::{self, Object};
use super::settings::Settings;
use crate::ca::http::{Http, Request, Response};
use crate::failure::{Failure, readable};

/// What the directory names. Further entries are skipped.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    pub new_nonce: Url,
    pub new_account: Url,
    pub new_order: Url,
    /// The resource of renewal windows (RFC 9773).
    pub renewal_info: Option<Url>,
    pub meta: Meta,
    /// Where the URLs of this CA may lead.
    pub hosts: Hosts,
}

/// The CA's metadata. Each member is optional.
#[derive(Debug, Clone, Default)]
pub(super) struct Meta {
    pub terms_of_service: Option<String>,
    pub external_account_required: bool,
    /// Names of profiles.
    pub profiles: BTreeSet<String>,
}

impl Directory {
    /// Asks for it.
    pub async fn fetch(http: &Http, settings: &Settings, now: Timestamp) -> Result<Self, Failure> {
        let answer = fetch(http, settings).await?;
        if let Some(failure) = answer.refusal_by_status(false, now) {
            return Err(failure);
        }
        Self::read(&answer, Hosts::of(settings))
    }

    /// Reads it; a URL in it that leads elsewhere than `hosts` allow makes it useless.
    pub fn read(answer: &Response, hosts: Hosts) -> Result<Self, Failure> {
        let object = Object::of(answer, hosts.directory(), "ACME directory")?;
        let needed = |name: &str| {
            let url = object.url(name).map_err(|failure| Failure {
                detail: readable(&format!(
                    "{}; does `directory` hold the whole URL?",
                    failure.detail
                )),
                ..failure
            })?;
            hosts.check(name, &url)?;
            Ok::<_, Failure>(url)
        };
        let renewal_info = object::url(object.member("renewalInfo"), hosts.directory());
        if let Some(url) = &renewal_info {
            hosts.check("renewalInfo", url)?;
        }
        Ok(Self {
            new_nonce: needed("newNonce")?,
            new_account: needed("newAccount")?,
            new_order: needed("newOrder")?,
            renewal_info,
            meta: object.member("meta").map(Meta::read).unwrap_or_default(),
            hosts,
        })
    }
}

impl Meta {
    fn read(meta: &Value) -> Self {
        let required = meta.get("externalAccountRequired");
        let profiles = meta.get("profiles").and_then(Value::as_object);
        Self {
            terms_of_service: object::text(meta.get("termsOfService")).map(readable),
            external_account_required: required.and_then(Value::as_bool).unwrap_or_default(),
            profiles: profiles
                .map(|profiles| profiles.keys().take(MOST_PROFILES).cloned().collect())
                .unwrap_or_default(),
        }
    }
}

/// The directory as it comes.
pub(super) async fn fetch(http: &Http, settings: &Settings) -> Result<Response, Failure> {
    let call = Request::reading(Method::GET, settings.directory.clone());
    http.send(call, |request| request).await
}

/// No CA has so many.
const MOST_PROFILES: usize = 100;
