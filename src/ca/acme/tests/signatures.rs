//! What the account key signs, verified from the outside.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;

use super::*;
use crate::ca::acme::jws::{AccountKey, Signer};
use crate::secret::Secret;

/// The protected header and the payload of a request; its signature was verified with the key in `jwk`.
fn opened(request: &Value, jwk: &Value) -> (Value, Vec<u8>) {
    let part = |name: &str| request[name].as_str().unwrap().to_owned();
    let decoded = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let mut point = vec![4];
    point.extend(decoded(jwk["x"].as_str().unwrap()));
    point.extend(decoded(jwk["y"].as_str().unwrap()));
    let signed = format!("{}.{}", part("protected"), part("payload"));
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(signed.as_bytes(), &decoded(&part("signature")))
        .unwrap();
    let header = serde_json::from_slice(&decoded(&part("protected"))).unwrap();
    (header, decoded(&part("payload")))
}

fn header(request: &Value) -> Value {
    let protected = request["protected"].as_str().unwrap();
    let decoded = BASE64URL_NOPAD.decode(protected.as_bytes()).unwrap();
    serde_json::from_slice(&decoded).unwrap()
}

#[test]
fn the_first_request_carries_the_key_and_every_other_one_the_account() {
    let key = AccountKey::generate().unwrap();
    let url = "https://acme.example.com/new-account";
    let first = key
        .sign(Signer::Key, "n-1", url, Some(&json!({ "a": 1 })))
        .unwrap();
    let jwk = header(&first)["jwk"].clone();
    let (protected, payload) = opened(&first, &jwk);
    assert_eq!(protected["alg"], "ES256");
    assert_eq!(protected["nonce"], "n-1");
    assert_eq!(protected["url"], url);
    assert_eq!(protected.get("kid"), None);
    assert_eq!(payload, br#"{"a":1}"#);

    let account = "https://acme.example.com/account/7";
    let next = key
        .sign(Signer::Account(account), "n-2", url, None)
        .unwrap();
    let (protected, payload) = opened(&next, &jwk);
    assert_eq!(protected["kid"], account);
    assert_eq!(protected.get("jwk"), None);
    assert_eq!(payload, b"", "a request that only reads has no payload");
}

#[test]
fn a_key_that_was_written_down_is_the_same_key() {
    let key = AccountKey::generate().unwrap();
    let again = AccountKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
    assert_eq!(key.key_authorization("t"), again.key_authorization("t"));
    assert!(AccountKey::from_text("bm8ga2V5").is_err());
}

#[test]
fn the_proof_of_a_challenge_ends_in_the_thumbprint_of_rfc_7638() {
    let key = AccountKey::generate().unwrap();
    let request = key.sign(Signer::Key, "n", "https://a/b", None).unwrap();
    let jwk = header(&request)["jwk"].clone();
    // serde_json keeps its maps sorted, and so does RFC 7638, 3.
    let members = json!({ "crv": jwk["crv"], "kty": jwk["kty"], "x": jwk["x"], "y": jwk["y"] });
    let thumbprint = jws::sha256(&members.to_string());
    assert_eq!(
        key.key_authorization("token"),
        format!("token.{thumbprint}")
    );
}

#[test]
fn an_outside_account_is_bound_by_its_own_key_with_or_without_padding() {
    let key = AccountKey::generate().unwrap();
    let url = "https://acme.example.com/new-account";
    let bind = |text: &str| {
        let secret = Secret::new(text.to_owned());
        key.bound_to("kid-1", &secret, url)
    };
    let binding = bind("c2VjcmV0LWtleQ").unwrap();
    let protected = header(&binding);
    assert_eq!(
        protected,
        json!({ "alg": "HS256", "kid": "kid-1", "url": url })
    );
    let signed = format!(
        "{}.{}",
        binding["protected"].as_str().unwrap(),
        binding["payload"].as_str().unwrap()
    );
    let tag = BASE64URL_NOPAD
        .decode(binding["signature"].as_str().unwrap().as_bytes())
        .unwrap();
    let outside = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"secret-key");
    aws_lc_rs::hmac::verify(&outside, signed.as_bytes(), &tag).unwrap();

    assert_eq!(bind("c2VjcmV0LWtleQ==").unwrap(), binding);
    let failure = bind("not base64!").unwrap_err();
    assert!(
        failure.detail.contains("hmac_key is not base64url"),
        "{failure}"
    );
    assert!(!failure.to_string().contains("not base64!"));
}

#[test]
fn no_key_is_ever_shown() {
    let key = AccountKey::generate().unwrap();
    let text = BASE64URL_NOPAD.encode(&key.to_pkcs8().unwrap());
    assert!(!format!("{key:?}").contains(&text[40..80]));
}
