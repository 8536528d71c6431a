//! The account key, and what it signs: flattened JWS with ES256 (RFC 7515, RFC 8555 6.2). Sends nothing.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom as SignatureNonces;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::secret::Secret;

/// The P-256 key that an account is known by. Never shown.
pub(super) struct AccountKey(EcdsaKeyPair);

/// The identity that a request is signed with (RFC 8555, 6.2).
#[derive(Debug, Clone, Copy)]
pub(super) enum Signer<'a> {
    /// By the key itself: only to make its account.
    Key,
    /// By the account of this URL.
    Account(&'a str),
}

impl AccountKey {
    /// A new key; the library draws it from the operating system's generator.
    pub fn generate() -> Result<Self, Failure> {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .map(Self)
            .map_err(|_| Failure::local(CALL, "no key could be generated"))
    }

    /// The key of a PKCS#8 document.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, String> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map(Self)
            .map_err(|_| "it holds no ECDSA P-256 key".to_owned())
    }

    /// The key as PKCS#8: for sealing only.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let document = self.0.to_pkcs8v1();
        let document =
            document.map_err(|_| Failure::local(CALL, "the key cannot be written down"))?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The key as PKCS#8 in base64url, as an older renewd wrote it down.
    pub fn from_text(text: &str) -> Result<Self, String> {
        let der = BASE64URL_NOPAD.decode(text.as_bytes());
        let der = Zeroizing::new(der.map_err(|error| error.to_string())?);
        Self::from_pkcs8(&der)
    }

    /// What proves that a challenge was answered by this account (RFC 8555, 8.1).
    pub fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    /// A signed request to `url`; without a payload it only reads (RFC 8555, 6.3).
    pub fn sign(
        &self,
        signer: Signer<'_>,
        nonce: &str,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Value, Failure> {
        let mut protected = json!({ "alg": "ES256", "nonce": nonce, "url": url });
        match signer {
            Signer::Key => protected["jwk"] = self.jwk(),
            Signer::Account(account) => protected["kid"] = json!(account),
        }
        let protected = base64(&protected);
        let payload = payload.map(base64).unwrap_or_default();
        // The library wants a generator named, and draws each signature's nonce from its own.
        let signature = self
            .0
            .sign(
                &SignatureNonces::default(),
                format!("{protected}.{payload}").as_bytes(),
            )
            .map_err(|_| Failure::local(CALL, "the account key does not sign"))?;
        Ok(flattened(&protected, &payload, signature.as_ref()))
    }

    /// Binds this key to an account outside of ACME (RFC 8555, 7.3.4): `hmac_key` is the CA's key in base64url.
    pub fn bound_to(&self, key_id: &str, hmac_key: &Secret, url: &str) -> Result<Value, Failure> {
        let text = hmac_key.expose().trim_end_matches('=').as_bytes();
        let key = BASE64URL_NOPAD
            .decode(text)
            .or_else(|_| BASE64_NOPAD.decode(text))
            .map_err(|_| {
                Failure::local(
                    "external_account",
                    "hmac_key is not base64url: copy it again from the CA's page",
                )
            })?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let protected = base64(&json!({ "alg": "HS256", "kid": key_id, "url": url }));
        let payload = base64(&self.jwk());
        let tag = hmac::sign(&key, format!("{protected}.{payload}").as_bytes());
        Ok(flattened(&protected, &payload, tag.as_ref()))
    }

    /// The public key (RFC 7518, 6.2.1).
    fn jwk(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y })
    }

    /// RFC 7638: members in this order and without spaces.
    fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        sha256(&text)
    }

    /// Of the public key, which is the byte 4 and both, 32 bytes each (SEC 1, 2.3.3).
    fn coordinates(&self) -> (String, String) {
        let point = self.0.public_key().as_ref();
        let half = |range| BASE64URL_NOPAD.encode(point.get(range).unwrap_or_default());
        (half(1..33), half(33..65))
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.thumbprint())
    }
}

/// SHA-256 of `text`, base64url.
pub(super) fn sha256(text: &str) -> String {
    BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn base64(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

fn flattened(protected: &str, payload: &str, signature: &[u8]) -> Value {
    json!({
        "protected": protected,
        "payload": payload,
        "signature": BASE64URL_NOPAD.encode(signature),
    })
}

const CALL: &str = "ACME account key";
