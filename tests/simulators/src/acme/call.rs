//! What every signed request has to pass before anything is done (RFC 8555 6): its form, its signature, its nonce, its URL
//! and its account.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::accounts::Status;
use super::jws::{Jwk, Jws};
use super::wire::{Problem, token};
use super::{Acme, ProblemType};
use crate::ca::{Office, Request};

/// A request that has passed.
#[derive(Debug)]
pub(super) struct AcmeCall {
    /// `https://HOST`, as the client wrote it: every URL that it is given begins with this.
    pub(super) base: String,
    /// The signed URL.
    pub(super) url: String,
    /// The signer.
    pub(super) key: Jwk,
    /// Index of the account that signed; none when it was signed by a key alone.
    pub(super) account: Option<usize>,
    payload: Vec<u8>,
}

/// Nonces that were handed out and not used (6.5).
#[derive(Debug, Default)]
pub(super) struct Nonces {
    open: HashSet<String>,
    good: u32,
}

impl AcmeCall {
    /// 6.3: POST-as-GET.
    pub(super) fn is_get(&self) -> bool {
        self.payload.is_empty()
    }

    /// The payload; a POST-as-GET has none.
    pub(super) fn json(&self) -> Result<Value, Problem> {
        if self.is_get() {
            return Err(Problem::malformed("this wants a payload"));
        }
        serde_json::from_slice(&self.payload)
            .map_err(|error| Problem::malformed(format!("the payload is no JSON: {error}")))
    }

    /// 6.3: a request that only reads has no payload. guess: an empty object does not count as reading.
    pub(super) fn must_be_get(&self) -> Result<(), Problem> {
        if self.is_get() {
            Ok(())
        } else {
            Err(Problem::malformed("this is read with an empty payload"))
        }
    }

    /// 6.2: everything but newAccount is signed by an account.
    pub(super) fn account(&self) -> Result<usize, Problem> {
        self.account
            .ok_or_else(|| Problem::malformed("this is signed with kid"))
    }
}

impl Nonces {
    pub(super) fn fresh(&mut self, office: &mut Office) -> String {
        let nonce = token(office);
        self.open.insert(nonce.clone());
        nonce
    }

    /// A nonce is valid once. Every `refused_every`th valid nonce is refused anyway.
    fn spend(&mut self, nonce: Option<&str>, refused_every: u32) -> Result<(), Problem> {
        let bad = |detail| Err(Problem::new(ProblemType::BadNonce, detail));
        if !nonce.is_some_and(|nonce| self.open.remove(nonce)) {
            return bad("the nonce is unknown or was used");
        }
        self.good = self.good.wrapping_add(1);
        if refused_every > 0 && self.good.is_multiple_of(refused_every) {
            return bad("the nonce is refused by a switch");
        }
        Ok(())
    }
}

impl Acme {
    /// Counts requests that fail because of their credentials.
    pub(super) fn admit(
        &mut self,
        office: &mut Office,
        request: &Request,
    ) -> Result<AcmeCall, Problem> {
        if request.header("content-type") != Some("application/jose+json") {
            let wrong = Problem::malformed("the content type must be application/jose+json");
            return Err(wrong.with_status(415));
        }
        let jws = Jws::read(&request.json().map_err(Problem::malformed)?)?;
        let base = base(request);
        let signed_by = self.signer(&jws, &base).and_then(|(key, account)| {
            jws.verify(&key)?;
            Ok((key, account))
        });
        let (key, account) = signed_by.inspect_err(|_| office.counters.credentials_refused += 1)?;
        self.nonces
            .spend(jws.header("nonce"), self.variants.bad_nonce_every)?;
        let url = format!("{base}{}", request.path);
        if jws.header("url") != Some(&url) {
            // 6.4
            let wrong = format!("the signed url is not {url}");
            return Err(Problem::new(ProblemType::Unauthorized, wrong));
        }
        Ok(AcmeCall {
            base,
            url,
            key,
            account,
            payload: jws.payload,
        })
    }

    /// 6.2: either the key itself or the URL of its account.
    fn signer(&self, jws: &Jws, base: &str) -> Result<(Jwk, Option<usize>), Problem> {
        match (jws.jwk(), jws.header("kid")) {
            (Some(key), None) => Ok((key?, None)),
            (None, Some(kid)) => {
                let index = kid
                    .strip_prefix(base)
                    .and_then(|path| path.strip_prefix("/account/"))
                    .and_then(|id| self.account_index(id))
                    .ok_or_else(|| {
                        Problem::new(
                            ProblemType::AccountDoesNotExist,
                            format!("there is no account {kid}"),
                        )
                    })?;
                self.signing_account(index)
            }
            _ => Err(Problem::malformed("a JWS has either jwk or kid")),
        }
    }

    pub(super) fn signing_account(&self, index: usize) -> Result<(Jwk, Option<usize>), Problem> {
        match self.accounts.get(index) {
            Some(account) if account.status == Status::Valid => {
                Ok((account.key.clone(), Some(index)))
            }
            // 7.3.6
            _ => Err(
                Problem::new(ProblemType::Unauthorized, "the account is deactivated")
                    .with_status(401),
            ),
        }
    }

    /// 7.1.1.
    pub(super) fn directory(&self, base: &str) -> Value {
        let mut directory = json!({
            "newNonce": format!("{base}/new-nonce"),
            "newAccount": format!("{base}/new-account"),
            "newOrder": format!("{base}/new-order"),
            "meta": {
                "termsOfService": self.settings.terms,
                "website": "https://ca.example/",
                "caaIdentities": ["ca.example"],
                "externalAccountRequired": self.variants.external_account_required,
            },
        });
        if self.variants.ari_offered {
            directory["renewalInfo"] = json!(format!("{base}/renewal-info"));
        }
        if self.variants.profiles_offered {
            for profile in &self.settings.profiles {
                directory["meta"]["profiles"][&profile.name] = json!(profile.description);
            }
        }
        self.decorated(directory)
    }
}

/// The server names itself as it was called, as Let's Encrypt's does.
pub(super) fn base(request: &Request) -> String {
    format!("https://{}", request.header("host").unwrap_or_default())
}
