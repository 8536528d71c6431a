//! Signed requests (RFC 7515, 7517, 7638; RFC 8555 6.2): their form and their signatures. Independent of accounts.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::ProblemType;
use super::wire::Problem;

/// A JWS in flattened JSON.
#[derive(Debug)]
pub(super) struct Jws {
    pub(super) payload: Vec<u8>,
    protected: Value,
    signed: String,
    signature: Vec<u8>,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jwk {
    /// RFC 7638, in base64url.
    pub(super) thumbprint: String,
    key: Key,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    /// An uncompressed point on P-256.
    Ec(Vec<u8>),
    /// Modulus and exponent, big endian.
    Rsa(Vec<u8>, Vec<u8>),
}

impl Jws {
    /// 6.2: flattened, without an unprotected header.
    pub(super) fn read(value: &Value) -> Result<Self, Problem> {
        if value.get("header").is_some() || value.get("signatures").is_some() {
            return Err(Problem::malformed(
                "a JWS has one signature and no unprotected header here",
            ));
        }
        let protected = text(value, "protected")?;
        let payload = text(value, "payload")?;
        let header = decoded(protected, "protected")?;
        Ok(Self {
            payload: decoded(payload, "payload")?,
            protected: serde_json::from_slice(&header)
                .map_err(|error| Problem::malformed(format!("protected header: {error}")))?,
            signed: format!("{protected}.{payload}"),
            signature: decoded(text(value, "signature")?, "signature")?,
        })
    }

    /// A member of the protected header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.protected.get(name).and_then(Value::as_str)
    }

    /// The public key of the protected header.
    pub(super) fn jwk(&self) -> Option<Result<Jwk, Problem>> {
        self.protected.get("jwk").map(Jwk::read)
    }

    /// 6.2: the algorithm must be the key's, and the signature right.
    pub(super) fn verify(&self, jwk: &Jwk) -> Result<(), Problem> {
        let signed = self.signed.as_bytes();
        let alg = self.header("alg").unwrap_or_default();
        let verified = match (&jwk.key, alg) {
            (Key::Ec(point), "ES256") => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
                .verify(signed, &self.signature),
            (Key::Rsa(n, e), "RS256") => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                signed,
                &self.signature,
            ),
            _ => {
                let detail = format!("{alg:?} is not an algorithm for this key here");
                return Err(Problem::new(ProblemType::BadSignatureAlgorithm, detail));
            }
        };
        verified.map_err(|_| wrong_signature())
    }

    /// 7.3.4: an external account signs with HS256, the other MAC algorithms are not implemented.
    pub(super) fn verify_mac(&self, key: &[u8]) -> Result<(), Problem> {
        if self.header("alg") != Some("HS256") {
            return Err(Problem::new(
                ProblemType::BadSignatureAlgorithm,
                "an external account binding is signed with HS256 here",
            ));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, self.signed.as_bytes(), &self.signature).map_err(|_| wrong_signature())
    }
}

impl Jwk {
    /// EC P-256 and RSA.
    pub(super) fn read(value: &Value) -> Result<Self, Problem> {
        let bytes = |name| decoded(text(value, name)?, name);
        let (key, canonical) = match text(value, "kty")? {
            "EC" if value["crv"] == "P-256" => {
                let point = [vec![4], bytes("x")?, bytes("y")?].concat();
                // RFC 7518 6.2.1: coordinates have their full length.
                if point.len() != 65 {
                    return Err(bad_key("a coordinate of P-256 has 32 bytes"));
                }
                let (x, y) = (&value["x"], &value["y"]);
                (
                    Key::Ec(point),
                    json!({"crv": "P-256", "kty": "EC", "x": x, "y": y}),
                )
            }
            "RSA" => {
                let (n, e) = (&value["n"], &value["e"]);
                let canonical = json!({"e": e, "kty": "RSA", "n": n});
                (Key::Rsa(bytes("n")?, bytes("e")?), canonical)
            }
            _ => return Err(bad_key("account keys are P-256 or RSA here")),
        };
        // RFC 7638 3: without spaces, the members sorted as they are above.
        let digest = Sha256::digest(canonical.to_string());
        Ok(Self {
            thumbprint: BASE64URL_NOPAD.encode(&digest),
            key,
        })
    }

    /// Whether a subject public key information (DER) ends in this very key.
    pub(super) fn is_in(&self, public_key: &[u8]) -> bool {
        match &self.key {
            Key::Ec(point) => public_key.ends_with(point),
            Key::Rsa(n, _) => public_key.windows(n.len()).any(|part| part == n),
        }
    }
}

/// 6.1: base64url, and padding is an error.
pub(super) fn decoded(text: &str, name: &str) -> Result<Vec<u8>, Problem> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|error| Problem::malformed(format!("{name} is not base64url: {error}")))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Problem> {
    value
        .get(name)
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::malformed(format!("{name} is missing or no text")))
}

fn bad_key(detail: &str) -> Problem {
    Problem::new(ProblemType::BadPublicKey, detail)
}

fn wrong_signature() -> Problem {
    Problem::malformed("the signature is wrong")
}
