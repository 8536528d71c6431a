//! Authentication of clients (TLS Protect Cloud reference 2).

use serde_json::json;
use time::Duration;

use super::Cloud;
use super::wire::{Refusal, date};
use crate::ca::{Office, Reply, Request};

/// An access token, and for how many requests it has been used.
#[derive(Debug)]
pub(super) struct Token {
    text: String,
    used: u32,
}

impl Cloud {
    /// 2: either header; a token wins. A wrong key is 412, no header at all is 400.
    pub(super) fn admit(&mut self, office: &mut Office, request: &Request) -> Result<(), Refusal> {
        let bearer = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let admitted = match (bearer, request.header("tppl-api-key")) {
            (Some(token), _) => self.admit_token(token),
            (None, Some(key)) => self.admit_key(key),
            (None, None) => Err(missing_header()),
        };
        if admitted.is_err() {
            office.counters.credentials_refused += 1;
        }
        admitted
    }

    fn admit_key(&mut self, key: &str) -> Result<(), Refusal> {
        self.key_used = self.key_used.saturating_add(1);
        let is_over = self
            .variants
            .key_ends_after
            .is_some_and(|uses| self.key_used > uses);
        if key == self.settings.api_key && !is_over {
            return Ok(());
        }
        let message = format!("Unable to find api key for key {key}");
        Err(Refusal::new(412, 10501, message).with_args(json!([key])))
    }

    fn admit_token(&mut self, text: &str) -> Result<(), Refusal> {
        let ends_after = self.variants.token_ends_after;
        let good = self
            .tokens
            .iter_mut()
            .find(|token| token.text == text && ends_after.is_none_or(|uses| token.used < uses));
        match good {
            Some(token) => {
                token.used += 1;
                Ok(())
            }
            // guess: the form of this refusal is not public.
            None => Err(Refusal::new(
                self.variants.bad_token_status,
                10502,
                "Access token is invalid or expired",
            )),
        }
    }

    /// 2: a service account's assertion becomes an access token. guess: refusals are those of RFC 6749 5.2.
    pub(super) fn hand_out_token(
        &mut self,
        office: &mut Office,
        request: &Request,
        account: &str,
    ) -> Reply {
        let form = request.form();
        let has = |name: &str, wanted: &str| {
            form.iter()
                .any(|(key, value)| key == name && value == wanted)
        };
        if !has("grant_type", "client_credentials") || !has("client_assertion_type", ASSERTION_TYPE)
        {
            return Reply::json(400, &json!({"error": "unsupported_grant_type"}));
        }
        if account != self.settings.service_account
            || !has("client_assertion", &self.settings.assertion)
        {
            office.counters.credentials_refused += 1;
            return Reply::json(401, &json!({"error": "invalid_client"}));
        }
        let text = office.uuid();
        self.tokens.push(Token {
            text: text.clone(),
            used: 0,
        });
        let answer = json!({"access_token": text, "token_type": "bearer", "expires_in": 3600, "scope": "certificate-issuance"});
        Reply::json(200, &answer)
    }

    /// 2: `GET /v1/useraccounts`.
    pub(super) fn account(&self, office: &mut Office) -> Reply {
        let now = office.now();
        let end = now + Duration::days(i64::from(self.variants.key_days_left));
        let begin = end - Duration::days(365);
        let form = self.variants.date_form;
        let account = json!({
            "user": {"username": "renewd@example.com", "id": self.owner_id, "companyId": self.company_id, "userStatus": "ACTIVE"},
            "company": {"id": self.company_id, "name": "example.com"},
            "apiKey": {
                "username": "renewd@example.com",
                "apiTypes": ["ALL"],
                "apiKeyStatus": "ACTIVE",
                "creationDate": date(begin, form, office),
                "validityStartDate": date(begin, form, office),
                "validityEndDate": date(end, form, office),
            },
        });
        Reply::json(200, &account)
    }
}

fn missing_header() -> Refusal {
    let args = json!([["SESSION", "tppl-api-key"]]);
    Refusal::new(
        400,
        1004,
        "Invalid or missing request header [SESSION, tppl-api-key]",
    )
    .with_args(args)
}

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
